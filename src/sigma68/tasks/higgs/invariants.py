"""Features of an event that turning and mirroring it leaves as they are: what networks learn from.

Nothing distinguishes a direction around the beam, its two senses, or its two ends. Here the tau is
turned to phi = 0, the lepton reflected to its left, and the tau to positive eta; momenta are
logarithms, and jets stand by eta and by cosine and sine of their angle. Beside the derived features
of the data set, which are invariant already, stand those of the collinear approximation (Ellis,
Hinchliffe, Soldate and van der Bij, Nucl. Phys. B 297, 221 (1988)): MET as two neutrino momenta
along lepton and tau, and the mass of the tau pair that follows, which tells H from Z. Jets are also
seen from the lepton, and from all that they recoil against.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt
from numba import njit, prange

from sigma68.tasks.higgs.schema import (
    FEATURES,
    HAD_ETA,
    HAD_PHI,
    HAD_PT,
    INVARIANTS,
    JET1_ETA,
    JET1_PHI,
    JET1_PT,
    JET2_ETA,
    JET2_PHI,
    JET2_PT,
    JET_ALL_PT,
    LEP_ETA,
    LEP_PHI,
    LEP_PT,
    MASS_TRANSVERSE,
    MASS_VIS,
    MET,
    MET_PHI,
    N_JETS,
    UNDEFINED,
)

__all__ = ["invariants"]

_N_OWN: Final = len(INVARIANTS) - (len(FEATURES) - MASS_TRANSVERSE)
_SOFT_GEV: Final = 20.0
"""Momenta of this size are where a compressed one bends."""
_LEAST_SINE: Final = 0.02
_LEAST_GEV: Final = 5.0
"""Added to masses and momenta before the logarithm: how small one is says little."""
_BLOCK: Final = 4096


def invariants(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Invariant features, (n_invariants, n), of events (28, n) in the order of the schema.

    What an event does not have stays undefined, -25.
    """
    seen = np.ascontiguousarray(values, np.float32).view()
    seen.flags.writeable = False
    out = np.empty((len(INVARIANTS), seen.shape[1]), np.float32)
    _fill(seen, out)
    return out


