"""Events as the file has them, and in the canonical frame: there and back.

The frame has one row for each step (see `steps`), float64: GeV, radians, and 0 where the event
has no such thing.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from sigma68.tasks.higgs import schema
from sigma68.tasks.higgs.elementary import round_to_thousandths
from sigma68.tasks.higgs.emulate.steps import (
    A_JET,
    A_SECOND,
    FURTHER,
    FURTHER_PT,
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
    MOST_FURTHER,
    N_STEPS,
    TAU_ETA,
    TAU_PT,
)

__all__ = ["canonical", "primaries"]

_LEP_PT, _LEP_ETA, _LEP_PHI = schema.LEP_PT, schema.LEP_ETA, schema.LEP_PHI
_HAD_PT, _HAD_ETA, _HAD_PHI = schema.HAD_PT, schema.HAD_ETA, schema.HAD_PHI
_JET1_PT, _JET1_ETA, _JET1_PHI = schema.JET1_PT, schema.JET1_ETA, schema.JET1_PHI
_JET2_PT, _JET2_ETA, _JET2_PHI = schema.JET2_PT, schema.JET2_ETA, schema.JET2_PHI
_N_JETS, _JET_ALL_PT = schema.N_JETS, schema.JET_ALL_PT
_MET, _MET_PHI = schema.MET, schema.MET_PHI
_UNDEFINED = schema.UNDEFINED
_TWO_PI = 2.0 * math.pi


def canonical(events: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """The frame, (17, n), of events in columns: `events` (16 or more, n), primaries first."""
    frame = np.zeros((N_STEPS, events.shape[1]))
    _to_frame(events, frame)
    return frame


def primaries(
    frame: npt.NDArray[np.float64],
    angle: npt.NDArray[np.float64],
    mirrored: npt.NDArray[np.bool_],
    backward: npt.NDArray[np.bool_],
) -> npt.NDArray[np.float32]:
    """The primary columns, (16, n), rounded to 3 decimals, of a frame turned by `angle` (n,).

    Where `mirrored`, all azimuths change sign first; where `backward`, all pseudorapidities.
    """
    events = np.empty((len(schema.PRIMARIES), frame.shape[1]), np.float32)
    _from_frame(frame, angle, mirrored, backward, events)
    return events


@njit(cache=True, nogil=True)
def wrapped(angle):  # type: ignore[no-untyped-def]
    """The angle in [-pi, pi)."""
    return angle - _TWO_PI * math.floor((angle + math.pi) / _TWO_PI)


@njit(cache=True, nogil=True)
def recoil(frame, e, jets):  # type: ignore[no-untyped-def]
    """Minus the summed transverse momentum of tau, lepton, MET and the first `jets` jets."""
    c, s = math.cos(frame[LEP_PHI, e]), math.sin(frame[LEP_PHI, e])
    along, across = frame[MET_ALONG, e] + frame[LEP_PT, e], frame[MET_ACROSS, e]
    x = frame[TAU_PT, e] + along * c + across * s
    y = along * s - across * c
    x, y = -x, -y
    phi = 0.0
    if jets >= 1:
        phi = math.atan2(y, x) + frame[JET1_TURN, e]
        x -= frame[JET1_PT, e] * math.cos(phi)
        y -= frame[JET1_PT, e] * math.sin(phi)
    if jets >= 2:
        phi += frame[JET2_TURN, e]
        x -= frame[JET2_PT, e] * math.cos(phi)
        y -= frame[JET2_PT, e] * math.sin(phi)
    return x, y


@njit(cache=True, nogil=True)
def jet_angles(frame, e, jets):  # type: ignore[no-untyped-def]
    """Azimuths of the leading and the subleading jet; 0 where there is none."""
    first = second = 0.0
    if jets >= 1:
        x, y = recoil(frame, e, 0)
        first = math.atan2(y, x) + frame[JET1_TURN, e]
    if jets >= 2:
        second = first + frame[JET2_TURN, e]
    return first, second


@njit(cache=True, nogil=True)
def _to_frame(events, frame):  # type: ignore[no-untyped-def]
    for e in range(events.shape[1]):
        tau_phi = np.float64(events[_HAD_PHI, e])
        lep_phi = wrapped(events[_LEP_PHI, e] - tau_phi)
        mirror = -1.0 if lep_phi < 0.0 else 1.0
        forward = -1.0 if events[_HAD_ETA, e] < 0.0 else 1.0
        frame[TAU_PT, e] = events[_HAD_PT, e]
        frame[TAU_ETA, e] = forward * events[_HAD_ETA, e]
        frame[LEP_PT, e] = events[_LEP_PT, e]
        frame[LEP_ETA, e] = forward * events[_LEP_ETA, e]
        frame[LEP_PHI, e] = mirror * lep_phi
        turn = mirror * (events[_MET_PHI, e] - tau_phi) - frame[LEP_PHI, e]
        frame[MET_ALONG, e] = events[_MET, e] * math.cos(turn)
        frame[MET_ACROSS, e] = -events[_MET, e] * math.sin(turn)
        jets = events[_N_JETS, e]
        if jets >= 1.0:
            frame[A_JET, e] = 1.0
            frame[JET1_PT, e] = events[_JET1_PT, e]
            frame[JET1_ETA, e] = forward * events[_JET1_ETA, e]
            x, y = recoil(frame, e, 0)
            phi = mirror * (events[_JET1_PHI, e] - tau_phi)
            frame[JET1_TURN, e] = wrapped(phi - math.atan2(y, x))
        if jets >= 2.0:
            frame[A_SECOND, e] = 1.0
            frame[JET2_PT, e] = events[_JET2_PT, e]
            frame[JET2_ETA, e] = forward * events[_JET2_ETA, e]
            apart = np.float64(events[_JET2_PHI, e]) - np.float64(events[_JET1_PHI, e])
            frame[JET2_TURN, e] = wrapped(mirror * apart)
        if jets >= 3.0:
            frame[FURTHER, e] = min(jets - 2.0, np.float64(MOST_FURTHER))
            listed = np.float64(events[_JET1_PT, e]) + np.float64(events[_JET2_PT, e])
            frame[FURTHER_PT, e] = events[_JET_ALL_PT, e] - listed


@njit(cache=True, nogil=True)
def _from_frame(frame, angle, mirrored, backward, events):  # type: ignore[no-untyped-def]
    for e in range(frame.shape[1]):
        turn = -1.0 if mirrored[e] else 1.0
        forward = -1.0 if backward[e] else 1.0
        jets = 0
        if frame[A_JET, e] > 0.0:
            jets = 2 if frame[A_SECOND, e] > 0.0 else 1
        c, s = math.cos(frame[LEP_PHI, e]), math.sin(frame[LEP_PHI, e])
        met_x = frame[MET_ALONG, e] * c + frame[MET_ACROSS, e] * s
        met_y = frame[MET_ALONG, e] * s - frame[MET_ACROSS, e] * c
        first, second = jet_angles(frame, e, jets)
        events[_HAD_PT, e] = round_to_thousandths(frame[TAU_PT, e])
        events[_HAD_ETA, e] = round_to_thousandths(forward * frame[TAU_ETA, e])
        events[_HAD_PHI, e] = round_to_thousandths(wrapped(angle[e]))
        events[_LEP_PT, e] = round_to_thousandths(frame[LEP_PT, e])
        events[_LEP_ETA, e] = round_to_thousandths(forward * frame[LEP_ETA, e])
        events[_LEP_PHI, e] = round_to_thousandths(wrapped(turn * frame[LEP_PHI, e] + angle[e]))
        events[_MET, e] = round_to_thousandths(math.sqrt(met_x * met_x + met_y * met_y))
        met_phi = wrapped(turn * math.atan2(met_y, met_x) + angle[e])
        events[_MET_PHI, e] = round_to_thousandths(met_phi)
        for row in range(_JET1_PT, _JET2_PHI + 1):
            events[row, e] = _UNDEFINED
        all_pt = 0.0
        if jets >= 1:
            all_pt = round_to_thousandths(frame[JET1_PT, e])
            events[_JET1_PT, e] = all_pt
            events[_JET1_ETA, e] = round_to_thousandths(forward * frame[JET1_ETA, e])
            events[_JET1_PHI, e] = round_to_thousandths(wrapped(turn * first + angle[e]))
        if jets >= 2:
            events[_JET2_PT, e] = round_to_thousandths(frame[JET2_PT, e])
            events[_JET2_ETA, e] = round_to_thousandths(forward * frame[JET2_ETA, e])
            events[_JET2_PHI, e] = round_to_thousandths(wrapped(turn * second + angle[e]))
            all_pt += round_to_thousandths(frame[JET2_PT, e]) + frame[FURTHER_PT, e]
            jets += int(frame[FURTHER, e])
        events[_N_JETS, e] = jets
        events[_JET_ALL_PT, e] = round_to_thousandths(all_pt)
