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
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = ["Workspace", "cluster", "workspace"]

_TWO_PI: Final = 2.0 * math.pi
_HUGE_RAPIDITY: Final = 1e5  # FastJet's: a particle along the beam lies here, plus its |pz|
_SPAN: Final = 10.2  # rapidities that the rows divide; the outer rows hold what is beyond, too
_MAX_ROWS: Final = 64
_SLACK: Final = 1e-5  # by which a row is wider than R: more than rounding can move mergers
_SPACELIKE: Final = 1e-10  # -m^2 / pt^2 that rounding may give to a massless particle
_BLOCK: Final = 8  # slots whose smallest d is kept
_STEP: Final = np.uint64(32)  # a search goes by as many slots: whole vectors, nothing left over
_ONE: Final = np.uint64(1)
_INFINITE: Final = np.int64(0x7FF0000000000000)  # the bits of an infinite float64

# What the rows of the arrays of a workspace hold.
_RAP, _PHI, _KT2, _NEAR, _D, _GAP, _LEAST = range(7)
_JET, _NEAR_SLOT, _NEAR_JET, _ROW = range(4)
_FIRST, _SECOND, _LABEL = range(3)
_START, _COUNT = range(2)


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


@njit(cache=True, nogil=True)
def _rapidity(kt2: float, pz: float, e: float) -> float:
    if kt2 == 0.0 and e == abs(pz):
        far = _HUGE_RAPIDITY + abs(pz)
        return far if pz >= 0.0 else -far
    mass2 = max(0.0, (e + pz) * (e - pz) - kt2)
    plus = e + abs(pz)
    y = 0.5 * math.log((kt2 + mass2) / (plus * plus))
    return -y if pz > 0.0 else y


@njit(cache=True, nogil=True)
def _azimuth(px: float, py: float) -> float:
    """Azimuth in [0, 2 pi); 0 along the beam."""
    phi = 0.0
    if px != 0.0 or py != 0.0:
        phi = math.atan2(py, px)
        if phi < 0.0:
            phi += _TWO_PI
        if phi >= _TWO_PI:
            phi -= _TWO_PI
    return phi


@njit(cache=True, nogil=True)
def _distance2(dy: float, dphi: float) -> float:
    dphi = math.pi - abs(math.pi - abs(dphi))
    return dy * dy + dphi * dphi


@njit(cache=True, nogil=True)
def _over(distance2: float, kt2: float) -> float:
    """d R^2: the squared distance over the pt^2 of the harder one."""
    return distance2 * (1.0 / kt2 if kt2 > 1e-300 else 1e300)


@njit(cache=True, nogil=True)
def _row_at(rap: float, scale: float, n_rows: int) -> int:
    row = rap * scale + 0.5 * n_rows
    if not row > 0.0:
        return 0
    return n_rows - 1 if row >= n_rows else int(row)


@njit(cache=True, nogil=True)
def _refresh(bits: Any, slot: int) -> None:
    """Renew the smallest d of the slot's block."""
    block = slot // _BLOCK
    base = np.uint64(block * _BLOCK)
    least = _INFINITE
    for k in range(_BLOCK):
        least = min(least, bits[_D, base + np.uint64(k)])
    bits[_LEAST, block] = least


@njit(cache=True, nogil=True)
def _next(bits: Any, n_blocks: int) -> int:
    """The slot with the smallest d, -1 where none is left."""
    least = _INFINITE
    for k in range(np.uint64(n_blocks)):
        least = min(least, bits[_LEAST, k])
    if least == _INFINITE:
        return -1
    at = np.uint64(0)
    while bits[_LEAST, at] != least:
        at += _ONE
    at *= np.uint64(_BLOCK)
    while bits[_D, at] != least:
        at += _ONE
    return np.int64(at)  # type: ignore[return-value]


@njit(cache=True, nogil=True)
def _clear(real: Any, whole: Any, slot: int) -> None:
    """Nothing in this slot: softer than none, wanting no neighbour, and never the next."""
    real[_KT2, slot] = np.inf
    real[_NEAR, slot] = -1.0
    real[_D, slot] = np.inf
    whole[_JET, slot] = -1


