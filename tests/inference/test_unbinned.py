"""The likelihood of a mixture is the textbook's, with derivatives, on any number of threads."""

from __future__ import annotations

import gc
import math
import weakref

import numba
import numpy as np
import pytest

from sigma68.errors import FitError
from sigma68.inference import unbinned
from sigma68.inference.likelihood import SmoothLikelihood
from sigma68.inference.unbinned import MixtureLikelihood, shares_of
from sigma68.types import Observation
from tests.inference.mixture import YIELDS, Line, drawn

EVENTS = drawn(1.3)
POINTS = (
    ({"mu": 1.0}, {"own": 1.0, "all": 1.0}),
    ({"mu": 0.1}, {"own": 0.6, "all": 1.04}),
    ({"mu": -0.05}, {"own": 1.5, "all": 0.9}),
)


def textbook(events: Observation, mu: float, own: float, all_: float) -> float:
    scales = np.array([mu, all_, own * all_])
    density = (scales * YIELDS) @ np.exp(Line().log_densities(events))
    return float(2 * scales @ YIELDS - 2 * np.log(density).sum())


def test_it_is_the_textbooks_up_to_a_constant() -> None:
    likelihood = MixtureLikelihood(Line())
    assert isinstance(likelihood, SmoothLikelihood)
    offsets = [
        likelihood.derivatives(EVENTS, parameters, nuisances)[0]
        - textbook(EVENTS, parameters["mu"], nuisances["own"], nuisances["all"])
        for parameters, nuisances in POINTS
    ]
    np.testing.assert_allclose(offsets, offsets[0], rtol=1e-12)


@pytest.mark.parametrize(("parameters", "nuisances"), POINTS)
def test_density_and_expectation_say_the_same(
    parameters: dict[str, float], nuisances: dict[str, float]
) -> None:
    likelihood = MixtureLikelihood(Line())
    expected = likelihood.expected(parameters, nuisances)
    scales = [parameters["mu"], nuisances["all"], nuisances["own"] * nuisances["all"]]
    assert expected == pytest.approx(scales @ YIELDS)
    logs = np.log(likelihood.density(EVENTS, parameters, nuisances)).sum()
    value = likelihood.derivatives(EVENTS, parameters, nuisances)[0]
    assert value == pytest.approx(2 * (expected - YIELDS.sum()) - 2 * logs, abs=1e-9)


@pytest.mark.parametrize(("parameters", "nuisances"), POINTS)
def test_derivatives_are_differences(
    parameters: dict[str, float], nuisances: dict[str, float]
) -> None:
    likelihood = MixtureLikelihood(Line())
    nuisances = {**nuisances, "shape": 0.3}
    names, h = (*parameters, *nuisances), 1e-5
    _, gradient, hessian = likelihood.derivatives(EVENTS, parameters, nuisances)

    def moved(name: str, by: float) -> tuple[float, np.ndarray, np.ndarray]:
        values = {**parameters, **nuisances}
        values[name] += by
        return likelihood.derivatives(
            EVENTS, {n: values[n] for n in parameters}, {n: values[n] for n in nuisances}
        )

    for i, name in enumerate(names):
        above, below = moved(name, h), moved(name, -h)
        assert gradient[i] == pytest.approx((above[0] - below[0]) / (2 * h), rel=1e-5, abs=1e-4)
        slope = (above[1] - below[1]) / (2 * h)
        np.testing.assert_allclose(hessian[i], slope, rtol=1e-5, atol=1e-3)
    assert gradient[names.index("shape")] == 0
    assert hessian[names.index("shape")].tolist() == [0.0] * 4


def many(n: int) -> tuple[np.ndarray, np.ndarray]:
    logs = np.random.default_rng(3).normal(0, 3, (4, n)) - 40
    return logs, np.array([1e3, 1e6, 4e4, 4e3])


class Given:
    """Four components of given densities, each with a scale of its own."""

    fingerprint, component_names = "given", ("a", "b", "c", "d")
    factors = (("a",), ("b",), ("c",), ("d",))

    def __init__(self, logs: np.ndarray, yields: np.ndarray) -> None:
        self.logs, self.yields = logs, yields

    def component_yields(self) -> np.ndarray:
        return self.yields

    def log_densities(self, observation: Observation) -> np.ndarray:
        return self.logs


