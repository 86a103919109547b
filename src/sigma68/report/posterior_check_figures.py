"""Figures of where truths lie among draws from posteriors: ranks, and coverage of regions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from sigma68.inference.posterior_checks import PosteriorChecks
from sigma68.report.style import (
    BLUE,
    GREEN,
    GREY,
    PURPLE,
    VERMILION,
    legend_above,
    new_figure,
    styled,
    title_of,
)
from sigma68.types import LEVEL, Parameter

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["expected_coverage_figure", "rank_figure"]

_STYLES = ((BLUE, "-"), (VERMILION, "--"), (GREEN, "-."), (PURPLE, ":"))
_LEVELS = np.linspace(0, 1, 201)


def rank_figure(
    checks: PosteriorChecks, parameters: Sequence[Parameter], *, bins: int = 20
) -> Figure:
    """Ranks of the truths, one panel per parameter: flat if posteriors are right.

    A hill says that posteriors are too wide, a valley too narrow, a slope shifted. Bands hold 68% and
    95% of the bins of so many observations if posteriors are right.
    """
    n = len(checks.ranks)
    with styled():
        figure = new_figure(max(5.4, 3.6 * len(parameters)), 3.3)
        panels = figure.subplots(1, len(parameters), squeeze=False, sharey=True)[0]
        for i, (panel, parameter) in enumerate(zip(panels, parameters, strict=True)):
            for share, shade in ((0.9545, 0.15), (LEVEL, 0.25)):
                low, high = stats.binom.interval(share, n, 1 / bins)
                panel.axhspan(
                    low, high, color=GREY, alpha=shade, lw=0, label=f"{share:.0%} of bins"
                )
            panel.axhline(n / bins, color=GREY, lw=1)
            counts, edges = np.histogram(checks.ranks[:, i], bins=bins, range=(0, 1))
            panel.stairs(counts, edges, baseline=None, color=BLUE, lw=1.5, label="observations")
            panel.set_xlim(0, 1)
            panel.set_xlabel(f"rank of {title_of(parameter, 'true ')}")
        panels[0].set_ylim(0, 1.15 * panels[0].get_ylim()[1])
        panels[0].set_ylabel("Observations per bin")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=3, frameon=False)
    return figure


def expected_coverage_figure(checks: Mapping[str, PosteriorChecks]) -> Figure:
    """Coverage of joint regions against their level for each method: ellipses, and TARP's circles.

    What is drawn is coverage minus level. Bands are one and two binomial errors of the smallest number of
    observations.
    """
    n = min(len(c.joint) for c in checks.values())
    error = 100 * np.sqrt(_LEVELS * (1 - _LEVELS) / n)
    with styled():
        figure = new_figure(7.6, 3.6)
        panels = figure.subplots(1, 2, sharey=True)
        for panel, name in zip(panels, ("joint", "tarp"), strict=True):
            for k, shade in ((2, 0.15), (1, 0.25)):
                panel.fill_between(
                    100 * _LEVELS, -k * error, k * error, color=GREY, alpha=shade, lw=0
                )
            panel.axhline(0, color=GREY, lw=1)
            panel.axvline(100 * LEVEL, color=GREY, lw=0.8, ls=":")
            for (method, check), style in zip(checks.items(), _STYLES * len(checks), strict=False):
                _curve(panel, getattr(check, name), method, *style)
            panel.set_xlim(0, 100)
        panels[0].set_xlabel("level of the joint ellipse (%)")
        panels[1].set_xlabel("level of the TARP region (%)")
        panels[0].set_ylabel("Coverage minus level (%)")
        legend_above(panels[0], columns=2)
    return figure


def _curve(axes: Axes, fractions: np.ndarray, label: str, colour: str, line: str) -> None:
    share = np.searchsorted(np.sort(fractions), _LEVELS, side="right") / len(fractions)
    axes.plot(100 * _LEVELS, 100 * (share - _LEVELS), color=colour, ls=line, lw=1.5, label=label)