@njit(cache=True, nogil=True)
def _search(
    real: Any, bits: Any, whole: Any, rows: Any, slot: int, reach: int, n_rows: int, r2: float
) -> bool:
    """Find the nearest neighbour of `slot`, up to `reach` rows away, and with it d.

    Returns whether `slot` is nearer to some harder one than the neighbour known so far.
    """
    rap, phi, kt2 = real[_RAP, slot], real[_PHI, slot], real[_KT2, slot]
    row = whole[_ROW, slot]
    me = np.uint64(slot)
    first = np.uint64(rows[_START, max(row - reach, 0)])
    last = np.uint64(rows[_START, min(row + reach + 1, n_rows)])
    n = (last - first + _STEP - _ONE) // _STEP * _STEP
    wanted = 0
    for k in range(n):
        s = first + k
        gap = _distance2(real[_RAP, s] - rap, real[_PHI, s] - phi)
        theirs = real[_KT2, s]
        wanted += 1 if (theirs >= kt2) & (gap < real[_NEAR, s]) & (s != me) else 0
        real[_GAP, s] = gap if (theirs <= kt2) & (s != me) else r2
    least = _INFINITE
    for k in range(n):
        least = min(least, bits[_GAP, first + k])
    at = first
    while bits[_GAP, at] != least:
        at += _ONE
    nearest = real[_GAP, at]
    real[_NEAR, slot] = nearest
    real[_D, slot] = _over(nearest, kt2)
    whole[_NEAR_SLOT, slot] = np.int64(at) if nearest < r2 else -1
    whole[_NEAR_JET, slot] = whole[_JET, at]
    return wanted > 0


@njit(cache=True, nogil=True)
def _offer(real: Any, bits: Any, whole: Any, rows: Any, slot: int, reach: int, n_rows: int) -> None:
    """Make `slot` the neighbour of all harder ones that it is nearest to."""
    rap, phi, kt2 = real[_RAP, slot], real[_PHI, slot], real[_KT2, slot]
    row = whole[_ROW, slot]
    for s in range(rows[_START, max(row - reach, 0)], rows[_START, min(row + reach + 1, n_rows)]):
        if s != slot and real[_KT2, s] >= kt2:
            gap = _distance2(real[_RAP, s] - rap, real[_PHI, s] - phi)
            if gap < real[_NEAR, s]:
                real[_NEAR, s] = gap
                real[_D, s] = _over(gap, real[_KT2, s])
                whole[_NEAR_SLOT, s] = slot
                whole[_NEAR_JET, s] = whole[_JET, slot]
                _refresh(bits, s)


