"""The binned likelihood is the textbook's; its fits agree with MINUIT, at limits as well."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import poisson

from sigma68.errors import FitError
from sigma68.inference.binned import BinnedFit, BinnedLikelihood
from tests.inference import binned_toy as toy

POINTS = (
    (1.0, {}),
    (0.4, {"shift": 1.013, "noise": 2.5, "own": 0.7, "all": 1.004}),
    (2.6, {"shift": 0.98, "noise": 0.3, "own": 1.4}),
)
CAP = math.log(5)


def textbook(model: BinnedLikelihood, mu: float, values: dict[str, float], n: toy.Floats) -> float:
    """-2 ln L against the saturated model, with every simulation factor found by search."""
    at = {nuisance.name: values.get(nuisance.name, nuisance.asimov) for nuisance in toy.NUISANCES}
    s = model.surfaces
    x, y = (at["shift"] - 1) / 0.01, at["noise"] / 2.5
    terms = np.array([x, x * x, x**3, y, y * y, y**3, x * y])
    moved = s.nominal * np.exp(s.coefficients @ terms)
    e = mu * moved[0] + at["all"] * moved[1] + at["all"] * at["own"] * moved[2]
    r = s.variance.sum(axis=0) / s.nominal.sum(axis=0) ** 2
    total = sum(nuisance.to_z(at[nuisance.name]) ** 2 for nuisance in toy.NUISANCES)
    for n_j, e_j, r_j in zip(n, e, r, strict=True):

        def of_bin(g: float, n_j: float = n_j, e_j: float = e_j, r_j: float = r_j) -> float:
            constraint = (g - 1) ** 2 / r_j if model.mc_errors else 0.0
            return constraint - 2 * float(poisson.logpmf(n_j, g * e_j) - poisson.logpmf(n_j, n_j))

        if model.mc_errors:
            found = minimize_scalar(of_bin, bounds=(1e-3, 3), options={"xatol": 1e-10})
            total += float(found.fun)
        else:
            total += of_bin(1.0)
    return total


@pytest.mark.parametrize("mc_errors", [True, False])
@pytest.mark.parametrize(("mu", "values"), POINTS)
def test_it_is_the_textbooks(mu: float, values: dict[str, float], mc_errors: bool) -> None:
    model = toy.likelihood(0.02, mc_errors=mc_errors)
    n = toy.drawn(model, 1.3, {}, 3)
    assert model.value(model.point(mu, values), n) == pytest.approx(
        textbook(model, mu, values, n), rel=1e-8
    )


@pytest.mark.parametrize("size", [1.0, 0.01])
@pytest.mark.parametrize(("mu", "values"), POINTS)
def test_derivatives_are_differences(mu: float, values: dict[str, float], size: float) -> None:
    model = toy.likelihood(size)
    n = toy.drawn(model, 1.3, {"shift": 1.01}, 4)
    point, h = model.point(mu, values), 1e-5
    _, gradient, hessian = model.derivatives(point, n)
    for i, unit in enumerate(h * np.eye(len(point))):
        difference = (model.value(point + unit, n) - model.value(point - unit, n)) / (2 * h)
        assert gradient[i] == pytest.approx(difference, rel=1e-6, abs=1e-5)
        slope = (model.derivatives(point + unit, n)[1] - model.derivatives(point - unit, n)[1]) / (
            2 * h
        )
        np.testing.assert_allclose(hessian[i], slope, rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize("size", [1.0, 0.05])
def test_intervals_are_those_of_minos(size: float) -> None:
    model = toy.likelihood(size)
    n = toy.drawn(model, 1.2, {"shift": 1.008, "own": 1.2}, 5)
    found, lower, upper = model.interval(n)
    minos = model.minos(n)
    error = float(found.errors[0])
    np.testing.assert_allclose(found.best, minos.best, atol=2e-3)
    np.testing.assert_allclose([lower, upper], [minos.lower, minos.upper], atol=1e-3 * error)
    assert found.value == pytest.approx(minos.minimum, abs=1e-5)
    assert error == pytest.approx(minos.errors[0], rel=5e-3)


def test_many_toys_are_each_alone() -> None:
    model = toy.likelihood(0.2)
    counts = np.array([toy.drawn(model, 1.0, {}, seed) for seed in range(5)])
    many = model.intervals(counts)
    assert not many.failed.any()
    for i, n in enumerate(counts):
        found, lower, upper = model.interval(n)
        np.testing.assert_allclose(many.best[i], found.best, atol=1e-9)
        np.testing.assert_allclose(many.errors[i], found.errors, rtol=1e-9)
        np.testing.assert_allclose(
            [many.value[i], many.lower[i], many.upper[i]], [found.value, lower, upper], rtol=1e-9
        )


def test_a_lognormal_at_its_cap() -> None:
    model = toy.likelihood()
    # Noise beyond the cap: its response alone says that it is 20, far above 5.
    beyond = model.point(1.0)
    beyond[2] = math.log(20)
    n = model.expected(beyond)
    found, lower, upper = model.interval(n)
    assert found.best[2] == CAP
    assert found.errors[2] == 0
    assert not found.covariance[2].any()
    minos = model.minos(n)
    assert minos.best[2] == pytest.approx(CAP, abs=1e-3)
    np.testing.assert_allclose(
        [lower, upper], [minos.lower, minos.upper], atol=2e-3 * found.errors[0]
    )
    assert model.nuisance_values(found)["noise"] == (pytest.approx(5.0), pytest.approx(5.0))


def test_bins_without_counts() -> None:
    model = toy.likelihood(0.002)
    n = toy.drawn(model, 1.0, {}, 6)
    n[2:5] = 0
    found, lower, upper = model.interval(n)
    minos = model.minos(n)
    assert lower < found.best[0] < upper
    np.testing.assert_allclose(
        [lower, upper], [minos.lower, minos.upper], atol=2e-3 * found.errors[0]
    )


def test_no_counts_at_all_have_no_minimum_or_an_honest_one() -> None:
    model = toy.likelihood(0.01)
    with pytest.raises(FitError, match=r"no events|flat|no end|converge"):
        model.interval(np.zeros(toy.N_BINS))


def test_flat_in_the_parameter() -> None:
    model = toy.without_signal()
    n = np.round(model.expected(model.point(1.0)))
    with pytest.raises(FitError, match="flat"):
        model.fit(n)
    assert model.intervals(n[None]).failed.all()


def test_an_empty_bin_of_all_templates_is_refused() -> None:
    full = toy.surfaces()
    nominal, variance = full.nominal.copy(), full.variance.copy()
    nominal[:, 3] = variance[:, 3] = 0.0
    model = BinnedLikelihood(
        replace(full, nominal=nominal, variance=variance), toy.FACTORS, toy.MU, toy.NUISANCES, {}
    )
    with pytest.raises(FitError, match="expects no events"):
        model.fit(np.full(toy.N_BINS, 10.0))


@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf])
def test_counts_that_are_none(bad: float) -> None:
    model = toy.likelihood()
    n = model.expected(model.point(1.0))
    n[1] = bad
    with pytest.raises(FitError, match="negative or not a number"):
        model.fit(n)
    with pytest.raises(FitError, match="negative or not a number"):
        model.intervals(n[None])


def test_shapes_and_names_are_checked() -> None:
    model = toy.likelihood()
    with pytest.raises(ValueError, match=r"shape \(8,\)"):
        model.fit(np.ones(7))
    with pytest.raises(ValueError, match="no value for own, shift"):
        BinnedLikelihood(
            toy.surfaces(), toy.FACTORS, toy.MU, (toy.NOISE, toy.ALL), {}, mc_errors=True
        )


@pytest.mark.parametrize("held", [{"nobody": 0.0}, {"noise": CAP + 0.1}, {"own": math.nan}])
def test_what_cannot_be_held(held: dict[str, float]) -> None:
    model = toy.likelihood()
    with pytest.raises(ValueError, match="cannot be held"):
        model.fit(model.expected(model.point(1.0)), held)


def test_held_nuisances_stay_and_cost() -> None:
    model = toy.likelihood()
    n = toy.drawn(model, 1.0, {}, 7)
    free = model.fit(n)
    held = model.fit(n, {"shift": 1.5, "mu": 1.1})
    assert held.best[0] == 1.1
    assert held.best[1] == 1.5
    assert held.value > free.value
    assert held.errors[0] == held.errors[1] == 0


def test_fixed_nuisances_are_those_held() -> None:
    part = toy.likelihood(profiled=(toy.SHIFT, toy.OWN))
    n = toy.drawn(toy.likelihood(), 1.0, {}, 8)
    full = BinnedLikelihood(
        toy.surfaces(), toy.FACTORS, toy.MU, (toy.SHIFT, toy.OWN, toy.ALL), {"noise": 0.0}
    )
    np.testing.assert_allclose(part.fit(n).best, full.fit(n, {"all": 0.0}).best[:3], atol=1e-6)


PUSHED = {"shift": (3.0, toy.SHIFT), "own": (-3.0, toy.OWN), "all": (3.0, toy.ALL)}


@pytest.mark.parametrize("name", PUSHED)
def test_a_nuisance_pushed_to_three_deviations_is_found(name: str) -> None:
    pushed, nuisance = PUSHED[name]
    model = toy.likelihood(100.0, profiled=(toy.SHIFT, toy.OWN, toy.ALL))
    truth = model.point(1.2, {name: nuisance.from_z(pushed)})
    i = model.names.index(name)
    asimov = model.fit(model.expected(truth))
    # The data alone would say `pushed`; the prior takes its share, the square of the error.
    share = 1 - asimov.errors[i] ** 2
    assert asimov.best[i] == pytest.approx(share * pushed, abs=0.05)
    _toys_agree(model, truth, asimov)


def test_a_lognormal_pushed_up_is_found() -> None:
    model = toy.likelihood(30.0)
    truth = model.point(1.2, {"noise": 3.6})
    asimov = model.fit(model.expected(truth))
    assert asimov.best[2] == pytest.approx(truth[2], abs=asimov.errors[2])
    _toys_agree(model, truth, asimov)


def _toys_agree(model: BinnedLikelihood, truth: toy.Floats, asimov: BinnedFit) -> None:
    """Toys of `truth` are on average fitted as its Asimov data set is."""
    rng = np.random.default_rng(9)
    toys = model.intervals(rng.poisson(model.expected(truth), (400, toy.N_BINS)).astype(float))
    assert not toys.failed.any()
    for at in range(len(truth)):
        mean, spread = toys.best[:, at].mean(), toys.best[:, at].std()
        assert mean == pytest.approx(asimov.best[at], abs=4 * spread / 20)


def test_asimov_data_without_pull_are_fitted_exactly() -> None:
    model = toy.likelihood()
    for mu in (0.1, 1.0, 3.0):
        found = model.fit(model.expected(model.point(mu)))
        np.testing.assert_allclose(found.best, [mu, 0, 0, 0, 0], atol=1e-6)
        assert found.value == pytest.approx(0, abs=1e-9)


def test_knowing_templates_exactly_narrows_the_interval() -> None:
    with_errors, exact = toy.likelihood(), toy.likelihood(mc_errors=False)
    n = with_errors.expected(with_errors.point(1.0))
    _, low, high = with_errors.interval(n)
    _, exact_low, exact_high = exact.interval(n)
    assert exact_high - exact_low < 0.95 * (high - low)
