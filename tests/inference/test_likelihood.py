"""Constraints and the chain rule from z to a nuisance's value, whatever its prior."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from sigma68.inference.likelihood import ClosedForm, ConstrainedLikelihood, SmoothLikelihood
from sigma68.types import Nuisance, Observation

NORMAL = Nuisance("scale", 1.0, "normal", 1.0, 0.05, 0.5, 1.5)
LOGNORMAL = Nuisance("noise", 0.0, "lognormal", 0.0, 0.3, 0.0, 2.0)
EVENTS = Observation(("x",), np.linspace(0.5, 3, 40)[None, :])


class Exponential:
    """lambda(x) = mu scale exp(-x / noise) + 1 on x in (0, infinity), 1 event per unit."""

    def expected(self, parameters: Mapping[str, float], nuisances: Mapping[str, float]) -> float:
        return parameters["mu"] * nuisances["scale"] * nuisances["noise"] + 40.0

    def density(
        self,
        observation: Observation,
        parameters: Mapping[str, float],
        nuisances: Mapping[str, float],
    ) -> np.ndarray:
        signal = parameters["mu"] * nuisances["scale"]
        return signal * np.exp(-observation["x"] / nuisances["noise"]) + 1


class SmoothExponential(Exponential):
    """With derivatives in mu, scale and noise, in the order of the names given."""

    def derivatives(
        self,
        observation: Observation,
        parameters: Mapping[str, float],
        nuisances: Mapping[str, float],
    ) -> tuple[float, np.ndarray, np.ndarray]:
        x, zero = observation["x"], np.zeros(observation.n_events)
        m, k, w = parameters["mu"], nuisances["scale"], nuisances["noise"]
        e = np.exp(-x / w)
        d = self.density(observation, parameters, nuisances)
        first = {"mu": k * e, "scale": m * e, "noise": m * k * e * x / w**2}
        second = {
            ("mu", "mu"): zero,
            ("mu", "scale"): e,
            ("mu", "noise"): k * e * x / w**2,
            ("scale", "scale"): zero,
            ("scale", "noise"): m * e * x / w**2,
            ("noise", "noise"): m * k * e * (x**2 / w**4 - 2 * x / w**3),
        }
        nu = {"mu": k * w, "scale": m * w, "noise": m * k}
        nu2 = {("mu", "scale"): w, ("mu", "noise"): k, ("scale", "noise"): m}
        names = (*parameters, *nuisances)

        def pair(a: str, b: str) -> float:
            key = (a, b) if (a, b) in second else (b, a)
            curvature = (first[a] * first[b] / d**2 - second[key] / d).sum()
            return float(2 * nu2.get(key, 0.0) + 2 * curvature)

        gradient = np.array([2 * nu[a] - 2 * (first[a] / d).sum() for a in names])
        hessian = np.array([[pair(a, b) for b in names] for a in names])
        value = 2 * self.expected(parameters, nuisances) - 2 * np.log(d).sum()
        return float(value), gradient, hessian


def target(profiled: tuple[Nuisance, ...], fixed: dict[str, float]) -> ConstrainedLikelihood:
    return ConstrainedLikelihood(SmoothExponential(), EVENTS, ("mu",), profiled, fixed)


@pytest.mark.parametrize(
    ("profiled", "fixed"),
    [
        ((NORMAL, LOGNORMAL), {}),
        ((LOGNORMAL, NORMAL), {}),
        ((LOGNORMAL,), {"scale": 1.02}),
        ((NORMAL,), {"noise": 0.8}),
        ((), {"scale": 1.0, "noise": 1.0}),
    ],
)
def test_derivatives_in_z(profiled: tuple[Nuisance, ...], fixed: dict[str, float]) -> None:
    function = target(profiled, fixed)
    at = np.array([3.0, 0.7, -0.4])[: 1 + len(profiled)]
    value, gradient, hessian = function.derivatives(at)
    assert value == pytest.approx(function.value(at), rel=1e-12)
    step = 1e-5
    for i in range(len(at)):
        move = np.eye(len(at))[i] * step
        numeric = (function.value(at + move) - function.value(at - move)) / (2 * step)
        assert gradient[i] == pytest.approx(numeric, rel=1e-5, abs=1e-5)
        rows = function.derivatives(at + move)[1] - function.derivatives(at - move)[1]
        np.testing.assert_allclose(hessian[i], rows / (2 * step), rtol=1e-5, atol=1e-5)


def test_the_constraint_is_z_squared_for_every_prior() -> None:
    function = target((NORMAL, LOGNORMAL), {})
    unconstrained = 2 * 40.0  # at mu = 0 nothing else depends on a nuisance
    assert function.value(np.array([0.0, 1.5, -2.0])) == pytest.approx(unconstrained + 2.25 + 4)


def test_beyond_the_clip_only_the_constraint_is_left() -> None:
    function = target((NORMAL, LOGNORMAL), {})
    at = np.array([3.0, 0.0, 5.0])  # exp(0.3 * 5) is above 2
    _, gradient, hessian = function.derivatives(at)
    assert gradient[2] == pytest.approx(2 * 5.0)
    assert hessian[2] == pytest.approx([0, 0, 2])


def test_values_and_errors_in_the_nuisances_own_units() -> None:
    found = target((NORMAL, LOGNORMAL), {}).nuisance_errors(
        np.array([1.0, 2.0, 1.0]), np.array([0.1, 0.5, 0.8])
    )
    assert found["scale"] == pytest.approx((1.1, 0.025))
    noise = np.exp(0.3)
    assert found["noise"] == pytest.approx((noise, 0.3 * noise * 0.8))


def test_impossible_events_are_infinitely_unlikely() -> None:
    assert target((NORMAL, LOGNORMAL), {}).value(np.array([-50.0, 0.0, 0.0])) == np.inf


def test_what_a_likelihood_states_is_known_from_its_methods() -> None:
    assert isinstance(SmoothExponential(), SmoothLikelihood)
    assert not isinstance(Exponential(), SmoothLikelihood)
    assert not isinstance(Exponential(), ClosedForm)
    plain = ConstrainedLikelihood(Exponential(), EVENTS, ("mu",), (NORMAL, LOGNORMAL), {})
    assert plain.smooth is None
    with pytest.raises(TypeError, match="does not state its derivatives"):
        plain.derivatives(np.zeros(3))
