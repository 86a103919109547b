"""Both phases' scores, against numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from sigma68.errors import DataError
from sigma68.summaries import ScoresResamples
from sigma68.tasks.lensing.design import PARAMETERS
from sigma68.tasks.lensing.scores import (
    FALSE_POSITIVES,
    FLOOR,
    estimate_score,
    map_scores,
    roc_curve,
    score_estimated,
    strangeness_score,
    summary_of_estimates,
)
from sigma68.tasks.lensing.task import Lensing

TRUTHS = np.array([[0.3, 0.8], [0.2, 0.7]])
MEANS = np.array([[0.35, 0.82], [0.2, 0.69]])
ERRORS = np.array([[0.05, 0.01], [0.1, 0.02]])


def by_hand() -> list[float]:
    # First map: pulls 1 and 2; 1000 (0.05^2 + 0.02^2) = 2.9. Second: pulls 0 and 0.5; 0.1.
    return [
        -(1 + 4 + math.log(0.0025) + math.log(0.0001) + 2.9),
        -(0 + 0.25 + math.log(0.01) + math.log(0.0004) + 0.1),
    ]


def test_score_of_estimates_by_hand() -> None:
    np.testing.assert_allclose(map_scores(MEANS, ERRORS, TRUTHS), by_hand(), rtol=1e-12)
    assert estimate_score(MEANS, ERRORS, TRUTHS) == pytest.approx(sum(by_hand()) / 2)


def test_what_else_is_said_of_estimates() -> None:
    summary = summary_of_estimates(MEANS, ERRORS, TRUTHS)
    assert summary["mse"] == pytest.approx((0.0025 + 0.0004 + 0 + 0.0001) / 4)
    # Truths spread by 0.05 about their mean in both; the squares are 0.00125 and 0.00025.
    assert summary["r2"] == pytest.approx((1 - 0.00125 / 0.0025 + 1 - 0.00025 / 0.0025) / 2)
    # 0.35 - 0.3 is a rounding below 0.05; only the second parameter of the first map is missed.
    assert summary["coverage"] == pytest.approx(0.75)


@pytest.mark.parametrize("wrong", [0.0, -1.0, math.nan, math.inf])
def test_one_error_that_is_none_brings_everything_to_the_floor(wrong: float) -> None:
    errors = ERRORS.copy()
    errors[1, 0] = wrong
    assert estimate_score(MEANS, errors, TRUTHS) == FLOOR
    means = np.where(np.isnan([[wrong]]), np.nan, MEANS)
    if math.isnan(wrong):
        assert estimate_score(means, ERRORS, TRUTHS) == FLOOR


def test_far_off_is_never_below_the_floor() -> None:
    assert estimate_score(MEANS + 10, ERRORS / 1e6, TRUTHS) == FLOOR
    assert estimate_score(MEANS, np.full_like(ERRORS, 1e-200), TRUTHS) == FLOOR


def test_shapes_must_match() -> None:
    with pytest.raises(DataError, match="do not match"):
        estimate_score(MEANS, ERRORS[:1], TRUTHS)


def three_toys() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "set": [0, 0, 1],
            "toy": [0, 1, 2],
            "Omega_m": [0.3, 0.2, 0.2],
            "Omega_m_hat": [0.35, 0.2, math.nan],
            "delta_Omega_m_hat": [0.05, 0.1, math.nan],
            "S8": [0.8, 0.7, 0.7],
            "S8_hat": [0.82, 0.69, math.nan],
            "delta_S8_hat": [0.01, 0.02, math.nan],
            "status": ["ok", "ok", "failed"],
        }
    )


def test_score_of_toys_counts_a_failure_as_the_worst() -> None:
    score = score_estimated(three_toys(), PARAMETERS)
    assert score.headline == "challenge_score"
    assert score.value == pytest.approx((sum(by_hand()) + FLOOR) / 3)
    assert score.values["challenge_score_of_answers"] == pytest.approx(sum(by_hand()) / 2)
    assert score.values["n_failed"] == 1
    assert score.per_set[0]["challenge_score"] == pytest.approx(sum(by_hand()) / 2)
    assert score.per_set[1]["challenge_score"] == FLOOR


def test_scores_of_resamples_are_those_of_their_tables() -> None:
    toys, task = three_toys(), Lensing()
    assert isinstance(task, ScoresResamples)
    counts = np.array([[1, 1, 1], [2, 0, 1], [0, 3, 0]])
    tables = [toys.iloc[np.repeat(np.arange(3), times)] for times in counts]
    expected = [score_estimated(t.assign(toy=range(len(t))), PARAMETERS).value for t in tables]
    found = task.score_resampled(toys, counts.astype(float))
    np.testing.assert_allclose(found, expected)


def test_roc_curve_by_hand_ties_included() -> None:
    scores = np.array([4.0, 3.0, 3.0, 2.0, 1.0])
    strange = np.array([True, False, True, False, True])
    false, true = roc_curve(scores, strange)
    np.testing.assert_allclose(false, [0, 0, 0.5, 1, 1])
    np.testing.assert_allclose(true, [0, 1 / 3, 2 / 3, 2 / 3, 1])


def test_score_of_strangeness_by_hand() -> None:
    # One strange map above 1,000 ordinary ones, one below: half is found at any rate.
    scores = np.r_[2.0, np.linspace(0, 1, 1000), -1.0]
    strange = np.r_[True, np.zeros(1000, dtype=bool), True]
    assert strangeness_score(scores, strange) == pytest.approx(0.5)
    # All scores equal: the curve is the diagonal, and the score the mean of the rates.
    flat = strangeness_score(np.zeros(1002), strange)
    assert flat == pytest.approx(np.mean(FALSE_POSITIVES))
    assert flat == pytest.approx(0.01266, abs=2e-5)


def test_perfect_and_reversed_strangeness() -> None:
    strange = np.arange(100) % 2 == 0
    assert strangeness_score(strange.astype(float), strange) == pytest.approx(1.0)
    assert strangeness_score(-strange.astype(float), strange) == pytest.approx(0.0)


def test_a_roc_curve_needs_both_kinds_and_numbers() -> None:
    with pytest.raises(DataError, match="one kind"):
        strangeness_score(np.zeros(3), np.ones(3, dtype=bool))
    with pytest.raises(DataError, match="finite"):
        strangeness_score(np.array([0.0, np.nan]), np.array([True, False]))


def test_the_report_is_headed_by_the_challenges_score() -> None:
    from sigma68.report.run import score_tiles

    task, rng = Lensing(), np.random.default_rng(1)
    truths = rng.uniform((0.2, 0.7), (0.5, 0.9), (40, 2))
    table = pd.DataFrame({"set": np.arange(40), "toy": 0, "status": "ok", "seconds": 0.1})
    for i, name in enumerate(("Omega_m", "S8")):
        table[name] = truths[:, i]
        table[f"{name}_hat"] = truths[:, i] + rng.normal(0, 0.05, 40)
        table[f"delta_{name}_hat"] = 0.05
    first, second, *_ = score_tiles(task.score(table), task, table)
    assert first["name"].lower() == "challenge score"
    assert "±" in first["value"]
    assert second["name"] == "Quantiles score"
