"""Each step's quantity as a number in [0, 1], and back: fixed maps, the same for all processes.

Momenta enter as logarithms above the low threshold, directions linearly over what is possible.
MET enters by way of the momentum of tau, lepton and MET together, which is small unless jets stand
against it, and so has a sharper density than MET itself.
Jets enter by how their momentum differs from the recoil that they balance.
A jet of the simulation has pt > 20 GeV before a scale that depends on eta, so that just above the
threshold only forward jets exist: the pseudorapidity of a soft jet begins where it can. The
subleading jet is softer than the leading one, further jets are softer than the subleading one.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from sigma68.tasks.higgs.emulate.frame import recoil
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

__all__ = ["from_unit", "recoil_size", "squashed", "to_unit", "turned", "unit_of_pt"]

_TAU_LOW_GEV, _TAU_HIGH_GEV = 22.8, 1500.0
_LEP_LOW_GEV, _LEP_HIGH_GEV = 19.9995, 1500.0
_JET_LOW_GEV, _JET_HIGH_GEV = 21.9, 3000.0
_TAU_ETA, _LEP_ETA, _JET_ETA = 2.75, 2.5005, 5.05
_RECOIL_GEV = 25.0
_LEAST_GEV = 5.0
_RAW_PT_GEV = 20.0
_EDGE = 1e-6  # from the ends of [0, 1], where a logarithm of a density is still sensible


def to_unit(step: int, frame: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The coordinate of a step, (n,), within [1e-6, 1 - 1e-6]; `frame` has shape (17, n)."""
    x = np.empty(frame.shape[1])
    _to_unit(step, frame, x)
    return x


def from_unit(step: int, x: npt.NDArray[np.float64], frame: npt.NDArray[np.float64]) -> None:
    """Fill a step's row of the frame, whose earlier rows are filled, from its coordinate (n,)."""
    _from_unit(step, x, frame)


