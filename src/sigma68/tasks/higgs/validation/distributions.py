"""All 28 columns of two files of events: Kolmogorov-Smirnov, corrected for number.

A column that events
may lack is tested twice: how often it is defined, and its distribution where it is. Columns that
are defined in the same events share the first of these tests.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from scipy import special

from sigma68.tasks.higgs.schema import FEATURES
from sigma68.tasks.higgs.validation import edges
from sigma68.tasks.higgs.validation.cumulative import Column, Cumulative
from sigma68.tasks.higgs.validation.hypotheses import (
    POWER,
    detectable_distance,
    detectable_shift,
    effective_number,
    holm,
    ks_p_value,
    two_sided,
)
from sigma68.tasks.higgs.validation.sample import Sample

__all__ = ["LEAST_DEFINED", "LEAST_EFFECTIVE", "DistributionTest", "compare_distributions"]

Floats = npt.NDArray[np.float64]

LEAST_EFFECTIVE: Final = 20.0
"""A shape is tested if both samples have so many effective events in which it is defined."""
LEAST_DEFINED: Final = 10.0
"""A fraction is tested if both samples expect so many effective events with and without."""

_FEW_VALUES = 20


@dataclass(frozen=True)
class DistributionTest:
    """One test of one column in one group of processes.

    Attributes
    ----------
    group, column
        Process, or "pooled"; name of the column.
    kind
        "shape": `difference` is the KS distance. "defined": it is the fraction of events that
        have the column, tested minus reference. "edge": it is the fraction of tested events beyond
        all of the reference.
    shared_with
        Columns defined in the same events, for which this test stands as well.
    n_tested, n_reference
        Effective numbers of events.
    p_value, corrected
        Before and after Holm's correction over all tests made; None where too few events are
        there to test anything.
    detectable
        The difference that is found with 90% probability at the corrected level.
    detectable_shift
        For shapes, the shift of the whole column that makes this difference, in its standard
        deviations; None for columns of few values and where no shift does it.
    mean_difference, mean_error
        Tested minus reference mean in standard deviations of the column, and its error.
    """

    group: str
    column: str
    kind: Literal["shape", "defined", "edge"]
    shared_with: tuple[str, ...]
    n_tested: float
    n_reference: float
    difference: float | None = None
    p_value: float | None = None
    corrected: float | None = None
    detectable: float | None = None
    detectable_shift: float | None = None
    mean_difference: float | None = None
    mean_error: float | None = None


def compare_distributions(
    tested: Cumulative,
    reference: Cumulative,
    groups: Mapping[str, Sequence[int]],
    clustering: tuple[Floats, Floats],
    level: float,
    samples: tuple[Sample, Sample] | None = None,
) -> list[DistributionTest]:
    """Test every column in every group of processes; with samples of both, the edges as well.

    `clustering` gives for both samples the factor of each column and process, shape (28, 4), that
    counts hard events once; `level` is the probability of any false alarm among all tests, to which what is
    detectable refers.
    """
    found: list[DistributionTest] = []
    columns: list[tuple[Column, Column]] = []
    for group, processes in groups.items():
        shared: dict[tuple[float, ...], int] = {}
        for i, name in enumerate(FEATURES):
            pair = (
                tested.column(i, processes, clustering[0]),
                reference.column(i, processes, clustering[1]),
            )
            if pair[0].undefined > 0 or pair[1].undefined > 0:
                known = (*tested.absent(i, processes), *reference.absent(i, processes))
                if known in shared:
                    at = shared[known]
                    found[at] = replace(found[at], shared_with=(*found[at].shared_with, name))
                else:
                    shared[known] = len(found)
                    found.append(_fraction(group, name, pair))
                    columns.append(pair)
            found.append(_shape(group, name, pair))
            columns.append(pair)
            if samples is not None and name in edges.COLUMNS:
                found.append(_edge(group, name, processes, samples))
                columns.append(pair)
    return _judged(found, columns, level)


def _shape(group: str, name: str, pair: tuple[Column, Column]) -> DistributionTest:
    n_tested, n_reference = (effective_number(c.cumulative, c.squares) for c in pair)
    distance = p_value = mean = error = None
    if min(n_tested, n_reference) >= LEAST_EFFECTIVE:
        distance = float(np.abs(pair[0].fractions - pair[1].fractions).max())
        p_value = ks_p_value(distance, n_tested, n_reference)
        if pair[0].deviation > 0:
            mean = (pair[0].mean - pair[1].mean) / pair[0].deviation
            error = math.sqrt(1 / n_tested + 1 / n_reference)
    return DistributionTest(
        group=group,
        column=name,
        kind="shape",
        shared_with=(),
        n_tested=n_tested,
        n_reference=n_reference,
        difference=distance,
        p_value=p_value,
        mean_difference=mean,
        mean_error=error,
    )


def _edge(
    group: str, name: str, processes: Sequence[int], samples: tuple[Sample, Sample]
) -> DistributionTest:
    own = (samples[0].of(processes), samples[1].of(processes))
    found = edges.beyond_edge(*own, name)
    share, n_tested, n_reference = found or (None, 0.0, 0.0)
    return DistributionTest(
        group=group,
        column=name,
        kind="edge",
        shared_with=(),
        n_tested=n_tested,
        n_reference=n_reference,
        difference=share,
        p_value=None if share is None else edges.edge_p_value(share, n_tested, n_reference),
    )


def _fraction(group: str, name: str, pair: tuple[Column, Column]) -> DistributionTest:
    parts = [
        (float(c.cumulative[-1]), float(c.squares[-1]), c.undefined, c.undefined_squares)
        for c in pair
    ]
    numbers = [(w + v) ** 2 / (w2 + v2) if w2 + v2 > 0 else 0.0 for w, w2, v, v2 in parts]
    shares = [w / (w + v) if w + v > 0 else math.nan for w, _, v, _ in parts]
    difference = p_value = None
    if min(numbers) > 0:
        common = (numbers[0] * shares[0] + numbers[1] * shares[1]) / sum(numbers)
        if min(numbers) * min(common, 1 - common) >= LEAST_DEFINED:
            difference = shares[0] - shares[1]
            p_value = two_sided(difference / _scatter(parts, numbers, common))
    return DistributionTest(
        group=group,
        column=name,
        kind="defined",
        shared_with=(),
        n_tested=numbers[0],
        n_reference=numbers[1],
        difference=difference,
        p_value=p_value,
    )


def _scatter(
    parts: Sequence[tuple[float, float, float, float]], numbers: Sequence[float], common: float
) -> float:
    """The error of the difference of two fractions.

    Binomial for the effective numbers, or what the weights of the two kinds of events say where
    that is more.
    """
    variance = 0.0
    for (w, w2, v, v2), n in zip(parts, numbers, strict=True):
        own = (w2 * (1 - common) ** 2 + v2 * common**2) / (w + v) ** 2
        variance += max(common * (1 - common) / n, own)
    return math.sqrt(variance)


def _judged(
    found: list[DistributionTest], columns: list[tuple[Column, Column]], level: float
) -> list[DistributionTest]:
    """Correct the p-values for their number, and say what each test could have seen."""
    made = [(i, test.p_value) for i, test in enumerate(found) if test.p_value is not None]
    corrected = holm(np.array([p for _, p in made]))
    for (i, _), p in zip(made, corrected, strict=True):
        test = replace(found[i], corrected=float(p))
        found[i] = _with_detectable(test, columns[i], level / len(made))
    return found


def _with_detectable(
    test: DistributionTest, pair: tuple[Column, Column], level: float
) -> DistributionTest:
    if test.kind == "defined":
        parts = [
            (float(c.cumulative[-1]), float(c.squares[-1]), c.undefined, c.undefined_squares)
            for c in pair
        ]
        share = parts[0][0] / (parts[0][0] + parts[0][2])
        quantiles = float(special.ndtri(1 - level / 2) + special.ndtri(POWER))
        scatter = _scatter(parts, (test.n_tested, test.n_reference), share)
        return replace(test, detectable=quantiles * scatter)
    if test.kind == "edge":
        share = edges.detectable_share(test.n_tested, test.n_reference, level, POWER)
        return replace(test, detectable=share)
    distance = detectable_distance(test.n_tested, test.n_reference, level)
    shift = None
    column = pair[0]
    if len(column.grid) > _FEW_VALUES and column.deviation > 0:
        shift = detectable_shift(column.grid / column.deviation, column.fractions[1:-1:2], distance)
    return replace(test, detectable=distance, detectable_shift=shift)