@njit(cache=True, nogil=True)
def _leave(
    real: Any, bits: Any, rows: Any, row_pt: Any, row: int, n_rows: int, enough: float
) -> int:
    """Give up the rows from `row` to the next empty one, which is returned, if they lack pt."""
    end = row
    total = 0.0
    while end < n_rows and rows[_COUNT, end] > 0:
        total += row_pt[end]
        end += 1
    if end > row and total < enough:
        rows[_COUNT, row:end] = 0
        first, last = rows[_START, row], rows[_START, end]
        for s in range(first, last):
            real[_D, s] = np.inf
        for block in range(first // _BLOCK, (last - 1) // _BLOCK + 1):
            _refresh(bits, block * _BLOCK)
    return end


@njit(cache=True, nogil=True)
def _leave_about(
    real: Any, bits: Any, rows: Any, row_pt: Any, row: int, n_rows: int, enough: float
) -> None:
    """The same for the rows that hang together with `row`, which has lost a pseudojet."""
    first = row
    while first > 0 and rows[_COUNT, first - 1] > 0:
        first -= 1
    if rows[_COUNT, row] == 0:
        _leave(real, bits, rows, row_pt, row + 1, n_rows, enough)
    _leave(real, bits, rows, row_pt, first, n_rows, enough)


@njit(cache=True, nogil=True)
def _load(px: Any, py: Any, pz: Any, e: Any, n: int, space: Any, n_rows: int, scale: float) -> bool:
    """Sort the particles into rows. Returns whether mergers must lie between their parents."""
    real, _, whole, four, tree, rows, row_pt = space
    rows[_START, : n_rows + 2] = 0
    total = 0.0
    negative = False
    regular = True
    for i in range(n):
        x, y, z, energy = px[i], py[i], pz[i], e[i]
        four[i, 0], four[i, 1], four[i, 2], four[i, 3] = x, y, z, energy
        kt2 = x * x + y * y
        rap = _rapidity(kt2, z, energy)
        total += kt2 + abs(rap)
        negative |= energy < 0.0
        regular &= energy >= abs(z)
        regular &= (energy + z) * (energy - z) - kt2 >= -_SPACELIKE * kt2
        row = _row_at(rap, scale, n_rows)
        rows[_START, row + 2] += 1
        real[_GAP, i], tree[_LABEL, i] = rap, row
    if negative or not math.isfinite(total):
        raise ValueError("cluster() needs finite momenta and energies that are not negative")
    for row in range(n_rows):
        rows[_COUNT, row], row_pt[row] = rows[_START, row + 2], 0.0
        rows[_START, row + 2] += rows[_START, row + 1]
    for i in range(n):
        row = tree[_LABEL, i]
        slot = rows[_START, row + 1]  # for now, where the row's next particle goes
        rows[_START, row + 1] += 1
        kt2 = four[i, 0] * four[i, 0] + four[i, 1] * four[i, 1]
        real[_RAP, slot], real[_KT2, slot] = real[_GAP, i], kt2
        real[_PHI, slot] = _azimuth(four[i, 0], four[i, 1])
        real[_NEAR, slot], real[_D, slot] = -1.0, 0.0
        whole[_JET, slot], whole[_ROW, slot] = i, row
        row_pt[row] += math.sqrt(kt2)
        tree[_LABEL, i] = -1
    for slot in range(n, (n + 63) // 32 * 32):
        _clear(real, whole, slot)
        real[_RAP, slot] = real[_PHI, slot] = 0.0
    return regular


@njit(cache=True, nogil=True)
def _merge(space: Any, a: int, b: int, made: int, n_rows: int, scale: float) -> tuple[int, int]:
    """Merge the pseudojets of two slots into number `made`, in one of the slots.

    Returns that slot, and by how many rows it misses the merger's: none, but for rounding and for
    particles with more momentum than energy.
    """
    real, bits, whole, four, tree, rows, row_pt = space
    i, j = whole[_JET, a], whole[_JET, b]
    for k in range(4):
        four[made, k] = four[i, k] + four[j, k]
    tree[_FIRST, made], tree[_SECOND, made], tree[_LABEL, made] = i, j, -1
    kt2 = four[made, 0] * four[made, 0] + four[made, 1] * four[made, 1]
    rap = _rapidity(kt2, four[made, 2], four[made, 3])
    if not math.isfinite(rap):
        raise ValueError("cluster() needs particles whose energy is not less than their momentum")
    row = _row_at(rap, scale, n_rows)
    row_pt[whole[_ROW, a]] -= math.sqrt(real[_KT2, a])
    row_pt[whole[_ROW, b]] -= math.sqrt(real[_KT2, b])
    if row == whole[_ROW, b]:
        a, b = b, a
    _clear(real, whole, b)
    _refresh(bits, b)
    rows[_COUNT, whole[_ROW, b]] -= 1
    row_pt[whole[_ROW, a]] += math.sqrt(kt2)
    real[_RAP, a], real[_KT2, a] = rap, kt2
    real[_PHI, a] = _azimuth(four[made, 0], four[made, 1])
    whole[_JET, a] = made
    return a, abs(row - whole[_ROW, a])


@njit(cache=True, nogil=True)
def _hand_out(
    real: Any, whole: Any, tree: Any, n: int, made: int, found: int, jets: Any, jet_of: Any
) -> None:
    """Sort the jets by falling pt, those of equal pt as they were found, and tell who is where."""
    for i in range(made - 1, n - 1, -1):
        tree[_LABEL, tree[_FIRST, i]] = tree[_LABEL, tree[_SECOND, i]] = tree[_LABEL, i]
    for i in range(found):
        x, y, z, e = jets[i, 0], jets[i, 1], jets[i, 2], jets[i, 3]
        kt2 = x * x + y * y
        j = i
        while j > 0 and real[_GAP, j - 1] < kt2:
            for k in range(4):
                jets[j, k] = jets[j - 1, k]
            real[_GAP, j], whole[_JET, j] = real[_GAP, j - 1], whole[_JET, j - 1]
            j -= 1
        jets[j, 0], jets[j, 1], jets[j, 2], jets[j, 3] = x, y, z, e
        real[_GAP, j], whole[_JET, j] = kt2, i
    for j in range(found):
        whole[_ROW, whole[_JET, j]] = j
    for i in range(n):
        label = tree[_LABEL, i]
        jet_of[i] = whole[_ROW, label] if label >= 0 else -1


@njit(cache=True, nogil=True)
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
        If the workspace, `jets` or `jet_of` is too small for `n` particles, if `r` is not
        positive, if a momentum is not finite or an energy negative, or if particles with less
        energy than momentum cancel to a merger without a rapidity.
    """
    real, bits, whole, four, tree, rows, row_pt = space
    if 2 * n > len(four) or n > len(jets) or n > len(jet_of):
        raise ValueError("more particles than the workspace or the output of cluster() can hold")
    if not r > 0.0:
        raise ValueError("the jet radius of cluster() must be positive")
    r2 = r * r
    width = max(r * (1.0 + _SLACK), _SPAN / _MAX_ROWS)
    n_rows = int(math.ceil(_SPAN / width))
    regular = _load(px, py, pz, e, n, space, n_rows, 1.0 / width)
    enough = pt_min * (1.0 - 1e-9) if regular else -1.0
    row = 0
    while row < n_rows:
        row = _leave(real, bits, rows, row_pt, row, n_rows, enough) + 1
    for slot in range(n):
        if real[_D, slot] < np.inf:
            _search(real, bits, whole, rows, slot, 1, n_rows, r2)
    n_blocks = (n + _BLOCK - 1) // _BLOCK
    for block in range(n_blocks):
        _refresh(bits, block * _BLOCK)
    made, found, reach = n, 0, 1
    while True:
        a = _next(bits, n_blocks)
        if a < 0:
            break
        b = whole[_NEAR_SLOT, a]
        if b < 0:
            row, kt2 = whole[_ROW, a], real[_KT2, a]
            if kt2 >= pt_min * pt_min:
                for k in range(4):
                    jets[found, k] = four[whole[_JET, a], k]
                tree[_LABEL, whole[_JET, a]] = found
                found += 1
            _clear(real, whole, a)
            _refresh(bits, a)
            rows[_COUNT, row] -= 1
            row_pt[row] -= math.sqrt(kt2)
            _leave_about(real, bits, rows, row_pt, row, n_rows, enough)
        elif whole[_JET, b] != whole[_NEAR_JET, a]:
            _search(real, bits, whole, rows, a, reach, n_rows, r2)
            _refresh(bits, a)
        else:
            a, missed = _merge(space, a, b, made, n_rows, 1.0 / width)
            made += 1
            # Two pseudojets may both lie that far from the rows that they are in.
            reach = max(reach, 1 + 2 * missed)
            wanted = _search(real, bits, whole, rows, a, reach, n_rows, r2)
            _refresh(bits, a)
            if wanted:
                _offer(real, bits, whole, rows, a, reach, n_rows)
    _hand_out(real, whole, tree, n, made, found, jets, jet_of)
    return found
