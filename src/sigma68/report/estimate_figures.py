"""Figures of estimates: against the truth, pulls, widths, and the score along the truth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sigma68.report.style import (
    BLUE,
    GREY,
    ORANGE,
    VERMILION,
    count_axis,
    legend_above,
    new_figure,
    styled,
    title_of,
)
from sigma68.score.table import IntervalToys
from sigma68.types import Parameter, Score

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["estimate_against_truth", "pulls", "score_against_truth", "width_distribution"]

PULL_RANGE = 5.0


def estimate_against_truth(toys: IntervalToys, parameter: Parameter) -> Figure:
    """Estimates against the truth, and below the mean deviation of every set with its error."""
    use = toys.has_estimate
    with styled():
        figure = new_figure(6.2, 6.0)
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[2.4, 1])
        low, high = parameter.low, parameter.high
        upper.plot(
            [low, high],
            [low, high],
            color="black",
            lw=1,
            ls="--",
            zorder=3,
            label="estimate = truth",
        )
        upper.plot(
            toys.truth[use],
            toys.hat[use],
            ".",
            color=BLUE,
            ms=4 if np.count_nonzero(use) > 300 else 6,
            alpha=0.4 if np.count_nonzero(use) > 300 else 0.8,
            mew=0,
            label="toys",
            rasterized=True,
        )
        upper.set_ylabel(title_of(parameter, "estimated "))
        legend_above(upper)
        _robust_limits(upper, toys.hat[use], low, high)
        lower.axhline(0, color=GREY, lw=1, ls="--")
        truth, mean, error = _per_set(toys)
        thin = {"ms": 2.0, "elinewidth": 0.5} if len(truth) > 60 else {"ms": 3.5, "elinewidth": 1.5}
        lower.errorbar(truth, mean, error, fmt="o", color=VERMILION, **thin)
        lower.set_ylabel("estimate − truth")
        lower.set_xlabel(title_of(parameter, "true "))
        margin = 0.03 * (high - low)
        lower.set_xlim(low - margin, high + margin)
        _say_if_empty(upper, use)
        figure.align_ylabels()
    return figure


def pulls(toys: IntervalToys, parameter: Parameter) -> Figure:
    """The distribution of (estimate − truth) / error beside the standard normal curve.

    Pulls beyond +-5 are counted in the outermost bins.
    """
    values = toys.pulls
    with styled():
        figure = new_figure(5.6, 4.4)
        axes = figure.subplots()
        n_bins = int(np.clip(np.sqrt(len(values)) * 2, 10, 50))
        edges = np.linspace(-PULL_RANGE, PULL_RANGE, n_bins + 1)
        counts, _ = np.histogram(np.clip(values, -PULL_RANGE, PULL_RANGE), edges)
        axes.stairs(counts, edges, color=BLUE, fill=True, alpha=0.3)
        axes.stairs(counts, edges, color=BLUE, lw=1.5, label=_moments(values))
        x = np.linspace(-PULL_RANGE, PULL_RANGE, 400)
        normal = np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
        axes.plot(
            x, normal * len(values) * (edges[1] - edges[0]), color=VERMILION, label="normal(0, 1)"
        )
        outside = int(np.count_nonzero(np.abs(values) > PULL_RANGE))
        if outside:
            axes.plot([], [], " ", label=f"{outside} beyond ±{PULL_RANGE:g}, in the end bins")
        label = parameter.label or parameter.name
        axes.set_xlabel(f"pull of {label}: (estimate − truth) / error")
        axes.set_ylabel("Toys per bin")
        count_axis(axes)
        axes.set_xlim(-PULL_RANGE, PULL_RANGE)
        legend_above(axes, 1)
        _say_if_empty(axes, values)
    return figure


def width_distribution(
    toys: IntervalToys, parameter: Parameter, best: Mapping[str, float] | None = None
) -> Figure:
    """The distribution of the widths of valid intervals, and the mean that the score takes.

    `best` are means of the narrowest widths possible, by what they are called.
    """
    width = toys.width[toys.valid]
    with styled():
        figure = new_figure(5.6, 4.2)
        axes = figure.subplots()
        if len(width):
            edges = _edges(width)
            counts, _ = np.histogram(np.clip(width, edges[0], edges[-1]), edges)
            axes.stairs(counts, edges, color=BLUE, fill=True, alpha=0.3)
            axes.stairs(counts, edges, color=BLUE, lw=1.5, label="valid intervals")
            axes.set_xlim(edges[0], edges[-1])
            mean = float(np.mean(width))
            axes.axvline(mean, color=ORANGE, label=f"mean of these {mean:.3g}")
        for style, (name, narrowest) in zip(("--", ":"), (best or {}).items(), strict=False):
            label = f"best possible, {name} {narrowest:.3g}"
            axes.axvline(narrowest, color=GREY, ls=style, lw=1.5, label=label)
            axes.set_xlim(left=min(axes.get_xlim()[0], 0.95 * narrowest))
        if toys.n_failed:
            mean = float(np.mean(toys.width))
            label = f"{mean:.3g} with {toys.n_failed:,} failed toys"
            axes.plot([], [], " ", label=label)
        count_axis(axes)
        axes.set_xlabel(f"width of the interval on {title_of(parameter)}")
        axes.set_ylabel("Toys per bin")
        legend_above(axes, 2)
        _say_if_empty(axes, width)
    return figure


def score_against_truth(score: Score, parameter: Parameter) -> Figure:
    """The score of every set against its true parameter, beside the score of all toys."""
    with styled():
        figure = new_figure(6.2, 4.2)
        axes = figure.subplots()
        x = np.array([_number(row[parameter.name]) for row in score.per_set])
        y = np.array([_number(row["quantiles_score"]) for row in score.per_set])
        axes.plot(x, y, "o", color=BLUE, label="one set", ms=4.5 if len(x) <= 100 else 2.5)
        axes.axhline(score.value, color=ORANGE, label=f"all toys together: {score.value:.3f}")
        axes.set_xlabel(title_of(parameter, "true "))
        axes.set_ylabel("Quantiles score")
        margin = 0.03 * (parameter.high - parameter.low)
        axes.set_xlim(parameter.low - margin, parameter.high + margin)
        legend_above(axes, 2)
    return figure


def _per_set(toys: IntervalToys) -> tuple[Any, Any, Any]:
    """Truth, mean deviation and its standard error (0 for one toy) of every set that has any."""
    use = toys.has_estimate
    if not use.any():
        return np.empty(0), np.empty(0), np.empty(0)
    rows = []
    for of_set in toys.take(use).by_set():
        distance = of_set.hat - of_set.truth
        error = np.std(distance, ddof=1) / np.sqrt(len(distance)) if len(distance) > 1 else 0.0
        rows.append((of_set.truth[0], np.mean(distance), error))
    truth, mean, error = np.array(rows).T
    return truth, mean, error


def _robust_limits(axes: Axes, values: npt.NDArray[Any], low: float, high: float) -> None:
    """Limits that show 99% of the values and all of the allowed range."""
    if len(values):
        below, above = np.quantile(values, [0.005, 0.995])
        low, high = min(low, float(below)), max(high, float(above))
    margin = 0.05 * (high - low)
    axes.set_ylim(low - margin, high + margin)


def _edges(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Bin edges that hold 99.5% of the values; the rest goes into the last bin."""
    low, high = float(np.min(values)), float(np.quantile(values, 0.995))
    if high - low < 1e-3 * max(abs(high), 1e-12):
        low, high = 0.8 * low, 1.2 * high if high > 0 else 1.0
    return np.linspace(low, high, int(np.clip(np.sqrt(len(values)), 5, 25)) * 2)


def _moments(values: npt.NDArray[Any]) -> str:
    n = len(values)
    if n < 2:
        return f"{n} toy" if n else "no toys"
    mean, width = float(np.mean(values)), float(np.std(values, ddof=1))
    return (
        f"{n:,} toys: mean {mean:.3f} ± {width / np.sqrt(n):.3f}, "
        f"width {width:.3f} ± {width / np.sqrt(2 * (n - 1)):.3f}"
    )


def _say_if_empty(axes: Axes, values: npt.NDArray[Any]) -> None:
    if not np.any(values) and (values.dtype == bool or len(values) == 0):
        axes.text(
            0.5,
            0.5,
            "no valid toys",
            transform=axes.transAxes,
            ha="center",
            color=GREY,
            backgroundcolor="w",
        )


def _number(value: float | int | None) -> float:
    return float("nan") if value is None else float(value)
