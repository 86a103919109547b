"""Quantile regression: right quantiles, exact fractions, the degree that is needed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from sigma68.errors import FitError
from sigma68.inference.quantiles import best_degree, fit_quantile, pinball

DRAW = np.random.default_rng(5)
X = DRAW.uniform(-1, 3, 4000)
NOISE = DRAW.standard_normal(4000)


@pytest.mark.parametrize("p", [0.16, 0.5, 0.84])
@pytest.mark.parametrize("degree", [0, 1, 3])
def test_the_fraction_below_is_the_one_asked_for(p: float, degree: int) -> None:
    y = X + 0.3 * NOISE
    below = np.mean(y < fit_quantile(X, y, p, -1, 3, degree)(X))
    assert abs(below - p) <= (degree + 1) / len(y)


def test_quantiles_of_a_line_that_widens() -> None:
    y = 2 * X + (0.2 + 0.1 * (X + 1)) * NOISE
    at = np.linspace(-1, 3, 9)
    for p in (0.16, 0.84):
        expected = 2 * at + (0.2 + 0.1 * (at + 1)) * norm.ppf(p)
        found = fit_quantile(X, y, p, -1, 3, 1)(at)
        np.testing.assert_allclose(found, expected, atol=0.05)


def test_no_small_change_of_the_coefficients_lowers_the_loss() -> None:
    y = np.sin(X) + 0.3 * NOISE
    curve = fit_quantile(X, y, 0.3, -1, 3, 2)
    least = pinball(y, curve(X), 0.3).mean()
    for shift in 0.01 * np.vstack([np.eye(3), -np.eye(3)]):
        moved = type(curve)(curve.coefficients + shift, -1, 3)
        assert pinball(y, moved(X), 0.3).mean() > least


def test_beyond_the_range_the_curve_stays_where_it_ended() -> None:
    curve = fit_quantile(X, X + NOISE, 0.5, -1, 3, 1)
    assert curve(-5) == curve(-1)
    assert curve(7) == curve(3)


def test_degree_0_covers_new_points_exactly() -> None:
    """The probability that an eleventh lies below the second of ten is 2 / 11."""
    draws = np.random.default_rng(3).uniform(size=(20_000, 10))
    found = [fit_quantile(d, d, 2 / 11, 0, 1, 0).coefficients[0] for d in draws[:2000]]
    assert np.mean(found) == pytest.approx(2 / 11, abs=3 * 0.11 / np.sqrt(2000))


@pytest.mark.parametrize(
    ("curve", "degrees"), [(lambda x: 2 * x, {1}), (lambda x: 2 * np.tanh(x), {3, 4, 5})]
)
def test_the_degree_is_as_high_as_it_must_be(curve: object, degrees: set[int]) -> None:
    y = curve(X[:1500]) + 0.2 * NOISE[:1500]  # type: ignore[operator]
    assert best_degree(X[:1500], y, (0.16, 0.84), -1, 3) in degrees


def test_too_few_points() -> None:
    with pytest.raises(FitError, match=r"5 toys have no 0.1-quantile: draw more"):
        fit_quantile(X[:5], X[:5], 0.1, -1, 3, 0)
    with pytest.raises(FitError, match=r"20 toys are too few for a 0.16-quantile of degree 2"):
        fit_quantile(X[:20], X[:20], 0.16, -1, 3, 2)


def test_equal_values_are_no_trouble() -> None:
    """An estimator that is clipped has many toys at one value."""
    y = np.clip(X + NOISE, 0, 2)
    found = fit_quantile(X, y, 0.84, -1, 3, 3)(np.linspace(-1, 3, 21))
    assert np.isfinite(found).all()
