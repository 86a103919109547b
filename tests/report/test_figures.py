"""Figures of runs: what is drawn is what the toys say, for good runs and odd ones."""

from __future__ import annotations

from typing import Literal

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from sigma68.report import coverage_figures, estimate_figures, toy_figures
from sigma68.report.style import BLUE, VERMILION, render, title_of
from sigma68.score.diagnostics import coverage_curves
from sigma68.score.intervals import score_intervals
from sigma68.score.table import interval_toys
from sigma68.types import Nuisance
from tests.score.made_toys import MU, NUISANCES, made_toys


def all_figures(toys: pd.DataFrame) -> list[Figure]:
    table, score = interval_toys(toys, MU), score_intervals(toys, MU)
    return [
        coverage_figures.coverage_plot(table, MU),
        coverage_figures.coverage_per_set(score, MU),
        coverage_figures.coverage_against(coverage_curves(toys, MU), MU, NUISANCES),
        estimate_figures.estimate_against_truth(table, MU),
        estimate_figures.pulls(table, MU),
        estimate_figures.width_distribution(table, MU),
        estimate_figures.score_against_truth(score, MU),
        toy_figures.nuisance_distributions(toys, NUISANCES),
        toy_figures.failures(toys, MU),
        toy_figures.prediction_times(toys, 20.0),
    ]


ODD = {
    "one toy": made_toys(1, 1),
    "all failed": made_toys(2, 5, failures=1.1),
    "one set, all off": made_toys(1, 30, active=False),
    "an enormous interval": made_toys(2, 10).replace({"p84": {0: 0.0}}).assign(seconds=0.0),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_runs_are_drawn(name: str) -> None:
    for figure in all_figures(ODD[name]):
        assert isinstance(figure, Figure)
        assert render(figure, "png").startswith(b"\x89PNG")


def test_style_is_not_left_behind() -> None:
    before = dict(mpl.rcParams)
    figure = estimate_figures.pulls(interval_toys(made_toys(2, 10), MU), MU)
    render(figure, "svg")
    assert dict(mpl.rcParams) == before


def test_same_toys_give_the_same_bytes() -> None:
    table = interval_toys(made_toys(2, 10, failures=0.2), MU)
    for kind in ("svg", "pdf"):
        one, two = (render(coverage_figures.coverage_plot(table, MU), kind) for _ in range(2))
        assert one == two
    assert b"<dc:date>" not in render(coverage_figures.coverage_plot(table, MU), "svg")


def test_coverage_plot_draws_every_valid_interval_in_the_right_colour() -> None:
    toys = made_toys(2, 40, failures=0.1)
    table = interval_toys(toys, MU)
    figure = coverage_figures.coverage_plot(table, MU)
    assert len(figure.axes) == 2
    for axes, of_set in zip(figure.axes, table.by_set(), strict=True):
        drawn = {
            to_hex(c.get_color()[0]).upper(): c.get_segments()
            for c in axes.collections
            if isinstance(c, LineCollection)
        }
        assert len(drawn[BLUE]) == of_set.covered.sum()
        assert len(drawn[VERMILION]) == (of_set.valid & ~of_set.covered).sum()
        ends = np.array([segment[:, 0] for segment in drawn[BLUE]])
        np.testing.assert_allclose(ends[:, 0], of_set.lower[of_set.covered])
        np.testing.assert_allclose(ends[:, 1], of_set.upper[of_set.covered])
        truth = axes.lines[0].get_xdata()
        assert truth == pytest.approx([of_set.truth[0]] * 2)


def test_coverage_plot_shows_the_first_sets_and_toys() -> None:
    table = interval_toys(made_toys(12, 30), MU)
    figure = coverage_figures.coverage_plot(table, MU, most_sets=4, most_toys=10)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert [t.split(":")[0] for t in titles if t] == ["Set 0", "Set 1", "Set 2", "Set 3"]
    assert figure.axes[0].get_ylim()[1] < 10


def test_one_enormous_interval_does_not_squeeze_the_others() -> None:
    toys = made_toys(1, 100)
    toys.loc[3, "p84"] = 1e6
    figure = coverage_figures.coverage_plot(interval_toys(toys, MU), MU)
    left, right = figure.axes[0].get_xlim()
    assert right - left < 10


def test_pulls_beyond_the_range_are_counted_in_the_end_bins() -> None:
    toys = made_toys(2, 50)
    toys.loc[:4, "mu_hat"] += 1000
    figure = estimate_figures.pulls(interval_toys(toys, MU), MU)
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert any(label.startswith("5 beyond") for label in labels)
    counts = figure.axes[0].patches[0].get_data().values  # type: ignore[attr-defined]
    assert counts.sum() == 100


def test_expected_nuisances_sum_to_the_toys() -> None:
    toys = made_toys(4, 100)
    figure = toy_figures.nuisance_distributions(toys, NUISANCES)
    for axes in figure.axes:
        expected = axes.patches[-1].get_data().values  # type: ignore[attr-defined]
        assert 395 < expected.sum() <= 400.001


def test_units_and_labels() -> None:
    assert title_of(NUISANCES[1]) == "smearing [GeV]"
    assert title_of(MU, "true ") == r"true $\mu$"


@pytest.mark.parametrize(
    ("prior", "expected"),
    [
        ("uniform", [0.0, 0.25, 0.25, 0.5, 0.0]),
        # Normal about 1 with width 1, clipped to [0, 2]: what is beyond sits in the last bins.
        ("normal", [0.0, 0.3085375, 0.1914625, 0.5, 0.0]),
    ],
)
def test_what_is_expected_of_a_nuisance_follows_its_prior(
    prior: Literal["uniform", "normal"], expected: list[float]
) -> None:
    nuisance = Nuisance("n", 1.0, prior, 1.0, 1.0, 0.0, 2.0)
    edges = np.array([-1.0, 0.0, 0.5, 1.0, 2.0, 3.0])
    np.testing.assert_allclose(toy_figures._prior_fractions(nuisance, edges), expected, atol=1e-6)
