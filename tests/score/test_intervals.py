"""The challenge's score: by hand, against the peer's code, and on methods whose faults we made."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sigma68.errors import DataError, SettingsError
from sigma68.score.intervals import (
    penalty,
    quantiles_score,
    score_intervals,
    sigma_of_coverage,
)
from tests.score.made_toys import MU, made_toys


def by_hand(rows: list[tuple[float, float, float, float, float]]) -> pd.DataFrame:
    """One set of toys given as (mu, mu_hat, delta, p16, p84)."""
    table = pd.DataFrame(rows, columns=["mu", "mu_hat", "delta_mu_hat", "p16", "p84"])
    return table.assign(set=0, toy=range(len(rows)), status="ok", seconds=0.1)


def test_window_includes_its_ends() -> None:
    n = 1000
    sigma = float(sigma_of_coverage(n))
    assert sigma == pytest.approx(math.sqrt(0.6827 * 0.3173 / 1000))
    for end in (0.6827 - 2 * sigma, 0.6827, 0.6827 + 2 * sigma):
        assert penalty(end, n) == 1


def test_penalty_anchors_and_asymmetry() -> None:
    sigma = float(sigma_of_coverage(1000))
    assert penalty(0.6827 - 3 * sigma, 1000) == pytest.approx(2)
    assert penalty(0.6827 + 3 * sigma, 1000) == pytest.approx(2)
    assert penalty(0.6827 - 4 * sigma, 1000) == pytest.approx(17)
    assert penalty(0.6827 + 4 * sigma, 1000) == pytest.approx(9)


def test_penalty_is_continuous_and_monotone_outside() -> None:
    sigma = float(sigma_of_coverage(500))
    c = np.linspace(0, 1, 20001)
    f = penalty(c, 500)
    ends = (0.6827 - 2 * sigma, 0.6827 + 2 * sigma)
    for end in ends:
        assert float(penalty(end + 1e-9, 500)) == pytest.approx(1)
        assert float(penalty(end - 1e-9, 500)) == pytest.approx(1)
    assert (np.diff(f[c < ends[0]]) < 0).all()
    assert (np.diff(f[c > ends[1]]) > 0).all()


def test_score_of_published_leaders_follows_from_their_width_or_coverage() -> None:
    # -0.582 with a width near 0.42 (score 0.84 in the window) needs a penalty of about 4.1,
    # which is 1.33 s68 outside of the window of 100,000 toys: half a per cent off.
    n = 100_000
    sigma = float(sigma_of_coverage(n))
    assert 2 * sigma == pytest.approx(0.003, abs=1e-4)
    c = 0.6827 - 2 * sigma - (math.exp(0.582) / 0.43 - 1) ** 0.25 * sigma
    assert float(quantiles_score(0.42, c, n)) == pytest.approx(-0.582, abs=1e-3)
    assert 0.6827 - c == pytest.approx(0.005, abs=5e-4)


def test_four_toys_by_hand() -> None:
    # Widths 1, 1, 2, 0; covering: first (its end touches), second, not third, fourth (a point).
    score = score_intervals(
        by_hand(
            [
                (1.0, 1.5, 0.5, 1.0, 2.0),
                (1.0, 0.5, 0.5, 0.0, 1.0),
                (1.0, 3.0, 1.0, 2.0, 4.0),
                (1.0, 1.0, 0.0, 1.0, 1.0),
            ]
        ),
        MU,
    )
    v = score.values
    assert v["interval"] == pytest.approx(1.0)
    assert v["coverage"] == pytest.approx(0.75)
    sigma = math.sqrt(0.6827 * 0.3173 / 4)
    assert v["window_low"] == pytest.approx(0.6827 - 2 * sigma)
    assert v["penalty"] == 1
    assert score.value == pytest.approx(-math.log(1.01))
    assert v["rmse"] == pytest.approx(math.sqrt((0.25 + 0.25 + 4 + 0) / 4))
    assert v["mae"] == pytest.approx(0.75)
    assert v["bias"] == pytest.approx(0.5)
    assert v["pull_mean"] == pytest.approx((1 - 1 + 2) / 3)  # the toy without an error has no pull
    assert v["epsilon"] == 0.01
    assert v["ranked"] is True


def test_epsilon_is_a_parameter_and_is_stated() -> None:
    toys = made_toys()
    ours, peers = score_intervals(toys, MU), score_intervals(toys, MU, epsilon=1e-3)
    assert peers.values["epsilon"] == 1e-3
    w = float(ours.values["interval"] or 0)
    assert peers.value - ours.value == pytest.approx(math.log((w + 0.01) / (w + 0.001)))
    assert score_intervals(toys, MU, epsilon=None).values == ours.values


@pytest.mark.parametrize(
    "change",
    [
        {"status": "failed"},
        {"status": "timeout"},
        {"p16": math.nan},
        {"p84": math.inf},
        {"p16": 2.0, "p84": 0.5},
    ],
)
def test_a_failure_does_not_cover_and_is_as_wide_as_the_range(change: dict[str, Any]) -> None:
    toys = made_toys(1, 200)
    toys.loc[0, ["mu_hat", "delta_mu_hat"]] = [100.0, 1.0]  # stays out of RMSE and pulls
    toys.loc[0, ["p16", "p84"]] = [0.0, 3.0]
    for column, value in change.items():
        toys.loc[0, column] = value
    v = score_intervals(toys, MU).values
    rest = score_intervals(toys.iloc[1:], MU).values
    assert v["n_failed"] == 1
    assert v["n_toys"] == 200
    assert v["interval"] == pytest.approx((199 * (rest["interval"] or 0) + 2.9) / 200)
    assert v["coverage"] == pytest.approx((rest["coverage"] or 0) * 199 / 200)
    for name in ("rmse", "mae", "rmse_peer", "mae_peer", "bias", "pull_mean", "pull_width"):
        assert v[name] == pytest.approx(rest[name])


def test_only_the_bounds_decide() -> None:
    toys = made_toys(1, 200)
    base = score_intervals(toys, MU).values
    toys.loc[0, ["mu_hat", "delta_mu_hat"]] = math.nan
    v = score_intervals(toys, MU).values
    assert v["n_failed"] == 0
    for name in ("quantiles_score", "interval", "coverage"):
        assert v[name] == base[name]
    assert v["rmse"] is not None


def test_dropping_toys_that_would_not_cover_does_not_pay() -> None:
    toys = made_toys(10, 100, scale=0.9)
    honest = score_intervals(toys, MU)
    misses = (toys["mu"] < toys["p16"]) | (toys["mu"] > toys["p84"])
    dropped = toys.copy()
    dropped.loc[misses, "status"] = "failed"
    score = score_intervals(dropped, MU)
    assert score.value < honest.value
    assert score.values["coverage"] == honest.values["coverage"]


def test_more_than_one_per_cent_of_failures_is_not_ranked() -> None:
    for n, failed, ranked in ((200, 2, True), (200, 3, False), (2900, 29, True), (99, 1, False)):
        toys = made_toys(1, n)
        toys.loc[: failed - 1, "status"] = "crashed"
        assert score_intervals(toys, MU).values["ranked"] is ranked


def test_all_failed_and_one_toy_are_scored() -> None:
    toys = made_toys(2, 5, failures=1.1)
    v = score_intervals(toys, MU).values
    assert v["coverage"] == 0
    assert v["interval"] == pytest.approx(2.9)
    assert v["rmse"] is None
    assert v["rmse_peer"] is None
    assert v["pull_mean"] is None
    one = score_intervals(made_toys(1, 1), MU)
    assert one.values["pull_width"] is None
    assert one.values["quantiles_score_error"] is None
    assert math.isfinite(one.value)


def test_per_set_numbers_are_those_of_the_set_alone() -> None:
    toys = made_toys(5, 40, failures=0.05).sample(frac=1, random_state=3)
    score = score_intervals(toys, MU)
    assert [s["set"] for s in score.per_set] == [0, 1, 2, 3, 4]
    for row in score.per_set:
        alone = score_intervals(toys[toys["set"] == row["set"]], MU)
        for name in ("quantiles_score", "interval", "coverage", "rmse", "mae", "rmse_peer"):
            assert row[name] == pytest.approx(alone.values[name])
        assert row["mu"] == pytest.approx(toys.loc[toys["set"] == row["set"], "mu"].iloc[0])


def test_sets_of_different_size_weigh_by_their_toys() -> None:
    toys = pd.concat([made_toys(1, 30), made_toys(1, 10, seed=2).assign(set=7)])
    v = score_intervals(toys, MU).values
    first, second = score_intervals(toys, MU).per_set
    assert v["coverage"] == pytest.approx(
        (30 * (first["coverage"] or 0) + 10 * (second["coverage"] or 0)) / 40
    )
    assert v["rmse_peer"] == pytest.approx(
        ((first["rmse_peer"] or 0) + (second["rmse_peer"] or 0)) / 2
    )


def test_bias_under_and_overcoverage_show() -> None:
    assert score_intervals(made_toys(), MU).values["penalty"] == 1
    under = score_intervals(made_toys(scale=0.6), MU).values
    assert (under["coverage"] or 0) < (under["window_low"] or 0)
    over = score_intervals(made_toys(scale=2.0), MU).values
    assert (over["coverage"] or 0) > (over["window_high"] or 0)
    biased = score_intervals(made_toys(bias=1.0), MU).values
    assert biased["pull_mean"] == pytest.approx(1.0, abs=0.1)
    assert biased["bias"] == pytest.approx(0.4, abs=0.04)
    assert (biased["bias_error"] or 0) == pytest.approx(0.4 / math.sqrt(1000), rel=0.1)
    assert biased["pull_width"] == pytest.approx(1.0, abs=0.1)


def test_bootstrap_error_of_the_width_is_the_spread_over_sets() -> None:
    toys = made_toys(50, 20)
    factor = 1 + 0.5 * np.sin(toys["set"])
    toys["p16"] = toys["mu_hat"] - 0.4 * factor
    toys["p84"] = toys["mu_hat"] + 0.4 * factor
    per_set = toys.groupby("set").apply(lambda s: (s["p84"] - s["p16"]).mean())
    v = score_intervals(toys, MU).values
    assert v["interval_error"] == pytest.approx(float(per_set.std(ddof=0)) / math.sqrt(50), rel=0.1)
    assert score_intervals(toys, MU).values == v


def test_tables_that_cannot_be_scored_are_refused() -> None:
    toys = made_toys(2, 3)
    with pytest.raises(DataError, match="'p84'"):
        score_intervals(toys.drop(columns="p84"), MU)
    with pytest.raises(DataError, match="no rows"):
        score_intervals(toys.iloc[:0], MU)
    with pytest.raises(DataError, match="twice"):
        score_intervals(pd.concat([toys, toys.iloc[:1]]), MU)
    with pytest.raises(DataError, match=r"true mu of set 1, toy 0"):
        score_intervals(toys.assign(mu=toys["mu"].where(toys.index != 3)), MU)
    for epsilon in (0.0, -1.0, math.nan):
        with pytest.raises(SettingsError, match="epsilon"):
            score_intervals(toys, MU, epsilon=epsilon)
