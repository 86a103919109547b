"""The laws that every conditional obeys, whatever its weights."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from sigma68.learning.conditional import (
    ConditionalChoice,
    ConditionalDensity,
    Marginal,
    from_arrays,
)
from sigma68.learning.perceptron import EVENTS, Perceptron
from sigma68.seeds import stream

N = 3 * EVENTS + 17


def _random(name: str) -> np.random.Generator:
    return stream("learning", f"test conditional {name}", 1).generator()


def _network(
    rng: np.random.Generator, n_in: int, n_out: int, size: float = 1.0, hidden: int = 10
) -> Perceptron:
    def layer(*shape: int) -> npt.NDArray[np.float32]:
        return (size * rng.standard_normal(shape)).astype(np.float32)

    return Perceptron(
        layer(n_in),
        np.abs(layer(n_in)) + np.float32(0.5),
        layer(hidden, n_in),
        layer(hidden),
        layer(hidden, hidden),
        layer(hidden),
        layer(n_out, hidden),
        layer(n_out),
    )


def _marginal(rng: np.random.Generator, bins: int = 7) -> Marginal:
    knots = np.concatenate([[0.0], np.cumsum(rng.uniform(0.1, 1, bins))])
    knots /= knots[-1]
    heights = rng.uniform(0.05, 2, bins + 1)
    area = np.sum(np.diff(knots) * (heights[1:] + heights[:-1]) / 2)
    return Marginal(knots, heights / area)


def _density(size: float, n_in: int = 6) -> ConditionalDensity:
    rng = _random("density")
    network = _network(rng, n_in, 2 * 8 + 1, size) if n_in else None
    return ConditionalDensity(_marginal(rng), network)


def _features(n: int = N, rows: int = 6) -> npt.NDArray[np.float32]:
    return _random("features").standard_normal((rows, n)).astype(np.float32)


CASES = [pytest.param(0.3, 6, id="mild"), pytest.param(1.0, 6, id="wild"), (1.0, 0)]


@pytest.mark.parametrize(("size", "n_in"), CASES)
def test_quantile_inverts_cdf(size: float, n_in: int) -> None:
    density, features = _density(size, n_in), _features()
    u = _random("u").uniform(0, 1, N)
    x = density.quantile(features, u)
    assert ((x >= 0) & (x <= 1)).all()
    np.testing.assert_allclose(density.cdf(features, x), u, atol=1e-6)


@pytest.mark.parametrize(("size", "n_in"), CASES)
def test_density_is_derivative_of_cdf(size: float, n_in: int) -> None:
    density, features = _density(size, n_in), _features()
    x = _random("x").uniform(0.001, 0.999, N)
    step = 1e-6
    slope = (density.cdf(features, x + step) - density.cdf(features, x - step)) / (2 * step)
    stated = np.exp(density.log_density(features, x))
    # A step may straddle a knot, where the density has a kink: not for many.
    close = np.isclose(slope, stated, rtol=1e-3, atol=1e-6)
    assert close.mean() > 0.99


@pytest.mark.parametrize(("size", "n_in"), CASES)
def test_cdf_ends_at_0_and_1(size: float, n_in: int) -> None:
    density, features = _density(size, n_in), _features()
    np.testing.assert_allclose(density.cdf(features, np.zeros(N)), 0, atol=1e-12)
    np.testing.assert_allclose(density.cdf(features, np.ones(N)), 1, atol=1e-6)


@pytest.mark.parametrize("size", [0.3, 1.0])
def test_events_do_not_feel_their_company(size: float) -> None:
    density, features = _density(size), _features()
    u = _random("u").uniform(0, 1, N)
    together = density.quantile(features, u)
    for own in (slice(5, 6), slice(100, 300), slice(N - 3, N)):
        alone = density.quantile(np.ascontiguousarray(features[:, own]), u[own])
        np.testing.assert_array_equal(alone, together[own])


def test_network_equals_numpy() -> None:
    rng = _random("numpy")
    choice = ConditionalChoice(_network(rng, 6, 4))
    features = _features()
    p = choice.network
    x = (features - p.shift[:, None]) * p.scale[:, None]
    h = np.maximum(p.w1 @ x + p.b1[:, None], 0)
    h = np.maximum(p.w2 @ h + p.b2[:, None], 0)
    raw = p.w3 @ h + p.b3[:, None]
    roots = (raw.astype(np.float64) + np.sqrt(raw.astype(np.float64) ** 2 + 4)) / 2 + 1e-4
    stated = roots**2 / (roots**2).sum(axis=0)
    np.testing.assert_allclose(choice.probabilities(features), stated, rtol=2e-3, atol=1e-5)


def test_choice_draws_with_its_probabilities() -> None:
    choice = ConditionalChoice(_network(_random("choice"), 6, 4, 0.3))
    one = np.repeat(_features(1), 40_000, axis=1)
    drawn = choice.quantile(one, _random("draw").uniform(0, 1, 40_000))
    p = choice.probabilities(one[:, :1])[:, 0]
    assert p.sum() == pytest.approx(1)
    found = np.bincount(drawn, minlength=4) / 40_000
    np.testing.assert_allclose(found, p, atol=5 * np.sqrt(0.25 / 40_000))
    np.testing.assert_allclose(choice.log_density(one[:, :4], np.arange(4)), np.log(p))


def test_arrays_bring_it_back() -> None:
    for conditional in (
        _density(1.0),
        _density(1.0, 0),
        ConditionalChoice(_network(_random("a"), 3, 2)),
    ):
        again = from_arrays(conditional.to_arrays())
        assert type(again) is type(conditional)
        assert again.n_features == conditional.n_features
        for name, array in conditional.to_arrays().items():
            np.testing.assert_array_equal(array, again.to_arrays()[name])


def _broken(name: str, array: object) -> dict[str, npt.NDArray[np.floating]]:
    arrays = _density(1.0).to_arrays()
    if array is None:
        del arrays[name]
    else:
        arrays[name] = np.asarray(array, np.float64)
    return arrays


@pytest.mark.parametrize(
    ("name", "array", "said"),
    [
        ("b2", None, "a network without b2"),
        ("w2", np.zeros((3, 3)), "do not fit together"),
        ("b3", np.full(17, np.nan), "not finite"),
        ("knots", [0.0, 0.5, 1.0], "do not fit together"),
        ("knots", np.linspace(0, 2, 8), "not those of a density"),
        ("heights", np.full(8, 2.0), "not those of a density"),
        ("heights", np.full(8, np.inf), "not finite"),
    ],
)
def test_damaged_arrays_are_refused(name: str, array: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        from_arrays(_broken(name, array))


def test_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="neither knots nor a network"):
        from_arrays({})


def test_even_number_of_outputs_is_refused() -> None:
    arrays = _density(1.0).to_arrays()
    arrays["w3"], arrays["b3"] = arrays["w3"][:-1], arrays["b3"][:-1]
    with pytest.raises(ValueError, match="odd number"):
        from_arrays(arrays)
