"""The information against its integral, a counting experiment by hand, and toys."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sigma68.inference.factors import Factors, normalisations
from sigma68.inference.fitting import profile_interval
from sigma68.inference.information import component_information, smallest_error
from sigma68.inference.likelihood import ConstrainedLikelihood
from sigma68.inference.unbinned import MixtureLikelihood, shares_of
from sigma68.types import Nuisance, Observation, Parameter
from tests.inference.mixture import NUISANCES, YIELDS, Line, drawn

AT = {"own": 1.0, "all": 1.0}
FACTORS = Factors(Line.factors)
FITTED = normalisations(Line.factors, NUISANCES, ("own", "all", "shape"))


def information(mu: float) -> np.ndarray:
    axis, step = np.linspace(-7, 7, 4001, retstep=True)
    logs = Line().log_densities(Observation(("x",), axis[None, :]))
    weights = YIELDS @ np.exp(logs) * step
    return component_information(shares_of(logs, YIELDS), weights, FACTORS.scales({"mu": mu, **AT}))


def test_the_scaled_information_sums_to_the_expected_events() -> None:
    """F c is nu: the integral of nu_j p_j lambda / lambda."""
    found = information(1.7)
    np.testing.assert_allclose(found @ [1.7, 1.0, 1.0], YIELDS, rtol=1e-4)
    np.testing.assert_array_equal(found, found.T)


def test_a_counting_experiment_by_hand() -> None:
    """Components that look alike: n events, error sqrt(n) / S, background known to 10%."""
    shares = np.array([[0.2], [0.8]])
    found = component_information(shares, np.array([1000.0]), np.array([1.5, 1.0]))
    factors = Factors((("mu",), ("scale",)))
    n = 1.5 * 200 + 800
    assert smallest_error(found, factors, "mu", 1.5) == pytest.approx(math.sqrt(n) / 200)
    scale = Nuisance("scale", 1.0, "normal", 1.0, 0.1, 0.0, 2.0)
    both = smallest_error(found, factors, "mu", 1.5, [scale], {"scale": 1.0})
    assert both == pytest.approx(math.sqrt(n + 80**2) / 200)
    # A lognormal's value moves by width times itself.
    scale = Nuisance("scale", 1.0, "lognormal", math.log(1.2), 0.1, 0.0, 5.0)
    found = component_information(shares, np.array([1000.0]), np.array([1.5, 1.2]))
    n = 1.5 * 200 + 1.2 * 800
    both = smallest_error(found, factors, "mu", 1.5, [scale], {"scale": 1.2})
    assert both == pytest.approx(math.sqrt(n + (0.1 * 1.2 * 800) ** 2) / 200)


def test_what_does_not_depend_on_the_parameter_is_refused() -> None:
    with pytest.raises(ValueError, match="does not depend on 'nu'"):
        smallest_error(information(1.0), FACTORS, "nu", 1.0)


@pytest.mark.parametrize("fitted", [(), FITTED], ids=["statistics", "normalisations"])
def test_toys_have_the_smallest_error_in_their_spread_and_width(
    fitted: tuple[Nuisance, ...],
) -> None:
    mu, likelihood = 1.3, MixtureLikelihood(Line())
    best = smallest_error(information(mu), FACTORS, "mu", mu, fitted, AT)
    estimates, widths = [], []
    for seed in range(300):
        draw = np.random.default_rng([9, seed])
        at = {n.name: n.from_z(draw.standard_normal()) for n in fitted}
        seen = drawn(mu, at.get("own", 1.0), at.get("all", 1.0), seed)
        fixed = {n.name: n.off for n in NUISANCES if n not in fitted}
        target = ConstrainedLikelihood(likelihood, seen, ("mu",), fitted, fixed)
        found = profile_interval(target, Parameter("mu", 0.1, 3.0), 0.6827)
        estimates.append(found.mu_hat)
        widths.append(found.upper - found.lower)
    assert np.std(estimates) == pytest.approx(best, rel=3 / math.sqrt(2 * 300))
    assert np.mean(widths) == pytest.approx(2 * best, rel=0.01)
    assert np.mean(estimates) == pytest.approx(mu, abs=3 * best / math.sqrt(300))
