"""Pseudojets in rows of rapidity, side by side in memory: what the clustering of jets works on.

A row is at least R wide, so that all neighbours within R of a pseudojet are in its own row and
the two beside it. A merger lies between its parents in rapidity: it takes the place of that in
whose row it is, and an empty row separates for good what lies on its two sides.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from sigma68.tasks.higgs.simulate.jet_distance import azimuth, rapidity

__all__ = [
    "BLOCK",
    "COUNT",
    "FIRST",
    "GAP",
    "INFINITE",
    "JET",
    "KT2",
    "LABEL",
    "LEAST",
    "NEAR",
    "NEAR_JET",
    "NEAR_SLOT",
    "PHI",
    "RAP",
    "ROW",
    "SECOND",
    "START",
    "STEP",
    "D",
    "Workspace",
    "about",
    "clear",
    "divide",
    "leave",
    "leave_about",
    "load",
    "refresh",
    "row_at",
    "workspace",
]

_SPAN: Final = 10.2  # rapidities that the rows divide; the outer rows hold what is beyond, too
_MAX_ROWS: Final = 64
_SLACK: Final = 1e-5  # by which a row is wider than R: more than rounding can move mergers
_SPACELIKE: Final = 1e-10  # -m^2 / pt^2 that rounding may give to a massless particle
BLOCK: Final = 8  # slots whose smallest d is kept
STEP: Final = np.uint64(32)  # a search goes by as many slots: whole vectors, nothing left over
INFINITE: Final = np.int64(0x7FF0000000000000)  # the bits of an infinite float64

# What the rows of the arrays of a workspace hold.
RAP, PHI, KT2, NEAR, D, GAP, LEAST = range(7)
JET, NEAR_SLOT, NEAR_JET, ROW = range(4)
FIRST, SECOND, LABEL = range(3)
START, COUNT = range(2)


class Workspace(NamedTuple):
    """Scratch memory of `cluster`; its contents mean nothing between calls.

    A slot is a place that a particle, and then what it merges into, occupies. Slots of a row lie
    together. Numba makes vector instructions of the minimum of integers only; the bits of
    positive floats, read as integers, are in the order of the floats.

    Attributes
    ----------
    real, bits
        By slot: rapidity, azimuth, pt^2, squared distance to the nearest neighbour (R^2 without
        one), d R^2, squared distance to the slot that a search is for. By block of slots: the
        smallest d R^2. Float64 of shape (7, slots), and the same memory as int64.
    whole
        By slot: the pseudojet in it (-1: none), slot and pseudojet of the nearest neighbour, row.
        Int64, shape (4, slots).
    four
        By pseudojet, the particles first: px, py, pz, E. Float64, shape (2 * capacity, 4).
    tree
        By pseudojet: its two parents, and the jet it belongs to. Int64, shape (3, 2 * capacity).
    rows, row_pt
        By row: its first slot and the number of its pseudojets; the sum of their pts.
    """

    real: npt.NDArray[np.float64]
    bits: npt.NDArray[np.int64]
    whole: npt.NDArray[np.int64]
    four: npt.NDArray[np.float64]
    tree: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]
    row_pt: npt.NDArray[np.float64]


def workspace(capacity: int) -> Workspace:
    """Scratch memory for events of up to `capacity` particles: one for each thread."""
    # A search may run over the end by a step. The 8 keep the rows of `real` from lying a power
    # of two apart, where they would compete for the same places in the cache.
    slots = (capacity + 63) // 32 * 32 + 8
    real = np.empty((7, slots))
    return Workspace(
        real=real,
        bits=real.view(np.int64),
        whole=np.empty((4, slots), np.int64),
        four=np.empty((2 * capacity, 4)),
        tree=np.empty((3, 2 * capacity), np.int64),
        rows=np.empty((2, _MAX_ROWS + 2), np.int64),
        row_pt=np.empty(_MAX_ROWS),
    )


@njit(cache=True, nogil=True, error_model="numpy")
def divide(r: float) -> tuple[int, float]:
    """How many rows there are for a jet radius, and rows per unit of rapidity."""
    width = max(r * (1.0 + _SLACK), _SPAN / _MAX_ROWS)
    return math.ceil(_SPAN / width), 1.0 / width


@njit(cache=True, nogil=True, error_model="numpy")
def row_at(rap: float, scale: float, n_rows: int) -> int:
    """The row of a rapidity; the outer ones where there is none."""
    row = rap * scale + 0.5 * n_rows
    if not row > 0.0:
        return 0
    return n_rows - 1 if row >= n_rows else int(row)


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def about(rows: Any, row: int, reach: int, n_rows: int) -> tuple[int, int]:
    """The first slot of the rows up to `reach` from `row`, and the one after the last."""
    return rows[START, max(row - reach, 0)], rows[START, min(row + reach + 1, n_rows)]


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def refresh(bits: Any, slot: int) -> None:
    """Renew the smallest d of the slot's block."""
    block = slot // BLOCK
    base = np.uint64(block * BLOCK)
    least = INFINITE
    for k in range(BLOCK):
        least = min(least, bits[D, base + np.uint64(k)])
    bits[LEAST, block] = least


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def clear(real: Any, whole: Any, slot: int) -> None:
    """Nothing in this slot: softer than none, wanting no neighbour, and never the next."""
    real[KT2, slot] = np.inf
    real[NEAR, slot] = -1.0
    real[D, slot] = np.inf
    whole[JET, slot] = -1


