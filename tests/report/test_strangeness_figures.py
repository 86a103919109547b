"""Figures of scores of strangeness."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from sigma68.report import strangeness_figures
from sigma68.report.style import render
from sigma68.score.estimates import score_strangeness
from sigma68.types import Parameter, Score

ODD = Parameter("odd", 0.0, 1.0)


def made(n: int, difference: float) -> pd.DataFrame:
    rng = np.random.default_rng(2)
    odd = np.arange(n) % 2 * 0.8 + 0.1
    scores = rng.normal(size=n) + difference * (odd > 0.5)
    return pd.DataFrame({"set": 0, "toy": range(n), "odd": odd, "score": scores, "status": "ok"})


def lines(toys: pd.DataFrame) -> dict[str, np.ndarray]:
    figure = strangeness_figures.roc_at_low_rates(toys, ODD)
    assert render(figure, "png")
    axes = figure.axes[0]
    assert axes.get_xscale() == "log"
    assert axes.get_xlim() == (0.001, 0.05)
    return {str(line.get_label()): np.array(line.get_xydata()) for line in axes.lines}


def test_roc_of_toys_that_are_told_apart_and_of_others() -> None:
    apart = lines(made(400, 50.0))
    assert set(apart) == {"200 strange, 200 ordinary toys", "chance", "one ordinary toy"}
    curve, chance = apart["200 strange, 200 ordinary toys"], apart["chance"]
    np.testing.assert_allclose(curve[:, 1], 100.0)
    np.testing.assert_allclose(chance[:, 1], 100 * chance[:, 0])
    assert apart["one ordinary toy"][0, 0] == pytest.approx(1 / 200)
    alike = lines(made(2400, 0.0))
    curve = alike["1,200 strange, 1,200 ordinary toys"]
    assert np.abs(curve[:, 1] - 100 * curve[:, 0]).max() < 3
    assert "one ordinary toy" not in alike


def test_the_band_holds_the_curve() -> None:
    figure = strangeness_figures.roc_at_low_rates(made(1000, 2.0), ODD)
    axes: Any = figure.axes[0]
    low, high = (axes.collections[0].get_paths()[0].vertices[:, 1].take(i) for i in (1, -2))
    curve = axes.lines[0].get_ydata()
    assert low <= curve[0] <= high
    assert high - low < 30


def test_parts_are_values_with_errors_that_are_not_the_headline() -> None:
    values = {
        "whole_score": 0.3,
        "whole_score_error": 0.1,
        "one_kind_score": 0.5,
        "one_kind_score_error": 0.2,
        "no_kind_score": None,
        "no_kind_score_error": None,
        "other_score": 0.1,
    }
    score = Score("whole_score", values)
    assert strangeness_figures.scores_of_parts(score) == {
        "one kind": (0.5, 0.2),
        "no kind": (None, None),
    }
    figure = strangeness_figures.parts(score)
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == [
        "all",
        "one kind",
        "no kind",
    ]
    assert len(figure.axes[0].containers) == 2
    assert render(figure, "png")


@pytest.mark.parametrize("scores", [[0.0] * 6, [np.nan] * 6, [0.0, 1.0, 2.0, 1e9, -1e9, np.nan]])
def test_histograms_hold_every_finite_score(scores: list[float]) -> None:
    toys = made(6, 0.0).assign(score=scores)
    figure = strangeness_figures.strangeness(toys, ODD, score_strangeness(toys, ODD))
    assert render(figure, "png")
    patches: Any = figure.axes[0].patches
    outlines = [p for p in patches if p.get_label()]
    counted = sum(float(p.get_data().values.sum()) for p in outlines)
    assert counted == np.isfinite(scores).sum()


def test_one_ordinary_toy_far_away_does_not_squeeze_the_others() -> None:
    toys = made(1000, 3.0)
    toys.loc[0, "score"] = 1e6
    figure = strangeness_figures.strangeness(toys, ODD, score_strangeness(toys, ODD))
    assert figure.axes[0].get_xlim()[1] < 10
