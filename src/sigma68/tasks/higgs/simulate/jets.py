"""Anti-kt jets, the same as FastJet's, for a kernel that clusters thousands of events a second.

Distances are d_ij = min(1/pt_i^2, 1/pt_j^2) (dy^2 + dphi^2) / R^2 and d_iB = 1/pt_i^2. The pair with
the smallest is merged by adding four-momenta, or the particle with the smallest becomes a jet.

What makes it fast, none of which changes a jet:

- The smallest d_ij is that of a particle and its nearest neighbour among those not harder than
  itself, so only these neighbours are known.
- They are searched for in three rows of rapidity, each at least R wide. Rows lie side by side in
  memory, so that vector instructions take them as one.
- A neighbour that is gone is not replaced until its turn comes: the d that it gave is a lower
  bound until then. Most particles are merged before.
- A merger lies between its parents in rapidity, so that an empty row separates for good what
  lies on its two sides. Where the pts of one side add up to less than `pt_min`, no jet can come
  out of it, and it is left as it is. This saves half of the steps of a typical Z event.

Where two distances are equal to the last bit, either may come first, as in FastJet, whose choice
depends on its strategy.

References: Cacciari, Salam, Soyez, JHEP 04 (2008) 063 (the algorithm); Cacciari, Salam,
Phys. Lett. B 641 (2006) 57 (nearest neighbours); Cacciari, Salam, Soyez, Eur. Phys. J. C 72
(2012) 1896 (rapidity and azimuth of special momenta; the implementation that it must equal).
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from numba import njit

from sigma68.tasks.higgs.simulate.jet_distance import azimuth, distance2, over_kt2, rapidity
from sigma68.tasks.higgs.simulate.jet_rows import (
    BLOCK,
    COUNT,
    FIRST,
    GAP,
    INFINITE,
    JET,
    KT2,
    LABEL,
    LEAST,
    NEAR,
    NEAR_JET,
    NEAR_SLOT,
    PHI,
    RAP,
    ROW,
    SECOND,
    STEP,
    D,
    Workspace,
    about,
    clear,
    divide,
    leave,
    leave_about,
    load,
    refresh,
    row_at,
    workspace,
)

__all__ = ["Workspace", "cluster", "workspace"]

_ONE: Final = np.uint64(1)


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _next(bits: Any, n_blocks: int) -> int:
    """The slot with the smallest d, -1 where none is left."""
    least = INFINITE
    for k in range(np.uint64(n_blocks)):
        least = min(least, bits[LEAST, k])
    if least == INFINITE:
        return -1
    at = np.uint64(0)
    while bits[LEAST, at] != least:
        at += _ONE
    at *= np.uint64(BLOCK)
    while bits[D, at] != least:
        at += _ONE
    return np.int64(at)  # type: ignore[return-value]


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _search(real: Any, bits: Any, whole: Any, slot: int, around: Any, at: Any, r2: float) -> bool:
    """Put what is `at` (rapidity, azimuth, pt^2) into `slot`, with its nearest neighbour and d.

    Returns whether some harder one is nearer to it than to the neighbour known so far.
    """
    rap, phi, kt2 = at
    me = np.uint64(slot)
    first = np.uint64(around[0])
    n = (np.uint64(around[1]) - first + STEP - _ONE) // STEP * STEP
    wanted = 0
    for k in range(n):
        s = first + k
        gap = distance2(real[RAP, s] - rap, real[PHI, s] - phi)
        theirs = real[KT2, s]
        wanted += 1 if (theirs >= kt2) & (gap < real[NEAR, s]) else 0
        real[GAP, s] = gap if (theirs <= kt2) & (s != me) else r2
    least = INFINITE
    for k in range(n):
        least = min(least, bits[GAP, first + k])
    other = first
    while bits[GAP, other] != least:
        other += _ONE
    nearest = real[GAP, other]
    # Only now: the vectors read above would have to wait for what was just written among them.
    real[RAP, slot], real[PHI, slot], real[KT2, slot] = rap, phi, kt2
    real[NEAR, slot], real[D, slot] = nearest, over_kt2(nearest, kt2)
    whole[NEAR_SLOT, slot] = np.int64(other) if nearest < r2 else -1
    whole[NEAR_JET, slot] = whole[JET, other]
    return wanted > 0


@njit(cache=True, nogil=True, error_model="numpy")
def _offer(real: Any, bits: Any, whole: Any, slot: int, around: Any) -> None:
    """Make `slot` the neighbour of all harder ones that it is nearest to."""
    rap, phi, kt2 = real[RAP, slot], real[PHI, slot], real[KT2, slot]
    for s in range(around[0], around[1]):
        if s != slot and real[KT2, s] >= kt2:
            gap = distance2(real[RAP, s] - rap, real[PHI, s] - phi)
            if gap < real[NEAR, s]:
                real[NEAR, s], real[D, s] = gap, over_kt2(gap, real[KT2, s])
                whole[NEAR_SLOT, s], whole[NEAR_JET, s] = slot, whole[JET, slot]
                refresh(bits, s)


@njit(cache=True, nogil=True, error_model="numpy")
def _start(
    real: Any,
    bits: Any,
    whole: Any,
    rows: Any,
    row_pt: Any,
    n: int,
    n_rows: int,
    enough: float,
    r2: float,
) -> None:
    """Give up what cannot become a jet, and find everybody's first neighbour."""
    row = 0
    while row < n_rows:
        row = leave(real, bits, rows, row_pt, row, n_rows, enough) + 1
    for slot in range(n):
        if real[D, slot] < np.inf:
            at = real[RAP, slot], real[PHI, slot], real[KT2, slot]
            around = about(rows, whole[ROW, slot], 1, n_rows)
            _search(real, bits, whole, slot, around, at, r2)
    for slot in range(0, n, BLOCK):
        refresh(bits, slot)


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _add(four: Any, tree: Any, i: int, j: int, made: int) -> tuple[float, float, float]:
    """Add two momenta to that of pseudojet `made`: its rapidity, azimuth and pt^2."""
    tree[FIRST, made], tree[SECOND, made], tree[LABEL, made] = i, j, -1
    for k in range(4):
        four[made, k] = four[i, k] + four[j, k]
    px, py = four[made, 0], four[made, 1]
    kt2 = px * px + py * py
    return rapidity(kt2, four[made, 2], four[made, 3]), azimuth(px, py), kt2


