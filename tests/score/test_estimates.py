"""Scores of several parameters and of a strangeness, by hand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from sigma68.errors import DataError
from sigma68.score.estimates import score_estimates, score_strangeness, score_toys
from sigma68.score.intervals import score_intervals
from sigma68.types import Parameter
from tests.score.made_toys import MU, made_toys
from tests.score.runs import OMEGA, S8, two_parameters


def test_estimates_are_intervals_of_one_error_in_units_of_the_range() -> None:
    score = score_estimates(two_parameters(), [OMEGA, S8])
    v = score.values
    assert v["omega_interval"] == pytest.approx(1.0)
    assert v["s8_interval"] == pytest.approx(0.04)
    assert v["omega_quantiles_score"] == pytest.approx(-math.log(0.1 + 0.01))
    assert v["s8_quantiles_score"] == pytest.approx(-math.log(0.04 + 0.01))
    assert score.value == pytest.approx(-(math.log(0.11) + math.log(0.05)) / 2)
    assert v["omega_rmse"] == pytest.approx(0.5, rel=0.1)
    assert v["s8_pull_width"] == pytest.approx(1.0, rel=0.1)
    assert [s["set"] for s in score.per_set] == [0, 1]


def test_a_failed_parameter_fails_the_toy_for_all() -> None:
    toys = two_parameters()
    toys.loc[0, "delta_s8_hat"] = 0.0
    toys.loc[1, "omega_hat"] = math.nan
    v = score_estimates(toys, [OMEGA, S8]).values
    assert v["n_failed"] == 2
    assert v["omega_n_failed"] == v["s8_n_failed"] == 2
    assert v["omega_interval"] == pytest.approx((398 * 1.0 + 2 * 10.0) / 400)


def test_underestimated_errors_cost_score() -> None:
    honest = score_estimates(two_parameters(), [OMEGA, S8])
    bold = score_estimates(two_parameters(scale=0.5), [OMEGA, S8])
    assert bold.value < honest.value
    assert (bold.values["omega_coverage"] or 0) == pytest.approx(0.38, abs=0.08)


def test_strangeness_by_hand() -> None:
    # Strange 3 and 1 against ordinary 2 and 0: three of four comparisons won.
    toys = pd.DataFrame(
        {"set": 0, "toy": range(4), "odd": [1, 1, 0, 0], "score": [3.0, 1.0, 2.0, 0.0]}
    ).assign(status="ok")
    odd = Parameter("odd", 0, 1)
    score = score_strangeness(toys, odd)
    assert score.headline == "auc"
    assert score.value == pytest.approx(0.75)
    assert score.values["n_strange"] == 2
    toys.loc[0, ["score", "status"]] = [math.nan, "failed"]
    assert score_strangeness(toys, odd).value == pytest.approx(0.25)
    toys.loc[3, "score"] = math.inf
    failed = score_strangeness(toys, odd)
    assert failed.value == 0
    assert failed.values["n_failed"] == 2
    assert failed.values["ranked"] is False


def test_strangeness_error_is_the_spread_of_many_experiments() -> None:
    rng = np.random.default_rng(3)
    odd = Parameter("odd", 0, 1)
    found = []
    for _ in range(300):
        truth = np.repeat([0, 1], 50)
        toys = pd.DataFrame(
            {"set": 0, "toy": range(100), "odd": truth, "score": truth + rng.normal(size=100)}
        ).assign(status="ok")
        found.append(score_strangeness(toys, odd).values)
    auc = np.array([f["auc"] for f in found], dtype=float)
    low = np.array([f["auc_low"] for f in found], dtype=float)
    assert auc.mean() == pytest.approx(0.760, abs=0.01)  # Phi(1 / sqrt(2))
    assert np.mean(auc - low) == pytest.approx(auc.std(), rel=0.15)


def test_one_kind_only_has_no_auc() -> None:
    toys = pd.DataFrame({"set": 0, "toy": range(3), "odd": 1.0, "score": [1.0, 2.0, 3.0]})
    score = score_strangeness(toys.assign(status="ok"), Parameter("odd", 0, 1))
    assert score.values["auc"] is None
    assert math.isnan(score.value)
    assert score.values["score_mean"] == pytest.approx(2.0)


def test_the_kind_of_answer_chooses_the_score() -> None:
    toys = made_toys()
    assert score_toys(toys, "interval", [MU]) == score_intervals(toys, MU)
    assert score_toys(two_parameters(), "estimates", [OMEGA, S8], epsilon=0.1).values[
        "quantiles_score"
    ] == pytest.approx(-(math.log(0.2) + math.log(0.14)) / 2)
    strange = two_parameters().assign(score=1.0)
    assert score_toys(strange, "strangeness", [OMEGA]).value == pytest.approx(0.5)


def test_missing_columns_are_named() -> None:
    with pytest.raises(DataError, match="delta_s8_hat"):
        score_estimates(two_parameters().drop(columns="delta_s8_hat"), [OMEGA, S8])
    with pytest.raises(DataError, match="score"):
        score_strangeness(two_parameters(), OMEGA)
    with pytest.raises(DataError, match="no parameter"):
        score_estimates(two_parameters(), [])
