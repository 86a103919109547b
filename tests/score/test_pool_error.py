"""The error of finite pools: the formula by hand, its meaning by simulation, its words."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy.special import erf

from sigma68.errors import DataError
from sigma68.inference.poisson import fit_mu
from sigma68.score.pool_error import PoolError, pool_error
from sigma68.types import LEVEL, PoolStatistics


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


# Expected events of s, b and c in three regions, and what one simulated event of each weighs.
WORLD = np.array([[40.0, 100.0, 60.0], [30.0, 900.0, 300.0], [10.0, 2000.0, 500.0]])


def made_pool(rng: np.random.Generator, weight: float, *, rescaled: bool) -> PoolStatistics:
    """A pool of hard events with one to four rows each, of unequal weights, not all in one region.

    `weight` is the mean weight of a row of b; of s and c a third and two thirds of that.
    """
    sumw, sumw2 = np.zeros_like(WORLD), np.zeros_like(WORLD)
    n_regions = len(WORLD)
    n_rows = 0
    for p, mean in enumerate((weight / 3, weight, weight * 2 / 3)):
        total = WORLD[:, p].sum()
        ends = np.cumsum(WORLD[:, p]) / total
        n_hard = rng.poisson(total / (2.5 * mean))
        hard = np.repeat(np.arange(n_hard), rng.integers(1, 5, n_hard))
        region = np.searchsorted(ends[:-1], rng.random(n_hard))[hard]
        strays = rng.random(hard.size) < 0.25
        region[strays] = np.searchsorted(ends[:-1], rng.random(np.count_nonzero(strays)))
        weights = mean * rng.exponential(1.0, n_hard)[hard] * rng.uniform(0.5, 1.5, hard.size)
        if rescaled:
            weights *= total / weights.sum()
        of_hard = np.bincount(hard * n_regions + region, weights, n_hard * n_regions)
        of_hard = of_hard.reshape(n_hard, n_regions)
        sumw[:, p], sumw2[:, p] = of_hard.sum(axis=0), (of_hard**2).sum(axis=0)
        n_rows += hard.size
    names = ("one", "two", "three")
    return PoolStatistics(names, ("s", "b", "c"), (True, False, False), sumw, sumw2, n_rows)


@pytest.mark.parametrize(("weight", "rescaled"), [(0.03, False), (0.06, False), (0.06, True)])
def test_b_and_loss_are_what_pairs_of_pools_show(weight: float, rescaled: bool) -> None:
    """Templates from one pool, toys from another: their common shift, and the coverage lost."""
    rng = np.random.default_rng(7)
    pairs, toys = 250, 30
    shifts, found, covered = [], [], 0
    for _ in range(pairs):
        template = made_pool(rng, weight, rescaled=rescaled)
        scoring = made_pool(rng, weight, rescaled=rescaled)
        signal, background = template.sumw[:, 0], template.sumw[:, 1:].sum(axis=1)
        expected = scoring.sumw.sum(axis=1)
        # The Asimov data of the scoring pool are the mean of all its toys.
        asimov = fit_mu(expected, signal, background)
        shifts.append((asimov.mu_hat - 1) / asimov.delta_mu_hat)
        found.append(pool_error(template, scoring))
        for counts in rng.poisson(expected, (toys, len(expected))):
            interval = fit_mu(counts, signal, background)
            covered += interval.lower <= 1 <= interval.upper
    b = float(np.mean([error.b for error in found]))
    assert 0.25 < b < 0.75
    # Rescaled to common totals, pools err less; all that is asked then is that b is no less.
    spread_error = b / math.sqrt(2 * pairs)
    assert np.std(shifts) < b + 3 * spread_error
    assert np.std(shifts) > (0.8 if rescaled else 1.0) * b - 3 * spread_error
    loss = LEVEL - covered / (pairs * toys)
    # Binomial, and from pair to pair as 0.24 (b z)^2 does, whose spread is sqrt(2) of its mean.
    loss_error = math.hypot(0.465 / math.sqrt(pairs * toys), 0.24 * b * b * math.sqrt(2 / pairs))
    assert loss == pytest.approx(LEVEL - erf(1 / math.sqrt(2 * (1 + b * b))), abs=3 * loss_error)
    assert np.mean([error.loss for error in found]) > loss - 3 * loss_error


def test_warning_says_rows_shift_loss_and_remedy() -> None:
    small = statistics([[1000.0, 1e6]], [[1e4, 1e9]], 500)
    text = pool_error(small, small).warning(60)
    assert text is not None
    assert text.startswith("1,000 rows cannot measure mu")
    assert "b = " in text
    assert "by up to 68 percentage points" in text
    assert "one effective event for 1,000 expected ones" in text
    assert "more simulated events" in text
    other = pool_error(small, small).warning(60, "theta")
    assert other is not None
    assert "measure theta" in other


def test_numbers_of_the_warning_are_for_reading() -> None:
    for b, said in ((0.0123, "0.012"), (0.35, "0.35"), (9.44, "9.4"), (12.3, "12"), (133.5, "130")):
        pool = statistics([[10.0, 90.0]], [[10 * b * b, 90 * b * b]], 10)
        assert pool_error(pool, None).b_in_words == said
    tiny = statistics([[1000.0, 1e6]], [[16985e3, 16985e6]], 10)
    assert "one effective event for 17,000 expected ones" in str(pool_error(tiny, None).warning(60))


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
