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

_COLORS = ((BLUE, SKY), (VERMILION, "#F0B58A"))
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

    A row per process and a column per variable; `closures` are of one region and nuisance, at one
    value or two. `features` give the axes their titles.
    """
    variables = list(dict.fromkeys(c.variable for c in closures))
    processes = list(dict.fromkeys(c.process for c in closures))
    values = list(dict.fromkeys(c.value for c in closures))
    with styled():
        figure = new_figure(max(5.4, 2.9 * len(variables)), 2.1 * len(processes) + 0.8)
        panels = figure.subplots(len(processes), len(variables), squeeze=False)
        for closure in closures:
            axes = panels[processes.index(closure.process), variables.index(closure.variable)]
            color, band = _COLORS[values.index(closure.value) % len(_COLORS)]
            _response(axes, closure, color, band)
        for row, process in zip(panels, processes, strict=True):
            row[0].set_ylabel(f"{process}\nmoved / nominal")
            for axes in row:
                axes.axhline(1.0, color=GREY, lw=0.8, ls=":")
                axes.locator_params(axis="both", nbins=4)
        for axes, variable in zip(panels[-1], variables, strict=True):
            feature = (features or {}).get(variable)
            unit = f" [{feature.unit}]" if feature is not None and feature.unit else ""
            label = variable if feature is None else feature.label or variable
            axes.set_xlabel(f"{label}{unit}")
        handles, labels = panels.flat[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower left", ncols=4, frameon=False)
        figure.suptitle(closures[0].region, x=0.99, ha="right", fontsize="medium")
        figure.align_ylabels()
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
        closure.edges, ends(low), ends(high), step="post", color=band, alpha=0.6, lw=0,
        label=f"simulation, {what}",
    )  # fmt: skip
    axes.step(closure.edges, ends(closure.learned), where="post", color=color, label="learned")
