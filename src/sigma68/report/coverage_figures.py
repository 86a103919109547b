"""Figures of coverage and width: the intervals themselves, set by set, and against what varies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

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
from sigma68.score.table import IntervalToys
from sigma68.types import LEVEL, Nuisance, Parameter, Score

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["coverage_against", "coverage_per_set", "coverage_plot"]

MANY = 60
"""Sets from which their error bars would cover each other, and are left out."""


def coverage_plot(
    toys: IntervalToys, parameter: Parameter, *, most_sets: int = 9, most_toys: int = 100
) -> Figure:
    """The papers' coverage plot: every interval a horizontal line, the truth a vertical one.

    One panel per set, for the first `most_sets` sets and the first `most_toys` toys of each;
    lines that miss the truth are drawn in another colour and dashed. Failed toys leave a gap.
    """
    sets = toys.by_set()[:most_sets]
    numbers = toys.set_numbers
    columns = min(len(sets), 3)
    rows = -(-len(sets) // columns)
    with styled():
        # A panel alone would stretch; three side by side fill the page.
        figure = new_figure(max(5.4, 3.2 * columns), 0.7 + 2.9 * rows + (0.9 if rows == 1 else 0))
        panels = figure.subplots(rows, columns, squeeze=False)
        for i, panel in enumerate(panels.flat):
            if i >= len(sets):
                panel.set_axis_off()
                continue
            _intervals(panel, sets[i], most_toys)
            n, k = sets[i].n_toys, int(np.count_nonzero(sets[i].covered))
            panel.set_title(f"Set {numbers[i]}: {k} of {n} cover", loc="left")
        for panel in panels[:, 0]:
            panel.set_ylabel("Toy")
        for i in range(max(0, len(sets) - columns), len(sets)):
            panels.flat[i].set_xlabel(title_of(parameter))
        handles = _interval_legend()
        figure.legend(handles=handles, loc="outside upper left", ncols=3, frameon=False)
    return figure


def coverage_per_set(score: Score, parameter: Parameter) -> Figure:
    """Coverage and mean width of every set, with their errors.

    The wide band is the window free of penalty for one set's number of toys, the narrow one
    for all toys together. Many sets are drawn without error bars.
    """
    level = _number(score.values.get("level"), LEVEL)
    rows = score.per_set
    x = np.arange(len(rows))
    with styled():
        figure = new_figure(7.2, 5.4)
        upper, lower = figure.subplots(2, 1, sharex=True)
        n = np.array([_number(r["n_toys"]) for r in rows])
        sigma = sigma_of_coverage(n, level)
        _band(upper, x, level - 2 * sigma, level + 2 * sigma, f"free window, {_toys(n)} toys")
        low, high = _number(score.values["window_low"]), _number(score.values["window_high"])
        upper.axhspan(
            low, high, color=SKY, alpha=0.55, lw=0, label=f"free window, all {int(n.sum()):,}"
        )
        upper.axhline(level, color=GREY, lw=1, ls="--")
        _points(upper, x, rows, "coverage", "coverage_low", "coverage_high")
        upper.set_ylabel("Coverage")
        _within_one(upper)
        legend_above(upper)
        width = np.array([_number(r["interval"]) for r in rows])
        error = np.array([_number(r["interval_error"], 0.0) for r in rows])
        mean = _number(score.values["interval"])
        lower.axhline(mean, color=ORANGE, lw=1.5, label=_mean_label(score, mean))
        if len(rows) > MANY:
            lower.plot(x, width, ".", color=BLUE, ms=3)
        else:
            lower.errorbar(x, width, error, fmt="o", color=BLUE)
        lower.set_ylabel(f"Mean width of {title_of(parameter)}")
        legend_above(lower)
        _keep_zero_in_reach(lower, width)
        lower.set_xlabel("Set")
        _set_ticks(lower, [int(_number(r["set"])) for r in rows])
        figure.align_ylabels()
    return figure


def coverage_against(
    curves: Mapping[str, CoverageCurve],
    parameter: Parameter,
    nuisances: Sequence[Nuisance] = (),
    *,
    n_columns: int = 3,
) -> Figure:
    """Coverage in bins of the true parameter and of every nuisance parameter, a panel each.

    Bands are the window free of penalty for a bin's number of toys.
    """
    titles = {n.name: title_of(n) for n in nuisances} | {
        parameter.name: title_of(parameter, "true ")
    }
    columns = min(len(curves), n_columns)
    rows = -(-len(curves) // columns)
    with styled():
        figure = new_figure(max(5.4, 3.3 * columns), 2.9 * rows + 0.5)
        panels = figure.subplots(rows, columns, squeeze=False, sharey=True)
        for panel, curve in zip(panels.flat, curves.values(), strict=False):
            _curve(panel, curve)
            panel.set_xlabel(titles.get(curve.column, curve.column))
        for panel in list(panels.flat)[len(curves) :]:
            panel.set_axis_off()
        _within_one(panels.flat[0])  # the others share its axis
        for panel in panels[:, 0]:
            panel.set_ylabel("Coverage")
        handles, labels = panels.flat[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=3, frameon=False)
    return figure


def _curve(axes: Axes, curve: CoverageCurve) -> None:
    sigma = sigma_of_coverage(curve.n, curve.level)
    for i, (left, right) in enumerate(zip(curve.low, curve.high, strict=True)):
        axes.fill_between(
            [left, right],
            curve.level - 2 * sigma[i],
            curve.level + 2 * sigma[i],
            color=SKY,
            alpha=0.35,
            lw=0,
            label="free window of the bin" if i == 0 else None,
        )
    axes.axhline(curve.level, color=GREY, lw=1, ls="--", label=f"{100 * curve.level:.2f}%")
    errors = [curve.coverage - curve.coverage_low, curve.coverage_high - curve.coverage]
    axes.errorbar(curve.centre, curve.coverage, errors, fmt="o", color=BLUE, label="binomial error")
    axes.locator_params(axis="x", nbins=5)


def _intervals(axes: Axes, toys: IntervalToys, most_toys: int) -> None:
    truth = float(toys.truth[0])
    number = np.arange(min(toys.n_toys, most_toys))
    for covers, color, dashes in ((True, BLUE, "solid"), (False, VERMILION, (0, (3, 1)))):
        use = toys.valid[number] & (toys.covered[number] == covers)
        axes.hlines(
            number[use],
            toys.lower[number][use],
            toys.upper[number][use],
            color=color,
            linestyles=dashes,
            lw=1.2 if len(number) > 30 else 2,
        )
    axes.axvline(truth, color="black", lw=1.2, ls=":")
    # Without a single valid interval, autoscaling would leave a range of nothing.
    if not toys.valid[number].any():
        axes.set_xlim(truth - 1, truth + 1)
        axes.text(
            0.5, 0.5, "all failed", transform=axes.transAxes, ha="center", backgroundcolor="w"
        )
    else:
        ends = np.concatenate([toys.lower[number], toys.upper[number]]) - truth
        # One interval of enormous width must not squeeze all others into a line.
        reach = 1.15 * float(np.nanquantile(np.abs(ends[np.isfinite(ends)]), 0.98))
        axes.set_xlim(truth - (reach or 1), truth + (reach or 1))
    axes.set_ylim(-0.8, len(number) - 0.2)
    axes.locator_params(axis="y", integer=True)
    axes.locator_params(axis="x", nbins=5)
    axes.minorticks_off()


def _interval_legend() -> list[Any]:
    from matplotlib.lines import Line2D

    return [
        Line2D([], [], color=BLUE, label="covers"),
        Line2D([], [], color=VERMILION, ls=(0, (3, 1)), label="misses"),
        Line2D([], [], color="black", lw=1.2, ls=":", label="truth"),
    ]


def _points(axes: Axes, x: Any, rows: Sequence[Any], name: str, low: str, high: str) -> None:
    value = np.array([_number(r[name]) for r in rows])
    down = value - np.array([_number(r[low]) for r in rows])
    up = np.array([_number(r[high]) for r in rows]) - value
    if len(rows) > MANY:
        error = float(np.median((down + up) / 2))
        axes.plot(x, value, ".", color=BLUE, ms=3, label=f"sets, binomial error ±{error:.2g}")
    else:
        axes.errorbar(x, value, [down, up], fmt="o", color=BLUE, label="sets")


def _band(axes: Axes, x: Any, low: Any, high: Any, label: str) -> None:
    edges = np.append(x - 0.5, x[-1] + 0.5)
    edges[0], edges[-1] = edges[0] - 1, edges[-1] + 1  # over the margins of the axes
    axes.fill_between(
        edges, np.append(low, low[-1]), np.append(high, high[-1]), step="post",
        color=SKY, alpha=0.25, lw=0, label=label,
    )  # fmt: skip


def _within_one(axes: Axes) -> None:
    """No coverage below 0 or above 1, whatever the window of few toys would be."""
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, -0.03), min(high, 1.03))


def _mean_label(score: Score, mean: float) -> str:
    failed = int(_number(score.values["n_failed"]))
    return f"mean {mean:.3g}" + (f", with {failed:,} failed toys" if failed else "")


def _toys(n: Any) -> str:
    return f"{int(n.min()):,}" if n.min() == n.max() else f"{int(n.min()):,} to {int(n.max()):,}"


def _set_ticks(axes: Axes, numbers: Sequence[int]) -> None:
    """Set numbers at the places of the points, thinned out where they are many."""
    axes.minorticks_off()
    step = max(1, -(-len(numbers) // 15))
    axes.set_xticks(range(0, len(numbers), step), [str(n) for n in numbers[::step]])
    axes.set_xlim(-0.6, len(numbers) - 0.4)


def _keep_zero_in_reach(axes: Axes, values: Any) -> None:
    """A margin around values that hardly differ, so that nothing is zoomed out of proportion."""
    top = float(np.max(values)) if len(values) else 1.0
    low, high = axes.get_ylim()
    margin = 0.1 * top
    axes.set_ylim(max(min(low, float(np.min(values)) - margin), 0.0), max(high, top + margin))


def _number(value: float | int | None, default: float = float("nan")) -> float:
    return default if value is None else float(value)
