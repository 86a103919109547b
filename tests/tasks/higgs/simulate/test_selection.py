"""Jets, missing energy, tags and the row: against plain enumeration, and under symmetries."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import numpy.typing as npt
import pytest

from sigma68.seeds import stream
from sigma68.tasks.higgs.derived import derive
from sigma68.tasks.higgs.schema import (
    HAD_ETA,
    HAD_PHI,
    HAD_PT,
    JET1_ETA,
    JET1_PT,
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
from sigma68.tasks.higgs.simulate.response import ELECTRON, HADRON, MUON
from sigma68.tasks.higgs.simulate.selection import MAX_JETS, Jets, find_jets, new_jets, select
from tests.tasks.higgs.simulate.hand_made import Event

_LEPTON_ETA, _LEPTON_PHI = -0.5, -2.0


def _scaled(pt: float, eta: float) -> float:
    return pt * math.sqrt((3.0 - 0.2 * abs(eta)) ** 2 / pt + 1.0)


def _found(event: Event, jets: Jets) -> tuple[int, float, float]:
    return find_jets(jets, *event.calorimeters, event.tracks, event.n_tracks, event.objects)


class Made:
    """Jets put down by hand, in the order of falling pt, with a muon of charge 1."""

    def __init__(self, *, lepton_charge: int = 1) -> None:
        self.event, self.jets, self.n = Event(), new_jets(), 0
        self.taus = np.zeros((4, 2))
        self.n_taus = 0
        self.event.track(MUON, 30.0, _LEPTON_ETA, _LEPTON_PHI, charge=lepton_charge)

    def jet(
        self,
        pt: float,
        eta: float,
        phi: float,
        charges: tuple[int, ...],
        *,
        tau: bool = False,
        kept: bool = True,
    ) -> None:
        """A jet with a track of each of the `charges` inside."""
        j, jets = self.n, self.jets
        jets.pt[j], jets.eta[j], jets.phi[j], jets.kept[j] = pt, eta, phi, kept
        for k, charge in enumerate(charges):
            self.event.track(HADRON, 2.0, eta, phi + 0.01 * k, charge=charge)
        if tau:
            self.taus[self.n_taus] = eta + 0.1, phi
            self.n_taus += 1
        self.n += 1

    def select(
        self, rng: np.random.Generator, missing: tuple[float, float] = (3.0, 4.0)
    ) -> tuple[float, npt.NDArray[np.float32]]:
        """(weight, row)."""
        row = np.zeros(16, np.float32)
        tracks = self.event.tracks
        weight = select(
            self.jets, self.n, tracks, self.event.n_tracks, self.taus, self.n_taus, 0,
            tracks.seen_pt[0], *missing, rng, row,
        )  # fmt: skip
        return float(weight), row


def _enumerated(
    tags: list[float], charges: list[int], lepton_charge: int
) -> tuple[float, dict[int, float]]:
    """Chance to be selected, and by which jet: all ways to tag or not, one by one."""
    chosen: dict[int, float] = {}
    for tagged in itertools.product((False, True), repeat=len(tags)):
        chance = math.prod(p if yes else 1.0 - p for p, yes in zip(tags, tagged, strict=True))
        if sum(tagged) == 1 and charges[tagged.index(True)] + lepton_charge == 0:
            chosen[tagged.index(True)] = chosen.get(tagged.index(True), 0.0) + chance
    return sum(chosen.values()), chosen


def test_the_weight_is_the_chance_of_exactly_one_tag() -> None:
    made = Made()
    made.jet(60.0, 1.0, 0.0, (-1,), tau=True)
    made.jet(50.0, -1.0, 1.0, (-1, 1, -1))
    made.jet(40.0, 2.0, 2.0, (1,))
    made.jet(35.0, 0.0, 0.5, ())
    made.jet(30.0, -2.0, 3.0, (1, -1, -1), tau=True)
    made.jet(25.0, 0.0, -1.0, (-1,), kept=False)
    tags, charges = [0.70, 0.01, 0.02, 0.0, 0.60], [-1, -1, 1, 0, -1]
    expected, chosen = _enumerated(tags, charges, 1)
    rng = stream("higgs", "test selection", 1).generator()
    n, seen = 4000, Counter[float]()
    for _ in range(n):
        weight, row = made.select(rng)
        assert weight == pytest.approx(expected, rel=1e-12)
        seen[round(float(row[HAD_PT]), 3)] += 1
    assert set(seen) <= {60.0, 50.0, 30.0}
    for j, pt in ((0, 60.0), (1, 50.0), (4, 30.0)):
        share = chosen[j] / expected
        assert seen[pt] == pytest.approx(n * share, abs=5 * (n * share * (1 - share)) ** 0.5)


@pytest.mark.parametrize("lepton_charge", [1, -1])
@pytest.mark.parametrize(
    ("charges", "tag"),
    [((1,), 0.7), ((-1,), 0.7), ((1, 1), 0.6), ((1, -1), 0.6), ((1, 1, -1), 0.6), ((), 0.0)],
)
def test_lepton_and_tau_have_opposite_charges(
    charges: tuple[int, ...], tag: float, lepton_charge: int
) -> None:
    made = Made(lepton_charge=lepton_charge)
    made.jet(40.0, 1.0, 0.0, charges, tau=True)
    weight, _ = made.select(stream("higgs", "test selection", 2).generator())
    assert weight == (pytest.approx(tag) if sum(charges) == -lepton_charge else 0.0)


def test_only_tracks_in_the_cone_and_above_a_gev_count() -> None:
    for pt, away, weight in ((1.0, 0.19, 0.6), (0.99, 0.19, 0.7), (1.0, 0.21, 0.7)):
        made = Made()
        made.jet(40.0, 1.0, 3.1, (-1,), tau=True)
        made.event.track(ELECTRON, pt, 1.0, 3.1 + away - 2 * math.pi, charge=0)
        rng = stream("higgs", "test selection", 3).generator()
        assert made.select(rng)[0] == pytest.approx(weight)
    made.event.tracks.found[1] = False
    assert made.select(rng)[0] == 0.0


def test_a_jet_is_from_a_tau_within_the_cone() -> None:
    for away, weight in ((0.199, 0.7), (0.201, 0.02)):
        made = Made()
        made.jet(40.0, 1.0, 3.1, (-1,))
        made.taus[0], made.n_taus = (1.0, 3.1 + away - 2 * math.pi), 1
        rng = stream("higgs", "test selection", 4).generator()
        assert made.select(rng)[0] == pytest.approx(weight)


def test_the_other_jets_are_listed_by_falling_pt() -> None:
    made = Made()
    for pt, eta, phi in ((25.0, 0.3, 0.0), (90.0, 1.5, 1.0), (60.0, -1.5, 2.0)):
        made.jet(pt, eta, phi, ())
    made.jet(40.0, 0.5, -1.0, (-1,), tau=True)
    made.jet(200.0, 0.1, -2.5, (), kept=False)
    _, row = made.select(stream("higgs", "test selection", 5).generator())
    assert row[N_JETS] == 3
    assert row[JET_ALL_PT] == pytest.approx(175.0)
    assert (row[LEP_PT], row[HAD_PT], row[JET1_PT], row[JET2_PT]) == (30.0, 40.0, 90.0, 60.0)
    assert row[MET] == pytest.approx(5.0)
    mirror = row[HAD_ETA] / 0.5
    assert row[JET1_ETA] == pytest.approx(mirror * 1.5)
    assert row[LEP_ETA] == pytest.approx(mirror * _LEPTON_ETA)
    turn = row[HAD_PHI] + 1.0
    assert (row[JET2_PHI] - 2.0 - turn + 1e-3) % (2 * math.pi) < 2e-3
    assert (row[MET_PHI] - math.atan2(4.0, 3.0) - turn + 1e-3) % (2 * math.pi) < 2e-3


@pytest.mark.parametrize("n_jets", [0, 1])
def test_jets_that_are_not_there_are_undefined(n_jets: int) -> None:
    made = Made()
    made.jet(40.0, 0.5, -1.0, (-1,), tau=True)
    if n_jets:
        made.jet(30.0, 1.0, 1.0, ())
    _, row = made.select(stream("higgs", "test selection", 6).generator())
    assert row[N_JETS] == n_jets
    assert row[JET_ALL_PT] == 30.0 * n_jets
    assert (row[JET1_PT] == UNDEFINED) == (n_jets == 0)
    assert row[JET2_PT] == row[JET2_PHI] == UNDEFINED


def test_turns_and_the_mirror_change_no_derived_quantity() -> None:
    """All 36 images come, equally often, and are the same physics up to rounding."""
    made = Made()
    made.jet(90.0, 1.5, 1.0, ())
    made.jet(60.0, -2.0, 2.5, ())
    made.jet(40.0, 0.5, -1.0, (-1,), tau=True)
    rng = stream("higgs", "test selection", 7).generator()
    rows = np.stack([made.select(rng, (-30.0, 25.0))[1] for _ in range(3600)], axis=1)
    images = Counter(zip(rows[LEP_PHI].tolist(), rows[LEP_ETA].tolist(), strict=True))
    assert len(images) == 36
    assert sum((n - 100) ** 2 / 100 for n in images.values()) < 35 + 5 * 70**0.5
    assert np.all(np.abs(rows[[LEP_PHI, HAD_PHI, MET_PHI]]) <= 3.142)
    features = derive(rows)
    spread = np.ptp(features, axis=1)
    assert np.all(spread <= 2e-2 * np.maximum(1.0, np.abs(features[:, 0])))
    np.testing.assert_array_equal(np.ptp(rows[[LEP_PT, HAD_PT, MET, JET1_PT]], axis=1), 0.0)


def test_jets_are_scaled_and_missing_energy_balances() -> None:
    event, jets = Event(), new_jets()
    event.tower(70.0, 1.2, 0.5)
    event.tower(30.0, 1.25, 0.5, electromagnetic=True)
    event.tower(19.9, -1.0, -2.0)
    event.tower(0.0, 0.0, 0.0)
    event.track(MUON, 25.0, 0.4, 2.5)
    n, x, y = _found(event, jets)
    assert n == 2
    for j, (pt, eta) in enumerate(((100.0, 1.215), (25.0, 0.4))):
        assert jets.eta[j] == pytest.approx(eta, abs=2e-3)
        assert jets.pt[j] == pytest.approx(_scaled(pt, jets.eta[j]), rel=1e-3)
    # Before the scale, and with what is too soft for a jet.
    parts = ((100.0, 0.5), (19.9, -2.0), (25.0, 2.5))
    assert x == pytest.approx(-sum(pt * math.cos(phi) for pt, phi in parts))
    assert y == pytest.approx(-sum(pt * math.sin(phi) for pt, phi in parts))


@pytest.mark.parametrize("what", ["photon", "electron", "muon", "lone muon", "electron elsewhere"])
def test_jets_that_share_with_an_earlier_object_are_dropped(what: str) -> None:
    event, jets = Event(), new_jets()
    event.tower(40.0, 1.2, 0.5)
    ecal = event.tower(30.0, 1.25, 0.6, electromagnetic=True)
    other = event.tower(50.0, -1.0, -2.0, electromagnetic=True)
    if what == "photon":
        event.objects.photon[ecal] = True
    elif what in ("electron", "electron elsewhere"):
        # Which tower its energy went to decides, not where the track points.
        slot = ecal if what == "electron" else other
        event.objects.lepton[event.track(ELECTRON, 30.0, 1.25, 0.6, slot=slot)] = True
    else:
        eta = 1.2 if what == "muon" else 3.0
        event.track(MUON, 22.0, -1.0, -2.0)
        event.objects.lepton[event.track(MUON, 22.0, eta, 0.5)] = True
    n, _, _ = _found(event, jets)
    assert n == (3 if what == "lone muon" else 2)
    near = {"photon", "electron", "muon"}
    for j in range(n):
        with_tower = jets.jet_of[jets.ecal_input[ecal]] == j
        elsewhere = jets.jet_of[jets.ecal_input[other]] == j
        dropped = (
            (with_tower and what in near)
            or (elsewhere and what == "electron elsewhere")
            or (not with_tower and not elsewhere)
        )
        assert jets.kept[j] == (not dropped)


def test_an_electron_whose_tower_is_not_seen_drops_no_jet() -> None:
    event, jets = Event(), new_jets()
    event.tower(40.0, 1.2, 0.5)
    slot = event.tower(0.0, 1.2, 0.5, electromagnetic=True)
    event.objects.lepton[event.track(ELECTRON, 30.0, 1.2, 0.5, slot=slot)] = True
    assert _found(event, jets)[0] == 1
    assert jets.kept[0]


def test_more_jets_than_there_is_room_for_are_an_error() -> None:
    event, jets = Event(), new_jets()
    for i, (eta, phi) in enumerate(
        itertools.product(np.arange(-4.2, 4.3, 0.9), np.arange(-3.1, 2.4, 0.75))
    ):
        if i <= MAX_JETS:
            event.tower(25.0, float(eta), float(phi))
    assert event.n_hcal == MAX_JETS + 1
    assert _found(event, jets)[0] == -1
    event.n_hcal -= 1
    assert _found(event, jets)[0] == MAX_JETS
