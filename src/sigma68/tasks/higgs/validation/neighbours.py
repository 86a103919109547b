"""Whether an emulator repeats the events that it was trained on: distances to the nearest of them.

In standardised canonical coordinates, the distance of emulated events to the nearest training event
is held against that of simulated events of other hard collisions (one event of each). Where the
emulator has learned a density and not its examples, 1% of the emulated events are nearer than
the nearest 1% of the others; what was repeated stands out as a spike at 0. Events with
different numbers of listed jets are treated by themselves, and added up in units of the median
distance of the others.

Reference: the distance-to-closest-record test of synthetic data, as in Platzer & Reutterer,
Frontiers in Big Data 4 (2021) 679939.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import special
from scipy.spatial import cKDTree

from sigma68.seeds import Stream
from sigma68.tasks.higgs.split import mixed
from sigma68.tasks.higgs.validation.canonical import JET_NUMBERS, canonical, jet_number
from sigma68.tasks.higgs.validation.hypotheses import holm
from sigma68.tasks.higgs.validation.judgement import Verdict
from sigma68.tasks.higgs.validation.sample import Sample, thinned

__all__ = ["LEAST_ROWS", "NEAREST", "QUERIES", "NeighbourTest", "compare_neighbours", "judged"]

Floats = npt.NDArray[np.float64]

NEAREST: Final = 0.01
"""The share of the held-out events that are called near."""
QUERIES: Final = 20_000
"""Events of each kind whose nearest training event is looked for, at most, per process."""
LEAST_ROWS: Final = 300
"""A number of jets is tested where there are so many events of each kind."""

_PRACTICAL: Final = 0.005
_COPY: Final = 0.01
_EDGES: Final = np.concatenate([[0.0], np.geomspace(0.001, 10.0, 61)])


@dataclass(frozen=True)
class NeighbourTest:
    """Distances to the nearest training event, for one process.

    Attributes
    ----------
    process
        Its name.
    rows_training, rows_tested, rows_reference
        Events that could be nearest, and of each kind that looked for them.
    share, error
        The share of tested events nearer than the nearest 1% of the reference's, and its error;
        0.01 is expected.
    p_value, corrected
        The probability of so large a share or a larger one, and corrected for the number of
        processes (Holm).
    copies_tested, copies_reference
        How many of the events are nearer than a hundredth of the median distance: repeated ones.
    tested_median
        The median distance of tested events, in units of that of the reference.
    edges, tested, reference, reference_error
        Histogram of the distance in these units: edges of the bins from 0 to 10, shape (62,),
        shares of the events per bin, and the error of the reference's.
    verdict
        "miss" if the share is incompatible with 1% and 0.5% or more above it, or if there are
        copies (more than one, and more than twice as often as in the reference).
    """

    process: str
    rows_training: int
    rows_tested: int
    rows_reference: int
    share: float
    error: float
    p_value: float
    corrected: float
    copies_tested: int
    copies_reference: int
    tested_median: float
    edges: Floats
    tested: Floats
    reference: Floats
    reference_error: Floats
    verdict: Verdict = "none"


@dataclass(frozen=True)
class _Distances:
    """Of one number of jets: distances in units of the reference's median, and what is near."""

    tested: Floats
    tested_weights: Floats
    reference: Floats
    reference_weights: Floats
    near: float
    rows_training: int


def compare_neighbours(
    process: str, tested: Sample, reference: Sample, training: Sample, stream: Stream
) -> NeighbourTest | None:
    """The distances of the events of one process; None if there are too few to say anything."""
    tested = thinned(tested, QUERIES, stream.child("tested"))
    single = one_per_hard_event(reference, stream.child("one"))
    single = thinned(single, min(QUERIES, math.ceil(2 * single.effective)), stream.child("single"))
    found = [_of_jets(n, tested, single, training) for n in range(len(JET_NUMBERS))]
    made = [own for own in found if own is not None]
    return _test(process, made) if made else None


def judged(tests: Sequence[NeighbourTest], level: float) -> tuple[NeighbourTest, ...]:
    """The same with corrected p-values and verdicts."""
    corrected = holm(np.array([test.p_value for test in tests]))
    found = []
    for test, p in zip(tests, corrected, strict=True):
        closer = p < level and test.share >= NEAREST + _PRACTICAL
        by_chance = 2 * test.copies_reference * test.rows_tested / test.rows_reference
        copied = test.copies_tested > max(1.0, by_chance)
        verdict: Verdict = "miss" if closer or copied else "pass"
        found.append(replace(test, corrected=float(p), verdict=verdict))
    return tuple(found)


