"""Areas under the ROC curves of one score in two files, their difference, and its error.

Scores are sorted into bins of about equal numbers of events, ties within a bin counting half: with
so many bins the area changes by far less than its error, and a bootstrap over hard events takes
one pass over the events.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from sigma68.tasks.higgs.schema import PROCESSES, SIGNAL
from sigma68.tasks.higgs.validation.judgement import Verdict
from sigma68.tasks.higgs.validation.ledger import cell_sums
from sigma68.tasks.higgs.validation.resampling import add_resampled
from sigma68.tasks.higgs.validation.roc import CURVE_POINTS
from sigma68.tasks.higgs.validation.sample import Sample

__all__ = ["N_RESAMPLES", "Gap", "ScoreHistogram", "Separation", "gap", "score_histogram"]

Floats = npt.NDArray[np.float64]
Scores = npt.NDArray[np.float32]

N_RESAMPLES: Final = 200
_BINS: Final = 2000
_SHOWN_BINS: Final = 30
_ENDS: Final = (0.002, 0.998)


@dataclass(frozen=True)
class Gap:
    """How well a score separates signal from background in two files.

    Areas under the ROC curves with their errors, their difference (tested minus reference), and
    the curves: the fraction of signal above a cut at equal steps in that of background, (101,).
    """

    tested: float
    tested_error: float
    reference: float
    reference_error: float
    difference: float
    error: float
    tested_curve: Floats
    reference_curve: Floats


@dataclass(frozen=True)
class ScoreHistogram:
    """Scores of signal and background in both files, as fractions.

    Edges of the bins, shape (n_bins + 1,); the outermost bins take what lies beyond. The others
    have shape (2, n_bins): of the signal, and of the backgrounds together. Errors count hard
    events once.
    """

    edges: Floats
    tested: Floats
    tested_error: Floats
    reference: Floats
    reference_error: Floats


@dataclass(frozen=True)
class Separation:
    """Signal against background by trees that were trained on events of one kind.

    Attributes
    ----------
    trained_on
        What the events were called that the trees were trained on.
    rows_training, rows_tested, rows_reference
        Rows that were trained on, and judged on.
    gap
        Of the signal against all backgrounds.
    backgrounds
        The same for each background by itself, for information.
    scores
        The distributions of the score (log odds).
    verdict
        On the difference of the areas; "none" where it is shown for information.
    """

    trained_on: str
    rows_training: int
    rows_tested: int
    rows_reference: int
    gap: Gap
    backgrounds: Mapping[str, Gap]
    scores: ScoreHistogram
    verdict: Verdict = "none"


def gap(
    pair: tuple[Sample, Sample],
    scores: Sequence[Scores],
    groups: Mapping[str, Floats],
    keys: tuple[int, int],
) -> dict[str, Gap]:
    """The areas of both files against each group of backgrounds.

    Parameters
    ----------
    pair, scores
        The events of both files and the score of each, (n_events,).
    groups
        For each group how much of each process it holds, (4,): weights are rescaled to that.
    keys
        Name the bootstrap of each file.
    """
    edges = np.unique(np.quantile(np.concatenate(scores), np.linspace(0, 1, _BINS + 1)[1:-1]))
    sums = [_binned(*own, edges) for own in zip(pair, scores, keys, strict=True)]
    return {name: _of_group(sums, shares) for name, shares in groups.items()}


def _binned(sample: Sample, scores: Scores, key: int, edges: npt.NDArray[np.float32]) -> Floats:
    """Weights per process, bin and resample; shape (4, n_bins, N_RESAMPLES + 1)."""
    sums = np.zeros((1, len(PROCESSES), len(edges) + 1, N_RESAMPLES + 1))
    cells = np.searchsorted(edges, scores, "right").astype(np.int16)[None]
    add_resampled(sums, sample.unit, sample.weights, sample.process, cells, key)
    of_file: Floats = sums[0]
    return of_file


def _of_group(sums: Sequence[Floats], shares: Floats) -> Gap:
    areas, curves = [], []
    for own in sums:
        signal, background = own[SIGNAL], np.zeros_like(own[0])
        for p in np.flatnonzero(shares):
            total = own[p].sum(axis=0)
            # A resample may have none of a process that has a handful of hard events.
            background += own[p] * np.divide(shares[p], total, out=total * 0, where=total > 0)
        areas.append(_areas(signal, background))
        curves.append(_curve(signal[:, 0], background[:, 0]))
    errors = [float(own[1:].std(ddof=1)) for own in areas]
    return Gap(
        tested=float(areas[0][0]),
        tested_error=errors[0],
        reference=float(areas[1][0]),
        reference_error=errors[1],
        difference=float(areas[0][0] - areas[1][0]),
        error=math.hypot(*errors),
        tested_curve=curves[0],
        reference_curve=curves[1],
    )


def _areas(signal: Floats, background: Floats) -> Floats:
    """The area of each resample, from weights per bin and resample."""
    below = np.cumsum(background, axis=0) - 0.5 * background
    whole = signal.sum(axis=0) * background.sum(axis=0)
    areas: Floats = (signal * below).sum(axis=0) / np.maximum(whole, 1e-300)
    return areas


def _curve(signal: Floats, background: Floats) -> Floats:
    y, x = (
        np.concatenate([[0.0], np.cumsum(own[::-1])]) / own.sum() for own in (signal, background)
    )
    curve: Floats = np.interp(np.linspace(0, 1, CURVE_POINTS), x, y)
    return curve


def score_histogram(pair: tuple[Sample, Sample], scores: Sequence[Scores]) -> ScoreHistogram:
    """The distributions of the score, of signal and of all backgrounds with their weights."""
    low, high = np.quantile(np.concatenate(scores), _ENDS)
    edges = np.linspace(low, max(high, low + 1e-3), _SHOWN_BINS + 1)
    found = []
    for sample, own in zip(pair, scores, strict=True):
        background = (sample.process != SIGNAL).astype(np.int64)
        place = np.searchsorted(edges[1:-1], own, "right")
        cell = background * _SHOWN_BINS + place
        sums = cell_sums(sample.weights, cell, sample.unit, 2 * _SHOWN_BINS)
        weights, errors = (x.reshape(2, _SHOWN_BINS) for x in (sums.sumw, np.sqrt(sums.unit2)))
        whole = np.maximum(weights.sum(axis=1, keepdims=True), 1e-300)
        found += [weights / whole, errors / whole]
    return ScoreHistogram(edges, *found)
