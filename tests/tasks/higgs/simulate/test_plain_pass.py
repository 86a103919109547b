"""Whole passes of the kernels against the same passes stated plainly, in distribution."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest

from sigma68.seeds import stream
from sigma68.tasks.higgs.schema import HAD_PT, JET_ALL_PT, LEP_PT, MET, N_JETS
from sigma68.tasks.higgs.simulate import tau_library
from sigma68.tasks.higgs.simulate.decays import draw_decays, fill_products
from sigma68.tasks.higgs.simulate.geometry import ECAL, HCAL, Rings, arrival
from sigma68.tasks.higgs.simulate.hard_event import new_detector, read_event
from sigma68.tasks.higgs.simulate.passes import Plan, new_rows, new_scratch, simulate_passes
from sigma68.tasks.higgs.simulate.tau_library import TAU_MASS_GEV
from tests.tasks.higgs.simulate.plain_detector import (
    ECAL_EDGES,
    HCAL_EDGES,
    Edges,
    anti_kt,
    leaves_at,
    one_pass,
)
from tests.tasks.higgs.simulate.records import Listing, boosted, momentum

_COLUMNS = {
    "lepton pt": LEP_PT, "tau pt": HAD_PT, "missing": MET, "jets": N_JETS,
    "sum of jets": JET_ALL_PT,
}  # fmt: skip
_Z_GEV = 91.2
_PLAIN_PASSES = 600
_KERNEL_EVENTS = 6000


def _spray(listing: Listing, pt: float, eta: float, phi: float, n: int, seed: int) -> None:
    """A jet of charged and neutral particles."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.full(n, 1.5))
    for i, share in enumerate(shares):
        code = (22, 211, -211, 22, 130, 211, 2112)[i % 7]
        at = eta + 0.1 * rng.normal(), phi + 0.1 * rng.normal()
        listing.particle(code, max(0.2, pt * share), *at)


def _soft(listing: Listing, n: int, seed: int) -> None:
    """Soft particles everywhere, some beyond the towers and the tracker."""
    rng = np.random.default_rng(seed)
    for i in range(n):
        code = (211, -211, 22, 130)[i % 4]
        at = rng.uniform(-5.2, 5.2), rng.uniform(-math.pi, math.pi)
        listing.particle(code, 0.3 + rng.exponential(0.6), *at)


def _fake() -> Listing:
    """An electron with a photon beside it, a jet, and one that looks like a tau."""
    listing = Listing()
    listing.particle(11, 32.0, 1.7, 0.3)
    listing.particle(22, 3.0, 1.71, 0.31)
    _spray(listing, 70.0, -0.4, 3.0, 9, 1)
    listing.particle(211, 26.0, 0.2, -1.4)
    listing.particle(22, 8.0, 0.22, -1.38)
    listing.particle(-13, 4.0, -0.4, 3.05)
    _soft(listing, 30, 2)
    return listing


def _z() -> Listing:
    """A Z of 60 GeV that went to taus, and a jet against it."""
    listing = Listing()
    frame = momentum(60.0, 0.3, 0.0, _Z_GEV)
    boson = listing.add(23, frame, final=False)
    p = math.sqrt(_Z_GEV**2 / 4 - TAU_MASS_GEV**2)
    for sign in (1, -1):
        tau = boosted(np.array([0.0, sign * p, 0.0, _Z_GEV / 2]), frame)
        listing.add(15 * sign, tau, mother=boson)
    _spray(listing, 58.0, 0.6, math.pi, 8, 3)
    _soft(listing, 20, 4)
    return listing


def _muon() -> Listing:
    """A soft and a hard muon, and two jets that may fake a tau or hide a photon."""
    listing = Listing()
    listing.particle(-13, 28.0, -0.8, 1.0)
    listing.particle(13, 12.0, 0.9, -2.0)
    listing.particle(22, 30.0, -1.1, -0.5)
    _spray(listing, 45.0, 0.9, -2.2, 6, 5)
    listing.particle(-211, 30.0, 2.2, 2.4)
    _soft(listing, 24, 6)
    return listing


Passes = list[tuple[float, dict[str, float]]]


@dataclass
class Sample:
    """Weighted quantities of the selected passes among `n`."""

    n: int
    weights: npt.NDArray[np.float64]
    values: dict[str, npt.NDArray[np.float64]]

    def chance(self) -> tuple[float, float]:
        """Chance to be selected, and its error."""
        mean = self.weights.sum() / self.n
        return mean, math.sqrt((self.weights**2).sum() - self.n * mean**2) / self.n

    def moments(self, name: str) -> list[tuple[float, float]]:
        """Mean and variance, each with its error."""
        x, w = self.values[name], self.weights
        result = []
        mean = float((w * x).sum() / w.sum())
        for values in (x, (x - mean) ** 2):
            centre = float((w * values).sum() / w.sum())
            error = math.sqrt(((w * (values - centre)) ** 2).sum()) / w.sum()
            result.append((centre, float(error)))
        return result


