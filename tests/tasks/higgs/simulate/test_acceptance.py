"""The table of acceptances: what it must do whatever the decays are, and a plain recount."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sigma68.seeds import stream
from sigma68.tasks.higgs.simulate import tau_library
from sigma68.tasks.higgs.simulate.acceptance import Acceptance
from sigma68.tasks.higgs.simulate.tau_library import TAU_MASS_GEV, TauDecays
from tests.tasks.higgs.simulate.records import boosted

_HIGGS_GEV = 125.0


@pytest.fixture(scope="module")
def library() -> TauDecays:
    return tau_library.load()


@pytest.fixture(scope="module")
def acceptance(library: TauDecays) -> Acceptance:
    rng = stream("higgs", "test acceptance", 1).generator()
    return Acceptance(_HIGGS_GEV, True, library, rng)


@pytest.fixture(scope="module")
def at_rest(library: TauDecays) -> tuple[float, float]:
    return _recounted(0.0, 0.0, library, 3000)


def _recounted(pt: float, rapidity: float, library: TauDecays, n: int) -> tuple[float, float]:
    """Share of decays that pass, by plain steps: isotropic, equal helicities; and its error."""
    rng = stream("higgs", "test acceptance recount", int(10 * pt + rapidity)).generator()
    transverse = math.hypot(_HIGGS_GEV, pt)
    boson = np.array([pt, 1e-9, transverse * math.sinh(rapidity), transverse * math.cosh(rapidity)])
    size = math.sqrt(_HIGGS_GEV**2 / 4 - TAU_MASS_GEV**2)
    passed = 0
    for _ in range(n):
        direction = rng.normal(size=3)
        direction /= np.linalg.norm(direction)
        helicity = int(rng.integers(2))
        lepton = tau = False
        for sign, label in ((1, helicity), (-1, 1 - helicity)):
            choice = int(rng.integers(library.leptonic.shape[1]))
            flight = np.append(sign * size * direction, _HIGGS_GEV / 2)
            visible = library.visible[label, choice]
            # Rotate z to the flight: any rotation about the flight will do.
            across = np.cross(flight[:3], rng.normal(size=3))
            across /= np.linalg.norm(across)
            along = flight[:3] / np.linalg.norm(flight[:3])
            p = visible[0] * across + visible[1] * np.cross(along, across) + visible[2] * along
            p = boosted(boosted(np.append(p, visible[3]), flight), boson)
            p_t = math.hypot(p[0], p[1])
            if abs(math.asinh(p[2] / p_t)) > 2.55:
                continue
            if library.leptonic[label, choice]:
                lepton |= p_t > 19.0
            else:
                tau |= p_t > 20.0
        passed += lepton and tau
    share = passed / n
    return share, math.sqrt(share * (1 - share) / n)


@pytest.mark.parametrize(("pt", "rapidity"), [(80.0, 0.5), (200.0, 0.0), (0.0, 2.0)])
def test_it_is_that_of_a_plain_recount(
    pt: float,
    rapidity: float,
    acceptance: Acceptance,
    at_rest: tuple[float, float],
    library: TauDecays,
) -> None:
    rest, rest_error = at_rest
    share, error = _recounted(pt, rapidity, library, 3000)
    expected = share / rest
    # The table's own errors are about as large.
    sigma = expected * 2**0.5 * math.hypot(error / share, rest_error / rest)
    assert acceptance(pt, rapidity) == pytest.approx(expected, abs=4 * sigma)
    assert sigma < 0.2 * max(expected, 0.5)


def test_it_is_relative_to_a_boson_at_rest_and_the_same_both_ways(acceptance: Acceptance) -> None:
    assert acceptance(0.0, 0.0) == pytest.approx(1.0)
    for pt, rapidity in ((3.0, 0.4), (70.0, 1.9), (300.0, 2.6)):
        assert acceptance(pt, rapidity) == acceptance(pt, -rapidity)


def test_fast_bosons_are_selected_and_forward_ones_are_not(acceptance: Acceptance) -> None:
    assert acceptance(200.0, 0.0) > 1.25
    assert acceptance(0.0, 1.5) < 0.95
    assert acceptance(0.0, 3.5) < 0.1
    assert acceptance(0.0, 5.0) < 0.02


def test_it_is_interpolated(acceptance: Acceptance) -> None:
    corners = [acceptance(pt, y) for pt in (50.0, 80.0) for y in (0.5, 0.75)]
    assert acceptance(65.0, 0.625) == pytest.approx(sum(corners) / 4)
    assert acceptance(79.999999, 0.6) == pytest.approx(acceptance(80.0, 0.6), rel=1e-5)
    assert acceptance(65.0, 0.7499999) == pytest.approx(acceptance(65.0, 0.75), rel=1e-5)


def test_beyond_its_edges_it_stays(acceptance: Acceptance) -> None:
    assert acceptance(5000.0, 0.3) == acceptance(400.0, 0.3)
    assert acceptance(10.0, 9.0) == pytest.approx(acceptance(10.0, 5.0), abs=1e-3)
    grid = [acceptance(pt, y) for pt in (0.0, 14.0, 399.0, 1e4) for y in (0.0, 2.4, 4.9, 7.0)]
    assert np.all(np.isfinite(grid))
    assert min(grid) >= 0.0
