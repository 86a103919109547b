"""What the conditional of a step sees of the steps before it.

Rows of features are added as steps are drawn, so that each conditional sees the first rows, as
many as `steps.CONTEXT` says. Besides the coordinates these are the combinations physics points at:
masses, the recoil against which jets stand, angles between objects; where, in the coordinate of a
jet's turn, other objects lie; and where lepton and MET, or two jets, may come from a W.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from sigma68.tasks.higgs.emulate.coordinates import (
    from_recoil,
    leading_gaps,
    recoil_size,
    squashed,
    subleading_gaps,
    turned,
)
from sigma68.tasks.higgs.emulate.frame import jet_angles, recoil, wrapped
from sigma68.tasks.higgs.emulate.gaps import MOST_GAPS, half_width, joined
from sigma68.tasks.higgs.emulate.steps import (
    FURTHER,
    JET1_ETA,
    JET1_PT,
    JET1_TURN,
    JET2_ETA,
    JET2_PT,
    JET2_TURN,
    LEP_ETA,
    LEP_PHI,
    LEP_PT,
    MET_ACROSS,
    MET_ALONG,
    TAU_ETA,
    TAU_PT,
)

__all__ = ["add_features"]

_SOFT_GEV = 5.0  # below this, how small a momentum is says little
_W_GEV = 80.4


def add_features(
    step: int, frame: npt.NDArray[np.float64], features: npt.NDArray[np.float32]
) -> None:
    """Fill the rows of `features` (65, n) that are known once `step` was drawn.

    `frame` (17, n) is filled up to that step; where it has no such object the rows mean nothing.
    """
    if step in (TAU_PT, TAU_ETA, LEP_PT, LEP_ETA, LEP_PHI):
        _of_leptons(step, frame, features)
    elif step in (MET_ACROSS, MET_ALONG):
        _of_met(step, frame, features)
    elif step in (JET1_PT, JET1_ETA, JET1_TURN):
        _of_leading_jet(step, frame, features)
    elif step in (JET2_PT, JET2_ETA, JET2_TURN):
        _of_subleading_jet(step, frame, features)
    elif step == FURTHER:
        features[64] = frame[FURTHER]


@njit(cache=True, nogil=True)
def _softened_log(value):  # type: ignore[no-untyped-def]
    return math.log(value + _SOFT_GEV)


@njit(cache=True, nogil=True)
def _distance(eta, phi):  # type: ignore[no-untyped-def]
    turn = wrapped(phi)
    return math.sqrt(eta * eta + turn * turn)


@njit(cache=True, nogil=True)
def _angle_of_w(pt1, pt2, apart):  # type: ignore[no-untyped-def]
    """The azimuth between two jets at which they have the mass of a W; 0 or pi where none has."""
    c = math.cosh(apart) - _W_GEV * _W_GEV / (2.0 * pt1 * pt2)
    return math.acos(min(max(c, -1.0), 1.0))


@njit(cache=True, nogil=True)
def _along_of_w(pt, across):  # type: ignore[no-untyped-def]
    """The MET along a lepton, GeV, at which the two have the transverse mass of a W."""
    least = _W_GEV * _W_GEV / (2.0 * pt)
    return (across * across - least * least) / (2.0 * least)


@njit(cache=True, nogil=True)
def _of_leptons(step, frame, features):  # type: ignore[no-untyped-def]
    for e in range(frame.shape[1]):
        if step == TAU_PT:
            features[0, e] = math.log(frame[TAU_PT, e])
        elif step == TAU_ETA:
            features[1, e] = frame[TAU_ETA, e]
        elif step == LEP_PT:
            features[2, e] = math.log(frame[LEP_PT, e])
        elif step == LEP_ETA:
            features[3, e] = frame[LEP_ETA, e]
            features[4, e] = frame[LEP_ETA, e] - frame[TAU_ETA, e]
        else:
            tau, lep, phi = frame[TAU_PT, e], frame[LEP_PT, e], frame[LEP_PHI, e]
            apart = frame[LEP_ETA, e] - frame[TAU_ETA, e]
            c = math.cos(phi)
            features[5, e] = phi
            features[6, e] = c
            mass2 = 2.0 * tau * lep * max(math.cosh(apart) - c, 0.0)
            features[7, e] = _softened_log(math.sqrt(mass2))
            together = math.sqrt(max(tau * tau + lep * lep + 2.0 * tau * lep * c, 0.0))
            features[8, e] = _softened_log(together)
            features[9, e] = _distance(apart, phi)
            features[10, e] = squashed(tau * math.sin(phi))
            features[11, e] = squashed(lep + tau * c)


@njit(cache=True, nogil=True)
def _of_met(step, frame, features):  # type: ignore[no-untyped-def]
    for e in range(frame.shape[1]):
        if step == MET_ACROSS:
            whole = frame[MET_ACROSS, e] + frame[TAU_PT, e] * math.sin(frame[LEP_PHI, e])
            features[12, e] = squashed(whole)
            features[13, e] = squashed(frame[MET_ACROSS, e])
            along = _along_of_w(frame[LEP_PT, e], frame[MET_ACROSS, e])
            whole = along + frame[LEP_PT, e] + frame[TAU_PT, e] * math.cos(frame[LEP_PHI, e])
            features[14, e] = squashed(whole)
            continue
        across, along = frame[MET_ACROSS, e], frame[MET_ALONG, e]
        met = math.sqrt(across * across + along * along)
        x, y = recoil(frame, e, 0)
        back = math.atan2(y, x)
        phi = frame[LEP_PHI, e]
        features[15, e] = squashed(along)
        features[16, e] = _softened_log(met)
        features[17, e] = _softened_log(math.sqrt(x * x + y * y))
        features[18, e] = math.cos(back)
        features[19, e] = math.sin(back)
        features[20, e] = math.cos(phi - back)
        features[21, e] = math.sin(phi - back)
        features[22, e] = _softened_log(math.sqrt(max(2.0 * frame[LEP_PT, e] * (met - along), 0.0)))
        tau, lep = frame[TAU_PT, e], frame[LEP_PT, e]
        pz = tau * math.sinh(frame[TAU_ETA, e]) + lep * math.sinh(frame[LEP_ETA, e])
        features[23, e] = math.asinh(pz / (tau + lep))
        features[24, e] = squashed(along + lep + tau * math.cos(phi))


@njit(cache=True, nogil=True)
def _of_leading_jet(step, frame, features):  # type: ignore[no-untyped-def]
    gaps = np.empty((MOST_GAPS, 2))
    for e in range(frame.shape[1]):
        phi = frame[LEP_PHI, e]
        from_tau = frame[JET1_ETA, e] - frame[TAU_ETA, e]
        from_lep = frame[JET1_ETA, e] - frame[LEP_ETA, e]
        if step == JET1_PT:
            features[25, e] = math.log(frame[JET1_PT, e])
        elif step == JET1_ETA:
            x, y = recoil(frame, e, 0)
            back, size = math.atan2(y, x), recoil_size(frame, e, 0)
            features[26, e] = frame[JET1_ETA, e]
            features[27, e] = from_tau
            features[28, e] = from_lep
            features[29, e] = abs(frame[JET1_ETA, e])
            n = leading_gaps(frame, e, size, gaps)
            features[30, e] = joined(gaps, n, turned(wrapped(-back), size))
            features[31, e] = joined(gaps, n, turned(wrapped(phi - back), size))
            features[32, e] = half_width(from_tau)
            features[33, e] = half_width(from_lep)
        else:
            first, _ = jet_angles(frame, e, 1)
            x, y = recoil(frame, e, 1)
            back = math.atan2(y, x)
            features[34, e] = math.cos(frame[JET1_TURN, e])
            features[35, e] = math.sin(frame[JET1_TURN, e])
            features[36, e] = _softened_log(math.sqrt(x * x + y * y))
            features[37, e] = _distance(from_tau, first)
            features[38, e] = _distance(from_lep, first - phi)
            features[39, e] = math.cos(back)
            features[40, e] = math.sin(back)
            features[41, e] = math.cos(phi - back)
            features[42, e] = math.sin(phi - back)
            features[43, e] = math.cos(first - back)
            features[44, e] = math.sin(first - back)


@njit(cache=True, nogil=True)
def _of_subleading_jet(step, frame, features):  # type: ignore[no-untyped-def]
    gaps = np.empty((MOST_GAPS, 2))
    for e in range(frame.shape[1]):
        apart = frame[JET2_ETA, e] - frame[JET1_ETA, e]
        if step == JET2_PT:
            features[45, e] = math.log(frame[JET2_PT, e])
        elif step == JET2_ETA:
            x, y = recoil(frame, e, 1)
            back, first = math.atan2(y, x), from_recoil(frame, e)
            from_tau = frame[JET2_ETA, e] - frame[TAU_ETA, e]
            from_lep = frame[JET2_ETA, e] - frame[LEP_ETA, e]
            features[46, e] = frame[JET2_ETA, e]
            features[47, e] = abs(apart)
            features[48, e] = from_tau
            features[49, e] = from_lep
            features[50, e] = half_width(apart)
            features[51, e] = half_width(from_tau)
            features[52, e] = half_width(from_lep)
            size = recoil_size(frame, e, 1)
            n = subleading_gaps(frame, e, size, gaps)
            angle = _angle_of_w(frame[JET1_PT, e], frame[JET2_PT, e], apart)
            features[53, e] = joined(gaps, n, turned(first, size))
            features[54, e] = joined(gaps, n, turned(wrapped(-back), size))
            features[55, e] = joined(gaps, n, turned(wrapped(frame[LEP_PHI, e] - back), size))
            features[56, e] = angle
            features[57, e] = joined(gaps, n, turned(wrapped(first + angle), size))
            features[58, e] = joined(gaps, n, turned(wrapped(first - angle), size))
        else:
            _, second = jet_angles(frame, e, 2)
            before_x, before_y = recoil(frame, e, 1)
            x, y = recoil(frame, e, 2)
            c = math.cos(frame[JET2_TURN, e])
            mass2 = 2.0 * frame[JET1_PT, e] * frame[JET2_PT, e] * max(math.cosh(apart) - c, 0.0)
            features[59, e] = c
            features[60, e] = math.sin(frame[JET2_TURN, e])
            features[61, e] = _softened_log(math.sqrt(x * x + y * y))
            features[62, e] = math.cos(second - math.atan2(before_y, before_x))
            features[63, e] = _softened_log(math.sqrt(mass2))
