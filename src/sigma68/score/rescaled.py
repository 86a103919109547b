"""Width at equal coverage: what an entry's intervals would be if they covered exactly 68.27%.

Two methods cannot be compared by width while one of them undercovers. So every interval is
stretched about its own centre by one common factor, the smallest with which the toys reach the
level; the mean width that results is compared, and the uncalibrated coverage stands beside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sigma68.score.resampling import resampled_counts
from sigma68.score.table import IntervalToys
from sigma68.types import LEVEL

__all__ = ["RescaledWidth", "rescaled_width"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RescaledWidth:
    """Mean width after stretching by `factor`, and its bootstrap error over sets.

    All are None where the level cannot be reached (too many failed toys, which never cover);
    the error also with a single set, or where a notable part of the resamples cannot reach it.
    """

    width: float | None
    error: float | None
    factor: float | None


def rescaled_width(
    toys: IntervalToys,
    *,
    level: float = LEVEL,
    seed: int = 0,
    n_resamples: int = 1000,
    unit: FloatArray | None = None,
) -> RescaledWidth:
    """The mean width of `toys` rescaled to a coverage of `level`.

    Failed toys keep the parameter's whole range as their width, whatever the factor. With `unit`,
    a width for each toy, (N,), the width and its error are in units of the mean of these.
    """
    units = np.ones(toys.n_toys) if unit is None else unit
    needed = _needed_factor(toys)
    ordered = np.sort(needed)
    factor = float(ordered[_rank(level, toys.n_toys)])
    if not math.isfinite(factor):
        return RescaledWidth(None, None, None)
    size = len(toys.set_numbers)
    stretched = np.bincount(toys.set_index, np.where(toys.valid, toys.width, 0.0), size)
    fixed = np.bincount(toys.set_index, np.where(toys.valid, 0.0, toys.width), size)
    width = float((factor * stretched.sum() + fixed.sum()) / units.sum())
    if size == 1:
        return RescaledWidth(width, None, factor)
    counts = np.concatenate(list(resampled_counts(size, seed=seed, n_resamples=n_resamples)))
    factors = _resampled_factors(counts, needed, ordered, toys.set_index, level)
    by_set = np.bincount(toys.set_index, units, minlength=size)
    widths = (factors * (counts @ stretched) + counts @ fixed) / (counts @ by_set)
    reached = np.isfinite(widths)
    # A spread over what is left of the resamples would look better than it is.
    error = float(np.std(widths[reached])) if np.mean(reached) > 0.99 else None
    return RescaledWidth(width, error, factor)


def _needed_factor(toys: IntervalToys) -> FloatArray:
    """The factor from which each toy covers; infinite for a failed one, shape (N,)."""
    centre = (toys.lower + toys.upper) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = np.abs(toys.truth - centre) / (toys.width / 2)
    factor = np.where(toys.valid & (toys.truth == centre), 0.0, factor)
    return np.where(toys.valid, factor, np.inf)


def _rank(level: float, n: int) -> int:
    """The index of the ordered toy with which `level` is reached (rounding forgiven)."""
    return max(0, math.ceil(level * n - 1e-9) - 1)


def _resampled_factors(
    counts: FloatArray,
    needed: FloatArray,
    ordered: FloatArray,
    set_index: npt.NDArray[np.intp],
    level: float,
) -> FloatArray:
    """The factor of each resample, from a grid of ranks refined once where they fall."""
    n = len(ordered)
    grid = np.unique(np.linspace(0, n - 1, min(n, 257)).astype(int))
    found = _first_reaching(counts, needed, ordered[grid], set_index, level)
    if len(grid) == n:
        return np.append(ordered, np.inf)[found]
    first = grid[max(int(found.min()) - 1, 0)]
    last = grid[min(int(found.max()), len(grid) - 1)]
    fine = np.unique(np.linspace(first, last, min(last - first + 1, 2049)).astype(int))
    found = _first_reaching(counts, needed, ordered[fine], set_index, level)
    return np.append(ordered[fine], np.inf)[found]


def _first_reaching(
    counts: FloatArray,
    needed: FloatArray,
    factors: FloatArray,
    set_index: npt.NDArray[np.intp],
    level: float,
) -> npt.NDArray[np.intp]:
    """For each resample the first of the ascending `factors` that reaches the level.

    len(factors) where none does.
    """
    n_sets, n_factors = counts.shape[1], len(factors)
    place = set_index * (n_factors + 1) + np.searchsorted(factors, needed)
    table = np.bincount(place, minlength=n_sets * (n_factors + 1)).reshape(n_sets, n_factors + 1)
    reached = counts @ np.cumsum(table[:, :n_factors], axis=1).astype(float)
    wanted = level * (counts @ table.sum(axis=1)) - 1e-9
    enough = (reached >= wanted[:, np.newaxis]) & np.isfinite(factors)
    return np.where(enough.any(axis=1), enough.argmax(axis=1), n_factors)
