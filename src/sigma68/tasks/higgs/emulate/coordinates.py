"""Each step's quantity as a number in [0, 1], and back: fixed maps, the same for all processes.

Momenta enter as logarithms above the low threshold, directions linearly over what is possible.
MET enters by way of the momentum of tau, lepton and MET together, which is small unless jets stand
against it, and so has a sharper density than MET itself.
Jets enter by how their momentum differs from the recoil that they balance, and by their angle to
it, from which directions are left out where there is no jet: beside tau, lepton and leading jet. The
lepton begins where it is apart from the tau.
A jet of the simulation has pt > 20 GeV before a scale that depends on eta, so that just above the
threshold only forward jets exist: the pseudorapidity of a soft leading jet begins where it can; that
of the subleading one is described by its distance from the leading one, on which masses depend. The
subleading jet is softer than the leading one, further jets are softer than the subleading one.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from sigma68.tasks.higgs.emulate.frame import jet_angles, recoil, wrapped
from sigma68.tasks.higgs.emulate.gaps import MOST_GAPS, add_gap, half_width, joined, opened
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

__all__ = [
    "from_recoil",
    "from_unit",
    "leading_gaps",
    "recoil_size",
    "squashed",
    "subleading_gaps",
    "to_unit",
    "turned",
    "unit_of_pt",
]

_TAU_LOW_GEV, _TAU_HIGH_GEV = 22.8, 1500.0
_LEP_LOW_GEV, _LEP_HIGH_GEV = 19.9995, 1500.0
_JET_LOW_GEV, _JET_HIGH_GEV = 21.9, 3000.0
_TAU_ETA, _LEP_ETA, _JET_ETA = 2.75, 2.5005, 5.0
_APART = 1.5
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
def _add_arc(gaps, n, middle, half, size):  # type: ignore[no-untyped-def]
    """Leave out what is within `half` of an angle to the recoil; how many gaps there are then."""
    low, high = middle - half, middle + half
    if low < -math.pi:
        n = add_gap(gaps, n, turned(low + 2.0 * math.pi, size), 1.0)
        low = -math.pi
    if high > math.pi:
        n = add_gap(gaps, n, -1.0, turned(high - 2.0 * math.pi, size))
        high = math.pi
    return add_gap(gaps, n, turned(low, size), turned(high, size))


@njit(cache=True, nogil=True)
def leading_gaps(frame, e, size, gaps):  # type: ignore[no-untyped-def]
    """Fill `gaps` with what the angle of the leading jet to the recoil can't be; how many.

    Positions are those of `turned`, with this `size`.
    """
    return _near_leptons(frame, e, 0, frame[JET1_ETA, e], size, gaps)


@njit(cache=True, nogil=True)
def _near_leptons(frame, e, jets, eta, size, gaps):  # type: ignore[no-untyped-def]
    """The gaps of tau and lepton for a jet at `eta`; how many."""
    x, y = recoil(frame, e, jets)
    back = math.atan2(y, x)
    n = _add_arc(gaps, 0, wrapped(-back), half_width(eta - frame[TAU_ETA, e]), size)
    half = half_width(eta - frame[LEP_ETA, e])
    return _add_arc(gaps, n, wrapped(frame[LEP_PHI, e] - back), half, size)


@njit(cache=True, nogil=True)
def from_recoil(frame, e):  # type: ignore[no-untyped-def]
    """The angle of the leading jet to the recoil that the subleading one stands against."""
    x, y = recoil(frame, e, 1)
    first, _ = jet_angles(frame, e, 1)
    return wrapped(first - math.atan2(y, x))


@njit(cache=True, nogil=True)
def subleading_gaps(frame, e, size, gaps):  # type: ignore[no-untyped-def]
    """The same for the subleading jet, which is apart from the leading one too."""
    n = _near_leptons(frame, e, 1, frame[JET2_ETA, e], size, gaps)
    half = half_width(frame[JET2_ETA, e] - frame[JET1_ETA, e])
    return _add_arc(gaps, n, from_recoil(frame, e), half, size)


@njit(cache=True, nogil=True)
def _near(apart):  # type: ignore[no-untyped-def]
    """A difference in pseudorapidity to (-1, 1)."""
    t = apart / _APART
    return t / math.sqrt(1.0 + t * t)


@njit(cache=True, nogil=True)
def _beside(eta, other):  # type: ignore[no-untyped-def]
    """A pseudorapidity by its distance from another, which is at 1/2."""
    span = _JET_ETA + other if eta < other else _JET_ETA - other
    return 0.5 + 0.5 * _near(eta - other) / _near(max(span, _EDGE))


@njit(cache=True, nogil=True)
def _from_beside(u, other):  # type: ignore[no-untyped-def]
    part = 2.0 * u - 1.0
    span = _JET_ETA + other if part < 0.0 else _JET_ETA - other
    t = part * _near(max(span, _EDGE))
    return other + _APART * t / math.sqrt(1.0 - t * t)


@njit(cache=True, nogil=True)
def _to_unit(step, frame, x):  # type: ignore[no-untyped-def]
    gaps = np.empty((MOST_GAPS, 2))
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
            low = half_width(frame[LEP_ETA, e] - frame[TAU_ETA, e])
            u = (value - low) / (math.pi - low)
        elif step in (MET_ACROSS, MET_ALONG):
            u = 0.5 + 0.5 * squashed(value + _visible(step, frame, e))
        elif step == JET1_PT:
            u = _balance(value, recoil_size(frame, e, 0), _JET_HIGH_GEV)
        elif step == JET1_ETA:
            u = _signed(value, _lowest_eta(frame[JET1_PT, e], _JET_ETA), _JET_ETA)
        elif step == JET2_ETA:
            u = _beside(value, frame[JET1_ETA, e])
        elif step == JET1_TURN:
            size = recoil_size(frame, e, 0)
            n = leading_gaps(frame, e, size, gaps)
            u = joined(gaps, n, turned(value, size))
        elif step == JET2_TURN:
            size = recoil_size(frame, e, 1)
            n = subleading_gaps(frame, e, size, gaps)
            u = joined(gaps, n, turned(wrapped(value + from_recoil(frame, e)), size))
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
    gaps = np.empty((MOST_GAPS, 2))
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
            low = half_width(frame[LEP_ETA, e] - frame[TAU_ETA, e])
            value = low + u * (math.pi - low)
        elif step in (MET_ACROSS, MET_ALONG):
            t = min(max(2.0 * u - 1.0, 2.0 * _EDGE - 1.0), 1.0 - 2.0 * _EDGE)
            value = _unsquashed(t) - _visible(step, frame, e)
        elif step == JET1_PT:
            value = _balanced(u, recoil_size(frame, e, 0), _JET_HIGH_GEV)
        elif step == JET1_ETA:
            value = _unsigned(u, _lowest_eta(frame[JET1_PT, e], _JET_ETA), _JET_ETA)
        elif step == JET2_ETA:
            value = _from_beside(u, frame[JET1_ETA, e])
        elif step == JET1_TURN:
            size = recoil_size(frame, e, 0)
            t = opened(gaps, leading_gaps(frame, e, size, gaps), u)
            value = _unsquashed(t * squashed(math.pi * size)) / size
        elif step == JET2_TURN:
            size = recoil_size(frame, e, 1)
            t = opened(gaps, subleading_gaps(frame, e, size, gaps), u)
            angle = _unsquashed(t * squashed(math.pi * size)) / size
            value = wrapped(angle - from_recoil(frame, e))
        elif step == JET2_PT:
            value = _balanced(u, recoil_size(frame, e, 1), frame[JET1_PT, e])
        else:
            top = max(frame[JET2_PT, e], _JET_LOW_GEV + 0.01)
            mean = _JET_LOW_GEV * math.exp(u * math.log(top / _JET_LOW_GEV))
            value = frame[FURTHER, e] * mean
        frame[step, e] = value
