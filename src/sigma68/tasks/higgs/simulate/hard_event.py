"""One hard event as a generator left it: the recoil in the detector, and its taus ready to decay.

The event record is read as flat columns (Pythia's own order: mothers stand before daughters).
Everything visible that does not change from decay to decay is put into towers and tracks once.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from sigma68.tasks.higgs.simulate.calorimeter import MAX_HITS, Towers, deposit, new_towers
from sigma68.tasks.higgs.simulate.decays import (
    FROM_HIGGS,
    FROM_OTHER,
    FROM_W,
    FROM_Z,
    MAX_RADIATED,
    MAX_TAUS,
    Decays,
    new_decays,
)
from sigma68.tasks.higgs.simulate.geometry import ECAL, HCAL, Rings, arrival
from sigma68.tasks.higgs.simulate.response import ELECTRON, HADRON, MUON
from sigma68.tasks.higgs.simulate.tracks import Tracks, add_charged, new_tracks

__all__ = [
    "BAD_PARTICLE",
    "NO_QUARK",
    "TOO_FAST",
    "TOO_MANY",
    "TOO_MANY_JETS",
    "Detector",
    "Record",
    "add_particle",
    "new_detector",
    "read_event",
]

TOO_MANY: Final = -1
BAD_PARTICLE: Final = -2
TOO_FAST: Final = -3
NO_QUARK: Final = -4
TOO_MANY_JETS: Final = -5
"""What goes wrong with an event; BAD_PARTICLE comes with ten times the PDG code taken off."""
_METRES: Final = 1e-3  # Pythia's vertices are in mm


class Record(NamedTuple):
    """Event records one after another, as columns.

    Attributes
    ----------
    first
        Number of each event's first entry, int64, shape (n_events + 1,).
    pdg, status, mother
        PDG code, status (positive: final) and first mother of each entry, int32.
    px, py, pz, e
        Momentum and energy, GeV, float64.
    vertex
        Row of `x`, `y`, `z` that holds the entry's vertex, -1 for the origin, int64.
    x, y, z
        Vertices, mm, float64.
    """

    first: npt.NDArray[np.int64]
    pdg: npt.NDArray[np.int32]
    status: npt.NDArray[np.int32]
    mother: npt.NDArray[np.int32]
    px: npt.NDArray[np.float64]
    py: npt.NDArray[np.float64]
    pz: npt.NDArray[np.float64]
    e: npt.NDArray[np.float64]
    vertex: npt.NDArray[np.int64]
    x: npt.NDArray[np.float64]
    y: npt.NDArray[np.float64]
    z: npt.NDArray[np.float64]


class Detector(NamedTuple):
    """What one event fills: towers, tracks, taus, and counts of each.

    `counts` holds the numbers of electromagnetic slots, hadronic slots, charged particles, taus
    and particles radiated by those, int64, shape (5,).
    """

    ecal_rings: Rings
    hcal_rings: Rings
    ecal: Towers
    hcal: Towers
    tracks: Tracks
    taus: Decays
    counts: npt.NDArray[np.int64]
    from_boson: npt.NDArray[np.bool_]
    momentum: npt.NDArray[np.float64]


def new_detector() -> Detector:
    """An empty detector."""
    return Detector(
        ECAL,
        HCAL,
        new_towers(ECAL),
        new_towers(HCAL),
        new_tracks(),
        new_decays(),
        np.zeros(5, np.int64),
        np.zeros(MAX_HITS * 8, np.bool_),
        np.zeros(4),
    )


@njit(cache=True, nogil=True)
def add_particle(
    detector: Any,
    pdg: int,
    momentum: npt.NDArray[np.float64],
    x: float,
    y: float,
    z: float,
    n_ecal: int,
    n_hcal: int,
    n_tracks: int,
    into_ecal: npt.NDArray[np.float64],
    into_hcal: npt.NDArray[np.float64],
) -> tuple[int, int, int]:
    """Send a visible particle (vertex in metres) through the detector; the new counts.

    Counts of -1 say that the particle is none that a detector knows.
    """
    code = abs(pdg)
    kind, charge = HADRON, 0
    if code == 11 or code == 13:
        kind = ELECTRON if code == 11 else MUON
        charge = -1 if pdg > 0 else 1
    elif code == 211 or code == 321 or code == 2212:
        charge = 1 if pdg > 0 else -1
    elif code != 22 and code != 130 and code != 310 and code != 2112 and code != 3122:
        return -1, -1, -1
    arrives, eta, phi = arrival(momentum[0], momentum[1], momentum[2], charge, x, y, z)
    if not arrives:
        return n_ecal, n_hcal, n_tracks
    energy, share = momentum[3], 0.0
    if code == 11 or code == 22:
        share = 1.0
    elif code == 310 or code == 3122:
        share = 0.3
    ecal_slot = hcal_slot = -1
    if share > 0.0:
        n_ecal, ecal_slot = deposit(
            detector.ecal, detector.ecal_rings, n_ecal, eta, phi, share * energy, into_ecal
        )
    if share < 1.0 and code != 13:
        n_hcal, hcal_slot = deposit(
            detector.hcal, detector.hcal_rings, n_hcal, eta, phi, (1.0 - share) * energy, into_hcal
        )
    if charge != 0:
        n_tracks = add_charged(
            detector.tracks, n_tracks, kind, charge, momentum, eta, ecal_slot, hcal_slot
        )
    return n_ecal, n_hcal, n_tracks


@njit(cache=True, nogil=True)
def read_event(record: Any, event: int, detector: Any, redecay: int) -> int:
    """Fill the detector with the recoil of an event and list its taus.

    `redecay` is the PDG code of the boson that is decayed anew, 0 for none. Returns 0, TOO_MANY,
    or BAD_PARTICLE less ten times the absolute PDG code of what the detector does not know.
    """
    first, last = record.first[event], record.first[event + 1]
    if last - first > len(detector.from_boson):
        return TOO_MANY
    _mark_boson(record, first, last, detector.from_boson, redecay)
    n_ecal = n_hcal = n_tracks = n_taus = n_radiated = visible = 0
    for i in range(first, last):
        if record.status[i] <= 0:
            continue
        pdg = record.pdg[i]
        code = abs(pdg)
        if code == 15:
            if n_taus == MAX_TAUS:
                return TOO_MANY
            _list_tau(record, first, i, detector, n_taus)
            n_taus += 1
        elif detector.from_boson[i - first]:
            if code == 12 or code == 14 or code == 16:
                continue
            if n_radiated == MAX_RADIATED:
                return TOO_MANY
            boson = _boson_of(record, first, i, redecay)
            _to_rest(record, i, boson, detector.taus.radiated[n_radiated])
            detector.taus.radiated_pdg[n_radiated] = pdg
            n_radiated += 1
        elif code != 12 and code != 14 and code != 16:
            visible += 1
            if visible > MAX_HITS // 2:
                return TOO_MANY
            p = detector.momentum
            p[0], p[1], p[2], p[3] = record.px[i], record.py[i], record.pz[i], record.e[i]
            x = y = z = 0.0
            v = record.vertex[i]
            if v >= 0:
                x, y, z = record.x[v] * _METRES, record.y[v] * _METRES, record.z[v] * _METRES
            n_ecal, n_hcal, n_tracks = add_particle(
                detector,
                pdg,
                p,
                x,
                y,
                z,
                n_ecal,
                n_hcal,
                n_tracks,
                detector.ecal.recoil,
                detector.hcal.recoil,
            )
            if n_ecal < 0:
                return BAD_PARTICLE - 10 * int(code)
    counts = detector.counts
    counts[0], counts[1], counts[2], counts[3], counts[4] = (
        n_ecal,
        n_hcal,
        n_tracks,
        n_taus,
        n_radiated,
    )
    return 0


@njit(cache=True, nogil=True)
def _mark_boson(
    record: Any, first: int, last: int, marks: npt.NDArray[np.bool_], redecay: int
) -> None:
    """Mark what comes from the decay of the boson that is decayed anew."""
    for i in range(first, last):
        mother = record.mother[i] + first
        mine = record.pdg[i]
        inherited = mother > first and mother < i and marks[mother - first]
        born = False
        if redecay != 0 and abs(mine) == 15 and mother > first and mother < i:
            born = record.pdg[mother] == redecay
        marks[i - first] = inherited or born


@njit(cache=True, nogil=True)
def _boson_of(record: Any, first: int, i: int, redecay: int) -> int:
    """The entry of the boson that entry `i` comes from."""
    while record.pdg[i] != redecay:
        i = first + record.mother[i]
    return int(i)


@njit(cache=True, nogil=True)
def _list_tau(record: Any, first: int, i: int, detector: Any, t: int) -> None:
    """List a tau with the frame of its parent."""
    taus = detector.taus
    parent = first + record.mother[i]
    while record.pdg[parent] == record.pdg[i]:
        parent = first + record.mother[parent]
    code = abs(record.pdg[parent])
    taus.sign[t] = 1 if record.pdg[i] > 0 else -1
    if code == 24:
        taus.origin[t] = FROM_W
    elif code == 23:
        taus.origin[t] = FROM_Z
    elif code == 25:
        taus.origin[t] = FROM_HIGGS
    else:
        taus.origin[t] = FROM_OTHER
    # A pair from a photon that the boson's taus radiated is not the boson's.
    taus.again[t] = detector.from_boson[i - first] and taus.origin[t] != FROM_OTHER
    frame = taus.parent[t]
    if taus.origin[t] == FROM_OTHER:
        # A hadron or a photon: what has no helicity to hand on needs no frame of its own, and
        # a photon of the shower has none.
        frame[0] = frame[1] = frame[2] = 0.0
        frame[3] = 1.0
        rest = taus.rest[t]
        rest[0], rest[1], rest[2] = record.px[i], record.py[i], record.pz[i]
        rest[3] = record.e[i]
    else:
        frame[0], frame[1] = record.px[parent], record.py[parent]
        frame[2], frame[3] = record.pz[parent], record.e[parent]
        _to_rest(record, i, parent, taus.rest[t])


@njit(cache=True, nogil=True)
def _to_rest(record: Any, i: int, frame: int, out: npt.NDArray[np.float64]) -> None:
    """Momentum of entry `i` in the rest frame of entry `frame`."""
    px, py, pz, energy = record.px[frame], record.py[frame], record.pz[frame], record.e[frame]
    mass = math.sqrt(max(energy * energy - px * px - py * py - pz * pz, 1e-12))
    dot = px * record.px[i] + py * record.py[i] + pz * record.pz[i]
    e = (energy * record.e[i] - dot) / mass
    factor = (record.e[i] + e) / (energy + mass)
    out[0] = record.px[i] - px * factor
    out[1] = record.py[i] - py * factor
    out[2] = record.pz[i] - pz * factor
    out[3] = e
