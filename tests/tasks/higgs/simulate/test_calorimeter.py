"""Towers: what goes in, what is measured, and how tracks and towers are reconciled."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sigma68.seeds import stream
from sigma68.tasks.higgs.simulate.calorimeter import (
    Towers,
    clear_from,
    deposit,
    measure,
    new_towers,
)
from sigma68.tasks.higgs.simulate.geometry import ECAL, HCAL
from sigma68.tasks.higgs.simulate.response import hcal_sigma


@pytest.fixture
def towers() -> Towers:
    return new_towers(HCAL)


def test_deposits_in_one_tower_add_up(towers: Towers) -> None:
    n, slot = deposit(towers, HCAL, 0, 0.55, 0.1, 3.0, towers.true)
    assert (n, slot) == (1, 0)
    n, slot = deposit(towers, HCAL, n, 0.56, 0.11, 4.0, towers.true)
    assert (n, slot) == (1, 0)
    n, slot = deposit(towers, HCAL, n, -0.55, 0.1, 1.0, towers.true)
    assert (n, slot) == (2, 1)
    np.testing.assert_array_equal(towers.true[:2], [7.0, 1.0])
    assert deposit(towers, HCAL, n, 4.95, 0.1, 1.0, towers.true) == (2, -1)
    clear_from(towers, 1, 2)
    assert deposit(towers, HCAL, 1, -0.55, 0.1, 2.0, towers.true) == (2, 1)
    assert towers.true[1] == 2.0
    clear_from(towers, 0, 2)
    assert np.all(towers.slot == -1)


def test_measured_energies_and_positions(towers: Towers) -> None:
    n, energy, draws = 0, 40.0, 4000
    n, _ = deposit(towers, HCAL, n, 0.55, 0.1, energy, towers.true)
    rng = stream("higgs", "test towers", 1).generator()
    seen, eta, phi = (np.empty(draws) for _ in range(3))
    for i in range(draws):
        measure(towers, HCAL, n, False, rng)
        seen[i], eta[i], phi[i] = towers.seen[0], towers.eta[0], towers.phi[0]
    sigma = hcal_sigma(0.55, energy)
    assert seen.mean() == pytest.approx(energy, abs=5 * sigma / draws**0.5)
    assert seen.std() == pytest.approx(sigma, rel=0.08)
    width = 2 * math.pi / 36
    assert eta.min() > 0.5
    assert eta.max() < 0.6
    assert eta.mean() == pytest.approx(0.55, abs=5 * 0.1 / (12 * draws) ** 0.5)
    assert phi.min() > 0.0
    assert phi.max() < width
    assert phi.mean() == pytest.approx(width / 2, abs=5 * width / (12 * draws) ** 0.5)


@pytest.mark.parametrize(
    ("rings", "electromagnetic", "energy"), [(ECAL, True, 0.3), (HCAL, False, 1.0)]
)
def test_small_energies_are_not_seen(rings, electromagnetic: bool, energy: float) -> None:  # type: ignore[no-untyped-def]
    towers = new_towers(rings)
    n, _ = deposit(towers, rings, 0, 0.5, 0.1, energy, towers.true)
    rng = stream("higgs", "test towers", 2).generator()
    seen = []
    for _ in range(2000):
        measure(towers, rings, n, electromagnetic, rng)
        seen.append(towers.seen[0])
    values = np.array(seen)
    least = 0.5 if electromagnetic else 2 * 1.59
    assert np.all((values == 0.0) | (values >= least))
    assert (values == 0.0).mean() > 0.9


def _reconciled(seen_true: float, tracks: float, variance: float, seed: int) -> Towers:
    towers = new_towers(HCAL)
    n, _ = deposit(towers, HCAL, 0, 0.55, 0.1, seen_true, towers.true)
    towers.track_energy[0], towers.track_variance[0] = tracks, variance
    measure(towers, HCAL, n, False, stream("higgs", "test towers", seed).generator())
    return towers


def test_a_significant_excess_is_a_neutral_object() -> None:
    towers = _reconciled(60.0, 10.0, 0.5**2, 3)
    assert towers.neutral[0] == pytest.approx(towers.seen[0] - 10.0)
    assert towers.rescale[0] == 1.0


def test_tracks_without_excess_take_the_best_estimate() -> None:
    for seed in range(20):
        towers = _reconciled(30.0, 31.0, 2.0**2, seed)
        if towers.neutral[0] > 0.0:
            continue
        sigma = towers.sigma[0]
        weights = np.array([1 / 2.0**2, 1 / sigma**2])
        best = (weights * [31.0, towers.seen[0]]).sum() / weights.sum()
        assert towers.rescale[0] == pytest.approx(best / 31.0)
        break
    else:
        pytest.fail("no draw without an excess")


def test_a_tower_below_threshold_still_pulls_its_tracks_down() -> None:
    towers = _reconciled(0.01, 2.0, 0.2**2, 5)
    assert towers.seen[0] == 0.0
    weights = np.array([1 / 0.2**2, 1 / towers.sigma[0] ** 2])
    assert towers.rescale[0] == pytest.approx(weights[0] / weights.sum())