def unit_of_pt(step: int, pt_gev: float, frame: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The coordinate, (n,), that a given pt of tau or jet would have in each event of a frame."""
    moved = frame.copy()
    moved[step] = pt_gev
    return to_unit(step, moved)


@njit(cache=True, nogil=True)
def _lowest_eta(pt, highest):  # type: ignore[no-untyped-def]
    """The |eta| from which a jet of this pt had 20 GeV before its energy scale.

    The scale is sqrt((3 - 0.2 |eta|)^2 / pt + 1); a margin is left for the rounding of pt.
    """
    ratio = (pt + 0.001) / _RAW_PT_GEV
    square = _RAW_PT_GEV * (ratio * ratio - 1.0)
    low = (3.0 - math.sqrt(max(square, 0.0))) / 0.2
    return min(max(low, 0.0), highest - 0.05)


@njit(cache=True, nogil=True)
def squashed(momentum):  # type: ignore[no-untyped-def]
    """A component of a momentum, GeV, to (-1, 1)."""
    t = momentum / _RECOIL_GEV
    return t / math.sqrt(1.0 + t * t)


@njit(cache=True, nogil=True)
def _unsquashed(t):  # type: ignore[no-untyped-def]
    return _RECOIL_GEV * t / math.sqrt(1.0 - t * t)


@njit(cache=True, nogil=True)
def recoil_size(frame, e, jets):  # type: ignore[no-untyped-def]
    """The momentum that the next jet stands against, GeV; a small one means as little as 5."""
    x, y = recoil(frame, e, jets)
    return max(math.sqrt(x * x + y * y), _LEAST_GEV)


@njit(cache=True, nogil=True)
def turned(angle, size):  # type: ignore[no-untyped-def]
    """An angle in [-pi, pi] to [-1, 1], finer around 0 the larger the recoil."""
    return squashed(angle * size) / squashed(math.pi * size)


@njit(cache=True, nogil=True)
def _balance(pt, size, highest):  # type: ignore[no-untyped-def]
    """The pt of a jet, from the threshold to `highest`, by its excess over what it balances."""
    low, high = squashed(_JET_LOW_GEV - size), squashed(max(highest, _JET_LOW_GEV + 0.01) - size)
    return (squashed(pt - size) - low) / (high - low)


@njit(cache=True, nogil=True)
def _balanced(u, size, highest):  # type: ignore[no-untyped-def]
    low, high = squashed(_JET_LOW_GEV - size), squashed(max(highest, _JET_LOW_GEV + 0.01) - size)
    return size + _unsquashed(low + u * (high - low))


@njit(cache=True, nogil=True)
def _visible(step, frame, e):  # type: ignore[no-untyped-def]
    """The momentum of tau and lepton across or along the lepton."""
    phi = frame[LEP_PHI, e]
    if step == MET_ACROSS:
        return frame[TAU_PT, e] * math.sin(phi)
    return frame[LEP_PT, e] + frame[TAU_PT, e] * math.cos(phi)


@njit(cache=True, nogil=True)
def _logarithmic(value, low, high):  # type: ignore[no-untyped-def]
    return math.log(value / low) / math.log(high / low)


@njit(cache=True, nogil=True)
def _signed(eta, low, high):  # type: ignore[no-untyped-def]
    """Map eta in [-high, -low] or [low, high] to [0, 1]."""
    part = min(max((abs(eta) - low) / (high - low), 0.0), 1.0)
    return 0.5 - 0.5 * part if eta < 0.0 else 0.5 + 0.5 * part


@njit(cache=True, nogil=True)
def _unsigned(x, low, high):  # type: ignore[no-untyped-def]
    part = 2.0 * x - 1.0
    size = low + abs(part) * (high - low)
    return -size if part < 0.0 else size


@njit(cache=True, nogil=True)
def _to_unit(step, frame, x):  # type: ignore[no-untyped-def]
    for e in range(len(x)):
        value = frame[step, e]
        if step == TAU_PT:
            u = _logarithmic(value, _TAU_LOW_GEV, _TAU_HIGH_GEV)
        elif step == TAU_ETA:
            low = _lowest_eta(frame[TAU_PT, e], _TAU_ETA)
            u = (value - low) / (_TAU_ETA - low)
        elif step == LEP_PT:
            u = _logarithmic(value, _LEP_LOW_GEV, _LEP_HIGH_GEV)
        elif step == LEP_ETA:
            u = 0.5 + 0.5 * value / _LEP_ETA
        elif step == LEP_PHI:
            u = value / math.pi
        elif step in (MET_ACROSS, MET_ALONG):
            u = 0.5 + 0.5 * squashed(value + _visible(step, frame, e))
        elif step == JET1_PT:
            u = _balance(value, recoil_size(frame, e, 0), _JET_HIGH_GEV)
        elif step == JET1_ETA:
            u = _signed(value, _lowest_eta(frame[JET1_PT, e], _JET_ETA), _JET_ETA)
        elif step == JET2_ETA:
            u = _signed(value, _lowest_eta(frame[JET2_PT, e], _JET_ETA), _JET_ETA)
        elif step in (JET1_TURN, JET2_TURN):
            size = recoil_size(frame, e, 0 if step == JET1_TURN else 1)
            u = 0.5 + 0.5 * turned(value, size)
        elif step == JET2_PT:
            u = _balance(value, recoil_size(frame, e, 1), frame[JET1_PT, e])
        else:
            mean = value / max(frame[FURTHER, e], 1.0)
            u = _logarithmic(
                max(mean, _JET_LOW_GEV), _JET_LOW_GEV, max(frame[JET2_PT, e], _JET_LOW_GEV + 0.01)
            )
        x[e] = min(max(u, _EDGE), 1.0 - _EDGE)


@njit(cache=True, nogil=True)
def _from_unit(step, x, frame):  # type: ignore[no-untyped-def]
    for e in range(len(x)):
        u = x[e]
        if step == TAU_PT:
            value = _TAU_LOW_GEV * math.exp(u * math.log(_TAU_HIGH_GEV / _TAU_LOW_GEV))
        elif step == TAU_ETA:
            low = _lowest_eta(frame[TAU_PT, e], _TAU_ETA)
            value = low + u * (_TAU_ETA - low)
        elif step == LEP_PT:
            value = _LEP_LOW_GEV * math.exp(u * math.log(_LEP_HIGH_GEV / _LEP_LOW_GEV))
        elif step == LEP_ETA:
            value = (2.0 * u - 1.0) * _LEP_ETA
        elif step == LEP_PHI:
            value = u * math.pi
        elif step in (MET_ACROSS, MET_ALONG):
            t = min(max(2.0 * u - 1.0, 2.0 * _EDGE - 1.0), 1.0 - 2.0 * _EDGE)
            value = _unsquashed(t) - _visible(step, frame, e)
        elif step == JET1_PT:
            value = _balanced(u, recoil_size(frame, e, 0), _JET_HIGH_GEV)
        elif step == JET1_ETA:
            value = _unsigned(u, _lowest_eta(frame[JET1_PT, e], _JET_ETA), _JET_ETA)
        elif step == JET2_ETA:
            value = _unsigned(u, _lowest_eta(frame[JET2_PT, e], _JET_ETA), _JET_ETA)
        elif step in (JET1_TURN, JET2_TURN):
            size = recoil_size(frame, e, 0 if step == JET1_TURN else 1)
            value = _unsquashed((2.0 * u - 1.0) * squashed(math.pi * size)) / size
        elif step == JET2_PT:
            value = _balanced(u, recoil_size(frame, e, 1), frame[JET1_PT, e])
        else:
            top = max(frame[JET2_PT, e], _JET_LOW_GEV + 0.01)
            mean = _JET_LOW_GEV * math.exp(u * math.log(top / _JET_LOW_GEV))
            value = frame[FURTHER, e] * mean
        frame[step, e] = value
