"""Counts in bins: closed forms, brute force, coverage and the awkward corners."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sigma68.errors import FitError
from sigma68.inference.levels import z_of_level
from sigma68.inference.poisson import fit_mu, twice_nll
from sigma68.types import LEVEL


def test_level_is_one_standard_deviation() -> None:
    assert z_of_level(LEVEL) == pytest.approx(1.0, abs=1e-4)
    assert z_of_level(0.95) == pytest.approx(1.959964, abs=1e-6)
    with pytest.raises(ValueError, match="between 0 and 1"):
        z_of_level(1.0)


def test_one_bin_has_its_closed_form_minimum() -> None:
    interval = fit_mu([120], [20.0], [80.0])
    assert interval.mu_hat == pytest.approx(2.0, rel=1e-12)
    best = twice_nll(interval.mu_hat, [120], [20.0], [80.0])
    for end in (interval.lower, interval.upper):
        assert twice_nll(end, [120], [20.0], [80.0]) - best == pytest.approx(
            z_of_level(LEVEL) ** 2, abs=1e-8
        )
    assert interval.delta_mu_hat == pytest.approx(math.sqrt(120) / 20, rel=0.01)


def test_asimov_data_give_the_true_strength() -> None:
    s, b = np.array([5.0, 30.0, 2.0]), np.array([100.0, 50.0, 1000.0])
    assert fit_mu(1.7 * s + b, s, b).mu_hat == pytest.approx(1.7, rel=1e-10)


@given(
    st.lists(
        st.tuples(st.integers(0, 3000), st.floats(1e-3, 500), st.floats(0, 3000)),
        min_size=1,
        max_size=6,
    ),
    st.sampled_from([LEVEL, 0.95]),
)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_minimum_and_crossings_whatever_the_bins(
    bins: list[tuple[int, float, float]], level: float
) -> None:
    n, s, b = (np.array(column, dtype=float) for column in zip(*bins, strict=True))
    interval = fit_mu(n, s, b, level)
    assert interval.is_valid
    assert interval.lower <= interval.mu_hat <= interval.upper
    # A hair above the edge: there mu s + b may round to less than nothing.
    edge = -(b / s).min()
    edge += 1e-12 * abs(edge)
    best = twice_nll(max(interval.mu_hat, edge), n, s, b)
    width = interval.upper - interval.lower
    tolerance = 1e-6 * max(1.0, abs(best)) ** 0.5
    for mu in np.linspace(max(interval.lower, edge), interval.upper, 21):
        assert twice_nll(mu, n, s, b) >= best - tolerance
    rise = z_of_level(level) ** 2
    assert twice_nll(interval.upper, n, s, b) - best == pytest.approx(rise, abs=1e-3)
    at_edge = interval.lower - edge <= 1e-9 * max(1.0, width)
    if not at_edge:
        assert twice_nll(interval.lower, n, s, b) - best == pytest.approx(rise, abs=1e-3)


def test_nothing_observed() -> None:
    # -2 ln L is a straight line from the edge at mu = -b/s = -2.
    interval = fit_mu([0], [2.0], [4.0])
    assert interval.mu_hat == interval.lower == -2.0
    assert interval.upper == pytest.approx(-2.0 + z_of_level(LEVEL) ** 2 / 4, rel=1e-12)


def test_nothing_observed_in_many_bins() -> None:
    # The bin that reaches 0 first holds the edge; the slope is that of all signal together.
    s, b = np.array([40.0, 30.0, 10.0]), np.array([160.0, 1200.0, 9500.0])
    interval = fit_mu(np.zeros(3), s, b)
    assert interval.mu_hat == interval.lower == -4.0
    assert interval.upper == pytest.approx(-4.0 + z_of_level(LEVEL) ** 2 / (2 * 80), rel=1e-12)


@pytest.mark.parametrize("scale", [1e3, 1e6, 1e9, 1e12])
def test_huge_counts_are_gaussian(scale: float) -> None:
    """Five standard deviations of signal in two bins; sigma is (sum s^2 / n)^(-1/2)."""
    b = np.array([scale, 4 * scale])
    s = 5 * np.sqrt(scale) * np.array([1.0, 0.5])
    sigma = float((s**2 / b).sum()) ** -0.5
    interval = fit_mu(b, s, b)
    accuracy = 3 / math.sqrt(scale)
    assert interval.mu_hat == pytest.approx(0, abs=1e-6 * sigma)
    assert interval.delta_mu_hat == pytest.approx(sigma, rel=accuracy)
    assert interval.upper == pytest.approx(z_of_level(LEVEL) * sigma, rel=accuracy)
    assert interval.lower == pytest.approx(-z_of_level(LEVEL) * sigma, rel=accuracy)


@pytest.mark.parametrize(
    ("n", "s", "b"),
    [
        ([1], [10.0], [1e6]),  # a deficit of nearly everything
        ([1e6], [1.0], [1e-3]),
        ([1e9], [1e-6], [1e9]),
        ([1e-10], [1.0], [1.0]),
        ([3, 7], [1.0, 2.0], [0.0, 5.0]),
        ([0, 100, 1000], [10.0, 20.0, 1.0], [1.0, 80.0, 1000.0]),
        ([0, 10], [1.0, 2.0], [3.0, 6.0000000001]),  # two edges as good as equal
        ([0, 5], [1.0, 1e-5], [1e-9, 5.0]),
    ],
)
def test_extremes_end_where_the_likelihood_says(
    n: list[float], s: list[float], b: list[float]
) -> None:
    interval = fit_mu(n, s, b)
    assert interval.lower <= interval.mu_hat < interval.upper
    edge = -min(y / x for x, y in zip(s, b, strict=True))
    assert interval.lower >= edge
    best = twice_nll(interval.mu_hat, n, s, b)
    rise = twice_nll(interval.upper, n, s, b) - best
    assert rise == pytest.approx(z_of_level(LEVEL) ** 2, rel=1e-4, abs=1e-9 * abs(best))
    if interval.lower > edge:
        rise = twice_nll(interval.lower, n, s, b) - best
        assert rise == pytest.approx(z_of_level(LEVEL) ** 2, rel=1e-4, abs=1e-9 * abs(best))


def test_no_background_keeps_mu_positive() -> None:
    interval = fit_mu([9], [3.0], [0.0])
    assert interval.mu_hat == pytest.approx(3.0)
    assert 0 < interval.lower < 3.0 < interval.upper


def test_a_deficit_gives_a_negative_strength() -> None:
    assert fit_mu([60], [20.0], [80.0]).mu_hat == pytest.approx(-1.0)


def test_bins_without_signal_change_nothing() -> None:
    alone = fit_mu([120], [20.0], [80.0])
    assert fit_mu([120, 7], [20.0, 0.0], [80.0, 50.0]) == alone


def test_flat_likelihood_is_no_measurement() -> None:
    with pytest.raises(FitError, match="does not depend on mu"):
        fit_mu([3, 4], [0.0, 0.0], [3.0, 4.0])
    with pytest.raises(FitError, match="neither signal nor background"):
        fit_mu([3, 4], [0.0, 1.0], [0.0, 4.0])


@pytest.mark.parametrize(
    ("n", "s", "b"),
    [
        ([1, 2], [1.0], [1.0, 1.0]),
        ([-1], [1.0], [1.0]),
        ([1], [math.nan], [1.0]),
        ([1], [1.0], [math.inf]),
        ([[1]], [[1.0]], [[1.0]]),
    ],
)
def test_bad_bins_are_refused(n: list[float], s: list[float], b: list[float]) -> None:
    with pytest.raises(ValueError, match="observed, signal and background"):
        fit_mu(n, s, b)


def test_coverage_of_many_bins() -> None:
    rng = np.random.default_rng(68)
    s = np.array([40.0, 80.0, 120.0, 60.0])
    b = np.array([3000.0, 1500.0, 700.0, 100.0])
    toys = 3000
    covered = 0
    for mu in rng.uniform(0.1, 3, toys):
        interval = fit_mu(rng.poisson(mu * s + b), s, b)
        covered += interval.lower <= mu <= interval.upper
    error = math.sqrt(LEVEL * (1 - LEVEL) / toys)
    assert abs(covered / toys - LEVEL) < 3 * error
