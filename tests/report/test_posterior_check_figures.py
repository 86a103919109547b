"""Figures of where truths lie among draws."""

from __future__ import annotations

import numpy as np

from sigma68.inference.posterior_checks import PosteriorChecks
from sigma68.report.posterior_check_figures import expected_coverage_figure, rank_figure
from sigma68.report.style import render
from sigma68.types import Parameter

PARAMETERS = (Parameter("a", 0.0, 1.0, label="$a$"), Parameter("b", 0.0, 1.0))


def made(n: int = 500, power: float = 1.0) -> PosteriorChecks:
    rng = np.random.default_rng(68)
    joint, tarp = rng.random((2, n)) ** power
    return PosteriorChecks(("a", "b"), rng.random((n, 2)), joint, tarp)


def test_every_observation_is_in_a_bin_of_ranks() -> None:
    figure = rank_figure(made(), PARAMETERS, bins=10)
    assert len(figure.axes) == 2
    for axes in figure.axes:
        steps = [p for p in axes.patches if type(p).__name__ == "StepPatch"]
        assert steps[0].get_data().values.sum() == 500
    assert "a" in figure.axes[0].get_xlabel()
    assert render(figure, "svg")


def test_coverage_is_drawn_for_each_method() -> None:
    figure = expected_coverage_figure({"right": made(), "narrow": made(power=0.5)})
    left = figure.axes[0]
    lines = {line.get_label(): line for line in left.get_lines()}
    right, narrow = (np.asarray(lines[name].get_ydata()) for name in ("right", "narrow"))
    assert abs(right).max() < 8
    assert narrow.min() < -15
    assert right[0] == narrow[-1] == 0
    assert render(figure, "svg")
