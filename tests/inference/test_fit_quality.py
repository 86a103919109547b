"""Post-fit bins and their bands, and the goodness of fit: right where all is, alarmed where not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2, kstest

from sigma68.errors import FitError
from sigma68.inference import binned_kernels
from sigma68.inference.binned import simulation_factors
from sigma68.inference.fit_quality import goodness, post_fit, toy_goodness
from sigma68.inference.yields import component_yields, yield_slopes
from sigma68.seeds import stream
from tests.inference import binned_toy as toy

MODEL = toy.likelihood()
COUNTS = toy.drawn(MODEL, 1.2, {"shift": 1.008, "own": 1.1}, 11)
POINT = MODEL.point(0.7, {"shift": 0.98, "noise": 2.0, "own": 1.3})


def test_components_are_those_of_the_kernels() -> None:
    np.testing.assert_allclose(component_yields(MODEL, POINT).sum(axis=0), MODEL.expected(POINT))
    n, j = len(MODEL.names), MODEL.n_bins
    e, de = np.empty(j), np.empty((j, n))
    binned_kernels.expectation(POINT, MODEL._model, 1, e, de, np.empty((0, 0, 0)))
    np.testing.assert_allclose(yield_slopes(MODEL, POINT).sum(axis=1), de.T, rtol=1e-12)


def test_components_slopes_are_differences() -> None:
    slopes, h = yield_slopes(MODEL, POINT), 1e-6
    for i, unit in enumerate(h * np.eye(len(POINT))):
        above, below = component_yields(MODEL, POINT + unit), component_yields(MODEL, POINT - unit)
        np.testing.assert_allclose(slopes[i], (above - below) / (2 * h), rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("size", [1.0, 0.002])
def test_simulation_factors_solve_their_equation(size: float) -> None:
    model = toy.likelihood(size)
    n = toy.drawn(model, 1.0, {}, 2)
    n[4] = 0
    e = model.expected(model.point(1.7))
    s = model.surfaces
    r = s.variance.sum(axis=0) / s.nominal.sum(axis=0) ** 2
    g = simulation_factors(e, n, r)
    np.testing.assert_allclose(model.relative_variances, r)
    assert (g >= 0).all()
    np.testing.assert_allclose(g**2 + g * (e * r - 1) - n * r, 0, atol=1e-12)
    exact = toy.likelihood(size, mc_errors=False).relative_variances
    np.testing.assert_array_equal(simulation_factors(e, n, exact), np.ones(toy.N_BINS))


def test_with_its_factors_known_the_minimum_stays() -> None:
    found = MODEL.fit(COUNTS)
    np.testing.assert_allclose(MODEL.known(COUNTS, found).fit(COUNTS).best, found.best, atol=1e-5)


def test_bins_after_the_fit_are_closer_to_the_counts_and_better_known() -> None:
    bins = post_fit(MODEL, COUNTS)
    found = MODEL.fit(COUNTS)
    np.testing.assert_allclose(
        bins.before.sum(axis=0), MODEL.expected(MODEL.point(1.0)), rtol=1e-12
    )
    g = simulation_factors(MODEL.expected(found.best), COUNTS, MODEL.relative_variances)
    np.testing.assert_allclose(bins.after.sum(axis=0), g * MODEL.expected(found.best), rtol=1e-12)
    assert (bins.parameter_before, bins.parameter_after) == (1.0, found.best[0])
    before, after = (np.abs(x.sum(axis=0) - COUNTS).sum() for x in (bins.before, bins.after))
    assert after < before
    assert (bins.after_error < 1.05 * np.sqrt(COUNTS)).all()
    assert bins.after_error.sum() < bins.before_error.sum()


@pytest.mark.parametrize("mc_errors", [True, False])
def test_the_band_is_the_scatter_of_the_fitted_expectation(mc_errors: bool) -> None:
    # Toys of the joint prior: what is fitted misses the truth by the error that the band states.
    model = toy.likelihood(mc_errors=mc_errors, profiled=(toy.SHIFT, toy.OWN, toy.ALL))
    r = model.surfaces.variance.sum(axis=0) / model.surfaces.nominal.sum(axis=0) ** 2
    rng, n_toys = np.random.default_rng(4), 400
    miss = np.empty((n_toys, toy.N_BINS))
    for toy_number in range(n_toys):
        point = np.array([1.0, *rng.standard_normal(3)])
        factors = 1 + mc_errors * np.sqrt(r) * rng.standard_normal(toy.N_BINS)
        true = factors * model.expected(point)
        n = rng.poisson(true).astype(float)
        best = model.fit(n).best
        fitted = model.expected(best)
        miss[toy_number] = simulation_factors(fitted, n, model.relative_variances) * fitted - true
    band = post_fit(model, model.expected(model.point(1.0))).after_error
    np.testing.assert_allclose(np.sqrt((miss**2).mean(axis=0)), band, rtol=0.2)


def test_bins_without_counts_have_bands() -> None:
    few = toy.likelihood(0.002)
    n = toy.drawn(few, 1.0, {}, 6)
    n[2:5] = 0
    bins = post_fit(few, n)
    assert np.isfinite(bins.after_error).all()
    assert (bins.after_error > 0).all()


def test_right_models_have_uniform_probabilities() -> None:
    rng = np.random.default_rng(5)
    r = MODEL.surfaces.variance.sum(axis=0) / MODEL.surfaces.nominal.sum(axis=0) ** 2
    probabilities = []
    for _ in range(300):
        z = rng.standard_normal(4)
        point = np.clip([1.0, *z], MODEL.lower, MODEL.upper)
        factors = 1 + np.sqrt(r) * rng.standard_normal(toy.N_BINS)
        n = rng.poisson(factors * MODEL.expected(point)).astype(float)
        probabilities.append(goodness(MODEL, n).probability)
    assert kstest(probabilities, "uniform").pvalue > 0.01


def test_a_distortion_that_nobody_modelled_is_flagged() -> None:
    expected = MODEL.expected(MODEL.point(1.0))
    wave = 1 + 0.15 * np.where(np.arange(toy.N_BINS) % 2, 1, -1)
    given = goodness(MODEL, expected * wave)
    assert given.degrees == toy.N_BINS - 1
    assert given.probability < 1e-6
    assert given.value == pytest.approx(MODEL.fit(expected * wave).value)
    assert given.probability == chi2.sf(given.value, 7)
    toys = toy_goodness(MODEL, expected * wave, stream("test", "goodness", 0), 200)
    assert toys.probability == pytest.approx(1 / 201)


def test_toys_say_what_the_chi_square_does_where_both_hold() -> None:
    by_toys = toy_goodness(MODEL, COUNTS, stream("test", "goodness", 1), 1000)
    by_formula = goodness(MODEL, COUNTS)
    assert by_toys.value == by_formula.value
    assert by_toys.n_failed == 0
    assert by_toys.probability == pytest.approx(by_formula.probability, abs=0.06)
    again = toy_goodness(MODEL, COUNTS, stream("test", "goodness", 1), 1000)
    np.testing.assert_array_equal(again.values, by_toys.values)


def test_toys_that_cannot_be_fitted_are_no_answer() -> None:
    # With templates of a handful of events many toys have no interval.
    few = toy.likelihood(0.002)
    n = toy.drawn(few, 1.0, {}, 3)
    with pytest.raises(FitError, match="toys"):
        toy_goodness(few, n, stream("test", "goodness", 2), 100)