@pytest.mark.parametrize("n", [1, 2047, 2048, 2049, 50_003])
def test_sums_are_numpys(n: int) -> None:
    logs, yields = many(n)
    seen = Observation(("x",), np.zeros((1, n)))
    at = {"a": 1.4, "b": 0.9, "c": 1.2, "d": 1.1}
    value, gradient, hessian = MixtureLikelihood(Given(logs, yields)).derivatives(seen, at, {})
    scales = np.array(list(at.values()))
    terms = yields[:, None] * np.exp(logs)
    density = (scales @ terms) / terms.sum(axis=0)
    over = terms / (scales @ terms)
    expected = 2 * (scales - 1) @ yields - 2 * np.log(density).sum()
    assert value == pytest.approx(expected, rel=1e-10)
    np.testing.assert_allclose(gradient, 2 * (yields - over.sum(axis=1)), rtol=1e-10)
    np.testing.assert_allclose(hessian, 2 * over @ over.T, rtol=1e-10)


def test_threads_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    logs, yields = many(100_000)
    seen = Observation(("x",), np.zeros((1, 100_000)))
    at = {"a": 1.4, "b": 0.9, "c": 1.2, "d": 1.1}

    def found() -> tuple[float, np.ndarray, np.ndarray]:
        return MixtureLikelihood(Given(logs, yields)).derivatives(seen, at, {})

    before = numba.get_num_threads()
    results = []
    try:
        for threads in (1, min(2, numba.config.NUMBA_NUM_THREADS)):
            numba.set_num_threads(threads)
            results.append(found())
    finally:
        numba.set_num_threads(before)
    monkeypatch.setattr(unbinned, "_FEW", 1000)  # none but this thread
    results.append(found())
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


def test_shares_do_not_depend_on_the_scale_of_densities() -> None:
    logs, yields = many(1000)
    shares = shares_of(logs, yields)
    np.testing.assert_allclose(shares.sum(axis=0), 1, rtol=1e-14)
    # Densities far below what a double holds.
    np.testing.assert_allclose(shares_of(logs - 5000, yields), shares, rtol=1e-9)


def test_a_component_may_be_unable_to_give_an_event() -> None:
    logs = np.array([[-math.inf, 0.0], [1.0, -math.inf], [2.0, 0.0]])
    shares = shares_of(logs, np.array([1.0, 1.0, 0.0]))
    np.testing.assert_array_equal(shares, [[0, 1], [1, 0], [0, 0]])


def test_events_that_no_component_gives_are_counted() -> None:
    logs = np.zeros((2, 5))
    logs[:, 1:4] = -math.inf
    with pytest.raises(FitError, match=r"3 of 5 events can be given by none of the 2 .*\(s, b\)"):
        shares_of(logs, np.ones(2), ("s", "b"))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_densities_that_are_no_numbers_are_refused(bad: float) -> None:
    logs = np.zeros((2, 5))
    logs[1, 2] = bad
    logs[:, 0] = -math.inf
    with pytest.raises(FitError, match="1 of 5 events have no density that is a number"):
        shares_of(logs, np.ones(2))


def test_where_a_density_is_not_positive_the_value_is_infinite() -> None:
    likelihood = MixtureLikelihood(Line())
    value, gradient, _ = likelihood.derivatives(EVENTS, {"mu": -50.0}, {"own": 1.0, "all": 1.0})
    assert value == math.inf
    assert np.isnan(gradient).all()


def test_nothing_observed_has_a_likelihood() -> None:
    nothing = Observation(("x",), np.empty((1, 0)))
    at = {"own": 1.0, "all": 1.0}
    value, gradient, hessian = MixtureLikelihood(Line()).derivatives(nothing, {"mu": 2.0}, at)
    assert value == pytest.approx(2 * YIELDS[0])
    assert gradient[0] == pytest.approx(2 * YIELDS[0])
    assert hessian[0, 0] == 0


def test_densities_are_computed_once_per_observation_and_the_events_are_let_go() -> None:
    line = Line()
    likelihood = MixtureLikelihood(line)
    at = {"own": 1.0, "all": 1.0}
    seen, other = drawn(1.0), drawn(1.0, seed=2)
    first = likelihood.derivatives(seen, {"mu": 1.0}, at)[0]
    likelihood.derivatives(seen, {"mu": 1.5}, at)
    assert line.asked == 1
    assert likelihood.derivatives(other, {"mu": 1.2}, at)[0] != first
    assert line.asked == 2
    assert likelihood.derivatives(seen, {"mu": 1.0}, at)[0] == first
    gone = weakref.ref(seen)
    del seen
    gc.collect()
    assert gone() is None
