"""The unbinned likelihood of density ratios, on densities whose ratios are exact.

Two components, normal distributions whose places a nuisance shifts: the logarithm of the ratio is
then a polynomial of the shift, so that nothing is approximate. A third region is a counted bin.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from sigma68.errors import FitError
from sigma68.inference.density_ratios import RatioLikelihood
from sigma68.inference.diagnostics import correlation, error_breakdown, impacts, profile_scan, pulls
from sigma68.inference.factors import Factors
from sigma68.inference.ratio_model import Polynomials, RatioEvents
from sigma68.inference.surfaces import Surfaces
from sigma68.seeds import stream
from sigma68.types import Nuisance, Parameter

PLACES, FOLLOWS = np.array([1.5, 0.0]), np.array([0.3, 1.0])
YIELDS, CONTROL = np.array([60.0, 400.0]), np.array([1.0, 900.0])
MU = Parameter("mu", 0.1, 3.0)
SHIFT = Nuisance("shift", prior="normal", location=0.0, width=0.1, low=-1.0, high=1.0, off=0.0)
RATE = Nuisance("rate", prior="normal", location=1.0, width=0.1, low=0.2, high=1.8, off=1.0)
NOISE = Nuisance("noise", prior="lognormal", location=0.0, width=1.0, low=0.0, high=5.0, off=0.0)
POLYNOMIALS = Polynomials(
    ("shift", "noise"),
    np.array([0.0, 0.0]),
    np.array([0.1, 2.5]),
    np.array([[1, 0], [2, 0], [0, 2], [1, 2]]),
)


def likelihood(*profiled: Nuisance, control: bool = True) -> RatioLikelihood:
    nominal = np.column_stack([YIELDS, CONTROL]) if control else YIELDS[:, None]
    k, j = nominal.shape
    surfaces = Surfaces(
        (), np.zeros(0), np.zeros(0), np.zeros((0, 0), np.int64), nominal, 0 * nominal,
        np.zeros((k, j, 0)),
    )  # fmt: skip
    fixed = {n.name: n.off for n in (SHIFT, RATE, NOISE) if n not in profiled}
    factors = Factors((("mu",), ("rate",)))
    return RatioLikelihood(surfaces, 1, POLYNOMIALS, factors, MU, profiled, fixed)


def events_at(x: npt.NDArray[np.float64], count: float, seed: int = 0) -> RatioEvents:
    """Exact shares and responses; what noise does is made up, and smooth."""
    density = YIELDS[:, None] * np.exp(-0.5 * (x - PLACES[:, None]) ** 2)
    step = FOLLOWS[:, None] * SHIFT.width
    linear, bend = (x - PLACES[:, None]) * step, np.broadcast_to(-0.5 * step**2, density.shape)
    noise, mixed = 0.3 * np.cos(x) * np.ones((2, 1)), 0.05 * np.sin(x) * FOLLOWS[:, None]
    return RatioEvents(
        (density / density.sum(axis=0)).astype(np.float32),
        np.stack([linear, bend, noise, mixed], axis=1).astype(np.float32),
        np.array([count]),
    )


def drawn(mu: float, shift: float, rate: float, toy: int) -> RatioEvents:
    rng = stream("tests", "ratios", 1, toy).generator()
    n = rng.poisson(YIELDS * [mu, rate])
    x = [rng.normal(PLACES[k] + FOLLOWS[k] * shift, 1.0, n[k]) for k in range(2)]
    return events_at(np.concatenate(x), float(rng.poisson(CONTROL @ [mu, rate])))


EVENTS = drawn(1.0, 0.0, 1.0, 1)


@pytest.mark.parametrize("control", [True, False])
@pytest.mark.parametrize("theta", [[1.2, 0.4, -0.3, 0.5], [0.6, -1.0, 0.8, -1.5]])
def test_derivatives_are_differences(theta: list[float], control: bool) -> None:
    model = likelihood(SHIFT, RATE, NOISE, control=control)
    at, h = np.array(theta), 1e-5
    value, gradient, hessian = model.derivatives(at, EVENTS)
    assert value == model.value(at, EVENTS)
    for i, unit in enumerate(h * np.eye(4)):
        above, below = (model.derivatives(at + side * unit, EVENTS) for side in (1, -1))
        assert gradient[i] == pytest.approx((above[0] - below[0]) / (2 * h), rel=1e-5, abs=1e-4)
        np.testing.assert_allclose(
            hessian[i], (above[1] - below[1]) / (2 * h), rtol=1e-5, atol=1e-4
        )


def test_the_sums_are_those_of_plain_arithmetic() -> None:
    model = likelihood(SHIFT, RATE, NOISE, control=False)
    theta = np.array([1.7, 0.9, -0.5, 0.2])
    rate, noise = 1.0 - 0.05, math.exp(0.2)
    expected = YIELDS @ [1.7, rate]
    m = np.array([0.9, 0.9**2, (noise / 2.5) ** 2, 0.9 * (noise / 2.5) ** 2])
    ratio = np.array([1.7, rate]) @ (
        EVENTS.shares * np.exp(np.einsum("t,ktn->kn", m, EVENTS.responses.astype(float)))
    )
    plain = 2 * (expected - YIELDS.sum()) - 2 * np.log(ratio).sum() + (theta[1:] ** 2).sum()
    assert model.value(theta, EVENTS) == pytest.approx(plain, abs=1e-6)
    np.testing.assert_allclose(model.log_ratios(theta, EVENTS), np.log(ratio), rtol=1e-6)


def test_scores_are_differences() -> None:
    model = likelihood(SHIFT, RATE, NOISE)
    at, h = np.array([1.3, 0.5, -0.4, 0.3]), 1e-4
    scores = model.scores(at, EVENTS)
    for i, unit in enumerate(h * np.eye(4)):
        above, below = (model.log_ratios(at + side * unit, EVENTS) for side in (1, -1))
        np.testing.assert_allclose(scores[i], (above - below) / (2 * h), rtol=1e-3, atol=1e-4)


def test_the_interval_is_that_of_minuit() -> None:
    model = likelihood(SHIFT, RATE, NOISE)
    fit, lower, upper = model.interval(EVENTS)
    minuit = model.minos(EVENTS)
    np.testing.assert_allclose([lower, upper], [minuit.lower, minuit.upper], atol=2e-3)
    assert fit.value == pytest.approx(minuit.minimum, abs=1e-3)


def test_intervals_cover() -> None:
    """300 toys: 2.7% of binomial error; truths drawn from the priors."""
    model = likelihood(SHIFT, RATE)
    covered, pull = 0, []
    for toy in range(300):
        rng = stream("tests", "ratios truth", 1, toy).generator()
        shift, rate = 0.1 * rng.standard_normal(), 1 + 0.1 * rng.standard_normal()
        fit, lower, upper = model.interval(drawn(1.0, shift, rate, toy))
        covered += lower <= 1.0 <= upper
        pull.append((fit.best[0] - 1.0) / fit.errors[0])
    assert abs(covered / 300 - 0.6827) < 3 * 0.027
    assert abs(np.mean(pull)) < 3 / math.sqrt(300)


def test_asimov_data_give_their_point_back() -> None:
    model = likelihood(SHIFT, RATE)
    x = stream("tests", "ratios", 2).generator().normal(PLACES.repeat([60_000, 400_000]), 1.0)
    plain = events_at(x, 0.0)
    nominal = RatioEvents(plain.shares, plain.responses, plain.counts, np.full(x.size, 1e-3))
    moved = model.asimov(np.array([1.4, 0.7, -0.5]), nominal)
    assert moved.weights is not None
    assert moved.weights.sum() == pytest.approx(YIELDS @ [1.4, 0.95], rel=0.01)
    assert model.fit(moved).best[1] > 0.3
    at = np.array([1.4, 0.0, 0.0])
    np.testing.assert_allclose(model.fit(model.asimov(at, nominal)).best, at, atol=0.03)


def test_diagnostics_take_it_as_they_take_bins() -> None:
    model = likelihood(SHIFT, RATE, NOISE)
    found = model.fit(EVENTS)
    scan = profile_scan(model, EVENTS, "mu", points=7, span=2.0)
    assert scan.profiled[3] == pytest.approx(0.0, abs=1e-4)
    assert (scan.profiled <= scan.statistical + 1e-3).all()
    np.testing.assert_array_equal(pulls(model, EVENTS).best, found.best[1:])
    assert correlation(model, EVENTS).matrix.shape == (4, 4)
    parts = error_breakdown(model, EVENTS)
    assert parts.total == pytest.approx(found.errors[0])
    assert parts.statistical < parts.total
    assert impacts(model, EVENTS).error == parts.total


def test_held_nuisances_stay_and_limits_hold() -> None:
    model = likelihood(SHIFT, NOISE)
    assert model.fit(EVENTS, {"shift": 1.5}).best[1] == 1.5
    assert model.fit(EVENTS, {"noise": float(model.upper[2])}).best[2] == model.upper[2]
    with pytest.raises(ValueError, match="cannot be held"):
        model.fit(EVENTS, {"shift": 99.0})


def test_what_is_wrong_says_so() -> None:
    with pytest.raises(FitError, match="NaN or infinite"):
        RatioEvents(EVENTS.shares * np.nan, EVENTS.responses, EVENTS.counts)
    model = likelihood(SHIFT)
    assert model.value(np.array([-50.0, 0.0]), EVENTS) == math.inf
    flat = RatioEvents(EVENTS.shares[:, :0], EVENTS.responses[:, :, :0], np.array([0.0]))
    with pytest.raises(FitError):
        likelihood(RATE).interval(flat)
    with pytest.raises(ValueError, match="no value for"):
        RatioLikelihood(model.yields, 1, POLYNOMIALS, model.factors, MU, (SHIFT,), {"rate": 1.0})
