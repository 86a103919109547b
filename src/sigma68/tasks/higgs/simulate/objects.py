"""Photons, electrons and muons: identified, isolated, and unique.

An object is isolated if the energy-flow objects above 0.5 GeV within 0.5 of it (itself and
leptons left out) carry less than a given share of its pt. Of two objects that share a
constituent the earlier in the order photons, electrons, muons, jets stays.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from sigma68.tasks.higgs.simulate.calorimeter import MAX_HITS
from sigma68.tasks.higgs.simulate.response import (
    ELECTRON,
    HADRON,
    identification_efficiency,
)

__all__ = [
    "LEPTON_GEV",
    "Objects",
    "find_leptons",
    "find_photons",
    "lepton_possible",
    "new_objects",
]

LEPTON_VETO_GEV: Final = 15.0
LEPTON_GEV: Final = 20.0
_CONE: Final = 0.5
_FLOW_GEV: Final = 0.5
_SHARE: Final = 0.12
_MUON_SHARE: Final = 0.25


class Objects(NamedTuple):
    """What was identified in this pass.

    Attributes
    ----------
    photon
        Whether the electromagnetic tower in a slot is an isolated photon, bool, (MAX_HITS,).
    lepton
        Whether a track is an isolated electron or muon that no photon claims, bool, (MAX_HITS,).
    draw
        The random number that decides on a track's identification, float64, (MAX_HITS,).
    """

    photon: npt.NDArray[np.bool_]
    lepton: npt.NDArray[np.bool_]
    draw: npt.NDArray[np.float64]


def new_objects() -> Objects:
    """Room for the objects of an event."""
    return Objects(np.zeros(MAX_HITS, np.bool_), np.zeros(MAX_HITS, np.bool_), np.zeros(MAX_HITS))


@njit(cache=True, nogil=True)
def lepton_possible(tracks: Any, n: int, objects: Any, rng: Any) -> bool:
    """Draw identifications; whether any lepton could still be selected.

    The calorimeter may change the momentum of an electron, but not by a factor of two.
    """
    possible = False
    for i in range(n):
        if tracks.kind[i] == HADRON or not tracks.found[i]:
            continue
        objects.draw[i] = rng.random()
        seen = tracks.seen_pt[i]
        enough = 0.5 * LEPTON_GEV if tracks.kind[i] == ELECTRON else LEPTON_GEV
        most = max(seen, tracks.pt[i]) if tracks.kind[i] == ELECTRON else seen
        if most >= enough and objects.draw[i] <= identification_efficiency(
            tracks.kind[i], 99.0, tracks.exit_eta[i]
        ):
            possible = True
    return possible


@njit(cache=True, nogil=True)
def find_photons(
    ecal: Any, n_ecal: int, hcal: Any, n_hcal: int, tracks: Any, n: int, objects: Any, rng: Any
) -> None:
    """Mark the isolated photons among the electromagnetic towers."""
    for i in range(n_ecal):
        objects.photon[i] = False
        if ecal.neutral[i] <= 10.0:
            continue
        eta, phi = ecal.eta[i], ecal.phi[i]
        pt = ecal.neutral[i] / math.cosh(eta)
        if rng.random() <= identification_efficiency(ELECTRON, pt, abs(eta)):
            around = _energy_around(eta, phi, i, ecal, n_ecal, hcal, n_hcal, tracks, n)
            objects.photon[i] = around <= _SHARE * pt


@njit(cache=True, nogil=True)
def find_leptons(
    ecal: Any, n_ecal: int, hcal: Any, n_hcal: int, tracks: Any, n: int, objects: Any
) -> tuple[int, int, float]:
    """Mark the leptons; (how many above 15 GeV, the last of them or -1, its pt)."""
    count, selected, selected_pt = 0, -1, 0.0
    for i in range(n):
        objects.lepton[i] = False
        kind = tracks.kind[i]
        if kind == HADRON or not tracks.found[i]:
            continue
        pt, share = tracks.seen_pt[i], _MUON_SHARE
        if kind == ELECTRON:
            share = _SHARE
            slot = tracks.ecal[i]
            if slot >= 0:
                if objects.photon[slot]:
                    continue
                pt *= ecal.rescale[slot]
        if objects.draw[i] > identification_efficiency(kind, pt, tracks.exit_eta[i]):
            continue
        around = _energy_around(
            tracks.eta[i], tracks.phi[i], -1, ecal, n_ecal, hcal, n_hcal, tracks, n
        )
        if around > share * pt:
            continue
        objects.lepton[i] = True
        if pt > LEPTON_VETO_GEV:
            count += 1
            selected, selected_pt = i, pt
    return count, selected, selected_pt


@njit(cache=True, nogil=True)
def _energy_around(
    eta: float,
    phi: float,
    itself: int,
    ecal: Any,
    n_ecal: int,
    hcal: Any,
    n_hcal: int,
    tracks: Any,
    n: int,
) -> float:
    """Scalar sum of the pt of energy-flow objects in the cone, GeV."""
    total = 0.0
    for i in range(n):
        if tracks.kind[i] == HADRON and tracks.found[i] and _near(eta, phi, tracks, i):
            slot = tracks.hcal[i]
            pt = tracks.seen_pt[i] * (hcal.rescale[slot] if slot >= 0 else 0.0)
            if pt >= _FLOW_GEV:
                total += pt
    for i in range(n_ecal):
        if ecal.neutral[i] > 0.0 and i != itself and _near(eta, phi, ecal, i):
            pt = ecal.neutral[i] / math.cosh(ecal.eta[i])
            if pt >= _FLOW_GEV:
                total += pt
    for i in range(n_hcal):
        if hcal.neutral[i] > 0.0 and _near(eta, phi, hcal, i):
            pt = hcal.neutral[i] / math.cosh(hcal.eta[i])
            if pt >= _FLOW_GEV:
                total += pt
    return total


@njit(cache=True, nogil=True, inline="always")
def _near(eta: float, phi: float, things: Any, i: int) -> bool:
    delta_eta = things.eta[i] - eta
    if abs(delta_eta) > _CONE:
        return False
    delta_phi = abs(things.phi[i] - phi)
    if delta_phi > math.pi:
        delta_phi = 2.0 * math.pi - delta_phi
    inside: bool = delta_eta * delta_eta + delta_phi * delta_phi <= _CONE * _CONE
    return inside