@njit(cache=True, parallel=True, nogil=True, error_model="numpy")
def _fill(v, out):  # type: ignore[no-untyped-def]
    n = out.shape[1]
    for block in prange(-(-n // _BLOCK)):
        for e in range(block * _BLOCK, min((block + 1) * _BLOCK, n)):
            _one(v, e, out)
            for f in range(_N_OWN, len(out)):
                out[f, e] = v[f - _N_OWN + MASS_TRANSVERSE, e]


@njit(cache=True, nogil=True, error_model="numpy")
def _one(v, e, out):  # type: ignore[no-untyped-def]
    """The invariants of one event that are not columns of it."""
    had_pt, lep_pt, met = v[HAD_PT, e], v[LEP_PT, e], v[MET, e]
    turn = v[LEP_PHI, e] - v[HAD_PHI, e]
    turn -= 2.0 * math.pi * math.floor((turn + math.pi) / (2.0 * math.pi))
    side = -1.0 if turn < 0.0 else 1.0
    end = -1.0 if v[HAD_ETA, e] < 0.0 else 1.0
    lep_phi = side * turn
    lep_cos, lep_sin = math.cos(lep_phi), math.sin(lep_phi)
    towards = v[MET_PHI, e] - v[HAD_PHI, e]
    along, across = met * math.cos(towards), side * met * math.sin(towards)
    out[0, e], out[1, e] = math.log(had_pt), end * v[HAD_ETA, e]
    out[2, e], out[3, e], out[4, e] = math.log(lep_pt), end * v[LEP_ETA, e], lep_phi
    out[5, e], out[6, e] = _compressed(along), _compressed(across)
    out[7, e] = v[N_JETS, e]
    total = v[JET_ALL_PT, e]
    out[8, e] = math.log(total) if total > 1.0 else 0.0
    # MET = a (direction of the lepton) + b (direction of the tau).
    sine = max(lep_sin, _LEAST_SINE)
    to_lep = across / sine
    to_had = along - to_lep * lep_cos
    out[9, e], out[10, e] = _compressed(to_lep), _compressed(to_had)
    grown = max(1.0 + to_lep / lep_pt, 0.05) * max(1.0 + to_had / had_pt, 0.05)
    out[11, e] = math.log(max(v[MASS_VIS, e], 1.0)) + 0.5 * math.log(grown)
    with_had = max(2.0 * had_pt * (met - along), 0.0)
    out[12, e] = math.sqrt(with_had)
    pair = max(2.0 * had_pt * lep_pt * (1.0 - lep_cos), 0.0)
    with_lep = v[MASS_TRANSVERSE, e]
    out[13, e] = math.sqrt(with_had + with_lep * with_lep + pair)
    out[14, e] = _compressed(along * lep_cos + across * lep_sin)
    out[15, e] = _compressed(across * lep_cos - along * lep_sin)
    # The momentum of the Higgs candidate, in the frame of the tau.
    x, y = had_pt + lep_pt * lep_cos + along, lep_pt * lep_sin + across
    out[16, e], out[17, e] = _direction(x, y)
    _jets(v, e, lep_cos, lep_sin, x, y, side, end, out)


@njit(cache=True, nogil=True, error_model="numpy")
def _jets(v, e, lep_cos, lep_sin, x, y, side, end, out):  # type: ignore[no-untyped-def]
    """The invariants of the jets; (x, y) is the momentum of the Higgs candidate."""
    for f in range(18, _N_OWN):
        out[f, e] = UNDEFINED
    if v[JET1_PT, e] <= 0.0:
        return
    angle = v[JET1_PHI, e] - v[HAD_PHI, e]
    cos1, sin1 = math.cos(angle), side * math.sin(angle)
    _jet(v, e, JET1_PT, JET1_ETA, cos1, sin1, lep_cos, lep_sin, x, y, end, 18, out)
    x += v[JET1_PT, e] * cos1
    y += v[JET1_PT, e] * sin1
    out[30, e] = math.log(math.hypot(x, y) + _LEAST_GEV)
    if v[JET2_PT, e] <= 0.0:
        return
    angle = v[JET2_PHI, e] - v[HAD_PHI, e]
    cos2, sin2 = math.cos(angle), side * math.sin(angle)
    _jet(v, e, JET2_PT, JET2_ETA, cos2, sin2, lep_cos, lep_sin, x, y, end, 31, out)
    between = cos1 * cos2 + sin1 * sin2
    out[43, e], out[44, e] = between, cos1 * sin2 - sin1 * cos2
    out[45, e] = _distance(v[JET2_ETA, e] - v[JET1_ETA, e], between)
    further = v[N_JETS, e] - 2.0
    if further > 0.5:
        left = v[JET_ALL_PT, e] - v[JET1_PT, e] - v[JET2_PT, e]
        out[46, e] = math.log(max(left, 1.0) / further)


@njit(cache=True, nogil=True, error_model="numpy")
def _jet(v, e, pt, eta, c, s, lep_cos, lep_sin, x, y, end, first, out):  # type: ignore[no-untyped-def]
    """Of one jet, at an angle (c, s) to the tau; (x, y) is the momentum of what came before it."""
    to_had, to_lep = v[eta, e] - v[HAD_ETA, e], v[eta, e] - v[LEP_ETA, e]
    out[first, e], out[first + 1, e] = math.log(v[pt, e]), end * v[eta, e]
    out[first + 2, e], out[first + 3, e] = c, s
    with_lep = c * lep_cos + s * lep_sin
    out[first + 4, e], out[first + 5, e] = with_lep, s * lep_cos - c * lep_sin
    out[first + 6, e], out[first + 7, e] = _distance(to_had, c), _distance(to_lep, with_lep)
    out[first + 8, e] = _log_mass(v[pt, e], v[HAD_PT, e], to_had, c)
    out[first + 9, e] = _log_mass(v[pt, e], v[LEP_PT, e], to_lep, with_lep)
    there_cos, there_sin = _direction(x, y)
    out[first + 10, e] = c * there_cos + s * there_sin
    out[first + 11, e] = s * there_cos - c * there_sin


@njit(cache=True, nogil=True)
def _compressed(momentum):  # type: ignore[no-untyped-def]
    return math.asinh(momentum / _SOFT_GEV)


@njit(cache=True, nogil=True, error_model="numpy")
def _direction(x, y):  # type: ignore[no-untyped-def]
    """Cosine and sine; those of the tau where there is no momentum."""
    size = math.hypot(x, y)
    if size <= 0.0:
        return 1.0, 0.0
    return x / size, y / size


@njit(cache=True, nogil=True)
def _distance(eta, cosine):  # type: ignore[no-untyped-def]
    """In eta and azimuth."""
    phi = math.acos(min(max(cosine, -1.0), 1.0))
    return math.sqrt(eta * eta + phi * phi)


@njit(cache=True, nogil=True)
def _log_mass(pt1, pt2, eta, cosine):  # type: ignore[no-untyped-def]
    """The logarithm of (m + 5 GeV) of two massless momenta."""
    squared = 2.0 * pt1 * pt2 * (math.cosh(eta) - cosine)
    return math.log(math.sqrt(max(squared, 0.0)) + _LEAST_GEV)
