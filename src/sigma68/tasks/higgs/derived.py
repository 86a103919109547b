"""The twelve derived columns from the sixteen primary ones.

Formulae: appendices B.3 and C of the paper, all particles massless, written in the differences
of angles: m^2 = 2 pt_a pt_b (cosh(delta eta) - cos(delta phi)) has none of the cancellation of
E^2 - p^2. Degenerate angles follow the specification: (delta eta)^2 + 1e-4 in the eta
centrality, phi_lep + 1e-4 in the phi centrality and -25 if that fails too; never NaN.

The kernel works on a block of events held in scratch (see `SLOTS`), in double precision; the
same block functions serve `derive` (from columns), `bias` and `toys`.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit, prange

from sigma68.tasks.higgs.elementary import cosh_minus_one, exp_minus, sin_cos
from sigma68.tasks.higgs.philox import BLOCK
from sigma68.tasks.higgs.schema import (
    DELTAETA_JJ,
    DELTAR_HAD_LEP,
    HAD_ETA,
    HAD_PHI,
    HAD_PT,
    JET1_ETA,
    JET1_PHI,
    JET1_PT,
    JET2_ETA,
    JET2_PHI,
    JET2_PT,
    JET_ALL_PT,
    LEP_ETA,
    LEP_ETA_CENTRALITY,
    LEP_PHI,
    LEP_PT,
    MASS_JJ,
    MASS_TRANSVERSE,
    MASS_VIS,
    MET,
    MET_PHI,
    MET_PHI_CENTRALITY,
    N_JETS,
    PRODETA_JJ,
    PT_H,
    PT_RATIO,
    PT_TOT,
    SUM_PT,
    UNDEFINED,
)
from sigma68.tasks.higgs.streaming_store import store_column

__all__ = ["CHUNK", "SLOTS", "derive", "derive_block", "directions"]

CHUNK = 16 * BLOCK
"""Events that one thread takes at a time. Fixed, so that the thread count changes nothing."""

# Scratch of a block: slot s of event e stands at w[s * BLOCK + e]. Slots 0 to 27 are the
# features; behind them the cosines and sines of the directions, and the soft-MET noise.
COS_LEP, SIN_LEP, COS_HAD, SIN_HAD = 28, 29, 30, 31
COS_JET1, SIN_JET1, COS_JET2, SIN_JET2 = 32, 33, 34, 35
COS_MET, SIN_MET, NOISE_X, NOISE_Y = 36, 37, 38, 39
SLOTS = 40
N_PRIMARY, N_FEATURES = 16, 28
_EPSILON = 1e-4


@njit(cache=True, error_model="numpy")
def directions(w, n):  # type: ignore[no-untyped-def]
    """Cosines and sines of the azimuths of lepton, tau, both jets and MET."""
    for e in range(n):
        s, c = sin_cos(w[LEP_PHI * BLOCK + e])
        w[SIN_LEP * BLOCK + e] = s
        w[COS_LEP * BLOCK + e] = c
    for e in range(n):
        s, c = sin_cos(w[HAD_PHI * BLOCK + e])
        w[SIN_HAD * BLOCK + e] = s
        w[COS_HAD * BLOCK + e] = c
    for e in range(n):
        s, c = sin_cos(w[JET1_PHI * BLOCK + e])
        w[SIN_JET1 * BLOCK + e] = s
        w[COS_JET1 * BLOCK + e] = c
    for e in range(n):
        s, c = sin_cos(w[JET2_PHI * BLOCK + e])
        w[SIN_JET2 * BLOCK + e] = s
        w[COS_JET2 * BLOCK + e] = c
    for e in range(n):
        s, c = sin_cos(w[MET_PHI * BLOCK + e])
        w[SIN_MET * BLOCK + e] = s
        w[COS_MET * BLOCK + e] = c


@njit(cache=True, error_model="numpy")
def derive_block(w, n):  # type: ignore[no-untyped-def]
    """Fill slots 16 to 27 from slots 0 to 15 and the directions."""
    _tau_lepton_met(w, n)
    _jet_pair(w, n)
    _centralities(w, n)


@njit(inline="always")
def _mass(pt_a, pt_b, cosh_minus_1, one_minus_cos):  # type: ignore[no-untyped-def]
    return math.sqrt(max(2.0 * pt_a * pt_b * (cosh_minus_1 + one_minus_cos), 0.0))


@njit(cache=True, error_model="numpy")
def _tau_lepton_met(w, n):  # type: ignore[no-untyped-def]
    for e in range(n):
        lep = w[LEP_PT * BLOCK + e]
        had = w[HAD_PT * BLOCK + e]
        met = w[MET * BLOCK + e]
        cl = w[COS_LEP * BLOCK + e]
        sl = w[SIN_LEP * BLOCK + e]
        ch = w[COS_HAD * BLOCK + e]
        sh = w[SIN_HAD * BLOCK + e]
        cm = w[COS_MET * BLOCK + e]
        sm = w[SIN_MET * BLOCK + e]
        w[MASS_TRANSVERSE * BLOCK + e] = _mass(lep, met, 0.0, 1.0 - (cl * cm + sl * sm))
        d_eta = w[LEP_ETA * BLOCK + e] - w[HAD_ETA * BLOCK + e]
        w[MASS_VIS * BLOCK + e] = _mass(lep, had, cosh_minus_one(d_eta), 1.0 - (cl * ch + sl * sh))
        d_phi = abs(w[LEP_PHI * BLOCK + e] - w[HAD_PHI * BLOCK + e])
        d_phi = 2.0 * math.pi - d_phi if d_phi > math.pi else d_phi
        w[DELTAR_HAD_LEP * BLOCK + e] = math.sqrt(d_eta * d_eta + d_phi * d_phi)
        px = lep * cl + had * ch + met * cm
        py = lep * sl + had * sh + met * sm
        w[PT_H * BLOCK + e] = math.sqrt(px * px + py * py)
        n_jets = w[N_JETS * BLOCK + e]
        jet1 = w[JET1_PT * BLOCK + e] if n_jets >= 1.0 else 0.0
        jet2 = w[JET2_PT * BLOCK + e] if n_jets >= 2.0 else 0.0
        px += jet1 * w[COS_JET1 * BLOCK + e] + jet2 * w[COS_JET2 * BLOCK + e]
        py += jet1 * w[SIN_JET1 * BLOCK + e] + jet2 * w[SIN_JET2 * BLOCK + e]
        w[PT_TOT * BLOCK + e] = math.sqrt(px * px + py * py)
        w[SUM_PT * BLOCK + e] = had + lep + w[JET_ALL_PT * BLOCK + e]
        w[PT_RATIO * BLOCK + e] = lep / had


@njit(cache=True, error_model="numpy")
def _jet_pair(w, n):  # type: ignore[no-untyped-def]
    for e in range(n):
        two = w[N_JETS * BLOCK + e] >= 2.0
        eta1 = w[JET1_ETA * BLOCK + e]
        eta2 = w[JET2_ETA * BLOCK + e]
        d_eta = eta1 - eta2
        d_phi = 1.0 - (
            w[COS_JET1 * BLOCK + e] * w[COS_JET2 * BLOCK + e]
            + w[SIN_JET1 * BLOCK + e] * w[SIN_JET2 * BLOCK + e]
        )
        mass = _mass(w[JET1_PT * BLOCK + e], w[JET2_PT * BLOCK + e], cosh_minus_one(d_eta), d_phi)
        w[MASS_JJ * BLOCK + e] = mass if two else UNDEFINED
        w[DELTAETA_JJ * BLOCK + e] = abs(d_eta) if two else UNDEFINED
        w[PRODETA_JJ * BLOCK + e] = eta1 * eta2 if two else UNDEFINED
        square = d_eta * d_eta
        square = square + _EPSILON if square == 0.0 else square
        off_centre = w[LEP_ETA * BLOCK + e] - 0.5 * (eta1 + eta2)
        centrality = exp_minus(4.0 * off_centre * off_centre / square)
        w[LEP_ETA_CENTRALITY * BLOCK + e] = centrality if two else UNDEFINED


@njit(cache=True, error_model="numpy")
def _centralities(w, n):  # type: ignore[no-untyped-def]
    cos_eps = math.cos(_EPSILON)
    sin_eps = math.sin(_EPSILON)
    for e in range(n):
        # Collinear tau and lepton: turn the lepton by a little.
        turn = w[LEP_PHI * BLOCK + e] == w[HAD_PHI * BLOCK + e]
        ce = cos_eps if turn else 1.0
        se = sin_eps if turn else 0.0
        c = w[COS_LEP * BLOCK + e]
        s = w[SIN_LEP * BLOCK + e]
        cl = c * ce - s * se
        sl = s * ce + c * se
        ch = w[COS_HAD * BLOCK + e]
        sh = w[SIN_HAD * BLOCK + e]
        cm = w[COS_MET * BLOCK + e]
        sm = w[SIN_MET * BLOCK + e]
        a = sm * cl - cm * sl
        b = sh * cm - ch * sm
        side = sh * cl - ch * sl
        norm = math.sqrt(a * a + b * b)
        safe = norm if norm > 0.0 else 1.0
        value = (a + b) / safe
        value = -value if side < 0.0 else value
        w[MET_PHI_CENTRALITY * BLOCK + e] = value if (norm > 0.0) & (side != 0.0) else UNDEFINED


@njit(cache=True, parallel=True, error_model="numpy")
def _derive(primaries, out):  # type: ignore[no-untyped-def]
    n = primaries.shape[1]
    for chunk in prange((n + CHUNK - 1) // CHUNK):
        w = np.empty(SLOTS * BLOCK, np.float64)
        narrow = np.empty(BLOCK, np.float32)
        for first in range(chunk * CHUNK, min((chunk + 1) * CHUNK, n), BLOCK):
            m = min(BLOCK, n - first)
            start = np.uintp(first)  # unsigned: no look at the sign, so that it vectorises
            for column in range(N_PRIMARY):
                for e in range(m):
                    w[column * BLOCK + e] = primaries[column, start + np.uintp(e)]
            directions(w, m)
            derive_block(w, m)
            for column in range(N_PRIMARY, N_FEATURES):
                for e in range(m):
                    narrow[e] = np.float32(w[column * BLOCK + e])
                store_column(narrow, m, out, column - N_PRIMARY, first)


def derive(
    primaries: npt.NDArray[np.float32], out: npt.NDArray[np.float32] | None = None
) -> npt.NDArray[np.float32]:
    """The derived columns of events.

    Parameters
    ----------
    primaries
        Primary columns in the order of `schema.PRIMARIES`, float32, shape (16, n): GeV and
        radians, -25 where undefined, all finite.
    out
        Where to write, float32, shape (12, n); made if left out.

    Returns
    -------
    The derived columns in the order of `schema.DERIVED`, float32, shape (12, n); masses and
    momenta in GeV, -25 where undefined.

    Raises
    ------
    ValueError
        If a shape or dtype is not as above.
    """
    if primaries.ndim != 2 or primaries.shape[0] != N_PRIMARY or primaries.dtype != np.float32:
        raise ValueError(
            f"primaries must be float32 of shape ({N_PRIMARY}, n), "
            f"not {primaries.dtype} of shape {primaries.shape}"
        )
    shape = (N_FEATURES - N_PRIMARY, primaries.shape[1])
    if out is None:
        out = np.empty(shape, np.float32)
    elif out.shape != shape or out.dtype != np.float32 or not out.flags.c_contiguous:
        raise ValueError(f"out must be C-contiguous float32 of shape {shape}, not {out.shape}")
    _derive(primaries, out)
    return out
