"""From towers and leptons to a row of the data set: jets, tau tag, missing energy, selection.

The tag is not drawn but weighted: of all ways in which exactly one jet is tagged, one is chosen
in proportion to its probability, and the row carries the sum of the probabilities. A jet that
fakes a tau one time in fifty so costs no forty-nine passes.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from sigma68.tasks.higgs.schema import (
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
    LEP_PHI,
    LEP_PT,
    MET,
    MET_PHI,
    N_JETS,
    UNDEFINED,
)
from sigma68.tasks.higgs.simulate.calorimeter import MAX_HITS
from sigma68.tasks.higgs.simulate.jets import cluster, workspace
from sigma68.tasks.higgs.simulate.response import ELECTRON, MUON, tag_probability

__all__ = ["Jets", "find_jets", "new_jets", "select"]

MAX_JETS: Final = 64
"""Most jets of an event; more are an error."""
JET_GEV: Final = 20.0
_RADIUS: Final = 0.6
_TAG_CONE: Final = 0.2
_TRACK_GEV: Final = 1.0
# The detector looks the same after this rotation, and in the mirror.
_SYMMETRY: Final = math.pi / 9.0


class Jets(NamedTuple):
    """Jets of one pass and room to find them.

    Attributes
    ----------
    momentum
        Momentum and energy of what goes into jets, GeV, float64, (4, 3 MAX_HITS).
    raw
        Jets before the energy scale, (3 MAX_HITS, 4), GeV.
    jet_of
        Jet that each input belongs to, -1 for none, int64, (3 MAX_HITS,).
    ecal_input
        Which input the electromagnetic tower in a slot is, -1 if it is none, int64, (MAX_HITS,).
    pt, eta, phi
        Jets after the energy scale, (MAX_JETS,).
    tag
        Probability of a tau tag, (MAX_JETS,).
    charge
        Sum of the charges of its tracks, int64, (MAX_JETS,).
    kept
        Whether no other object claims the jet, bool, (MAX_JETS,).
    space
        Workspace of the clustering.
    """

    momentum: npt.NDArray[np.float64]
    raw: npt.NDArray[np.float64]
    jet_of: npt.NDArray[np.int64]
    ecal_input: npt.NDArray[np.int64]
    pt: npt.NDArray[np.float64]
    eta: npt.NDArray[np.float64]
    phi: npt.NDArray[np.float64]
    tag: npt.NDArray[np.float64]
    charge: npt.NDArray[np.int64]
    kept: npt.NDArray[np.bool_]
    space: Any


def new_jets() -> Jets:
    """Room for the jets of an event."""
    room, real = 3 * MAX_HITS, np.zeros((4, MAX_JETS))
    return Jets(
        np.zeros((4, room)),
        np.zeros((room, 4)),
        np.zeros(room, np.int64),
        np.zeros(MAX_HITS, np.int64),
        real[0],
        real[1],
        real[2],
        real[3],
        np.zeros(MAX_JETS, np.int64),
        np.zeros(MAX_JETS, np.bool_),
        workspace(room),
    )


@njit(cache=True, nogil=True)
def find_jets(
    jets: Any,
    ecal: Any,
    n_ecal: int,
    hcal: Any,
    n_hcal: int,
    tracks: Any,
    n_tracks: int,
    objects: Any,
) -> tuple[int, float, float]:
    """Cluster towers and muons; (number of jets, missing px, missing py), GeV.

    Jets that share a constituent with a photon or a lepton are marked as not kept. The number
    of jets is -1 where there are more than MAX_JETS.
    """
    n = _add_towers(jets, ecal, n_ecal, 0, jets.ecal_input)
    n = _add_towers(jets, hcal, n_hcal, n, jets.jet_of)
    first_muon = n
    for i in range(n_tracks):
        if tracks.kind[i] == MUON and tracks.found[i]:
            pt, eta = tracks.seen_pt[i], tracks.eta[i]
            pz = pt * math.sinh(eta)
            jets.momentum[0, n] = pt * math.cos(tracks.phi[i])
            jets.momentum[1, n] = pt * math.sin(tracks.phi[i])
            jets.momentum[2, n] = pz
            jets.momentum[3, n] = math.sqrt(pt * pt + pz * pz + tracks.mass[i] ** 2)
            n += 1
    missing_x = missing_y = 0.0
    for i in range(n):
        missing_x -= jets.momentum[0, i]
        missing_y -= jets.momentum[1, i]
    p = jets.momentum
    found = cluster(p[0], p[1], p[2], p[3], n, jets.space, jets.raw, jets.jet_of, _RADIUS, JET_GEV)
    if found > MAX_JETS:
        return -1, missing_x, missing_y
    for j in range(found):
        px, py, pz = jets.raw[j, 0], jets.raw[j, 1], jets.raw[j, 2]
        pt = math.hypot(px, py)
        eta = math.asinh(pz / pt)
        jets.pt[j] = pt * math.sqrt((3.0 - 0.2 * abs(eta)) ** 2 / pt + 1.0)
        jets.eta[j] = eta
        jets.phi[j] = math.atan2(py, px)
        jets.kept[j] = True
    _give_up_shared(jets, found, ecal, n_ecal, tracks, n_tracks, objects, first_muon)
    return found, missing_x, missing_y


@njit(cache=True, nogil=True, inline="always")
def _add_towers(jets: Any, towers: Any, n_towers: int, n: int, place: Any) -> int:
    for i in range(n_towers):
        energy = towers.seen[i]
        place[i] = -1
        if energy > 0.0:
            eta, phi = towers.eta[i], towers.phi[i]
            pt = energy / math.cosh(eta)
            jets.momentum[0, n] = pt * math.cos(phi)
            jets.momentum[1, n] = pt * math.sin(phi)
            jets.momentum[2, n] = pt * math.sinh(eta)
            jets.momentum[3, n] = energy
            place[i] = n
            n += 1
    return n


@njit(cache=True, nogil=True)
def _give_up_shared(
    jets: Any,
    n_jets: int,
    ecal: Any,
    n_ecal: int,
    tracks: Any,
    n_tracks: int,
    objects: Any,
    first_muon: int,
) -> None:
    """Drop the jets that hold a photon's or an electron's tower, or an isolated muon."""
    for i in range(n_ecal):
        if objects.photon[i]:
            _give_up(jets, n_jets, jets.ecal_input[i])
    muon = first_muon
    for i in range(n_tracks):
        if tracks.kind[i] == MUON and tracks.found[i]:
            if objects.lepton[i]:
                _give_up(jets, n_jets, muon)
            muon += 1
        elif tracks.kind[i] == ELECTRON and objects.lepton[i] and tracks.ecal[i] >= 0:
            _give_up(jets, n_jets, jets.ecal_input[tracks.ecal[i]])


@njit(cache=True, nogil=True, inline="always")
def _give_up(jets: Any, n_jets: int, constituent: int) -> None:
    if constituent >= 0 and 0 <= jets.jet_of[constituent] < n_jets:
        jets.kept[jets.jet_of[constituent]] = False


@njit(cache=True, nogil=True)
def _tag(
    jets: Any,
    n_jets: int,
    tracks: Any,
    n_tracks: int,
    taus: npt.NDArray[np.float64],
    n_taus: int,
) -> None:
    """Tag probability and charge of each jet; `taus` holds (eta, phi) of the hadronic ones."""
    for j in range(n_jets):
        eta, phi = jets.eta[j], jets.phi[j]
        count = charge = 0
        for i in range(n_tracks):
            if (
                tracks.found[i]
                and tracks.seen_pt[i] >= _TRACK_GEV
                and _within(eta, phi, tracks.eta[i], tracks.phi[i])
            ):
                count += 1
                charge += tracks.charge[i]
        from_tau = False
        for t in range(n_taus):
            from_tau = from_tau or _within(eta, phi, taus[t, 0], taus[t, 1])
        jets.tag[j] = tag_probability(from_tau, count)
        jets.charge[j] = charge


@njit(cache=True, nogil=True, inline="always")
def _within(eta: float, phi: float, other_eta: float, other_phi: float) -> bool:
    delta_eta = eta - other_eta
    if abs(delta_eta) > _TAG_CONE:
        return False
    delta_phi = abs(phi - other_phi)
    if delta_phi > math.pi:
        delta_phi = 2.0 * math.pi - delta_phi
    return delta_eta * delta_eta + delta_phi * delta_phi <= _TAG_CONE * _TAG_CONE


@njit(cache=True, nogil=True)
def select(
    jets: Any,
    n_jets: int,
    tracks: Any,
    n_tracks: int,
    taus: npt.NDArray[np.float64],
    n_taus: int,
    lepton: int,
    lepton_pt: float,
    missing_x: float,
    missing_y: float,
    rng: Any,
    row: npt.NDArray[np.float32],
) -> float:
    """Fill the 16 primaries of the event into `row`; its weight, 0 if it is not selected."""
    _tag(jets, n_jets, tracks, n_tracks, taus, n_taus)
    none_tagged = 1.0
    for j in range(n_jets):
        if jets.kept[j]:
            none_tagged *= 1.0 - jets.tag[j]
    total = 0.0
    for j in range(n_jets):
        if jets.kept[j] and jets.charge[j] == -tracks.charge[lepton]:
            total += none_tagged * jets.tag[j] / (1.0 - jets.tag[j])
    if total <= 0.0:
        return 0.0
    left, tau = rng.random() * total, -1
    for j in range(n_jets):
        if jets.kept[j] and jets.charge[j] == -tracks.charge[lepton] and jets.tag[j] > 0.0:
            tau = j
            left -= none_tagged * jets.tag[j] / (1.0 - jets.tag[j])
            if left < 0.0:
                break
    turn = _SYMMETRY * int(18.0 * rng.random())
    mirror = 1.0 if rng.random() < 0.5 else -1.0
    row[LEP_PT] = _rounded(lepton_pt)
    row[LEP_ETA] = _rounded(mirror * tracks.eta[lepton])
    row[LEP_PHI] = _angle(tracks.phi[lepton] + turn)
    row[HAD_PT] = _rounded(jets.pt[tau])
    row[HAD_ETA] = _rounded(mirror * jets.eta[tau])
    row[HAD_PHI] = _angle(jets.phi[tau] + turn)
    row[MET] = _rounded(math.hypot(missing_x, missing_y))
    row[MET_PHI] = _angle(math.atan2(missing_y, missing_x) + turn)
    _fill_jets(jets, n_jets, tau, mirror, turn, row)
    return total


@njit(cache=True, nogil=True)
def _fill_jets(
    jets: Any, n_jets: int, tau: int, mirror: float, turn: float, row: npt.NDArray[np.float32]
) -> None:
    """The jets other than the tau: the two hardest, their number and sum of pt."""
    first = second = -1
    count, scalar_sum = 0, 0.0
    for j in range(n_jets):
        if j == tau or not jets.kept[j]:
            continue
        count += 1
        scalar_sum += jets.pt[j]
        if first < 0 or jets.pt[j] > jets.pt[first]:
            first, second = j, first
        elif second < 0 or jets.pt[j] > jets.pt[second]:
            second = j
    row[N_JETS] = count
    row[JET_ALL_PT] = _rounded(scalar_sum)
    _fill_jet(jets, first, mirror, turn, row, JET1_PT, JET1_ETA, JET1_PHI)
    _fill_jet(jets, second, mirror, turn, row, JET2_PT, JET2_ETA, JET2_PHI)


@njit(cache=True, nogil=True, inline="always")
def _fill_jet(
    jets: Any, j: int, mirror: float, turn: float, row: Any, pt: int, eta: int, phi: int
) -> None:
    if j < 0:
        row[pt] = row[eta] = row[phi] = UNDEFINED
    else:
        row[pt] = _rounded(jets.pt[j])
        row[eta] = _rounded(mirror * jets.eta[j])
        row[phi] = _angle(jets.phi[j] + turn)


@njit(cache=True, nogil=True, inline="always")
def _rounded(value: float) -> float:
    """`value` to 3 decimals, as the data set has it."""
    return math.floor(value * 1000.0 + 0.5) / 1000.0


@njit(cache=True, nogil=True, inline="always")
def _angle(phi: float) -> float:
    """`phi` in (-pi, pi] and rounded; it may be too large, not too small."""
    while phi > math.pi:
        phi -= 2.0 * math.pi
    rounded: float = _rounded(phi)
    return rounded
