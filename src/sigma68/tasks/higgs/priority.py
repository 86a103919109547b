"""The rows of highest priority in each stratum, found without sorting or copying them.

The bits of positive floats are in the order of their values: a histogram of the upper 16, and one
of the lower 16 within the bin that decides, give the exact value of any rank. Both go through the
rows piece by piece, so that fifty million cost no memory of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["highest"]

_HALF: Final = 1 << 16
_PIECE: Final = 1 << 20


def highest(
    keys: npt.NDArray[np.float32],
    cells: npt.NDArray[np.uint8],
    stratum_of: npt.NDArray[np.uint8],
    wanted: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float64]]:
    """The `wanted` rows of highest key in each stratum, and the highest key that is left.

    Parameters
    ----------
    keys, cells
        Priority, not negative, and cell of each row, (n,).
    stratum_of
        The stratum of each cell.
    wanted
        Rows of each stratum; no more than it has with a positive key.

    Returns
    -------
    chosen, tau
        Whether each row is taken, (n,): of equal keys, the first ones. The highest key among
        the others, 0 where no positive one is left, one per stratum.
    """
    bits = keys.view(np.uint32)
    upper = np.zeros((len(wanted), _HALF), np.int64)
    for span in _pieces(len(keys)):
        stratum = stratum_of[cells[span]].astype(np.int64)
        place = stratum * _HALF + (bits[span] >> 16)
        upper += np.bincount(place, minlength=upper.size).reshape(upper.shape)
    deciding, rank = _bin_of_rank(upper, wanted + 1)
    lower = np.zeros_like(upper)
    for span in _pieces(len(keys)):
        stratum = stratum_of[cells[span]].astype(np.int64)
        decides = (bits[span] >> 16) == deciding[stratum]
        place = stratum[decides] * _HALF + (bits[span][decides] & (_HALF - 1))
        lower += np.bincount(place, minlength=lower.size).reshape(lower.shape)
    last, rank = _bin_of_rank(lower, rank)
    tau = ((deciding << 16) | last).astype(np.uint32)
    chosen = np.zeros(len(keys), np.bool_)
    ties = rank - 1  # rows as high as tau that are still wanted
    for span in _pieces(len(keys)):
        own = stratum_of[cells[span]]
        chosen[span] = bits[span] > tau[own]
        level = np.flatnonzero(bits[span] == tau[own])
        for s in np.flatnonzero(ties > 0):
            first = level[own[level] == s][: ties[s]]
            chosen[span.start + first] = True
            ties[s] -= len(first)
    return chosen, tau.view(np.float32).astype(np.float64)


def _bin_of_rank(
    counts: npt.NDArray[np.int64], rank: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Per row of `counts`, the bin of the value of `rank` (1 is the highest), and its rank there.

    Bin 0 and rank 1 where there are fewer values: below all of them.
    """
    from_top = np.cumsum(counts[:, ::-1], axis=1)
    there = from_top[:, -1] >= rank
    position = np.array(
        [
            np.searchsorted(row, r) if ok else 0
            for row, r, ok in zip(from_top, rank, there, strict=True)
        ]
    )
    rows = np.arange(len(counts))
    found = np.where(there, counts.shape[1] - 1 - position, 0)
    above = from_top[rows, position] - counts[rows, found]
    return found, np.where(there, rank - above, 1)


def _pieces(n: int) -> Iterator[slice]:
    for first in range(0, n, _PIECE):
        yield slice(first, min(first + _PIECE, n))
