"""How well a score tells two kinds of events apart: the area under the ROC curve and its error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import special

from sigma68.tasks.higgs.validation.hypotheses import POWER, holm
from sigma68.tasks.higgs.validation.judgement import Verdict
from sigma68.types import Labelled

__all__ = ["CURVE_POINTS", "ClassifierTest", "area", "judged", "roc_curve"]

Floats = npt.NDArray[np.float64]

CURVE_POINTS: Final = 101


@dataclass(frozen=True)
class ClassifierTest:
    """How well trees tell tested from reference events of one group of processes.

    Attributes
    ----------
    group
        Process, or "pooled".
    rows_tested, rows_reference
        Events used, of a seeded sample.
    auc, error, null_error
        Mean area under the ROC curve of the five trainings, its error, and what its error is
        where nothing tells them apart.
    folds
        The five areas.
    p_value
        The probability of so large an area if nothing tells them apart, and corrected for the
        number of groups (Holm).
    detectable
        The area that is found with 90% probability at the corrected level.
    columns
        What the trees used most: name and share of the total gain.
    curve
        Fraction of tested events above a cut against equal steps, from 0 to 1, in the fraction
        of reference events above it; mean of the five, shape (101,).
    verdict
        By the largest area that passes, where there is one, else by the corrected p-value;
        "unsure" where the null error is more than half of what is allowed above 0.5.
    """

    group: str
    rows_tested: int
    rows_reference: int
    auc: float
    error: float
    null_error: float
    folds: tuple[float, ...]
    p_value: float
    corrected: float
    detectable: float
    columns: tuple[tuple[str, float], ...]
    curve: Floats
    verdict: Verdict = "none"


def judged(
    tests: Sequence[ClassifierTest], level: float, largest_area: float | None = None
) -> tuple[ClassifierTest, ...]:
    """The same with p-values corrected for the number of groups, what could be found, and verdicts."""
    corrected = holm(np.array([test.p_value for test in tests]))
    quantiles = float(special.ndtri(1 - level / max(len(tests), 1)) + special.ndtri(POWER))
    return tuple(
        replace(
            test,
            corrected=float(p),
            detectable=0.5 + quantiles * test.null_error,
            verdict=_verdict(test, float(p), level, largest_area),
        )
        for test, p in zip(tests, corrected, strict=True)
    )


def _verdict(
    test: ClassifierTest, corrected: float, level: float, largest_area: float | None
) -> Verdict:
    if largest_area is None:
        return "pass" if corrected >= level else "miss"
    if test.null_error > 0.5 * (largest_area - 0.5):
        return "unsure"
    return "pass" if test.auc <= largest_area else "miss"


def area(scores: Floats, events: Labelled) -> tuple[float, float]:
    """The weighted area under the ROC curve and its error, hard events counted once.

    The probability that an event of label 1 has a higher score than one of label 0, ties counting
    half. `scores` has shape (n_events,). The error is that of DeLong, DeLong &
    Clarke-Pearson, Biometrics 44 (1988) 837, for weighted events.
    """
    one = events.labels == 1
    above = _below(scores[~one], events.weights[~one], scores[one])
    value = float(np.average(above, weights=events.weights[one]))
    under = 1 - _below(scores[one], events.weights[one], scores[~one])
    variance = 0.0
    for part, mine in ((above, one), (under, ~one)):
        w = events.weights[mine]
        sums = w * (part - value)
        if events.hard_event is not None:
            _, unit = np.unique(events.hard_event[mine], return_inverse=True)
            sums = np.bincount(unit, sums)
        variance += float(sums @ sums) / float(w.sum()) ** 2
    return value, math.sqrt(variance)


def _below(reference: Floats, weights: Floats, scores: Floats) -> Floats:
    """The weighted fraction of `reference` below each score, ties counting half."""
    order = np.argsort(reference, kind="stable")
    total = np.concatenate([[0.0], np.cumsum(weights[order])])
    ordered = reference[order]
    low = total[np.searchsorted(ordered, scores, "left")]
    high = total[np.searchsorted(ordered, scores, "right")]
    fraction: Floats = 0.5 * (low + high) / total[-1]
    return fraction


def roc_curve(scores: Floats, events: Labelled) -> Floats:
    """The fraction of label 1 above a cut at equal steps in that of label 0, (101,)."""
    one = events.labels == 1
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)
    x, y = (
        np.concatenate([[0.0], np.cumsum(np.where(own, events.weights, 0.0)[order])[last]])
        for own in (~one, one)
    )
    curve: Floats = np.interp(np.linspace(0, 1, CURVE_POINTS), x / x[-1], y / y[-1])
    return curve