def _plain(listing: Listing, n: int) -> Sample:
    """`n` plain passes; the decays are drawn by the kernels, which have their own tests."""
    rng = stream("higgs", "test plain pass", 1).generator()
    library, detector = tau_library.load(), new_detector()
    assert read_event(listing.record(), 0, detector, 23) == 0
    taus, n_taus = detector.taus, int(detector.counts[3])
    pdg, p = np.zeros(64, np.int64), np.zeros((64, 4))
    recoil = [(row[0], row[3]) for row in listing.rows if row[1] > 0 and abs(row[0]) != 15]
    passes: Passes = []
    for _ in range(n):
        draw_decays(taus, n_taus, 0, 2, library, rng)
        made = fill_products(taus, n_taus, 0, library, pdg, p)
        particles = recoil + [(int(pdg[i]), p[i].copy()) for i in range(made)]
        if not any(abs(code) in (11, 13) and math.hypot(q[0], q[1]) > 8 for code, q in particles):
            continue
        hadronic = [
            (math.asinh(v[2] / math.hypot(v[0], v[1])), math.atan2(v[1], v[0]))
            for v in taus.visible[:n_taus][taus.leptonic[:n_taus] == 0]
        ]
        ways = one_pass(particles, hadronic, rng)
        if ways:
            chances = np.array([chance for chance, _ in ways])
            chosen = int(rng.choice(len(ways), p=chances / chances.sum()))
            passes.append((float(chances.sum()), ways[chosen][1]))
    weights = np.array([chance for chance, _ in passes])
    return Sample(
        n, weights, {name: np.array([values[name] for _, values in passes]) for name in _COLUMNS}
    )


def _kernels(listing: Listing, n: int) -> Sample:
    """One trial of each of `n` copies of the event."""
    plan = Plan(
        np.ones(n), np.zeros(n), np.ones(n, np.int64), np.ones(n), np.full(n, 23), np.full(n, 2)
    )
    rows = new_rows(n)
    rng = stream("higgs", "test plain pass", 2).generator()
    m, problem = simulate_passes(
        listing.record(n), plan, tau_library.load(), new_scratch(), rng, rows
    )
    assert problem == 0
    values = {name: rows.primaries[:m, c].astype(float) for name, c in _COLUMNS.items()}
    return Sample(n, rows.weight[:m].copy(), values)


@pytest.mark.parametrize("event", [_fake, _z, _muon])
def test_passes_are_those_of_the_plain_detector(event: Callable[[], Listing]) -> None:
    listing = event()
    passes = _PLAIN_PASSES * (3 if event is _z else 1)  # four in five have no lepton
    plain, kernels = _plain(listing, passes), _kernels(listing, _KERNEL_EVENTS)
    assert len(plain.weights) > 60
    (mean, error), (expected, kernel_error) = plain.chance(), kernels.chance()
    assert mean == pytest.approx(expected, abs=4 * math.hypot(error, kernel_error))
    for name in _COLUMNS:
        pairs = zip(plain.moments(name), kernels.moments(name), strict=True)
        for (mean, error), (expected, kernel_error) in pairs:
            allowed = 4.5 * math.hypot(error, kernel_error) + 1e-3
            assert mean == pytest.approx(expected, abs=allowed), name


@pytest.mark.parametrize(("rings", "edges"), [(ECAL, ECAL_EDGES), (HCAL, HCAL_EDGES)])
def test_both_have_the_same_towers(rings: Rings, edges: Edges) -> None:
    np.testing.assert_allclose(rings.edges, [eta for eta, _ in edges], atol=1e-9)
    np.testing.assert_array_equal(rings.n_phi, [n for _, n in edges[1:]])


def test_both_let_particles_leave_at_the_same_place() -> None:
    rng = stream("higgs", "test plain pass", 3).generator()
    for _ in range(300):
        p = momentum(10 ** rng.uniform(-0.9, 2), rng.uniform(-4, 4), rng.uniform(-3, 3), 0.14)
        charge = int(rng.integers(-1, 2))
        arrives, eta, phi = arrival(p[0], p[1], p[2], charge, 0.0, 0.0, 0.0)
        assert arrives
        plain_eta, plain_phi = leaves_at(p, charge)
        assert plain_eta == pytest.approx(eta, abs=1e-9)
        assert math.remainder(plain_phi - phi, 2 * math.pi) == pytest.approx(0.0, abs=1e-9)


def test_the_plain_jets_are_jets() -> None:
    """Two that are near merge, also over the seam; one that is far does not."""
    inputs = [momentum(pt, 0.0, phi) for pt, phi in ((30.0, 3.1), (20.0, -3.1), (25.0, 1.0))]
    jets = sorted(anti_kt(inputs), key=lambda jet: len(jet[1]))
    assert [members for _, members in jets] == [{2}, {0, 1}]
    np.testing.assert_allclose(jets[1][0], inputs[0] + inputs[1])
