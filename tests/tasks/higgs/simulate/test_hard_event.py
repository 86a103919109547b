"""Reading an event record: what goes into the detector, and whose taus these are."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sigma68.seeds import stream
from sigma68.tasks.higgs.simulate import tau_library
from sigma68.tasks.higgs.simulate.decays import (
    FROM_HIGGS,
    FROM_OTHER,
    FROM_W,
    FROM_Z,
    MAX_RADIATED,
    MAX_TAUS,
    draw_decays,
    fill_products,
)
from sigma68.tasks.higgs.simulate.geometry import HCAL, tower_of
from sigma68.tasks.higgs.simulate.hard_event import (
    BAD_PARTICLE,
    NO_QUARK,
    TOO_MANY,
    Detector,
    new_detector,
    read_event,
)
from sigma68.tasks.higgs.simulate.passes import Plan, Rows, new_rows, new_scratch, simulate_passes
from sigma68.tasks.higgs.simulate.response import ELECTRON, HADRON, MUON
from sigma68.tasks.higgs.simulate.tau_library import TAU_MASS_GEV
from tests.tasks.higgs.simulate.records import Listing, boosted, momentum

_Z_GEV = 91.2


def _read(listing: Listing, redecay: int = 0) -> tuple[Detector, int]:
    detector = new_detector()
    return detector, read_event(listing.record(), 0, detector, redecay)


def _counts(detector: Detector) -> list[int]:
    return [int(n) for n in detector.counts]


def _boson(listing: Listing, pdg: int, mass: float = _Z_GEV) -> int:
    return listing.add(pdg, momentum(40.0, 0.7, 2.0, mass), final=False)


def _pair(listing: Listing, boson: int, *, final: bool = True) -> tuple[int, int]:
    """A tau- and a tau+ of a boson, back to back along x in its rest frame."""
    frame = listing.rows[boson][3]
    mass = math.sqrt(frame[3] ** 2 - float(frame[:3] @ frame[:3]))
    p = math.sqrt(mass * mass / 4 - TAU_MASS_GEV**2)
    first, second = (
        listing.add(
            15 * sign,
            boosted(np.array([sign * p, 0.0, 0.0, mass / 2]), frame),
            mother=boson,
            final=final,
        )
        for sign in (1, -1)
    )
    return first, second


def test_every_visible_particle_is_in_its_towers_once() -> None:
    listing = Listing()
    listing.particle(211, 5.0, 0.5, 0.1)
    listing.particle(-211, 7.0, 0.55, 0.1)
    listing.particle(2112, 4.0, -3.0, 1.0)
    listing.particle(22, 9.0, 1.0, 2.0)
    listing.particle(11, 20.0, -1.0, -2.0)
    listing.particle(-13, 30.0, 2.0, -1.0)
    for code in (12, -14, 16):
        listing.particle(code, 50.0, 0.0, 0.0)
    listing.particle(211, 10.0, 6.0, 0.0)  # beyond all towers
    listing.add(211, momentum(90.0, 0.0, 0.0, 0.13957), final=False)
    detector, problem = _read(listing)
    assert problem == 0
    n_ecal, n_hcal, n_tracks, n_taus, n_radiated = _counts(detector)
    energies = [row[3][3] for row in listing.rows]
    assert detector.ecal.recoil[:n_ecal].sum() == pytest.approx(energies[8] + energies[9])
    assert detector.hcal.recoil[:n_hcal].sum() == pytest.approx(sum(energies[5:8]))
    assert (n_ecal, n_taus, n_radiated) == (2, 0, 0)
    tracks = detector.tracks
    assert tracks.kind[:n_tracks].tolist() == [HADRON, HADRON, ELECTRON, MUON]
    assert tracks.charge[:n_tracks].tolist() == [1, -1, -1, 1]
    np.testing.assert_allclose(tracks.pt[:n_tracks], [5.0, 7.0, 20.0, 30.0])
    np.testing.assert_allclose(tracks.eta[:n_tracks], [0.5, 0.55, -1.0, 2.0])
    np.testing.assert_allclose(
        tracks.mass[:n_tracks], [0.13957, 0.13957, 5.11e-4, 0.105658], atol=2e-5
    )
    assert (tracks.ecal[3], tracks.hcal[3]) == (-1, -1)
    assert tracks.ecal[2] >= 0
    np.testing.assert_array_equal(detector.hcal.slot[detector.hcal.number[:n_hcal]], range(n_hcal))


def test_strange_neutrals_share_their_energy_among_the_calorimeters() -> None:
    listing = Listing()
    listing.particle(310, 10.0, 0.0, 0.5)
    listing.particle(-3122, 20.0, 1.0, 0.5)
    detector, _ = _read(listing)
    energy = listing.rows[5][3][3], listing.rows[6][3][3]
    np.testing.assert_allclose(detector.ecal.recoil[:2], [0.3 * e for e in energy])
    np.testing.assert_allclose(detector.hcal.recoil[:2], [0.7 * e for e in energy])


def test_vertices_are_in_millimetres() -> None:
    """A neutral born off the axis goes on in its direction; one born outside is not seen."""
    listing = Listing()
    p = momentum(10.0, 0.0, 0.0)
    listing.add(2112, p, vertex_mm=(0.0, 575.0, 300.0))
    listing.add(2112, p, vertex_mm=(0.0, 1200.0, 0.0))
    listing.add(2112, p)
    detector, _ = _read(listing)
    assert _counts(detector)[1] == 2
    at = math.asin(0.5)  # half of the radius of 1.15 m
    expected = tower_of(HCAL, math.asinh(0.3 / 1.15), at)[0], tower_of(HCAL, 0.0, 0.0)[0]
    assert tuple(detector.hcal.number[:2]) == expected


@pytest.mark.parametrize(
    ("pdg", "origin"), [(23, FROM_Z), (25, FROM_HIGGS), (24, FROM_W), (-24, FROM_W)]
)
@pytest.mark.parametrize("redecay", [0, 23, 25])
def test_taus_know_their_parent_and_its_rest_frame(pdg: int, origin: int, redecay: int) -> None:
    listing = Listing()
    boson = _boson(listing, pdg)
    _pair(listing, boson)
    detector, _ = _read(listing, redecay)
    taus = detector.taus
    assert _counts(detector)[2:] == [0, 2, 0]
    assert taus.sign[:2].tolist() == [1, -1]
    assert taus.origin[:2].tolist() == [origin, origin]
    assert taus.again[:2].tolist() == [redecay == pdg] * 2
    p = math.sqrt(_Z_GEV**2 / 4 - TAU_MASS_GEV**2)
    expected = [[p, 0.0, 0.0, _Z_GEV / 2], [-p, 0.0, 0.0, _Z_GEV / 2]]
    np.testing.assert_allclose(taus.rest[:2], expected, atol=1e-9)
    np.testing.assert_allclose(taus.parent[:2], [listing.rows[boson][3]] * 2)


def test_a_tau_of_a_hadron_or_a_photon_stays_where_it_is() -> None:
    listing = Listing()
    p = momentum(20.0, 1.0, 1.0, TAU_MASS_GEV)
    listing.add(15, p, mother=listing.add(511, momentum(30.0, 1.0, 1.0, 5.28), final=False))
    detector, _ = _read(listing, 23)
    taus = detector.taus
    assert (taus.origin[0], taus.again[0]) == (FROM_OTHER, False)
    np.testing.assert_allclose(taus.rest[0], p)
    np.testing.assert_array_equal(taus.parent[0], [0.0, 0.0, 0.0, 1.0])


def _radiating() -> tuple[Listing, int]:
    """A Z whose tau- radiated two photons, one by one; one of them became two electrons."""
    listing = Listing()
    boson = _boson(listing, 23)
    first, second = _pair(listing, boson, final=False)
    frame = listing.rows[boson][3]

    def at_rest(x: float, y: float, z: float, mass: float) -> np.ndarray:
        return boosted(np.array([x, y, z, math.sqrt(x * x + y * y + z * z + mass**2)]), frame)

    copy = listing.add(15, at_rest(35.0, 2.0, 0.0, TAU_MASS_GEV), mother=first, final=False)
    photon = listing.add(22, at_rest(6.0, -2.0, 1.0, 0.0), mother=first, final=False)
    other = listing.add(-15, at_rest(-44.0, 0.0, -1.0, TAU_MASS_GEV), mother=second)
    for code in (11, -11):
        listing.add(code, at_rest(3.0, -1.0, 0.5, 0.000511), mother=photon)
    listing.add(15, at_rest(33.0, 1.0, 0.0, TAU_MASS_GEV), mother=copy)
    listing.add(22, at_rest(2.0, 1.0, 0.0, 0.0), mother=copy)
    assert other > photon
    return listing, boson


def test_what_the_taus_radiated_goes_with_them() -> None:
    listing, boson = _radiating()
    listing.particle(22, 8.0, 0.0, 0.0)
    detector, problem = _read(listing, 23)
    assert problem == 0
    assert _counts(detector) == [1, 0, 0, 2, 3]
    taus = detector.taus
    assert taus.radiated_pdg[:3].tolist() == [11, -11, 22]
    np.testing.assert_allclose(
        taus.radiated[:3, :3], [[3, -1, 0.5], [3, -1, 0.5], [2, 1, 0]], atol=1e-9
    )
    assert taus.sign[:2].tolist() == [-1, 1]
    assert taus.again[:2].all()
    np.testing.assert_allclose(taus.rest[:2, :3], [[-44, 0, -1], [33, 1, 0]], atol=1e-9)
    np.testing.assert_allclose(taus.parent[:2], [listing.rows[boson][3]] * 2)


def test_what_the_taus_radiated_is_recoil_where_nothing_is_decayed_anew() -> None:
    listing, _ = _radiating()
    listing.particle(22, 8.0, 0.0, 0.0)
    detector, _ = _read(listing, 0)
    counts = _counts(detector)
    assert counts[3:] == [2, 0]
    assert counts[2] == 2, "the two electrons"
    radiated = sum(row[3][3] for row in listing.rows if row[1] > 0 and abs(row[0]) != 15)
    assert detector.ecal.recoil[: counts[0]].sum() == pytest.approx(radiated)


def test_a_pair_from_a_radiated_photon_is_not_the_boson_s() -> None:
    listing, boson = _radiating()
    photon = listing.add(22, momentum(12.0, 0.1, 0.2), mother=boson + 1, final=False)
    for code in (15, -15):
        listing.add(code, momentum(6.0, 0.1, 0.2, TAU_MASS_GEV), mother=photon)
    detector, problem = _read(listing, 23)
    assert problem == 0
    taus, n = detector.taus, _counts(detector)[3]
    assert n == 4
    assert taus.again[:n].tolist() == [True, True, False, False]
    assert taus.origin[:n].tolist() == [FROM_Z, FROM_Z, FROM_OTHER, FROM_OTHER]


def test_new_directions_keep_the_boson_s_momentum() -> None:
    """Taus and what they radiated add up to the boson, however it is turned."""
    listing, boson = _radiating()
    frame = listing.rows[boson][3]
    detector, _ = _read(listing, 23)
    taus, library = detector.taus, tau_library.load()
    # The record made above does not balance; what it adds up to must stay.
    total = taus.rest[:2].sum(axis=0) + taus.radiated[:3].sum(axis=0)
    rng = stream("higgs", "test hard event", 1).generator()
    pdg, p = np.zeros(64, np.int64), np.zeros((64, 4))
    directions = []
    for _ in range(50):
        draw_decays(taus, 2, 3, 2, library, rng)
        n = fill_products(taus, 2, 3, library, pdg, p)
        turned = taus.turned[:2].sum(axis=0) + taus.turned_radiated[:3].sum(axis=0)
        assert np.linalg.norm(turned[:3]) == pytest.approx(np.linalg.norm(total[:3]))
        assert turned[3] == pytest.approx(total[3])
        assert pdg[n - 3 : n].tolist() == [11, -11, 22]
        expected = boosted(taus.turned_radiated[2], frame)
        np.testing.assert_allclose(p[n - 1], expected, atol=1e-9)
        directions.append(taus.turned[1, :3] / np.linalg.norm(taus.turned[1, :3]))
    assert np.std(directions, axis=0).min() > 0.3


def _full(what: str) -> tuple[Listing, int]:
    listing = Listing()
    if what == "taus":
        for _ in range(MAX_TAUS // 2 + 1):
            _pair(listing, _boson(listing, 23))
        return listing, 0
    if what == "radiated":
        first, _ = _pair(listing, _boson(listing, 23))
        for _ in range(MAX_RADIATED + 1):
            listing.particle(22, 0.01, 0.0, 0.0, mother=first)
        return listing, 23
    for _ in range(5000):
        listing.particle(22, 1.0, 0.0, 0.0)
    return listing, 0


@pytest.mark.parametrize("what", ["taus", "radiated", "particles"])
def test_what_does_not_fit_is_an_error(what: str) -> None:
    listing, redecay = _full(what)
    assert _read(listing, redecay)[1] == TOO_MANY


def test_an_unknown_particle_is_an_error() -> None:
    listing = Listing()
    listing.particle(-1000022, 1.0, 0.0, 0.0)
    assert _read(listing)[1] == BAD_PARTICLE - 10 * 1000022


def _plan(n: int, quark: int, trials: int = 4) -> Plan:
    return Plan(
        np.ones(n), np.zeros(n), np.full(n, trials), np.ones(n), np.full(n, 23), np.full(n, quark)
    )


def _passed(listing: Listing, plan: Plan, rows: Rows, *scratch: object) -> int:
    rng = stream("higgs", "test hard event", 2).generator()
    return simulate_passes(
        listing.record(), plan, tau_library.load(), *(scratch or (new_scratch(),)), rng, rows
    )[1]


def test_a_scratch_can_be_used_after_an_error() -> None:
    good, bad = Listing(), Listing()
    for listing in (good, bad):
        _pair(listing, _boson(listing, 23))
        listing.particle(22, 9.0, 0.0, 0.0)
        listing.particle(2112, 9.0, 0.0, 0.0)
    bad.particle(1000022, 1.0, 0.0, 0.0)
    scratch = new_scratch()
    assert _passed(bad, _plan(1, 2), new_rows(4), scratch) < 0
    for towers in (scratch.detector.ecal, scratch.detector.hcal):
        assert np.all(towers.slot == -1)
    assert _passed(good, _plan(1, 2), new_rows(4), scratch) == 0


def test_a_z_comes_from_quarks() -> None:
    listing = Listing()
    _pair(listing, _boson(listing, 23))
    assert _passed(listing, _plan(1, 21), new_rows(4)) == NO_QUARK
    assert _passed(listing, _plan(1, 0), new_rows(4)) == NO_QUARK
    assert _passed(listing, _plan(1, -5), new_rows(4)) == 0


def test_plans_and_rows_that_do_not_fit_are_refused() -> None:
    listing = Listing()
    _pair(listing, _boson(listing, 23))
    with pytest.raises(ValueError, match="room for all trials"):
        _passed(listing, _plan(1, 2), new_rows(3))
    with pytest.raises(ValueError, match="as many events"):
        _passed(listing, _plan(2, 2), new_rows(8))


def test_more_decay_products_than_fit_are_refused() -> None:
    listing, _ = _radiating()
    detector, _ = _read(listing, 23)
    library = tau_library.load()
    rng = stream("higgs", "test hard event", 3).generator()
    draw_decays(detector.taus, 2, 3, 2, library, rng)
    n = fill_products(detector.taus, 2, 3, library, np.zeros(64, np.int64), np.zeros((64, 4)))
    assert n >= 5
    for room in (n - 1, n - 3, 0):
        pdg, p = np.zeros(room, np.int64), np.zeros((room, 4))
        assert fill_products(detector.taus, 2, 3, library, pdg, p) == -1
