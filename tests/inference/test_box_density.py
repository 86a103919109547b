"""Densities on a box, against ones that are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import truncnorm

from sigma68.errors import FitError, SettingsError
from sigma68.inference.box_density import BoxDensity
from sigma68.seeds import stream
from sigma68.types import Parameter

PARAMETERS = (Parameter("a", 0.0, 2.0), Parameter("b", -1.0, 3.0))


def coefficients_of(family: BoxDensity, log_density: np.ndarray) -> np.ndarray:
    """Those of a logarithm given on the grid, up to a constant."""
    terms = np.column_stack([np.ones(len(family.grid)), family.grid_terms])
    found: np.ndarray = np.linalg.lstsq(terms, log_density, rcond=None)[0][1:]
    return found


def normal(family: BoxDensity, mean: tuple[float, float], error: tuple[float, float]) -> np.ndarray:
    pulls = (family.grid - np.array(mean)) / np.array(error)
    return coefficients_of(family, -0.5 * (pulls**2).sum(axis=1))


def test_moments_are_those_of_normal_densities_cut_off_by_the_box() -> None:
    family = BoxDensity.of(PARAMETERS, degree=2)
    mean, error = family.moments(normal(family, (0.1, 1.0), (0.3, 0.4)))
    cut = truncnorm((0.0 - 0.1) / 0.3, (2.0 - 0.1) / 0.3, loc=0.1, scale=0.3)
    np.testing.assert_allclose(mean, [cut.mean(), 1.0], atol=2e-3)
    np.testing.assert_allclose(error, [cut.std(), 0.4], rtol=3e-3)


def test_nothing_said_is_a_flat_density() -> None:
    family = BoxDensity.of(PARAMETERS)
    nothing = np.zeros((1, family.n_terms))
    np.testing.assert_allclose(family.log_density(nothing, np.array([[0.3, 2.9]])), 0, atol=1e-9)
    _, error = family.moments(nothing[0])
    np.testing.assert_allclose(error, [2 / np.sqrt(12), 4 / np.sqrt(12)], rtol=1e-3)


def test_densities_integrate_to_one() -> None:
    family = BoxDensity.of(PARAMETERS, degree=4)
    rng = np.random.default_rng(3)
    coefficients = rng.normal(0, 1, family.n_terms)
    points = rng.uniform(family.low, family.high, (50_000, 2))
    many = np.broadcast_to(coefficients, (len(points), family.n_terms))
    assert np.exp(family.log_density(many, points)).mean() == pytest.approx(1, abs=0.03)


def test_draws_follow_the_density() -> None:
    family = BoxDensity.of(PARAMETERS, degree=2)
    coefficients = normal(family, (1.5, 0.0), (0.5, 0.3))
    draws = family.draws(coefficients, 40_000, stream("test", "draws", 1))
    mean, error = family.moments(coefficients)
    np.testing.assert_allclose(draws.mean(axis=0), mean, atol=0.01)
    np.testing.assert_allclose(draws.std(axis=0), error, rtol=0.02)
    assert (draws >= family.low).all()
    assert (draws <= family.high).all()
    again = family.draws(coefficients, 40_000, stream("test", "draws", 1))
    np.testing.assert_array_equal(draws, again)


def test_nodes_reach_the_edges_and_integrate() -> None:
    nodes, weights = BoxDensity.of(PARAMETERS, cells=20).nodes()
    assert nodes.min() == -1
    assert nodes.max() == 1
    assert weights.sum() == pytest.approx(1)
    assert weights @ nodes[:, 0] ** 2 == pytest.approx(1 / 3, rel=0.01)


def test_points_are_scaled_there_and_back() -> None:
    family = BoxDensity.of(PARAMETERS)
    points = np.array([[0.0, -1.0], [2.0, 3.0], [1.0, 1.0]])
    np.testing.assert_allclose(family.unit(points), [[-1, -1], [1, 1], [0, 0]])
    np.testing.assert_allclose(family.points(family.unit(points)), points)


def test_coefficients_that_are_no_numbers_give_no_density() -> None:
    family = BoxDensity.of(PARAMETERS)
    with pytest.raises(FitError):
        family.moments(np.full(family.n_terms, np.nan))


@pytest.mark.parametrize(("n", "degree"), [(4, 4), (2, 1), (0, 2)])
def test_what_a_grid_cannot_hold_is_refused(n: int, degree: int) -> None:
    with pytest.raises(SettingsError):
        BoxDensity.of([Parameter(f"p{i}", 0, 1) for i in range(n)], degree=degree)
