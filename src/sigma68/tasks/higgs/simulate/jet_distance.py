"""Where FastJet puts a momentum, and how far apart two of them are, to the last bit.

Rapidity and azimuth of special momenta (no transverse part, along the beam, massless but for
rounding) follow Cacciari, Salam, Soyez, Eur. Phys. J. C 72 (2012) 1896 and its code's conventions,
so that equal momenta give equal jets.
"""

from __future__ import annotations

import math
from typing import Final

from numba import njit

__all__ = ["azimuth", "distance2", "over_kt2", "rapidity"]

_TWO_PI: Final = 2.0 * math.pi
_HUGE_RAPIDITY: Final = 1e5  # where a particle along the beam lies, plus its |pz| in GeV


@njit(cache=True, nogil=True, error_model="numpy")
def rapidity(kt2: float, pz: float, e: float) -> float:
    """Rapidity of a momentum with squared pt `kt2`; a negative squared mass counts as none."""
    if kt2 == 0.0 and e == abs(pz):
        far = _HUGE_RAPIDITY + abs(pz)
        return far if pz >= 0.0 else -far
    mass2 = max(0.0, (e + pz) * (e - pz) - kt2)
    plus = e + abs(pz)
    y = 0.5 * math.log((kt2 + mass2) / (plus * plus))
    return -y if pz > 0.0 else y


@njit(cache=True, nogil=True, error_model="numpy")
def azimuth(px: float, py: float) -> float:
    """Azimuth in [0, 2 pi); 0 along the beam."""
    phi = 0.0
    if px != 0.0 or py != 0.0:
        phi = math.atan2(py, px)
        if phi < 0.0:
            phi += _TWO_PI
        if phi >= _TWO_PI:
            phi -= _TWO_PI
    return phi


@njit(cache=True, nogil=True, error_model="numpy")
def distance2(dy: float, dphi: float) -> float:
    """Squared distance of two momenta from the differences of rapidity and azimuth."""
    dphi = math.pi - abs(math.pi - abs(dphi))
    return dy * dy + dphi * dphi


@njit(cache=True, nogil=True, error_model="numpy")
def over_kt2(gap: float, kt2: float) -> float:
    """A squared distance over the squared pt of the harder momentum: d R^2."""
    return gap * (1.0 / kt2 if kt2 > 1e-300 else 1e300)
