"""The likelihood of summaries, on made ones whose mean and covariance are known."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sigma68.errors import DataError
from sigma68.inference.summary_likelihood import SummaryLikelihood, fit_summary_likelihood
from sigma68.types import Parameter

PARAMETERS = (Parameter("a", 0.0, 1.0), Parameter("b", -2.0, 2.0))


def mean(points: np.ndarray) -> np.ndarray:
    a, b = points.T
    return np.stack([a + 0.5 * b, a**2 - b, 0.3 * a * b], axis=1)


def factor(points: np.ndarray) -> np.ndarray:
    """L with L L^T the covariance: it grows with a."""
    wide = np.exp(0.5 * (2 * points[:, 0] - 1))
    fixed = np.array([[0.1, 0, 0], [0.06, 0.08, 0], [-0.03, 0.02, 0.05]])
    return wide[:, None, None] * fixed


def made(n: int, seed: int = 68) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    points = rng.uniform([0, -2], [1, 2], (n, 2))
    return points, mean(points) + np.einsum(
        "nbc,nc->nb", factor(points), rng.standard_normal((n, 3))
    )


@pytest.fixture(scope="module")
def fitted() -> SummaryLikelihood:
    return fit_summary_likelihood(*made(20_000), PARAMETERS, degree=2)


def test_mean_and_covariance_are_found(fitted: SummaryLikelihood) -> None:
    points = np.array([[0.5, 0.0], [0.1, 1.5], [0.9, -1.0]])
    np.testing.assert_allclose(fitted.predicted(points), mean(points), atol=0.006)
    lower = factor(points)
    expected = lower @ lower.transpose(0, 2, 1)
    scale = np.sqrt(np.einsum("nbb,ncc->nbc", expected, expected))
    np.testing.assert_allclose(fitted.covariance(points) / scale, expected / scale, atol=0.05)


def test_nll_is_the_gaussian_one(fitted: SummaryLikelihood) -> None:
    points, summaries = made(4, seed=1)
    for point, summary in zip(points, summaries, strict=True):
        at = point[None]
        covariance = fitted.covariance(at)[0]
        off = summary - fitted.predicted(at)[0]
        expected = off @ np.linalg.solve(covariance, off) + np.linalg.slogdet(covariance)[1]
        assert fitted.nll(summary, at)[0] == pytest.approx(expected, rel=1e-9)


def test_chi_squared_of_new_simulations(fitted: SummaryLikelihood) -> None:
    points, summaries = made(4000, seed=2)
    chi2 = fitted.chi_squared(summaries, points)
    assert chi2.mean() == pytest.approx(3, abs=4.5 * np.sqrt(6 / 4000))


def test_json_keeps_every_number(fitted: SummaryLikelihood) -> None:
    points, summaries = made(5, seed=3)
    again = SummaryLikelihood.from_json(json.loads(json.dumps(fitted.to_json())))
    np.testing.assert_array_equal(again.nll(summaries[0], points), fitted.nll(summaries[0], points))
    with pytest.raises(DataError, match="damaged"):
        SummaryLikelihood.from_json({"low": [0]})


def test_too_few_simulations_or_points_are_refused() -> None:
    points, summaries = made(30)
    with pytest.raises(DataError, match="too few"):
        fit_summary_likelihood(points, summaries, PARAMETERS)
    many = np.repeat(points[:5], 100, axis=0), np.repeat(summaries[:5], 100, axis=0)
    with pytest.raises(DataError, match="at 5 points"):
        fit_summary_likelihood(*many, PARAMETERS, degree=2)


def test_a_summary_that_is_no_number_is_refused() -> None:
    points, summaries = made(200)
    summaries[3, 1] = np.nan
    with pytest.raises(DataError, match="not finite"):
        fit_summary_likelihood(points, summaries, PARAMETERS, degree=2)
