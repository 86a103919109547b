"""Figures of a calibration: coverage before and after, and the correction itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sigma68.inference.calibrate import Calibration, Correction
from sigma68.inference.neyman import Belt
from sigma68.inference.scale import Scale
from sigma68.report.style import (
    BLUE,
    GREY,
    ORANGE,
    SKY,
    VERMILION,
    legend_above,
    new_figure,
    styled,
    title_of,
)
from sigma68.score.diagnostics import CoverageCurve
from sigma68.score.intervals import sigma_of_coverage
from sigma68.types import Nuisance, Parameter

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["correction_figure", "coverage_before_and_after"]

_COLUMNS = 3


def coverage_before_and_after(
    calibration: Calibration, parameter: Parameter, nuisances: Sequence[Nuisance] = ()
) -> Figure:
    """Coverage of the calibration's toys against everything that varied, a panel each.

    Bands are one and two binomial errors of each bin about the level.
    """
    titles = {n.name: title_of(n) for n in nuisances}
    titles[parameter.name] = title_of(parameter, "true ")
    names = sorted(calibration.curves_after, key=lambda name: name != parameter.name)
    columns = min(len(names), _COLUMNS)
    rows = -(-len(names) // columns)
    with styled():
        figure = new_figure(max(5.4, 3.3 * columns), 2.9 * rows + 0.5)
        panels = figure.subplots(rows, columns, squeeze=False, sharey=True)
        for panel, name in zip(panels.flat, names, strict=False):
            _band(panel, calibration.curves_after[name])
            _points(panel, calibration.curves_before[name], "before", ORANGE, "s", -1)
            _points(panel, calibration.curves_after[name], "after", BLUE, "o", 1)
            panel.set_xlabel(titles.get(name, name))
            panel.locator_params(axis="x", nbins=5)
        for panel in list(panels.flat)[len(names) :]:
            panel.set_axis_off()
        for panel in panels[:, 0]:
            panel.set_ylabel("Coverage")
        low, high = panels.flat[0].get_ylim()  # the others share its axis
        panels.flat[0].set_ylim(max(low, -0.03), min(high, 1.03))
        handles, labels = panels.flat[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=4, frameon=False)
    return figure


def correction_figure(correction: Correction, parameter: Parameter) -> Figure:
    """What intervals are changed by: factors of their arms, or the belt they are read from.

    Raises
    ------
    TypeError
        If the correction is of a kind that has no figure.
    """
    with styled():
        figure = new_figure()
        axes = figure.subplots()
        if isinstance(correction, Scale):
            _factors(axes, correction, parameter)
        elif isinstance(correction, Belt):
            _belt(axes, correction, parameter)
        else:
            raise TypeError(f"there is no figure of a {type(correction).__name__}")
        legend_above(axes)
    return figure


def _band(axes: Axes, curve: CoverageCurve) -> None:
    sigma = sigma_of_coverage(curve.n, curve.level)
    edges = np.append(curve.low, curve.high[-1])
    for k, alpha, label in ((2, 0.25, "two binomial errors"), (1, 0.45, "one")):
        low, high = curve.level - k * sigma, curve.level + k * sigma
        axes.fill_between(
            edges, np.append(low, low[-1]), np.append(high, high[-1]), step="post",
            color=SKY, alpha=alpha, lw=0, label=label,
        )  # fmt: skip
    axes.axhline(curve.level, color=GREY, lw=1, ls="--")


def _points(
    axes: Axes, curve: CoverageCurve, label: str, color: str, marker: str, side: int
) -> None:
    """Points a little beside the bin's centre, so that two of them do not hide each other."""
    at = curve.centre + side * 0.006 * (curve.high[-1] - curve.low[0])
    errors = [curve.coverage - curve.coverage_low, curve.coverage_high - curve.coverage]
    axes.errorbar(at, curve.coverage, errors, fmt=marker, color=color, label=label)


def _factors(axes: Axes, scale: Scale, parameter: Parameter) -> None:
    at = scale.at
    for sign, curve, row, color, ls, label in (
        (-1, scale.low, 0, BLUE, "-", "left arm"),
        (1, scale.high, 1, VERMILION, "--", "right arm"),
    ):
        factor = sign * curve(at)
        axes.plot(at, factor, color=color, ls=ls, label=label)
        if scale.errors is not None:
            error = scale.errors[row]
            axes.fill_between(at, factor - error, factor + error, color=color, alpha=0.25, lw=0)
    axes.axhline(1, color=GREY, lw=1, ls=":", label="no change")
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, 0.9), max(high, 1.1))
    axes.set_xlabel(title_of(parameter, "estimated "))
    axes.set_ylabel("Factor of the interval's arm")


def _belt(axes: Axes, belt: Belt, parameter: Parameter) -> None:
    axes.fill_between(
        belt.mu, belt.low, belt.high, color=SKY, alpha=0.35, lw=0,
        label=f"central {100 * belt.level:.2f}% of estimates",
    )  # fmt: skip
    curves = (belt.low, belt.middle, belt.high)
    for row, (curve, ls) in enumerate(zip(curves, ("-", "--", "-"), strict=True)):
        axes.plot(belt.mu, curve, color=BLUE, ls=ls, label="mean" if row == 1 else None)
        if belt.errors is not None:
            error = belt.errors[row]
            axes.fill_between(belt.mu, curve - error, curve + error, color=BLUE, alpha=0.4, lw=0)
    axes.plot(belt.mu, belt.mu, color=GREY, lw=1, ls=":", label="estimate = truth")
    axes.set_xlabel(title_of(parameter, "true "))
    axes.set_ylabel(title_of(parameter, "estimated "))