@njit(cache=True, nogil=True, error_model="numpy")
def _sequence(
    space: Any,
    n: int,
    n_rows: int,
    scale: float,
    enough: float,
    r2: float,
    pt_min: float,
    jets: Any,
) -> tuple[int, int]:
    """Cluster until nothing is left: how many pseudojets were ever made, and how many jets.

    The jets are -1 where a merger has no rapidity.
    """
    real, bits, whole, four, tree, rows, row_pt = space
    n_blocks = (n + BLOCK - 1) // BLOCK
    made, found, reach = n, 0, 1
    while True:
        a = _next(bits, n_blocks)
        if a < 0:
            return made, found
        b, row = whole[NEAR_SLOT, a], whole[ROW, a]
        if b < 0:
            if real[KT2, a] >= pt_min * pt_min:
                jets[found] = four[whole[JET, a]]
                tree[LABEL, whole[JET, a]] = found
                found += 1
            rows[COUNT, row] -= 1
            row_pt[row] -= math.sqrt(real[KT2, a])
            clear(real, whole, a)
            refresh(bits, a)
            leave_about(real, bits, rows, row_pt, row, n_rows, enough)
        elif whole[JET, b] != whole[NEAR_JET, a]:
            at = real[RAP, a], real[PHI, a], real[KT2, a]
            _search(real, bits, whole, a, about(rows, row, reach, n_rows), at, r2)
            refresh(bits, a)
        else:
            at = _add(four, tree, whole[JET, a], whole[JET, b], made)
            if not math.isfinite(at[0]):
                return made, -1
            other = whole[ROW, b]
            row_pt[row] -= math.sqrt(real[KT2, a])
            row_pt[other] -= math.sqrt(real[KT2, b])
            true_row = row_at(at[0], scale, n_rows)
            if true_row != row:
                if true_row == other:
                    a, b, row, other = b, a, other, row
                else:
                    # By rounding, or by particles with less energy than momentum. Two pseudojets
                    # may both be stored so far from their rows.
                    reach = max(reach, 1 + 2 * abs(true_row - row))
            row_pt[row] += math.sqrt(at[2])
            rows[COUNT, other] -= 1
            clear(real, whole, b)
            real[NEAR, a] = -1.0
            whole[JET, a] = made
            made += 1
            around = about(rows, row, reach, n_rows)
            wanted = _search(real, bits, whole, a, around, at, r2)
            refresh(bits, a)
            refresh(bits, b)
            if wanted:
                _offer(real, bits, whole, a, around)


