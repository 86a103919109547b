"""Charged particles of one event and the tracks they leave.

Like towers, the particles of the recoil are listed once per hard event; a pass appends those of
its decays and gives every particle a chance to leave a track.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from sigma68.tasks.higgs.simulate.calorimeter import MAX_HITS
from sigma68.tasks.higgs.simulate.response import (
    ELECTRON,
    HADRON,
    log_normal,
    tracking_efficiency,
    tracking_resolution,
)

__all__ = ["Tracks", "add_charged", "new_tracks", "track_all"]


class Tracks(NamedTuple):
    """Charged particles and their tracks, shapes (MAX_HITS,); GeV.

    Attributes
    ----------
    kind, charge
        HADRON, ELECTRON or MUON, and its charge.
    pt, eta, phi, mass
        True momentum at birth.
    exit_eta
        |eta| where the particle leaves the solenoid, which efficiencies depend on.
    ecal, hcal
        Slots of the towers that it points to, -1 for none.
    found
        Whether there is a track.
    seen_pt, resolution
        Measured transverse momentum and its relative width.
    """

    kind: npt.NDArray[np.int64]
    charge: npt.NDArray[np.int64]
    pt: npt.NDArray[np.float64]
    eta: npt.NDArray[np.float64]
    phi: npt.NDArray[np.float64]
    mass: npt.NDArray[np.float64]
    exit_eta: npt.NDArray[np.float64]
    ecal: npt.NDArray[np.int64]
    hcal: npt.NDArray[np.int64]
    found: npt.NDArray[np.bool_]
    seen_pt: npt.NDArray[np.float64]
    resolution: npt.NDArray[np.float64]


def new_tracks() -> Tracks:
    """Room for the charged particles of an event."""
    real, whole = np.zeros((7, MAX_HITS)), np.zeros((4, MAX_HITS), np.int64)
    return Tracks(
        whole[0],
        whole[1],
        real[0],
        real[1],
        real[2],
        real[3],
        real[4],
        whole[2],
        whole[3],
        np.zeros(MAX_HITS, np.bool_),
        real[5],
        real[6],
    )


@njit(cache=True, nogil=True)
def add_charged(
    tracks: Any,
    n: int,
    kind: int,
    charge: int,
    momentum: npt.NDArray[np.float64],
    exit_eta: float,
    ecal: int,
    hcal: int,
) -> int:
    """List a charged particle that could leave a track; returns how many there are."""
    pt = math.hypot(momentum[0], momentum[1])
    if pt <= 0.1 or abs(exit_eta) > 2.5:
        return n
    p2 = pt * pt + momentum[2] * momentum[2]
    tracks.kind[n] = kind
    tracks.charge[n] = charge
    tracks.pt[n] = pt
    tracks.eta[n] = math.asinh(momentum[2] / pt)
    tracks.phi[n] = math.atan2(momentum[1], momentum[0])
    tracks.mass[n] = math.sqrt(max(0.0, momentum[3] * momentum[3] - p2))
    tracks.exit_eta[n] = abs(exit_eta)
    tracks.ecal[n] = ecal
    tracks.hcal[n] = hcal
    return n + 1


@njit(cache=True, nogil=True)
def track_all(
    tracks: Any, n: int, ecal: Any, n_ecal: int, hcal: Any, n_hcal: int, rng: Any
) -> None:
    """Draw which particles leave tracks and measure these; sums them up in their towers.

    Electrons count in electromagnetic towers, hadrons in hadronic ones.
    """
    ecal.track_energy[:n_ecal] = 0.0
    ecal.track_variance[:n_ecal] = 0.0
    hcal.track_energy[:n_hcal] = 0.0
    hcal.track_variance[:n_hcal] = 0.0
    for i in range(n):
        kind, pt, exit_eta = tracks.kind[i], tracks.pt[i], tracks.exit_eta[i]
        found = rng.random() <= tracking_efficiency(kind, pt, exit_eta)
        tracks.found[i] = found
        if not found:
            continue
        resolution = tracking_resolution(kind, pt, exit_eta)
        seen = log_normal(pt, resolution * pt, rng)
        tracks.seen_pt[i] = seen
        tracks.resolution[i] = resolution
        energy = math.hypot(seen * math.cosh(tracks.eta[i]), tracks.mass[i])
        if kind == HADRON and tracks.hcal[i] >= 0:
            hcal.track_energy[tracks.hcal[i]] += energy
            hcal.track_variance[tracks.hcal[i]] += (resolution * energy) ** 2
        elif kind == ELECTRON and tracks.ecal[i] >= 0:
            ecal.track_energy[tracks.ecal[i]] += energy
            ecal.track_variance[tracks.ecal[i]] += (resolution * energy) ** 2
