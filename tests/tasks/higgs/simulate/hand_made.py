"""Towers and tracks as an event would have left them, put down by hand."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sigma68.tasks.higgs.simulate.calorimeter import Towers, new_towers
from sigma68.tasks.higgs.simulate.geometry import ECAL, HCAL
from sigma68.tasks.higgs.simulate.objects import Objects, new_objects
from sigma68.tasks.higgs.simulate.response import ELECTRON, HADRON, MUON
from sigma68.tasks.higgs.simulate.tracks import Tracks, new_tracks

MASS_GEV = {HADRON: 0.13957, ELECTRON: 0.000511, MUON: 0.105658}


@dataclass
class Event:
    """Towers, tracks and objects, filled by the methods; pt in GeV."""

    ecal: Towers = field(default_factory=lambda: new_towers(ECAL))
    hcal: Towers = field(default_factory=lambda: new_towers(HCAL))
    tracks: Tracks = field(default_factory=new_tracks)
    objects: Objects = field(default_factory=new_objects)
    n_ecal: int = 0
    n_hcal: int = 0
    n_tracks: int = 0

    def tower(
        self,
        pt: float,
        eta: float,
        phi: float,
        *,
        neutral: float = 0.0,
        rescale: float = 1.0,
        electromagnetic: bool = False,
    ) -> int:
        """A measured tower; `neutral` is the pt of its excess over tracks. Returns its slot."""
        towers = self.ecal if electromagnetic else self.hcal
        slot = self.n_ecal if electromagnetic else self.n_hcal
        towers.seen[slot] = pt * math.cosh(eta)
        towers.eta[slot], towers.phi[slot] = eta, phi
        towers.neutral[slot] = neutral * math.cosh(eta)
        towers.rescale[slot] = rescale
        if electromagnetic:
            self.n_ecal += 1
        else:
            self.n_hcal += 1
        return slot

    def track(
        self,
        kind: int,
        pt: float,
        eta: float,
        phi: float,
        *,
        charge: int = 1,
        slot: int = -1,
        draw: float = 0.5,
        true_pt: float | None = None,
    ) -> int:
        """A track that was found; `slot` is its tower's in its own calorimeter."""
        i, tracks = self.n_tracks, self.tracks
        tracks.kind[i], tracks.charge[i], tracks.found[i] = kind, charge, True
        tracks.pt[i] = pt if true_pt is None else true_pt
        tracks.seen_pt[i] = pt
        tracks.eta[i], tracks.phi[i], tracks.exit_eta[i] = eta, phi, abs(eta)
        tracks.mass[i] = MASS_GEV[kind]
        tracks.ecal[i] = slot if kind == ELECTRON else -1
        tracks.hcal[i] = slot if kind == HADRON else -1
        self.objects.draw[i] = draw
        self.n_tracks += 1
        return i

    @property
    def calorimeters(self) -> tuple[Any, ...]:
        """Towers and their numbers, as the kernels take them."""
        return self.ecal, self.n_ecal, self.hcal, self.n_hcal


def wrapped(phi: float) -> float:
    """`phi` in [-pi, pi)."""
    return float(np.mod(phi + math.pi, 2 * math.pi) - math.pi)
