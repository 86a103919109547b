"""Tests of the tests: p-values, effective numbers, corrections and what can be detected."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from sigma68.tasks.higgs.validation.hypotheses import (
    detectable_distance,
    detectable_shift,
    effective_number,
    holm,
    in_words,
    ks_p_value,
    two_sided,
)


def test_the_p_value_is_that_of_scipy_for_unweighted_samples() -> None:
    rng = np.random.default_rng(1)
    for shift in (0.0, 0.1, 0.2):
        known = stats.ks_2samp(rng.normal(size=4000), rng.normal(shift, 1, 3000), method="asymp")
        own = ks_p_value(known.statistic, 4000, 3000)
        # SciPy's is the exact one of one sample of the reduced size: ours is on the safe side.
        assert known.pvalue <= own <= 1.1 * known.pvalue + 1e-12


def test_two_sided_is_the_normal_tail() -> None:
    assert two_sided(-1.959964) == pytest.approx(0.05, abs=1e-6)


def test_equal_weights_are_worth_their_number() -> None:
    steps = np.arange(1, 101, dtype=float)
    assert effective_number(3 * steps, 9 * steps) == pytest.approx(100)


def test_weights_that_scatter_are_worth_less() -> None:
    w = np.random.default_rng(2).lognormal(0, 0.8, 5000)
    number = effective_number(np.cumsum(w), np.cumsum(w * w))
    assert 0.5 * 5000 * np.exp(-0.64) < number <= w.sum() ** 2 / (w @ w)


def test_large_weights_in_a_corner_are_seen() -> None:
    """A tenth of the mass with all of the scatter: (sum w)^2 / sum w^2 would promise too much."""
    w = np.concatenate([np.full(20, 5.0), np.full(90_000, 0.01)])
    number = effective_number(np.cumsum(w), np.cumsum(w * w))
    kish = w.sum() ** 2 / (w @ w)
    assert number < 0.5 * kish
    # The scatter of the cumulative distribution where the corner ends, against F (1 - F) / n.
    rng = np.random.default_rng(3)
    corner = [(m := rng.poisson(20) * 5.0) / (m + 900) for _ in range(4000)]
    assert np.var(corner) <= 1.05 * 0.1 * 0.9 / number


def test_nothing_is_worth_nothing() -> None:
    assert effective_number(np.zeros(3), np.zeros(3)) == 0


def test_holm_is_that_of_the_paper() -> None:
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])).tolist() == pytest.approx(
        [0.03, 0.06, 0.06, 0.02]
    )
    assert holm(np.array([])).tolist() == []
    assert holm(np.array([0.6, 0.9])).tolist() == [1.0, 1.0]


def test_a_detectable_shift_is_detected_nine_times_out_of_ten() -> None:
    n, m, level = 4000, 500, 1e-3
    rng = np.random.default_rng(4)
    grid = np.linspace(-4, 4, 400)
    shift = detectable_shift(grid, stats.norm.cdf(grid), detectable_distance(n, m, level))
    assert shift is not None
    found = sum(
        ks_p_value(stats.ks_2samp(rng.normal(size=n), rng.normal(shift, 1, m)).statistic, n, m)
        < level
        for _ in range(200)
    )
    # The statement is an upper limit on what is needed: 90% or somewhat more.
    assert 0.87 * 200 <= found <= 200
    half = sum(
        ks_p_value(stats.ks_2samp(rng.normal(size=n), rng.normal(shift / 2, 1, m)).statistic, n, m)
        < level
        for _ in range(100)
    )
    assert half < 50


def test_a_distance_that_no_shift_makes_is_said() -> None:
    grid = np.linspace(0, 100, 50)
    assert detectable_shift(grid, np.linspace(0.02, 1, 50), 1.5) is None


@pytest.mark.parametrize(("p", "said"), [(0.034, "0.034"), (3e-9, "3e-09"), (0.0, "< 1e-16")])
def test_p_values_in_words(p: float, said: str) -> None:
    assert in_words(p) == said
