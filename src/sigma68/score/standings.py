"""Who is tied with whom, from the sums over sets alone: what a leaderboard keeps of each entry.

The same bootstrap over sets and the same ties as in `ranking.py`, without the tables of toys.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from sigma68.score.intervals import EPSILON, quantiles_score
from sigma68.score.resampling import N_RESAMPLES, SetSums, resampled_counts
from sigma68.types import LEVEL

__all__ = ["TIE", "bootstrap_scores", "contains_zero", "tie_groups", "tie_interval"]

TIE = 0.95
"""The central part of the score difference that must contain 0 for a tie."""

ROUNDING = 1e-12
"""Scores of equal entries may differ by this."""

FloatArray = npt.NDArray[np.float64]


def bootstrap_scores(
    sums: Sequence[SetSums],
    *,
    entry: int | None = None,
    epsilon: float | None = None,
    level: float = LEVEL,
    seed: int = 0,
    n_resamples: int = N_RESAMPLES,
    sets_drawn: int | None = None,
) -> FloatArray:
    """The scores of entries that saw the same toys, resampled together: (n_entries, n_resamples).

    `entry` gives one that saw toys of its own resamples of its own, too.
    """
    table = np.concatenate([[s.width, s.covered, s.n] for s in sums]).T
    blocks = []
    for counts in resampled_counts(
        len(table), seed=seed, n_resamples=n_resamples, sets_drawn=sets_drawn, entry=entry
    ):
        drawn = (counts @ table).reshape(len(counts), len(sums), 3)
        width, covered, n = np.moveaxis(drawn, 2, 0)
        blocks.append(
            quantiles_score(
                width / n,
                covered / n,
                n,
                epsilon=EPSILON if epsilon is None else epsilon,
                level=level,
            )
        )
    return np.ascontiguousarray(np.concatenate(blocks).T)


def tie_interval(first: FloatArray, second: FloatArray) -> tuple[float, float]:
    """The central 95% of the difference of two entries' resampled scores."""
    low, high = np.quantile(first - second, [(1 - TIE) / 2, (1 + TIE) / 2])
    return float(low), float(high)


def contains_zero(ends: tuple[float, float], n_sets: int) -> bool:
    """Whether an interval of score differences means a tie; with a single set all are tied."""
    return n_sets == 1 or (ends[0] <= ROUNDING and ends[1] >= -ROUNDING)


def tie_groups(
    order: Sequence[str], scores: Mapping[str, FloatArray], n_sets: int
) -> tuple[tuple[str, ...], ...]:
    """Tie groups of the names in `order`, which come from best to worst.

    `scores` holds the resampled scores of each. As `places.group_by_ties` has them, but only
    the pairs that matter are compared: a group's best with those after it.
    """
    left = list(order)
    groups = []
    while left:
        best, *others = left
        tied = _tied_with(scores[best], [scores[name] for name in others], n_sets)
        groups.append((best, *(name for name, tie in zip(others, tied, strict=True) if tie)))
        left = [name for name, tie in zip(others, tied, strict=True) if not tie]
    return tuple(groups)


def _tied_with(best: FloatArray, others: Sequence[FloatArray], n_sets: int) -> list[bool]:
    """Which of `others` are tied with `best`.

    How many differences are above and below 0 says it of almost all, without sorting; the few
    that an interpolated quantile decides are left to `tie_interval`.
    """
    if n_sets == 1 or not others:
        return [True] * len(others)
    differences = best - np.stack(others)
    below = np.count_nonzero(differences <= ROUNDING, axis=1)
    above = np.count_nonzero(differences >= -ROUNDING, axis=1)
    # The quantile lies between the values of this rank and of the next.
    rank = int((len(best) - 1) * (1 - TIE) / 2)
    fewest = np.minimum(below, above)
    return [
        bool(n > rank + 1) or (bool(n > rank) and contains_zero(tie_interval(best, other), n_sets))
        for n, other in zip(fewest, others, strict=True)
    ]
