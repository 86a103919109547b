"""The binomial interval: by hand, at the ends, and its coverage of the true fraction."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from sigma68.score.binomial import clopper_pearson


def test_ends_are_exact() -> None:
    low, high = clopper_pearson([0, 10], [10, 10], 0.9)
    assert low[0] == 0
    assert high[1] == 1
    # (1 - p)^10 = 5% at the upper end of 0 of 10.
    assert (1 - high[0]) ** 10 == pytest.approx(0.05)
    assert low[1] ** 10 == pytest.approx(0.05)


def test_no_trials_say_nothing() -> None:
    assert clopper_pearson(0, 0) == (0.0, 1.0)


def test_tails_are_the_binomial_ones() -> None:
    low, high = clopper_pearson(68, 100, 0.6827)
    assert binom.sf(67, 100, low) == pytest.approx((1 - 0.6827) / 2)
    assert binom.cdf(68, 100, high) == pytest.approx((1 - 0.6827) / 2)


@pytest.mark.parametrize("n", [5, 20, 100])
def test_covers_at_least_its_level_everywhere(n: int) -> None:
    k = np.arange(n + 1)
    low, high = clopper_pearson(k, np.full(n + 1, n))
    for p in np.linspace(0.01, 0.99, 99):
        inside = (low <= p) & (p <= high)
        assert binom.pmf(k[inside], n, p).sum() >= 0.6827
