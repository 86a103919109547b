"""Where particles arrive: helices against stepwise integration, towers against their edges."""

from __future__ import annotations

import numpy as np
import pytest

from sigma68.seeds import stream
from sigma68.tasks.higgs.simulate.geometry import (
    ECAL,
    HALF_LENGTH_M,
    HCAL,
    RADIUS_M,
    Rings,
    arrival,
    tower_of,
)

_GEV_PER_M = 0.299792458 * 2.0


def _stepped(
    momentum: np.ndarray, charge: int, vertex: np.ndarray, step_m: float = 2e-4
) -> tuple[float, float]:
    """(eta, phi) of the exit, from the direction of flight turned in small steps."""
    px, py, pz = momentum
    pt = np.hypot(px, py)
    turns = np.arange(int(40.0 / step_m)) * step_m
    phi = np.arctan2(py, px) - charge * turns * _GEV_PER_M / pt
    x = vertex[0] + np.cumsum(np.cos(phi)) * step_m
    y = vertex[1] + np.cumsum(np.sin(phi)) * step_m
    z = vertex[2] + pz / pt * turns
    out = (np.hypot(x, y) > RADIUS_M) | (np.abs(z) > HALF_LENGTH_M)
    i = int(np.argmax(out))
    assert out[i], "the test's steps end inside the solenoid"
    return float(np.arcsinh(z[i] / np.hypot(x[i], y[i]))), float(np.arctan2(y[i], x[i]))


@pytest.mark.parametrize("charge", [-1, 0, 1])
def test_arrival_equals_stepwise_integration(charge: int) -> None:
    rng = stream("higgs", "test helix", 1).generator()
    for _ in range(40):
        pt, phi = 10 ** rng.uniform(-0.3, 1.5), rng.uniform(-np.pi, np.pi)
        eta = rng.choice([-1, 1]) * rng.uniform(0.3, 3.5)
        momentum = np.array([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)])
        vertex = rng.normal(size=3) * [0.1, 0.1, 0.2]
        arrives, eta_out, phi_out = arrival(*momentum, charge, *vertex)
        expected = _stepped(momentum, charge, vertex)
        assert arrives
        assert eta_out == pytest.approx(expected[0], abs=4e-3)
        assert np.cos(phi_out - expected[1]) > 1 - 1e-4


def test_who_is_born_outside_does_not_arrive() -> None:
    assert not arrival(1.0, 0.0, 0.0, 0, RADIUS_M + 0.01, 0.0, 0.0)[0]
    assert not arrival(1.0, 0.0, 0.0, 1, 0.0, 0.0, HALF_LENGTH_M + 0.01)[0]
    assert not arrival(0.0, 0.0, 10.0, 1, 0.0, 0.0, 0.0)[0]


def test_a_curling_particle_leaves_through_the_end() -> None:
    arrives, eta, _ = arrival(0.2, 0.0, 0.1, 1, 0.0, 0.0, 0.0)
    assert arrives
    assert eta > 0.0


@pytest.mark.parametrize(
    ("rings", "n_rings", "n_towers"), [(ECAL, 362, 123_192), (HCAL, 76, 2_340)]
)
def test_numbers_of_towers(rings: Rings, n_rings: int, n_towers: int) -> None:
    assert len(rings.n_phi) == n_rings
    assert rings.first[-1] == n_towers
    assert np.all(np.diff(rings.edges) > 1e-3)
    # The calorimeter looks the same in the mirror: rows are reflected at random.
    np.testing.assert_allclose(rings.edges, -rings.edges[::-1], atol=1e-12)
    np.testing.assert_array_equal(rings.n_phi, rings.n_phi[::-1])


@pytest.mark.parametrize("rings", [ECAL, HCAL])
def test_a_tower_holds_its_upper_edge_and_not_its_lower(rings: Rings) -> None:
    for ring in range(len(rings.n_phi)):
        n = rings.n_phi[ring]
        for place in (0, n // 3, n - 1):
            phi = -np.pi + 2 * np.pi * (place + 0.5) / n
            number = rings.first[ring] + place
            assert tower_of(rings, rings.edges[ring + 1], phi) == (number, ring)
            assert tower_of(rings, np.nextafter(rings.edges[ring], 9.0), phi) == (number, ring)
    assert tower_of(rings, rings.edges[0], 0.0) == (-1, -1)
    assert tower_of(rings, rings.edges[-1] + 1e-6, 0.0) == (-1, -1)


def test_hcal_ring_takes_phi_bins_from_its_upper_edge() -> None:
    wanted = {3.25: 36, -3.25: 36, 2.7: 18, -2.55: 36, 2.55: 36, 4.8: 18}
    for eta, n_phi in wanted.items():
        assert HCAL.n_phi[tower_of(HCAL, eta, 0.1)[1]] == n_phi
