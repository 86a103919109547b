"""What the conditional of a step sees of the steps before it.

Rows of features are added as steps are drawn, so that each conditional sees the first rows, as
many as `steps.CONTEXT` says. Besides the coordinates these are the combinations physics points at:
masses, the recoil against which jets stand, angles between objects; and where, in the coordinate of
a jet's turn, other objects lie, near which there is no jet.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from sigma68.tasks.higgs.emulate.coordinates import recoil_size, squashed, turned
from sigma68.tasks.higgs.emulate.frame import jet_angles, recoil, wrapped
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


def add_features(
    step: int, frame: npt.NDArray[np.float64], features: npt.NDArray[np.float32]
) -> None:
    """Fill the rows of `features` (56, n) that are known once `step` was drawn.

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
        features[55] = frame[FURTHER]


@njit(cache=True, nogil=True)
def _softened_log(value):  # type: ignore[no-untyped-def]
    return math.log(value + _SOFT_GEV)


@njit(cache=True, nogil=True)
def _distance(eta, phi):  # type: ignore[no-untyped-def]
    turn = wrapped(phi)
    return math.sqrt(eta * eta + turn * turn)


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
            continue
        across, along = frame[MET_ACROSS, e], frame[MET_ALONG, e]
        met = math.sqrt(across * across + along * along)
        x, y = recoil(frame, e, 0)
        back = math.atan2(y, x)
        phi = frame[LEP_PHI, e]
        features[14, e] = squashed(along)
        features[15, e] = _softened_log(met)
        features[16, e] = _softened_log(math.sqrt(x * x + y * y))
        features[17, e] = math.cos(back)
        features[18, e] = math.sin(back)
        features[19, e] = math.cos(phi - back)
        features[20, e] = math.sin(phi - back)
        features[21, e] = _softened_log(math.sqrt(max(2.0 * frame[LEP_PT, e] * (met - along), 0.0)))
        tau, lep = frame[TAU_PT, e], frame[LEP_PT, e]
        pz = tau * math.sinh(frame[TAU_ETA, e]) + lep * math.sinh(frame[LEP_ETA, e])
        features[22, e] = math.asinh(pz / (tau + lep))
        features[23, e] = squashed(along + lep + tau * math.cos(phi))


@njit(cache=True, nogil=True)
def _of_leading_jet(step, frame, features):  # type: ignore[no-untyped-def]
    for e in range(frame.shape[1]):
        phi = frame[LEP_PHI, e]
        from_tau = frame[JET1_ETA, e] - frame[TAU_ETA, e]
        from_lep = frame[JET1_ETA, e] - frame[LEP_ETA, e]
        if step == JET1_PT:
            features[24, e] = math.log(frame[JET1_PT, e])
        elif step == JET1_ETA:
            x, y = recoil(frame, e, 0)
            back, size = math.atan2(y, x), recoil_size(frame, e, 0)
            features[25, e] = frame[JET1_ETA, e]
            features[26, e] = from_tau
            features[27, e] = from_lep
            features[28, e] = abs(frame[JET1_ETA, e])
            features[29, e] = turned(wrapped(-back), size)
            features[30, e] = turned(wrapped(phi - back), size)
        else:
            first, _ = jet_angles(frame, e, 1)
            x, y = recoil(frame, e, 1)
            back = math.atan2(y, x)
            features[31, e] = math.cos(frame[JET1_TURN, e])
            features[32, e] = math.sin(frame[JET1_TURN, e])
            features[33, e] = _softened_log(math.sqrt(x * x + y * y))
            features[34, e] = _distance(from_tau, first)
            features[35, e] = _distance(from_lep, first - phi)
            features[36, e] = math.cos(back)
            features[37, e] = math.sin(back)
            features[38, e] = math.cos(phi - back)
            features[39, e] = math.sin(phi - back)
            features[40, e] = math.cos(first - back)
            features[41, e] = math.sin(first - back)


@njit(cache=True, nogil=True)
def _of_subleading_jet(step, frame, features):  # type: ignore[no-untyped-def]
    for e in range(frame.shape[1]):
        apart = frame[JET2_ETA, e] - frame[JET1_ETA, e]
        if step == JET2_PT:
            features[42, e] = math.log(frame[JET2_PT, e])
        elif step == JET2_ETA:
            first, _ = jet_angles(frame, e, 1)
            x, y = recoil(frame, e, 1)
            back, size = math.atan2(y, x), recoil_size(frame, e, 1)
            features[43, e] = frame[JET2_ETA, e]
            features[44, e] = abs(apart)
            features[45, e] = frame[JET2_ETA, e] - frame[TAU_ETA, e]
            features[46, e] = frame[JET2_ETA, e] - frame[LEP_ETA, e]
            features[47, e] = turned(wrapped(first - back), size)
            features[48, e] = turned(wrapped(-back), size)
            features[49, e] = turned(wrapped(frame[LEP_PHI, e] - back), size)
        else:
            first, second = jet_angles(frame, e, 2)
            x, y = recoil(frame, e, 2)
            c = math.cos(second - first)
            mass2 = 2.0 * frame[JET1_PT, e] * frame[JET2_PT, e] * max(math.cosh(apart) - c, 0.0)
            features[50, e] = math.cos(frame[JET2_TURN, e])
            features[51, e] = math.sin(frame[JET2_TURN, e])
            features[52, e] = _softened_log(math.sqrt(x * x + y * y))
            features[53, e] = c
            features[54, e] = _softened_log(math.sqrt(mass2))