@njit(cache=True, nogil=True, error_model="numpy")
def leave(
    real: Any, bits: Any, rows: Any, row_pt: Any, row: int, n_rows: int, enough: float
) -> int:
    """Give up the rows from `row` to the next empty one, which is returned, if they lack pt."""
    end = row
    total = 0.0
    while end < n_rows and rows[COUNT, end] > 0:
        total += row_pt[end]
        end += 1
    if end > row and total < enough:
        rows[COUNT, row:end] = 0
        first, last = rows[START, row], rows[START, end]
        for s in range(first, last):
            real[D, s] = np.inf
        for block in range(first // BLOCK, (last - 1) // BLOCK + 1):
            refresh(bits, block * BLOCK)
    return end


@njit(cache=True, nogil=True, error_model="numpy")
def leave_about(
    real: Any, bits: Any, rows: Any, row_pt: Any, row: int, n_rows: int, enough: float
) -> None:
    """The same for the rows that hang together with `row`, which has lost a pseudojet."""
    first = row
    while first > 0 and rows[COUNT, first - 1] > 0:
        first -= 1
    if rows[COUNT, row] == 0:
        leave(real, bits, rows, row_pt, row + 1, n_rows, enough)
    leave(real, bits, rows, row_pt, first, n_rows, enough)


@njit(cache=True, nogil=True, error_model="numpy")
def load(px: Any, py: Any, pz: Any, e: Any, n: int, space: Any, n_rows: int, scale: float) -> bool:
    """Sort the particles into rows. Returns whether mergers must lie between their parents."""
    real, _, whole, four, tree, rows, row_pt = space
    rows[START, : n_rows + 2] = 0
    total = 0.0
    negative = False
    regular = True
    for i in range(n):
        x, y, z, energy = px[i], py[i], pz[i], e[i]
        four[i, 0], four[i, 1], four[i, 2], four[i, 3] = x, y, z, energy
        kt2 = x * x + y * y
        rap = rapidity(kt2, z, energy)
        total += kt2 + abs(rap)
        negative |= energy < 0.0
        regular &= energy >= abs(z)
        regular &= (energy + z) * (energy - z) - kt2 >= -_SPACELIKE * kt2
        row = row_at(rap, scale, n_rows)
        rows[START, row + 2] += 1
        real[GAP, i], tree[LABEL, i] = rap, row
    if negative or not math.isfinite(total):
        raise ValueError("cluster() needs finite momenta and energies that are not negative")
    for row in range(n_rows):
        rows[COUNT, row], row_pt[row] = rows[START, row + 2], 0.0
        rows[START, row + 2] += rows[START, row + 1]
    for i in range(n):
        row = tree[LABEL, i]
        slot = rows[START, row + 1]  # for now, where the row's next particle goes
        rows[START, row + 1] += 1
        kt2 = four[i, 0] * four[i, 0] + four[i, 1] * four[i, 1]
        real[RAP, slot], real[KT2, slot] = real[GAP, i], kt2
        real[PHI, slot] = azimuth(four[i, 0], four[i, 1])
        real[NEAR, slot], real[D, slot] = -1.0, 0.0
        whole[JET, slot], whole[ROW, slot] = i, row
        row_pt[row] += math.sqrt(kt2)
        tree[LABEL, i] = -1
    for slot in range(n, (n + 63) // 32 * 32):
        clear(real, whole, slot)
        real[RAP, slot] = real[PHI, slot] = 0.0
    return regular
