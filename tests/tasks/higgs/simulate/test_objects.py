"""Isolation, identification and unique objects, on towers and tracks with known answers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sigma68.seeds import stream
from sigma68.tasks.higgs.simulate.objects import find_leptons, find_photons, lepton_possible
from sigma68.tasks.higgs.simulate.response import ELECTRON, HADRON, MUON
from tests.tasks.higgs.simulate.hand_made import Event, wrapped

_ETA, _PHI = 0.3, 3.0


def _leptons(event: Event) -> tuple[int, int, float]:
    return find_leptons(*event.calorimeters, event.tracks, event.n_tracks, event.objects)


def _photons(event: Event, rng: np.random.Generator) -> None:
    find_photons(*event.calorimeters, event.tracks, event.n_tracks, event.objects, rng)


def _lepton(kind: int, pt: float = 40.0) -> Event:
    event = Event()
    event.track(kind, pt, _ETA, _PHI)
    return event


@pytest.mark.parametrize(("kind", "share"), [(ELECTRON, 0.12), (MUON, 0.25)])
@pytest.mark.parametrize("what", ["track", "hadronic tower", "electromagnetic tower", "all three"])
def test_a_lepton_may_have_only_so_much_around_it(kind: int, share: float, what: str) -> None:
    for factor, isolated in ((0.99, True), (1.01, False)):
        event = _lepton(kind)
        around = factor * share * 40.0
        parts = around / 3 if what == "all three" else around
        if what in ("track", "all three"):
            slot = event.tower(20.0, _ETA, _PHI)
            event.track(HADRON, parts, _ETA + 0.2, _PHI, slot=slot)
        if what in ("hadronic tower", "all three"):
            event.tower(20.0, _ETA, wrapped(_PHI + 0.4), neutral=parts)
        if what in ("electromagnetic tower", "all three"):
            event.tower(20.0, _ETA - 0.4, _PHI, neutral=parts, electromagnetic=True)
        assert _leptons(event)[0] == int(isolated)
        assert event.objects.lepton[0] == isolated


def test_the_cone_is_round_and_goes_over_the_seam_of_phi() -> None:
    for distance, isolated in ((0.49, False), (0.51, True)):
        for angle in np.linspace(0.0, 2 * math.pi, 8, endpoint=False):
            event = _lepton(MUON)
            event.tower(
                30.0,
                _ETA + distance * math.cos(angle),
                wrapped(_PHI + distance * math.sin(angle)),
                neutral=30.0,
            )
            assert _leptons(event)[0] == int(isolated)


def test_what_is_softer_than_half_a_gev_does_not_count() -> None:
    for pt, isolated in ((0.49, True), (0.51, False)):
        event = _lepton(ELECTRON)
        for _ in range(50):
            event.tower(5.0, _ETA, _PHI, neutral=pt)
        assert _leptons(event)[0] == int(isolated)


def test_tracks_count_as_the_energy_flow_has_them() -> None:
    """Rescaled with their tower, and not at all if they are leptons or were not found."""
    for rescale, isolated in ((0.5, True), (1.5, False)):
        event = _lepton(ELECTRON)
        event.track(HADRON, 5.0, _ETA, _PHI, slot=event.tower(5.0, _ETA, _PHI, rescale=rescale))
        assert _leptons(event)[0] == int(isolated)
    event = _lepton(ELECTRON)
    event.track(MUON, 12.0, _ETA, _PHI)
    event.track(ELECTRON, 12.0, _ETA, _PHI)
    assert _leptons(event)[0] == 1
    np.testing.assert_array_equal(event.objects.lepton[:3], [True, True, True])
    lost = event.track(HADRON, 30.0, _ETA, _PHI, slot=event.tower(30.0, _ETA, _PHI))
    event.tracks.found[lost] = False
    assert _leptons(event)[0] == 1


def test_identification_takes_the_place_where_a_lepton_leaves() -> None:
    for kind, exit_eta, draw, good in (
        (ELECTRON, 1.5, 0.94, True),
        (ELECTRON, 1.5, 0.96, False),
        (MUON, 1.6, 0.84, True),
        (MUON, 1.6, 0.86, False),
    ):
        event = Event()
        event.tracks.exit_eta[event.track(kind, 40.0, _ETA, _PHI, draw=draw)] = exit_eta
        assert _leptons(event)[0] == int(good)


def test_an_electron_has_the_pt_of_the_energy_flow() -> None:
    event = Event()
    slot = event.tower(44.0, _ETA, _PHI, rescale=1.1, electromagnetic=True)
    event.track(ELECTRON, 40.0, _ETA, _PHI, slot=slot)
    count, selected, pt = _leptons(event)
    assert (count, selected) == (1, 0)
    assert pt == pytest.approx(44.0)
    event.ecal.rescale[slot] = 0.2
    assert _leptons(event)[0] == 0
    assert not event.objects.lepton[0], "below 10 GeV there is no identification"


def test_leptons_above_fifteen_gev_are_counted() -> None:
    event = Event()
    event.track(MUON, 14.9, 0.0, 0.0)
    event.track(MUON, 21.0, 1.0, 1.0)
    assert _leptons(event) == (1, 1, 21.0)
    assert event.objects.lepton[0], "it is a lepton all the same, and claims its jet"
    event.track(ELECTRON, 15.1, -1.0, 2.0)
    assert _leptons(event)[0] == 2


def test_a_photon_claims_the_tower_of_an_electron() -> None:
    rng = stream("higgs", "test objects", 1).generator()
    claimed = 0
    for _ in range(400):
        event = Event()
        slot = event.tower(60.0, _ETA, _PHI, neutral=30.0, electromagnetic=True)
        event.track(ELECTRON, 30.0, _ETA, wrapped(_PHI + 1e-3), slot=slot)
        away = event.tower(60.0, -2.0, _PHI, neutral=12.0, electromagnetic=True)
        event.tower(9.0, -2.0, _PHI, neutral=9.0)
        event.track(ELECTRON, 30.0, -2.0, 0.0, slot=away)
        _photons(event, rng)
        assert not event.objects.photon[away], "it is not isolated"
        _leptons(event)
        # A photon next to the electron spoils its isolation, claimed or not.
        np.testing.assert_array_equal(event.objects.lepton[:2], [False, True])
        claimed += int(event.objects.photon[slot])
    assert claimed == pytest.approx(0.95 * 400, abs=5 * (400 * 0.95 * 0.05) ** 0.5)


def test_a_soft_electron_beside_a_photon_goes_because_the_photon_has_its_tower() -> None:
    rng = stream("higgs", "test objects", 2).generator()
    seen = set()
    for _ in range(60):
        event = Event()
        # The tower is shared, but its position, drawn anew, is out of the electron's cone.
        slot = event.tower(60.0, 4.0, _PHI, neutral=60.0, electromagnetic=True)
        event.ecal.eta[slot] = 0.9
        event.track(ELECTRON, 30.0, _ETA, _PHI, slot=slot)
        _photons(event, rng)
        photon = bool(event.objects.photon[slot])
        assert _leptons(event)[0] == int(not photon)
        seen.add(photon)
    assert seen == {True, False}


def test_photons_are_isolated_from_all_but_themselves() -> None:
    rng = stream("higgs", "test objects", 3).generator()
    for around, most in ((5.9, 60), (6.1, 0)):
        found = 0
        for _ in range(60):
            event = Event()
            slot = event.tower(50.0, _ETA, _PHI, neutral=50.0, electromagnetic=True)
            event.tower(around, _ETA, _PHI, neutral=around, electromagnetic=True)
            _photons(event, rng)
            found += int(event.objects.photon[slot])
        assert found <= most
        assert (found > 45) == (most > 0)
    event = Event()
    soft = event.tower(9.9, _ETA, _PHI, neutral=9.9, electromagnetic=True)
    event.objects.photon[soft] = True  # left over from the pass before
    _photons(event, rng)
    assert not event.objects.photon[soft]


@pytest.mark.parametrize(
    ("kind", "pt", "true_pt", "share"),
    [
        (MUON, 21.0, 21.0, 0.95),
        (MUON, 19.9, 30.0, 0.0),  # a muon keeps the pt of its track
        (ELECTRON, 10.1, 10.1, 0.95),  # an electron's may be raised by its tower
        (ELECTRON, 6.0, 19.0, 0.95),
        (ELECTRON, 9.0, 9.5, 0.0),
        (HADRON, 50.0, 50.0, 0.0),
    ],
)
def test_passes_without_a_lepton_end_early(
    kind: int, pt: float, true_pt: float, share: float
) -> None:
    event = Event()
    event.track(kind, pt, _ETA, _PHI, true_pt=true_pt)
    rng = stream("higgs", "test objects", 4).generator()
    n = 2000
    going_on = sum(
        lepton_possible(event.tracks, event.n_tracks, event.objects, rng) for _ in range(n)
    )
    assert going_on == pytest.approx(share * n, abs=5 * (n * share * (1 - share)) ** 0.5)
