"""Conditionals trained on densities that are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from sigma68.errors import DataError
from sigma68.learning.fit_conditional import (
    Sample,
    TrainingSettings,
    fit_choice,
    fit_density,
    fit_marginal,
)
from sigma68.seeds import stream

torch = pytest.importorskip("torch")
SETTINGS = TrainingSettings(hidden=32, bins=12, passes=8, batch=512, averaging=0.98)

Floats = npt.NDArray[np.float64]


def _logit_normal(n: int, seed: int) -> tuple[Sample, Floats]:
    """x = 1 / (1 + exp(-z)), z normal with mean 0.5 f_0 and width 0.3 exp(0.3 f_1); -ln density."""
    rng = stream("learning", "test fit", seed).generator()
    features = rng.standard_normal((3, n)).astype(np.float32)
    mean, width = 0.5 * features[0], 0.3 * np.exp(0.3 * features[1])
    z = mean + width * rng.standard_normal(n)
    x = 1 / (1 + np.exp(-z))
    exact = 0.5 * ((z - mean) / width) ** 2 + np.log(width * np.sqrt(2 * np.pi) * x * (1 - x))
    return Sample(features, x, rng.uniform(0.5, 2, n), rng.random(n) < 0.2), exact


def test_learns_a_known_density() -> None:
    torch.set_num_threads(1)
    sample, _ = _logit_normal(40_000, 1)
    fitted = fit_density(sample, SETTINGS, seed=1)
    fresh, exact = _logit_normal(40_000, 2)
    found = -fitted.conditional.log_density(fresh.features, fresh.target)
    # The mean of the difference is the divergence from the truth, in nats.
    assert 0 < np.mean(found - exact) < 0.02
    assert fitted.gain > 0.5
    assert fitted.aside == pytest.approx(
        np.average(
            -fitted.conditional.log_density(sample.features, sample.target)[sample.aside],
            weights=sample.weights[sample.aside],
        ),
        abs=1e-4,  # torch and the kernel sum in another order, in single precision
    )


def test_training_is_a_function_of_its_seed() -> None:
    torch.set_num_threads(1)
    sample, _ = _logit_normal(4_000, 3)
    few = replace(SETTINGS, passes=1)
    one, two, other = (fit_density(sample, few, seed=s).conditional.to_arrays() for s in (1, 1, 2))
    for name, array in one.items():
        np.testing.assert_array_equal(array, two[name])
    assert not np.array_equal(one["w1"], other["w1"])


def test_learns_probabilities_of_a_choice() -> None:
    torch.set_num_threads(1)
    rng = stream("learning", "test choice", 1).generator()
    features = rng.standard_normal((2, 30_000)).astype(np.float32)
    p = 1 / (1 + np.exp(-features[0].astype(np.float64)))
    value = (rng.random(30_000) < p).astype(np.float64)
    sample = Sample(features, value, np.ones(30_000), rng.random(30_000) < 0.2)
    fitted = fit_choice(sample, 2, SETTINGS, seed=1)
    found = fitted.conditional.probabilities(features)[1]
    assert np.sqrt(np.mean((found - p) ** 2)) < 0.02


def test_weights_count() -> None:
    """Half of the events weigh nothing next to the others: their density is not learned."""
    rng = stream("learning", "test weights", 1).generator()
    x = np.concatenate([rng.uniform(0, 0.5, 5000), rng.uniform(0.5, 1, 5000)])
    weights = np.repeat([1.0, 3.0], 5000)
    sample = Sample(np.empty((0, 10_000), np.float32), x, weights, rng.random(10_000) < 0.2)
    fitted = fit_density(sample, SETTINGS, seed=1)
    below = fitted.conditional.cdf(sample.features[:, :1], np.array([0.5]))[0]
    assert below == pytest.approx(0.25, abs=0.02)


def test_marginal_follows_a_steep_tail() -> None:
    """An exponential falling by e^-20 over [0, 1]: no tail of the model's own making."""
    rng = stream("learning", "test tail", 1).generator()
    x = np.minimum(rng.exponential(1 / 20, 50_000), 1 - 1e-6)
    none = np.zeros(50_000, np.bool_)
    marginal = fit_marginal(
        Sample(np.empty((0, 50_000), np.float32), x, np.ones(50_000), none), SETTINGS
    )
    for at in (0.02, 0.1, 0.2, 0.3):
        above = 1 - np.interp(at, marginal.knots, marginal.areas)
        assert above == pytest.approx(np.exp(-20 * at), rel=0.1 if at < 0.3 else 0.35)


def test_marginal_has_no_bin_too_narrow() -> None:
    """Values that repeat, as rounded ones do, draw knots together: a bin would be all of them."""
    rng = stream("learning", "test knots", 1).generator()
    x = np.round(np.minimum(rng.exponential(1 / 50, 40_000), 0.999), 3) + 1e-4
    none = np.zeros(len(x), np.bool_)
    sample = Sample(np.empty((0, len(x)), np.float32), x, np.ones(len(x)), none, narrowest=2e-3)
    marginal = fit_marginal(sample, replace(SETTINGS, marginal_bins=64))
    assert marginal.knots[0] == 0
    assert marginal.knots[-1] == 1
    assert np.diff(marginal.knots).min() >= 2e-3
    assert len(marginal.knots) > 20
    below = np.interp(0.02, marginal.knots, marginal.areas)
    assert below == pytest.approx(np.mean(x < 0.02), abs=0.02)


@pytest.mark.parametrize("aside", [0.0, 1.0])
def test_says_that_there_is_nothing_to_learn_from(aside: float) -> None:
    sample, _ = _logit_normal(100, 4)
    broken = replace(sample, aside=np.full(100, bool(aside)))
    with pytest.raises(DataError, match=r"no events to (train on|stop by) for the mass"):
        fit_density(broken, SETTINGS, seed=1, what="the mass")
