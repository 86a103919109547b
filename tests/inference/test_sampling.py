"""Markov chains, on posteriors that are known."""

from __future__ import annotations

import numpy as np
import pytest

from sigma68.errors import FitError
from sigma68.inference.sampling import sample_posterior, split_r_hat
from sigma68.seeds import stream
from sigma68.types import Parameter

PARAMETERS = (Parameter("a", -10.0, 10.0), Parameter("b", 0.0, 5.0))
COVARIANCE = np.array([[1.0, 0.3], [0.3, 0.25]])


def gaussian(points: np.ndarray) -> np.ndarray:
    off = points - np.array([1.0, 2.5])
    return np.einsum("ni,ij,nj->n", off, np.linalg.inv(COVARIANCE), off)


def test_a_gaussian_posterior() -> None:
    found = sample_posterior(gaussian, PARAMETERS, stream("test", "chain", 1))
    error = np.sqrt(np.diag(COVARIANCE) / found.effective)
    assert (np.abs(found.draws.mean(axis=0) - [1.0, 2.5]) < 4.5 * error).all()
    np.testing.assert_allclose(np.cov(found.draws.T), COVARIANCE, atol=0.1)
    assert found.r_hat < 1.05
    assert found.effective > 500
    assert 0.1 < found.acceptance < 0.9


def test_the_flat_prior_cuts_the_posterior_off() -> None:
    narrow = (Parameter("a", 0.0, 1.0),)
    found = sample_posterior(lambda x: 0 * x[:, 0], narrow, stream("test", "chain", 2))
    assert found.draws.min() >= 0
    assert found.draws.max() <= 1
    assert found.draws.std() == pytest.approx(1 / np.sqrt(12), rel=0.05)


def test_the_same_stream_gives_the_same_chain() -> None:
    one, two, other = (
        sample_posterior(gaussian, PARAMETERS, stream("test", "chain", seed)).draws
        for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one[:100], other[:100])


def test_a_likelihood_that_is_finite_nowhere_is_an_error() -> None:
    with pytest.raises(FitError, match="not finite"):
        sample_posterior(lambda x: np.full(len(x), np.nan), PARAMETERS, stream("test", "chain", 5))


def test_a_chain_that_does_not_converge_is_an_error() -> None:
    with pytest.raises(FitError, match="has not converged"):
        sample_posterior(gaussian, PARAMETERS, stream("test", "chain", 6), block=100, most=100)


def test_split_r_hat_sees_a_drift() -> None:
    rng = np.random.default_rng(68)
    still = rng.standard_normal((1000, 8, 2))
    assert split_r_hat(still) < 1.01
    assert split_r_hat(still + np.linspace(0, 3, 1000)[:, None, None]) > 1.1
    assert split_r_hat(np.zeros((10, 4, 1))) == np.inf
