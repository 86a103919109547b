"""The bootstrap over hard events while a file streams past.

Each hard event counts a Poisson(1) number of times in each resample. That number is a hash of the
hard event and the resample, so that all its rows count alike wherever in the file they are, and
nothing needs to be remembered.

Reference: Chamandy et al., "Estimating uncertainty for massive data streams", Google (2012).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = ["add_resampled", "counts_of"]

_TABLE_BITS = 16


def _poisson_table() -> npt.NDArray[np.uint8]:
    """A Poisson(1) number for each 16-bit word."""
    size = 1 << _TABLE_BITS
    words = (np.arange(size) + 0.5) / size
    cumulative = np.cumsum([math.exp(-1.0) / math.factorial(k) for k in range(12)])
    return np.searchsorted(cumulative, words).astype(np.uint8)


_POISSON = _poisson_table()


@njit(inline="always")
def _mix(z):  # type: ignore[no-untyped-def]
    """The finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014)."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(cache=True)
def _counts(unit, key, table, counts):  # type: ignore[no-untyped-def]
    """Fill `counts` (a multiple of 4) with the numbers of one hard event."""
    state = _mix(np.uint64(unit) + key)
    for first in range(0, counts.size, 4):
        state += np.uint64(0x9E3779B97F4A7C15)
        word = _mix(state)
        for part in range(4):
            counts[first + part] = table[(word >> np.uint64(16 * part)) & np.uint64(0xFFFF)]


@njit(cache=True)
def _add(units, weights, process, cells, key, table, out):  # type: ignore[no-untyped-def]
    counts = np.zeros((out.shape[3] + 2) // 4 * 4 + 4, np.uint8)
    factors = np.ones(out.shape[3])
    for e in range(units.size):
        nominal = cells[0, e]
        moved = False
        for s in range(1, cells.shape[0]):
            moved |= cells[s, e] != nominal
        if nominal < 0 and not moved:
            continue
        _counts(units[e], key, table, counts)
        for b in range(1, factors.size):
            factors[b] = counts[b - 1] * weights[e]
        factors[0] = weights[e]
        p = process[e]
        if nominal >= 0:
            out[0, p, nominal] += factors
        if moved:
            for s in range(1, cells.shape[0]):
                if cells[s, e] != nominal:
                    if cells[s, e] >= 0:
                        out[s, p, cells[s, e]] += factors
                    if nominal >= 0:
                        out[s, p, nominal] -= factors


def counts_of(units: npt.NDArray[np.int64], n_resamples: int, key: int) -> npt.NDArray[np.uint8]:
    """How often each hard event counts in each resample, shape (n_units, n_resamples)."""
    counts = np.empty((len(units), (n_resamples + 3) // 4 * 4), np.uint8)
    word = np.uint64(key & 0xFFFFFFFFFFFFFFFF)
    for row, unit in zip(counts, units, strict=True):
        _counts(unit, word, _POISSON, row)
    return counts[:, :n_resamples]


def add_resampled(
    out: npt.NDArray[np.float64],
    units: npt.NDArray[np.int64],
    weights: npt.NDArray[np.float64],
    process: npt.NDArray[np.int8],
    cells: npt.NDArray[np.int8] | npt.NDArray[np.int16],
    key: int,
) -> None:
    """Add rows to the sums of each resample, in place.

    Parameters
    ----------
    out
        Sums, shape (n_shifts, n_processes, n_cells, n_resamples + 1): for shift 0 the weights in
        each cell, for the others the change. Entry 0 along the last axis is the plain sum.
    units, weights, process
        Hard event, weight and process of each row, shape (n_rows,).
    cells
        The cell of each row under each shift, negative for none, shape (n_shifts, n_rows).
    key
        Names the bootstrap; 64 bits of it are used.
    """
    word = np.uint64(key & 0xFFFFFFFFFFFFFFFF)
    _add(units, weights, process, cells, word, _POISSON, out)
