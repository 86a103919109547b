"""The detector's solenoid and calorimeter towers: where a particle arrives, and in which tower.

A cylinder of radius 1.15 m and half length 3.51 m in a field of 2 T along z. Towers are numbered
through: those of an eta ring lie side by side in phi. A tower holds its upper edges, not its lower
ones, and a ring takes its number of phi bins from its upper eta edge, as in the Delphes card of
the public data. Charged particles follow helices (de Favereau et al., JHEP 02 (2014) 057).
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = ["ECAL", "HCAL", "RADIUS_M", "Rings", "arrival", "tower_of"]

RADIUS_M: Final = 1.15
HALF_LENGTH_M: Final = 3.51
FIELD_T: Final = 2.0
# pt in GeV over this is the radius of curvature in metres of a unit charge.
_GEV_PER_M: Final = 0.299792458 * FIELD_T


class Rings(NamedTuple):
    """Rings of towers, by rising eta.

    Attributes
    ----------
    edges
        Eta edges, float64, shape (n_rings + 1,).
    n_phi
        Towers of each ring, int64, shape (n_rings,).
    first
        Number of each ring's first tower; the last entry is the number of towers, int64,
        shape (n_rings + 1,).
    """

    edges: npt.NDArray[np.float64]
    n_phi: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]


def _rings(edges: list[tuple[float, int]]) -> Rings:
    """Rings of (upper eta edge, towers in phi); the first entry is the lowest edge of all."""
    ordered = sorted(edges)
    n_phi = np.array([n for _, n in ordered[1:]], np.int64)
    return Rings(
        np.array([eta for eta, _ in ordered]), n_phi, np.concatenate([[0], np.cumsum(n_phi)])
    )


def _ecal() -> Rings:
    fine = [(0.0174 * i, 360) for i in range(-85, 87)]
    fine += [(sign + 0.0174 * i, 360) for sign in (-2.958, 1.4964) for i in range(1, 85)]
    forward = (3.125, 3.3, 3.475, 3.65, 3.825, 4.0, 4.175, 4.35, 4.525, 4.7, 5.0)
    coarse = [(sign * eta, 36) for sign in (-1, 1) for eta in forward]
    return _rings([*fine, *coarse, (-2.958, 36)])


def _hcal() -> Rings:
    fine = [(0.1 * i, 36) for i in range(-25, 27)] + [(-3.2, 36), (3.3, 36)]
    back = (4.9, 4.7, 4.5, 4.3, 4.1, 3.9, 3.7, 3.5, 3.3, 3.0, 2.8, 2.6)
    front = (2.8, 3.0, 3.2, 3.5, 3.7, 3.9, 4.1, 4.3, 4.5, 4.7, 4.9)
    return _rings([*fine, *((-eta, 18) for eta in back), *((eta, 18) for eta in front)])


ECAL: Final = _ecal()
HCAL: Final = _hcal()


@njit(cache=True, nogil=True, inline="always")
def tower_of(rings: Any, eta: float, phi: float) -> tuple[int, int]:
    """The tower at (eta, phi) and its ring; (-1, -1) outside."""
    edges = rings.edges
    low, high = 0, len(edges) - 1
    if not (edges[0] < eta <= edges[high]):
        return -1, -1
    while high - low > 1:
        middle = (low + high) // 2
        if edges[middle] < eta:
            low = middle
        else:
            high = middle
    n = rings.n_phi[low]
    place = int(np.ceil((phi + math.pi) * (n / (2.0 * math.pi)))) - 1
    return rings.first[low] + min(max(place, 0), n - 1), low


@njit(cache=True, nogil=True)
def arrival(
    px: float, py: float, pz: float, charge: int, x: float, y: float, z: float
) -> tuple[bool, float, float]:
    """(arrives, eta, phi) of the point where a particle leaves the solenoid.

    Momentum in GeV, vertex in metres. A particle born outside the cylinder does not arrive.
    """
    pt2 = px * px + py * py
    if pt2 < 1e-9 or math.hypot(x, y) > RADIUS_M or abs(z) > HALF_LENGTH_M:
        return False, 0.0, 0.0
    if charge == 0:
        cross = px * y - py * x
        t = (math.sqrt(pt2 * RADIUS_M * RADIUS_M - cross * cross) - px * x - py * y) / pt2
        if pz != 0.0:
            t = min(t, (math.copysign(HALF_LENGTH_M, pz) - z) / pz)
        xt, yt, zt = x + px * t, y + py * t, z + pz * t
    else:
        pt = math.sqrt(pt2)
        r = pt / _GEV_PER_M
        sine, cosine = py / pt, px / pt
        xc, yc = x + charge * r * sine, y - charge * r * cosine
        turned = _turning_angle(r, charge, xc, yc, sine, cosine)
        if pz != 0.0:
            turned = min(turned, (math.copysign(HALF_LENGTH_M, pz) - z) * pt / (pz * r))
        # The direction turns clockwise for a positive charge in a field along +z.
        sin_turn, cos_turn = math.sin(charge * turned), math.cos(turned)
        sine_t = sine * cos_turn - cosine * sin_turn
        cosine_t = cosine * cos_turn + sine * sin_turn
        xt, yt = xc - charge * r * sine_t, yc + charge * r * cosine_t
        zt = z + pz / pt * r * turned
    radius = math.hypot(xt, yt)
    if radius <= 0.0:
        return False, 0.0, 0.0
    return True, math.asinh(zt / radius), math.atan2(yt, xt)


@njit(cache=True, nogil=True, inline="always")
def _turning_angle(
    r: float, charge: int, xc: float, yc: float, sine: float, cosine: float
) -> float:
    """By how much the direction has turned at the wall; huge if the helix never reaches it."""
    rc = math.hypot(xc, yc)
    if rc + r < RADIUS_M or rc == 0.0:
        return 1e99
    cosine_alpha = (r * r + rc * rc - RADIUS_M * RADIUS_M) / (2.0 * r * rc)
    alpha = math.acos(min(1.0, max(-1.0, cosine_alpha)))
    # From birth to the closest approach to the axis, where the direction is at right angles to
    # the line from the axis to the helix's centre.
    to_closest = math.atan2(-(xc * cosine + yc * sine), charge * (xc * sine - yc * cosine))
    return to_closest + alpha
