"""The error of finite pools: the formula by hand, its meaning by simulation, its words."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy.special import erf

from sigma68.errors import DataError
from sigma68.score.pool_error import PoolError, pool_error
from sigma68.types import PoolStatistics


def statistics(sumw: list[list[float]], sumw2: list[list[float]], rows: int) -> PoolStatistics:
    return PoolStatistics(
        regions=tuple(f"region {i}" for i in range(len(sumw))),
        processes=("s", "b"),
        is_signal=(True, False),
        sumw=np.array(sumw, dtype=float),
        sumw2=np.array(sumw2, dtype=float),
        n_rows=rows,
    )


def test_one_region_by_hand() -> None:
    # 100 expected events from 400 rows of weight 1/4: r = 4 in each pool, b = sqrt(1/2).
    pool = statistics([[10.0, 90.0]], [[2.5, 22.5]], 400)
    error = pool_error(pool, pool)
    assert error.r_template == pytest.approx(4)
    assert error.r_scoring == pytest.approx(4)
    assert error.b == pytest.approx(math.sqrt(0.5))
    assert error.loss == pytest.approx(0.12)
    np.testing.assert_allclose(error.table_template, [[4.0, 4.0]])


def test_two_regions_by_hand_and_an_empty_one_decides_nothing() -> None:
    # w = 0.5 and 0.1; 1/r = (0.25*20*0.5 + 0.01*100*2) / (0.25*20 + 0.01*100) = 4.5 / 6.
    pool = statistics([[10, 10], [10, 90], [0, 0]], [[5, 5], [20, 180], [0, 0]], 90)
    error = pool_error(pool, None)
    assert error.r_template == pytest.approx(6 / 4.5)
    assert math.isinf(error.r_scoring)
    assert error.table_template is not None
    assert np.isnan(error.table_template[2]).all()


def test_infinite_pools_have_no_error() -> None:
    error = pool_error(None, None)
    assert error.b == 0
    assert error.loss == 0
    assert error.warning(10**9) is None


def test_loss_is_capped_at_the_level() -> None:
    tiny = statistics([[1000.0, 1e6]], [[1e5, 1e9]], 1000)
    assert pool_error(tiny, tiny).loss == 0.6827


def test_quadratic_loss_is_the_expansion_of_the_exact_one() -> None:
    # A shift of N(0, b) makes pulls N(0, sqrt(1 + b^2)).
    for b in (0.05, 0.1, 0.2):
        exact = erf(1 / math.sqrt(2)) - erf(1 / math.sqrt(2 * (1 + b * b)))
        assert 0.24 * b * b == pytest.approx(exact, rel=0.05)


def test_b_is_what_toys_show() -> None:
    """Counting with finite pools: the common shift of all toys has the width b says."""
    rng = np.random.default_rng(1)
    signal, background, weight = 50.0, 450.0, 0.5
    pool = statistics(
        [[signal, background]], [[signal * weight, background * weight]], int(500 / weight)
    )
    shifts = []
    for _ in range(4000):
        template = weight * rng.poisson(background / weight)
        truth = weight * rng.poisson((signal + background) / weight)
        shifts.append((truth - template - signal) / math.sqrt(signal + background))
    # The template of this simulation lacks the signal's error, a tenth of the variance.
    expected = math.sqrt(weight * 0.9 + weight)
    assert np.std(shifts) == pytest.approx(expected, rel=0.04)
    assert pool_error(pool, pool).b == pytest.approx(math.sqrt(2 * weight))


def test_warning_says_rows_shift_loss_and_remedy() -> None:
    small = statistics([[1000.0, 1e6]], [[1e4, 1e9]], 500)
    text = pool_error(small, small).warning(60)
    assert text is not None
    assert text.startswith("1,000 rows cannot measure mu")
    assert "b = " in text
    assert "68 percentage points" in text
    assert "more simulated events" in text
    other = pool_error(small, small).warning(60, "theta")
    assert other is not None
    assert "measure theta" in other


def test_warning_starts_where_the_loss_passes_s68() -> None:
    n_toys = 1000
    s68 = math.sqrt(0.6827 * 0.3173 / n_toys)
    for factor, warned in ((0.99, False), (1.01, True)):
        inverse_r = factor * s68 / 0.24
        pool = statistics([[10.0, 90.0]], [[10 * inverse_r, 90 * inverse_r]], 10_000)
        assert (pool_error(pool, None).warning(n_toys) is not None) is warned


def test_limits_of_a_test_of_coverage() -> None:
    error = pool_error(None, None)
    assert error.b_limit(1000) == 0.35
    assert round(error.b_limit(10_000), 2) == 0.2


def test_json_round_trip_is_strict_json() -> None:
    pool = statistics([[10, 10], [0, 90]], [[5, 5], [0, 180]], 90)
    for pair in ((pool, None), (None, pool), (pool, pool), (None, None)):
        error = pool_error(*pair)
        text = json.dumps(error.to_json(), allow_nan=False)
        back = PoolError.from_json(json.loads(text))
        assert back.to_json() == error.to_json()
        assert back.r_scoring == error.r_scoring


def test_pools_without_signal_or_with_other_regions_are_refused() -> None:
    with pytest.raises(DataError, match="no signal"):
        pool_error(statistics([[0.0, 10.0]], [[0.0, 1.0]], 10), None)
    one = statistics([[1.0, 10.0]], [[0.1, 1.0]], 10)
    two = statistics([[1.0, 10.0], [1.0, 1.0]], [[0.1, 1.0], [1.0, 1.0]], 10)
    with pytest.raises(DataError, match="regions"):
        pool_error(one, two)
