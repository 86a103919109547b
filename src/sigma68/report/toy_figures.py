"""Figures of the toys themselves: nuisance parameters drawn, failures, time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sigma68.report.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    VERMILION,
    count_axis,
    legend_above,
    new_figure,
    styled,
    title_of,
)
from sigma68.score.binomial import clopper_pearson
from sigma68.types import Nuisance, Parameter

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["failures", "nuisance_distributions", "prediction_times"]


def nuisance_distributions(
    toys: pd.DataFrame, nuisances: Sequence[Nuisance], *, n_columns: int = 3
) -> Figure:
    """The nuisance parameters the toys were made with, each beside what its prior expects.

    Values at the ends of the allowed range hold all that was clipped to it.
    """
    columns = max(1, min(len(nuisances), n_columns))
    rows = max(1, -(-len(nuisances) // columns))
    with styled():
        figure = new_figure(max(5.4, 3.3 * columns), 2.8 * rows + 0.4)
        panels = figure.subplots(rows, columns, squeeze=False)
        for panel in list(panels.flat)[len(nuisances) :]:
            panel.set_axis_off()
        for panel, nuisance in zip(panels.flat, nuisances, strict=False):
            _nuisance(panel, toys[nuisance.name].to_numpy(dtype=float), nuisance)
        for panel in panels[:, 0]:
            panel.set_ylabel("Toys per bin")
        if nuisances:
            handles, labels = panels.flat[0].get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside upper left", ncols=3, frameon=False)
    return figure


def failures(toys: pd.DataFrame, parameter: Parameter) -> Figure:
    """How toys ended, and the fraction that failed in bins of the true parameter."""
    failed = (toys["status"] != "ok").to_numpy()
    counts = toys["status"].value_counts()
    names = [name for name in ("ok", "failed", "invalid", "timeout", "crashed") if name in counts]
    with styled():
        figure = new_figure(8.4, 3.8)
        left, right = figure.subplots(1, 2)
        height = [int(counts[name]) for name in names]
        colors = [GREEN if name == "ok" else VERMILION for name in names]
        bars = left.barh(names, height, color=colors)
        left.bar_label(bars, [f"{n:,}" for n in height], padding=3)
        left.set_xlim(0, 1.25 * max(height))
        left.set_xlabel("Toys")
        left.invert_yaxis()
        left.minorticks_off()
        left.tick_params(axis="y", length=0)
        left.locator_params(axis="x", nbins=4, integer=True)
        _failed_fraction(right, toys[parameter.name].to_numpy(dtype=float), failed, parameter)
    return figure


def prediction_times(toys: pd.DataFrame, limit: float | None = None) -> Figure:
    """The time that one prediction took, in seconds, and the limit where there is one."""
    seconds = toys["seconds"].to_numpy(dtype=float)
    seconds = seconds[np.isfinite(seconds) & (seconds > 0)]
    with styled():
        figure = new_figure(5.6, 3.6)
        axes = figure.subplots()
        if len(seconds):
            low, high = float(seconds.min()) / 1.2, float(seconds.max()) * 1.2
            wide = high > 30 * low
            edges = np.geomspace(low, high, 41) if wide else np.linspace(low, high, 41)
            counts, _ = np.histogram(seconds, edges)
            axes.stairs(counts, edges, color=BLUE, fill=True, alpha=0.3)
            axes.stairs(counts, edges, color=BLUE, label="toys")
            median = float(np.median(seconds))
            axes.axvline(median, color=ORANGE, label=f"median {median:.3g} s")
            if wide:
                axes.set_xscale("log")
            if limit is not None and limit < (30 if wide else 1.5) * high:
                axes.axvline(limit, color=VERMILION, ls="--", label=f"limit {limit:g} s")
            legend_above(axes)
        count_axis(axes)
        axes.set_xlabel("Time per prediction [s]")
        axes.set_ylabel("Toys per bin")
    return figure


def _nuisance(axes: Axes, values: npt.NDArray[np.float64], nuisance: Nuisance) -> None:
    z = np.linspace(-3.5, 3.5, 2)
    low, high = (nuisance.from_z(float(v)) for v in z)
    low, high = min(low, float(values.min())), max(high, float(values.max()))
    edges = np.linspace(low, high, int(np.clip(np.sqrt(len(values)) * 1.5, 8, 40)) + 1)
    counts, _ = np.histogram(values, edges)
    axes.stairs(counts, edges, color=BLUE, fill=True, alpha=0.3)
    axes.stairs(counts, edges, color=BLUE, lw=1.5, label="drawn")
    axes.stairs(
        len(values) * _prior_fractions(nuisance, edges),
        edges,
        color=VERMILION,
        lw=1.5,
        label="expected from the prior",
    )
    axes.set_xlabel(title_of(nuisance))
    axes.set_xlim(low, high)
    count_axis(axes)
    axes.locator_params(axis="x", nbins=4)


def _prior_fractions(nuisance: Nuisance, edges: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The probability of each bin under the clipped prior."""
    from scipy.special import ndtr

    cumulative = ndtr([nuisance.to_z(float(edge)) for edge in edges])
    # What is clipped sits at the ends of the range.
    cumulative = np.where(edges <= nuisance.low, 0.0, cumulative)
    cumulative = np.where(edges >= nuisance.high, 1.0, cumulative)
    found: npt.NDArray[np.float64] = np.diff(cumulative)
    return found


def _failed_fraction(axes: Axes, truth: Any, failed: Any, parameter: Parameter) -> None:
    edges = np.linspace(parameter.low, parameter.high, 11)
    index = np.clip(np.searchsorted(edges, truth, side="right") - 1, 0, 9)
    n: npt.NDArray[Any] = np.bincount(index, minlength=10)
    use = n > 0
    k = np.bincount(index, failed, 10)[use]
    low, high = clopper_pearson(k, n[use])
    fraction = k / n[use]
    centre = (edges[1:] + edges[:-1])[use] / 2
    axes.errorbar(
        centre,
        100 * fraction,
        [100 * (fraction - low), 100 * (high - fraction)],
        xerr=(edges[1] - edges[0]) / 2,
        fmt="o",
        color=VERMILION,
    )
    axes.axhline(1, color=GREY, lw=1, ls="--", label="1%: not ranked above")
    axes.set_ylim(0, min(max(2.0, 110 * float(high.max())), 105))
    axes.set_xlim(parameter.low, parameter.high)
    axes.set_xlabel(title_of(parameter, "true "))
    axes.set_ylabel("Failed toys [%]")
    legend_above(axes)
