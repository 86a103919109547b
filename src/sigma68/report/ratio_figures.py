"""Figures of learned density ratios against simulation: calibration of shares, and responses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from sigma68.inference.ratio_closure import ResponseClosure, ShareClosure
from sigma68.report.style import BLUE, GREY, SKY, VERMILION, new_figure, styled
from sigma68.types import Feature

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["response_figure", "share_figure"]

_COLUMNS = 4
_LEAST = 1e-6


def share_figure(closures: Sequence[ShareClosure]) -> Figure:
    """Found over said probability of each process, a row per region, with the simulation's error."""
    processes = closures[0].processes
    with styled():
        figure = new_figure(2.9 * len(processes) + 0.4, 2.5 * len(closures) + 0.4)
        panels = figure.subplots(len(closures), len(processes), squeeze=False)
        for row, closure in zip(panels, closures, strict=True):
            for k, axes in enumerate(row):
                _shares(axes, closure, k)
            row[0].set_ylabel(f"{closure.region}\nfound / said")
        for axes, process in zip(panels[0], processes, strict=True):
            axes.set_title(process)
        for axes in panels[-1]:
            axes.set_xlabel("Said probability")
    return figure


def response_figure(
    closures: Sequence[ResponseClosure], features: Mapping[str, Feature] | None = None
) -> Figure:
    """Events of a process over those with nuisances off: counted ones, and what is learned of them.

    A panel per variable; `closures` are of one region, process and nuisance, at one value or two.
    `features` give the axes their titles.
    """
    variables = list(dict.fromkeys(c.variable for c in closures))
    columns = min(len(variables), _COLUMNS)
    rows = -(-len(variables) // columns)
    values = list(dict.fromkeys(c.value for c in closures))
    with styled():
        figure = new_figure(max(5.4, 2.9 * columns), 2.4 * rows + 0.7)
        panels = figure.subplots(rows, columns, squeeze=False)
        for axes, variable in zip(panels.flat, variables, strict=False):
            for color, band, value in zip(
                (BLUE, VERMILION), (SKY, "#F0B58A"), values, strict=False
            ):
                for closure in closures:
                    if (closure.variable, closure.value) == (variable, value):
                        _response(axes, closure, color, band)
            axes.axhline(1.0, color=GREY, lw=0.8, ls=":")
            feature = (features or {}).get(variable)
            unit = f" [{feature.unit}]" if feature is not None and feature.unit else ""
            label = variable if feature is None else feature.label or variable
            axes.set_xlabel(f"{label}{unit}")
            axes.locator_params(axis="x", nbins=4)
        for axes in list(panels.flat)[len(variables) :]:
            axes.set_axis_off()
        for axes in panels[:, 0]:
            axes.set_ylabel("Moved / nominal")
        handles, labels = panels.flat[0].get_legend_handles_labels()
        first = closures[0]
        figure.legend(handles, labels, loc="outside upper left", ncols=4, frameon=False)
        figure.suptitle(f"{first.process}, {first.region}", x=0.99, ha="right", fontsize="medium")
    return figure


def _shares(axes: Axes, closure: ShareClosure, k: int) -> None:
    from matplotlib.ticker import NullFormatter

    known = (closure.said[k] > _LEAST) & np.isfinite(closure.error[k])
    said, found, error = (a[k][known] for a in (closure.said, closure.found, closure.error))
    axes.axhline(1.0, color=GREY, lw=0.8, ls=":")
    if len(said) and said[-1] > 5 * said[0]:
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.locator_params(axis="x", nbins=4)
    if not len(said):
        axes.text(0.5, 0.5, "no events", transform=axes.transAxes, ha="center", color=GREY)
        return
    axes.errorbar(said, found / said, error / said, fmt="o", color=BLUE)
    reach = max(1.3 * float(np.abs(found / said - 1).max() + (error / said).max()), 0.05)
    axes.set_ylim(1 - reach, 1 + reach)


def _response(axes: Axes, closure: ResponseClosure, color: str, band: str) -> None:
    """Simulation as a band of its error, what is learned as a line."""
    what = f"{closure.nuisance} = {closure.value:g}"
    low, high = closure.counted - closure.error, closure.counted + closure.error

    def ends(values: np.ndarray) -> np.ndarray:
        return np.append(values, values[-1])

    axes.fill_between(
        closure.edges, ends(low), ends(high), step="post", color=band, lw=0,
        label=f"simulation, {what}",
    )  # fmt: skip
    axes.step(closure.edges, ends(closure.learned), where="post", color=color, label="learned")