def one_per_hard_event(sample: Sample, stream: Stream) -> Sample:
    """One event of each hard event, picked by weight, with the weight of all of them."""
    uniform = ((mixed(np.arange(sample.n_events), stream.key) >> np.uint64(11)) + 0.5) * 2.0**-53
    # The first of competing exponential clocks is each with probability proportional to its rate.
    clock = -np.log(uniform) / np.maximum(sample.weights, 1e-300)
    units, unit = np.unique(sample.unit, return_inverse=True)
    order = np.lexsort((clock, unit))
    first = order[np.append(True, np.diff(unit[order]) > 0)] if order.size else order
    whole = np.bincount(unit, sample.weights, minlength=len(units)).astype(np.float64)
    return replace(sample.chosen(first), weights=whole[unit[first]])


def _of_jets(n_jets: int, tested: Sample, reference: Sample, training: Sample) -> _Distances | None:
    parts = [own.chosen(jet_number(own.values) == n_jets) for own in (tested, reference, training)]
    if min(part.n_events for part in parts) < LEAST_ROWS:
        return None
    points = canonical(parts[2].values, n_jets)
    mean, deviation = points.mean(axis=0), points.std(axis=0)
    scale = np.where(deviation > 0, deviation, 1.0)
    tree = cKDTree((points - mean) / scale)
    distances = []
    for part in parts[:2]:
        found, _ = tree.query((canonical(part.values, n_jets) - mean) / scale, workers=-1)
        distances.append(found)
    weights = [part.weights for part in parts[:2]]
    unit = _quantile(distances[1], weights[1], 0.5)
    return _Distances(
        tested=distances[0] / unit,
        tested_weights=weights[0],
        reference=distances[1] / unit,
        reference_weights=weights[1],
        near=_quantile(distances[1], weights[1], NEAREST) / unit,
        rows_training=parts[2].n_events,
    )


def _quantile(values: Floats, weights: Floats, level: float) -> float:
    """The smallest value with at least `level` of the weight at or below it."""
    order = np.argsort(values, kind="stable")
    share = np.cumsum(weights[order]) / weights.sum()
    return float(values[order][min(int(np.searchsorted(share, level)), len(values) - 1)])


def _test(process: str, made: Sequence[_Distances]) -> NeighbourTest:
    tested, reference = (
        np.concatenate([getattr(own, name) for own in made]) for name in ("tested", "reference")
    )
    w = np.concatenate([own.tested_weights for own in made])
    v = np.concatenate([own.reference_weights for own in made])
    near = np.concatenate([own.tested < own.near for own in made])
    share = float(w[near].sum() / w.sum())
    # What is near is itself known from 1% of the reference's events alone.
    variance = sum(
        (own.tested_weights.sum() / w.sum()) ** 2
        * NEAREST
        * (1 - NEAREST)
        * (1 / _effective(own.tested_weights) + 1 / _effective(own.reference_weights))
        for own in made
    )
    p_value = float(special.ndtr((NEAREST - share) / math.sqrt(variance)))
    histograms = [_histogram(x, y) for x, y in ((tested, w), (reference, v))]
    return NeighbourTest(
        process=process,
        rows_training=sum(own.rows_training for own in made),
        rows_tested=len(tested),
        rows_reference=len(reference),
        share=share,
        error=math.sqrt(variance * max(share / NEAREST, 1.0)),
        p_value=p_value,
        corrected=p_value,
        copies_tested=int((tested < _COPY).sum()),
        copies_reference=int((reference < _COPY).sum()),
        tested_median=_quantile(tested, w, 0.5),
        edges=_EDGES,
        tested=histograms[0][0],
        reference=histograms[1][0],
        reference_error=histograms[1][1],
    )


def _effective(weights: Floats) -> float:
    return float(weights.sum()) ** 2 / float(weights @ weights)


def _histogram(distances: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Shares of the events per bin of `_EDGES`, and their errors."""
    place = np.clip(np.searchsorted(_EDGES, distances, "right") - 1, 0, len(_EDGES) - 2)
    sums = np.bincount(place, weights, minlength=len(_EDGES) - 1)
    squares = np.bincount(place, weights * weights, minlength=len(_EDGES) - 1)
    return sums / weights.sum(), np.sqrt(squares) / weights.sum()
