"""Figures of one fit: scans, pulls with impacts, correlations, bins after the fit, its goodness.

They take the results of `sigma68.inference.diagnostics` and `fit_quality`. `labels` are what
nuisances and the parameter are called, by name; a name without a label stands for itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2

from sigma68.inference.diagnostics import Correlation, Impacts, ProfileScan, Pulls
from sigma68.inference.fit_quality import Goodness, PostFit, ToyGoodness
from sigma68.report.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    legend_above,
    new_figure,
    styled,
)
from sigma68.types import LEVEL, Parameter

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "fit_correlation_figure",
    "goodness_figure",
    "post_fit_figure",
    "pulls_and_impacts_figure",
    "scan_figure",
]

Floats = npt.NDArray[np.float64]

_STACK = (VERMILION, SKY, GREEN, ORANGE, PURPLE, GREY)
_TOP = 9.5  # of a scan, a little above three standard deviations


def scan_figure(scan: ProfileScan, title: str) -> Figure:
    """-2 ln L along one coordinate, with the rest fitted and with the rest known.

    `title` is that of the axis: the parameter, or a nuisance whose z is scanned.
    """
    with styled():
        figure = new_figure(5.6, 4.2)
        axes = figure.subplots()
        for deviations in (1, 2):
            axes.axhline(deviations**2, color=GREY, lw=0.8, ls=":")
            axes.annotate(
                f"{deviations}σ",
                (1, deviations**2),
                (-5, 3),
                xycoords=("axes fraction", "data"),
                textcoords="offset points",
                ha="right",
                color=GREY,
                fontsize=10,
            )
        axes.axvline(scan.best, color=GREY, lw=0.8)
        axes.plot(scan.values, scan.profiled, color=BLUE, label="all others fitted")
        axes.plot(
            scan.values,
            scan.statistical,
            color=VERMILION,
            ls="--",
            label="other nuisances and templates known",
        )
        axes.set_xlim(*_shown(scan))
        axes.set_ylim(0, _TOP)
        axes.set_xlabel(title)
        axes.set_ylabel(r"$-2\,\Delta\ln L$")
        legend_above(axes, 2)
    return figure


def _shown(scan: ProfileScan) -> tuple[float, float]:
    """The ends of what is not far above the figure."""
    near = scan.values[scan.profiled < 1.2 * _TOP]
    if near.size < 2:
        near = scan.values
    reach = float(np.ptp(near)) or 1.0
    return float(near.min()) - 0.02 * reach, float(near.max()) + 0.02 * reach


def pulls_and_impacts_figure(
    given: Pulls, shifts: Impacts, parameter: Parameter, labels: Mapping[str, str]
) -> Figure:
    """Nuisances ranked by their impact: pulls on the lower axis, impacts on the upper one.

    Filled bars are shifts of the parameter by one standard error of the fit, outlines those by
    one of the prior. A nuisance that ended at a limit is an open point without an error.
    """
    n = len(shifts.names)
    places = [given.names.index(name) for name in shifts.names]
    at, error, free = given.best[places], given.errors[places], ~given.at_limit[places]
    y = np.arange(n)[::-1]
    with styled():
        figure = new_figure(6.4, 2.2 + 0.42 * max(n, 1))
        axes = figure.subplots()
        bars = axes.twiny()
        axes.set_zorder(bars.get_zorder() + 1)
        axes.patch.set_visible(False)
        _impact_bars(bars, y, shifts)
        bars.set_xlabel(f"shift of {parameter.label or parameter.name} (bars)", labelpad=6)
        for x in (-1.0, 1.0):
            axes.axvline(x, color=GREY, lw=0.8, ls="--")
        axes.axvline(0, color=GREY, lw=0.8)
        axes.errorbar(at[free], y[free], xerr=error[free], fmt="o", color="black", label="fitted z")
        if not free.all():
            axes.plot(at[~free], y[~free], "o", mfc="w", color="black", label="fitted z at limit")
        wide = max(2.2, float((np.abs(at) + error).max(initial=0.0)) + 0.3)
        axes.set_xlim(-wide, wide)
        axes.set_xlabel("fitted z in standard deviations of the prior (points)")
        axes.set_yticks(y, [labels.get(name, name) for name in shifts.names])
        for each in (axes, bars):
            each.tick_params(axis="y", which="both", length=0)
        axes.tick_params(axis="x", which="both", top=False)
        bars.tick_params(axis="x", which="both", bottom=False)
        axes.set_ylim(-0.6, max(n, 1) - 0.4)
        handles = [h for a in (axes, bars) for h in a.get_legend_handles_labels()[0]]
        figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=10)
    return figure


def _impact_bars(axes: Axes, y: npt.NDArray[np.int64], shifts: Impacts) -> None:
    for side, colour, word in ((1, SKY, "+1σ of the fit"), (0, ORANGE, "−1σ of the fit")):
        axes.barh(y, shifts.after[:, side], 0.6, color=colour, label=word)
    for side in (0, 1):
        label = "±1σ of the prior" if side else None
        axes.barh(y, shifts.before[:, side], 0.6, fill=False, ec=GREY, lw=0.8, label=label)
    largest = max(float(np.abs(x).max(initial=0.0)) for x in (shifts.after, shifts.before))
    reach = 1.1 * (largest or shifts.error)
    axes.set_xlim(-reach, reach)


def fit_correlation_figure(correlation: Correlation, labels: Mapping[str, str]) -> Figure:
    """The correlations of the fit, with their numbers in per cent."""
    names = [labels.get(name, name) for name in correlation.names]
    with styled():
        size = max(4.2, 0.55 * len(names) + 2.4)
        figure = new_figure(size, 0.86 * size)
        figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.1)
        axes = figure.subplots()
        image = axes.imshow(100 * correlation.matrix, cmap="RdBu_r", vmin=-100, vmax=100)
        for (row, column), value in np.ndenumerate(100 * correlation.matrix):
            axes.text(
                column,
                row,
                _whole(value),
                ha="center",
                va="center",
                fontsize=9,
                color="white" if abs(value) > 65 else "black",
            )
        axes.set_xticks(range(len(names)), names, rotation=90)
        axes.set_yticks(range(len(names)), names)
        axes.tick_params(which="both", length=0)
        axes.minorticks_off()
        bar = figure.colorbar(image, ax=axes, fraction=0.045, pad=0.02)
        bar.set_label("Correlation [%]")
        bar.ax.minorticks_off()
    return figure


def _whole(value: float) -> str:
    """A rounded number with a proper minus, and none before a 0."""
    return str(round(value)).replace("-", "−")


def post_fit_figure(
    bins: PostFit, components: Sequence[str], edges: Floats | None = None, axis: str = "Bin"
) -> Figure:
    """Fitted components on top of each other, the counts, and below the counts over the fit.

    Components are ordered by size, the smallest below, so that the logarithmic axis shows all. Bins
    are numbered, unless they have `edges` (J + 1,) on an `axis` of this title.
    """
    j = bins.after.shape[1]
    numbered = edges is None
    if edges is None:
        edges = np.arange(j + 1) + 0.5
    centres = 0.5 * (edges[1:] + edges[:-1])
    total = bins.after.sum(axis=0)
    with styled():
        figure = new_figure(6.4, 5.6)
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[2.6, 1])
        below = np.zeros(j)
        for component in np.argsort(bins.after.sum(axis=1), kind="stable"):
            above = below + bins.after[component]
            colour = _STACK[component % len(_STACK)]
            upper.stairs(
                above, edges, baseline=below, fill=True, color=colour, label=components[component]
            )
            below = above
        _band(upper, edges, total, bins.after_error, "error of the fit")
        before = bins.before.sum(axis=0)
        upper.stairs(before, edges, color="black", ls="--", lw=1.2, label="before the fit")
        _points(upper, centres, bins.counts, np.ones(j), "counts")
        _log_limits(upper, bins, total)
        upper.set_ylabel("Events per bin")
        upper.legend(loc="upper right", ncols=3, frameon=False)
        _band(lower, edges, np.ones(j), bins.after_error / total)
        lower.stairs(before / total, edges, baseline=None, color="black", ls="--", lw=1.2)
        lower.axhline(1, color=GREY, lw=0.8)
        _points(lower, centres, bins.counts, total)
        lower.set_ylabel("counts / fit")
        lower.set_xlabel(axis)
        lower.set_xlim(edges[0], edges[-1])
        _ratio_limits(lower, bins, total, before)
        if numbered:
            lower.xaxis.get_major_locator().set_params(integer=True)
        for axes in (upper, lower):
            axes.tick_params(axis="x", which="minor", length=0)
        figure.align_ylabels()
    return figure


def _band(axes: Axes, edges: Floats, y: Floats, error: Floats, label: str | None = None) -> None:
    axes.stairs(
        y + error,
        edges,
        baseline=np.maximum(y - error, 0),
        fill=True,
        facecolor="none",
        edgecolor="0.25",
        hatch="//////",
        lw=0,
        label=label,
    )


def _poisson_errors(counts: Floats) -> Floats:
    """Distances down and up, (2, J), to the ends of the central 68.27% interval of each count.

    F. Garwood, Biometrika 28, 437 (1936).
    """
    tail = (1 - LEVEL) / 2
    low = np.where(counts > 0, chi2.ppf(tail, 2 * np.maximum(counts, 1e-9)) / 2, 0.0)
    high = chi2.isf(tail, 2 * (counts + 1)) / 2
    return np.stack([counts - low, high - counts])


def _points(axes: Axes, x: Floats, counts: Floats, over: Floats, label: str | None = None) -> None:
    axes.errorbar(
        x,
        counts / over,
        _poisson_errors(counts) / over,
        fmt="o",
        color="black",
        ms=4,
        elinewidth=1.2,
        label=label,
    )


def _log_limits(axes: Axes, bins: PostFit, total: Floats) -> None:
    """From a part of the smallest component that matters, with room for the legend above."""
    components = bins.after[bins.after > 1e-4 * total.max()]
    low = max(0.5 * float(components.min(initial=total.min())), 1e-3 * float(total.min()))
    high = float(max(total.max(), bins.counts.max()))
    axes.set_yscale("log")
    axes.set_ylim(low, high * (high / low) ** 0.35)


def _ratio_limits(axes: Axes, bins: PostFit, total: Floats, before: Floats) -> None:
    down, up = _poisson_errors(bins.counts)
    far = [bins.counts + up - total, total - bins.counts + down, bins.after_error]
    reach = 1.15 * float(np.max([x / total for x in far]))
    reach = float(np.clip(max(reach, 1.05 * np.abs(before / total - 1).max()), 0.01, 1.0))
    axes.set_ylim(1 - reach, 1 + reach)


def goodness_figure(given: Goodness, toys: ToyGoodness | None = None) -> Figure:
    """The statistic of the fit on the chi-square that it should come from, and on that of toys."""
    expected = chi2(max(given.degrees, 1))
    high = max(float(expected.isf(1e-4)), 1.15 * given.value)
    x = np.linspace(0, high, 400)
    with styled():
        figure = new_figure(5.6, 4.2)
        axes = figure.subplots()
        label = f"χ² of {given.degrees} degrees of freedom"
        curve = expected.pdf(x[1:])
        axes.plot(x[1:], curve, color=BLUE, label=label)
        tail = x[1:] >= given.value
        axes.fill_between(x[1:], curve, where=tail, color=BLUE, alpha=0.25, lw=0)
        if toys is not None and len(toys.values):
            n_bins = int(np.clip(2 * np.sqrt(len(toys.values)), 10, 40))
            heights, edges = np.histogram(
                np.clip(toys.values, 0, high), n_bins, (0, high), density=True
            )
            axes.stairs(heights, edges, color=ORANGE, label=f"{len(toys.values):,} toys")
        words = f"this fit: {given.value:.1f}, p = {given.probability:.2g}"
        if toys is not None:
            words += f" (toys: {toys.probability:.2g})"
        axes.axvline(given.value, color=VERMILION, label=words)
        axes.set_xlim(0, high)
        axes.set_ylim(0, 1.1 * axes.get_ylim()[1])
        axes.set_xlabel(r"$-2\,\ln L$ over the saturated model's, at the minimum")
        axes.set_ylabel("Density")
        legend_above(axes, 1)
    return figure
