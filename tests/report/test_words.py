"""The verdict in words on methods whose faults are known."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from sigma68.report.words import Verdict, factor, interval_verdict, number, percent, with_error
from sigma68.score.diagnostics import coverage_curves
from sigma68.score.intervals import score_intervals
from sigma68.score.pool_error import PoolError, pool_error
from sigma68.types import PoolStatistics
from tests.score.made_toys import MU, made_toys


def verdict(toys: pd.DataFrame, pool: PoolError | None = None) -> Verdict:
    return interval_verdict(score_intervals(toys, MU), coverage_curves(toys, MU), MU, pool)


def small_pool() -> PoolError:
    sumw = np.array([[10.0, 90.0]])
    return pool_error(
        PoolStatistics(("all",), ("s", "b"), (True, False), sumw, sumw * 50, 20), None
    )


def test_a_good_method() -> None:
    said = verdict(made_toys(20, 100))
    assert said.headline == "Covers as it should"
    assert said.mood == "good"
    text = " ".join(said.sentences)
    assert "0.800" in text
    assert "of 2,000 toys" in text
    assert "inside the window free of penalty" in text
    assert "nowhere more than 3 binomial standard deviations off" in text
    assert "failed" not in text
    assert "bias" not in text


@pytest.mark.parametrize(("scale", "word", "mood"), [(0.6, "Under", "bad"), (2.0, "Over", "fair")])
def test_wrong_coverage(scale: float, word: str, mood: str) -> None:
    said = verdict(made_toys(20, 100, scale=scale))
    assert said.headline.startswith(word)
    assert said.mood == mood
    text = " ".join(said.sentences)
    assert "penalty factor" in text
    assert f"It {word.lower()}covers for" in text
    assert ("too small" if scale < 1 else "too large") in text


def test_bins_that_are_off_are_named() -> None:
    said = " ".join(verdict(made_toys(20, 200, slope=1.0)).sentences)
    assert "undercovers for shift of 0.9" in said
    assert "smear" not in said.split("undercovers for")[1].split(";")[0]


def test_bias_is_named_with_its_sign() -> None:
    assert "too high" in " ".join(verdict(made_toys(20, 100, bias=0.5)).sentences)
    assert "too low" in " ".join(verdict(made_toys(20, 100, bias=-0.5)).sentences)


def test_failures() -> None:
    some = verdict(made_toys(20, 100, failures=0.05))
    assert some.headline.startswith("Not ranked")
    assert some.mood == "bad"
    all_of_them = verdict(made_toys(2, 5, failures=1.1))
    assert all_of_them.headline.startswith("Every toy failed")
    assert "10 toys of 10 failed" in " ".join(all_of_them.sentences)


def test_few_toys_get_no_verdict() -> None:
    said = verdict(made_toys(1, 1))
    assert "Too few toys" in said.headline
    assert said.mood == "fair"


def test_small_pools_temper_the_verdict() -> None:
    said = verdict(made_toys(20, 100), small_pool())
    assert said.mood == "fair"
    assert said.sentences[0].startswith("This is no test of the method")
    toys, pool = made_toys(20, 100), small_pool()
    shift = pool.b * float(toys["p84"].sub(toys["p16"]).mean()) / 2
    assert f"by about {shift:.2g} (one standard deviation" in said.sentences[0]


def test_numbers_for_reading() -> None:
    assert with_error(0.80412, 0.0041) == "0.8041 ± 0.0041"
    assert with_error(-12.3, 4.0) == "−12.3 ± 4.0"
    assert with_error(1234.5, 56.0) == "1234 ± 56"
    assert with_error(2.9, 1e-16) == "2.900"
    assert with_error(0.5, None) == "0.500"
    assert with_error(None, None) == "–"
    assert number(math.nan) == "–"
    assert number(12345) == "12,345"
    assert percent(0.6827, 2) == "68.27%"
    assert factor(1.0) == "1.00"
    assert factor(30351.7) == "30,352"
    assert factor(2.5e12) == "2.5e12"
    assert factor(math.inf) == "–"