@njit(cache=True, nogil=True, error_model="numpy")
def _hand_out(
    real: Any, whole: Any, tree: Any, n: int, made: int, found: int, jets: Any, jet_of: Any
) -> None:
    """Sort the jets by falling pt, those of equal pt as they were found, and tell who is where."""
    for i in range(made - 1, n - 1, -1):
        tree[LABEL, tree[FIRST, i]] = tree[LABEL, tree[SECOND, i]] = tree[LABEL, i]
    for i in range(found):
        x, y, z, e = jets[i, 0], jets[i, 1], jets[i, 2], jets[i, 3]
        kt2 = x * x + y * y
        j = i
        while j > 0 and real[GAP, j - 1] < kt2:
            for k in range(4):
                jets[j, k] = jets[j - 1, k]
            real[GAP, j], whole[JET, j] = real[GAP, j - 1], whole[JET, j - 1]
            j -= 1
        jets[j, 0], jets[j, 1], jets[j, 2], jets[j, 3] = x, y, z, e
        real[GAP, j], whole[JET, j] = kt2, i
    for j in range(found):
        whole[ROW, whole[JET, j]] = j
    for i in range(n):
        label = tree[LABEL, i]
        jet_of[i] = whole[ROW, label] if label >= 0 else -1


@njit(cache=True, nogil=True, error_model="numpy")
def cluster(
    px: npt.NDArray[np.float64],
    py: npt.NDArray[np.float64],
    pz: npt.NDArray[np.float64],
    e: npt.NDArray[np.float64],
    n: int,
    space: Workspace,
    jets: npt.NDArray[np.float64],
    jet_of: npt.NDArray[np.int64],
    r: float = 0.6,
    pt_min: float = 20.0,
) -> int:
    """Inclusive anti-kt jets of the first `n` particles: how many have pt >= `pt_min`.

    A numba kernel that allocates nothing and may be called from other kernels.

    Parameters
    ----------
    px, py, pz, e
        Four-momenta of the particles, GeV, float64, shape (at least n,).
    n
        How many of them count.
    space
        What `workspace(capacity)` made, with capacity >= n.
    jets
        Filled with (px, py, pz, E) of the jets by falling pt, GeV, float64,
        shape (at least n, 4).
    jet_of
        Filled with the number of the jet that each particle belongs to, -1 for none, int64,
        shape (at least n,).
    r
        The jet radius R in rapidity and azimuth.
    pt_min
        Smallest pt of a jet, GeV.

    Raises
    ------
    ValueError
        If there are fewer than `n` momenta, if the workspace, `jets` or `jet_of` is too small
        for `n` particles, if `r` is not positive, if a momentum is not finite or an energy
        negative, or if particles with less energy than momentum merge into one along the beam.
    """
    real, bits, whole, four, tree, rows, row_pt = space
    if n > min(len(px), len(py), len(pz), len(e)):
        raise ValueError("cluster() got fewer momenta than it is told to cluster")
    if 2 * n > len(four) or n > len(jets) or n > len(jet_of):
        raise ValueError("more particles than the workspace or the output of cluster() can hold")
    if not r > 0.0:
        raise ValueError("the jet radius of cluster() must be positive")
    n_rows, scale = divide(r)
    regular = load(px, py, pz, e, n, space, n_rows, scale)
    # Sums of pt are right to far better than this.
    enough = pt_min - 1e-9 * row_pt[:n_rows].sum() if regular else -np.inf
    _start(real, bits, whole, rows, row_pt, n, n_rows, enough, r * r)
    made, found = _sequence(space, n, n_rows, scale, enough, r * r, pt_min, jets)
    if found < 0:
        raise ValueError("cluster() met particles whose energies are too small for their momenta")
    _hand_out(real, whole, tree, n, made, found, jets, jet_of)
    return int(found)
