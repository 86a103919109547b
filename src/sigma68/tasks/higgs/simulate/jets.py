"""Anti-kt jets, the same as FastJet's, for a kernel that clusters thousands of events a second.

Distances are d_ij = min(1/pt_i^2, 1/pt_j^2) (dy^2 + dphi^2) / R^2 and d_iB = 1/pt_i^2; the pair of
the smallest is merged by adding its four-vectors, or the particle becomes a jet. Only geometric
nearest neighbours need to be known.

References: Cacciari, Salam, Soyez, JHEP 04 (2008) 063 (the algorithm); Cacciari, Salam,
Phys. Lett. B 641 (2006) 57 (nearest neighbours); Cacciari, Salam, Soyez, Eur. Phys. J. C 72
(2012) 1896 (conventions on rapidity and azimuth, and the implementation it must equal).
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


class Workspace(NamedTuple):
    """Scratch memory of `cluster`; its contents mean nothing between calls."""

    four: npt.NDArray[np.float64]
    real: npt.NDArray[np.float64]
    whole: npt.NDArray[np.int64]


def workspace(capacity: int) -> Workspace:
    """Scratch memory for events of up to `capacity` particles: one per thread."""
    return Workspace(
        np.empty((capacity, 4)), np.empty((5, capacity)), np.empty((4, capacity), np.int64)
    )


@njit(cache=True, nogil=True)
def _rapidity(px: float, py: float, pz: float, e: float) -> float:
    kt2 = px * px + py * py
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
    if px == 0.0 and py == 0.0:
        return 0.0
    phi = math.atan2(py, px)
    if phi < 0.0:
        phi += _TWO_PI
    if phi >= _TWO_PI:
        phi -= _TWO_PI
    return phi


@njit(cache=True, nogil=True)
def _place(i: int, four: Any, rap: Any, phi: Any, inv: Any) -> None:
    """Rapidity, azimuth and 1/pt^2 of pseudojet `i` from its four-momentum."""
    x, y, z, e = four[i, 0], four[i, 1], four[i, 2], four[i, 3]
    rap[i] = _rapidity(x, y, z, e)
    phi[i] = _azimuth(x, y)
    kt2 = x * x + y * y
    inv[i] = 1.0 / kt2 if kt2 > 1e-300 else 1e300


@njit(cache=True, nogil=True)
def _distance(dy: float, dphi: float) -> float:
    dphi = math.pi - abs(math.pi - abs(dphi))
    return dy * dy + dphi * dphi


@njit(cache=True, nogil=True)
def _nearest(i: int, n: int, r2: float, rap: Any, phi: Any, near: Any, nn: Any) -> None:
    """The nearest other pseudojet within R, or none (-1) at R."""
    best, which = r2, -1
    for j in range(n):
        if j != i:
            dist = _distance(rap[i] - rap[j], phi[i] - phi[j])
            if dist < best:
                best, which = dist, j
    near[i], nn[i] = best, which


@njit(cache=True, nogil=True)
def _keep(momentum: Any, first: int, following: Any, found: int, jets: Any, jet_of: Any) -> int:
    """Hand out a jet and its constituents; returns the number of jets so far."""
    for k in range(4):
        jets[found, k] = momentum[k]
    while first >= 0:
        jet_of[first] = found
        first = following[first]
    return found + 1


@njit(cache=True, nogil=True)
def _sort(found: int, n: int, jets: Any, jet_of: Any, order: Any, rank: Any) -> None:
    """Put the jets in falling order of pt, those of equal pt as they were found."""
    for i in range(found):
        x, y, z, e = jets[i, 0], jets[i, 1], jets[i, 2], jets[i, 3]
        kt2 = x * x + y * y
        j = i
        while j > 0 and jets[j - 1, 0] ** 2 + jets[j - 1, 1] ** 2 < kt2:
            jets[j] = jets[j - 1]
            order[j] = order[j - 1]
            j -= 1
        jets[j, 0], jets[j, 1], jets[j, 2], jets[j, 3] = x, y, z, e
        order[j] = i
    for j in range(found):
        rank[order[j]] = j
    for i in range(n):
        if jet_of[i] >= 0:
            jet_of[i] = rank[jet_of[i]]


@njit(cache=True, nogil=True)
def cluster(
    px: npt.NDArray[np.float64],
    py: npt.NDArray[np.float64],
    pz: npt.NDArray[np.float64],
    e: npt.NDArray[np.float64],
    n: int,
    space: Any,
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
        If the workspace, `jets` or `jet_of` is too small for `n` particles.
    """
    four, rap, phi, inv = space.four, space.real[0], space.real[1], space.real[2]
    near, d = space.real[3], space.real[4]
    nn, head, tail, following = space.whole[0], space.whole[1], space.whole[2], space.whole[3]
    if n > four.shape[0] or n > jets.shape[0] or n > jet_of.shape[0]:
        raise ValueError("more particles than the workspace or the output of cluster() can hold")
    r2 = r * r
    for i in range(n):
        four[i, 0], four[i, 1], four[i, 2], four[i, 3] = px[i], py[i], pz[i], e[i]
        _place(i, four, rap, phi, inv)
        head[i] = tail[i] = i
        following[i] = jet_of[i] = -1
    for i in range(n):
        _nearest(i, n, r2, rap, phi, near, nn)
    for i in range(n):
        d[i] = near[i] * (inv[i] if nn[i] < 0 else min(inv[i], inv[nn[i]]))
    alive = n
    found: int = 0
    while alive > 0:
        a = 0
        for i in range(alive):
            if d[i] < d[a]:
                a = i
        b = nn[a]
        if b >= 0:
            if a < b:
                a, b = b, a
            for k in range(4):
                four[b, k] += four[a, k]
            _place(b, four, rap, phi, inv)
            following[tail[b]] = head[a]
            tail[b] = tail[a]
        elif four[a, 0] ** 2 + four[a, 1] ** 2 >= pt_min * pt_min:
            found = _keep(four[a], head[a], following, found, jets, jet_of)
        alive -= 1
        last = alive
        if a != last:
            four[a] = four[last]
            rap[a], phi[a], inv[a], near[a] = rap[last], phi[last], inv[last], near[last]
            nn[a], head[a], tail[a] = nn[last], head[last], tail[last]
        for i in range(alive):
            if nn[i] == a or (b >= 0 and (nn[i] == b or i == b)):
                _nearest(i, alive, r2, rap, phi, near, nn)
            else:
                if nn[i] == last:
                    nn[i] = a
                if b >= 0:
                    dist = _distance(rap[i] - rap[b], phi[i] - phi[b])
                    if dist < near[i]:
                        near[i] = dist
                        nn[i] = b
            d[i] = near[i] * (inv[i] if nn[i] < 0 else min(inv[i], inv[nn[i]]))
    _sort(found, n, jets, jet_of, nn, head)
    return found
