"""Features of an event that turning and mirroring it leaves as they are: what networks learn from.

Nothing distinguishes a direction around the beam, its two senses, or its two ends. Here the tau is
turned to phi = 0, the lepton reflected to its left, and the tau to positive eta; momenta are
logarithms, and jets stand by eta and by cosine and sine of their angle. Beside the derived features
of the data set, which are invariant already, stand those of the collinear approximation (Ellis,
Hinchliffe, Soldate and van der Bij, Nucl. Phys. B 297, 221 (1988)): MET as two neutrino momenta
along lepton and tau, and the mass of the tau pair that follows, which tells H from Z.
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
    towards = v[MET_PHI, e] - v[HAD_PHI, e]
    along, across = met * math.cos(towards), side * met * math.sin(towards)
    out[0, e], out[1, e] = math.log(had_pt), end * v[HAD_ETA, e]
    out[2, e], out[3, e], out[4, e] = math.log(lep_pt), end * v[LEP_ETA, e], lep_phi
    out[5, e], out[6, e] = math.asinh(along / _SOFT_GEV), math.asinh(across / _SOFT_GEV)
    out[7, e] = v[N_JETS, e]
    total = v[JET_ALL_PT, e]
    out[8, e] = math.log(total) if total > 1.0 else 0.0
    _jet(v, e, JET1_PT, JET1_ETA, JET1_PHI, side, end, 9, out)
    _jet(v, e, JET2_PT, JET2_ETA, JET2_PHI, side, end, 13, out)
    # MET = a (direction of the lepton) + b (direction of the tau).
    sine = max(math.sin(lep_phi), _LEAST_SINE)
    to_lep = across / sine
    to_had = along - to_lep * math.cos(lep_phi)
    out[17, e], out[18, e] = math.asinh(to_lep / _SOFT_GEV), math.asinh(to_had / _SOFT_GEV)
    grown = max(1.0 + to_lep / lep_pt, 0.05) * max(1.0 + to_had / had_pt, 0.05)
    out[19, e] = math.log(max(v[MASS_VIS, e], 1.0)) + 0.5 * math.log(grown)
    with_had = max(2.0 * had_pt * (met - along), 0.0)
    out[20, e] = math.sqrt(with_had)
    pair = max(2.0 * had_pt * lep_pt * (1.0 - math.cos(lep_phi)), 0.0)
    with_lep = v[MASS_TRANSVERSE, e]
    out[21, e] = math.sqrt(with_had + with_lep * with_lep + pair)


@njit(cache=True, nogil=True)
def _jet(v, e, pt, eta, phi, side, end, first, out):  # type: ignore[no-untyped-def]
    if v[pt, e] <= 0.0:
        for f in range(first, first + 4):
            out[f, e] = UNDEFINED
        return
    angle = v[phi, e] - v[HAD_PHI, e]
    out[first, e], out[first + 1, e] = math.log(v[pt, e]), end * v[eta, e]
    out[first + 2, e], out[first + 3, e] = math.cos(angle), side * math.sin(angle)
