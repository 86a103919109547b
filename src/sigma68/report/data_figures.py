"""Figures of a data set: features by process, shifted features, correlations, yields, a score.

Every function takes sums that are already made and returns a new Figure; none is shown, none is
written, and no global state is changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sigma68.report.data_summary import Correlations, FeatureHistogram, Yields
from sigma68.report.style import (
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    new_figure,
    styled,
)
from sigma68.types import Feature

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "correlation_figure",
    "feature_figure",
    "roc_figure",
    "score_figure",
    "shift_figure",
    "yields_figure",
]

_COLOURS = (VERMILION, BLUE, GREEN, PURPLE, ORANGE, SKY)
_LINES = ("-", "--", "-.", ":")
_LOG_RANGE = 200.0

Floats = npt.NDArray[np.float64]


def _axis_label(feature: Feature) -> str:
    return f"{feature.label or feature.name}{f' [{feature.unit}]' if feature.unit else ''}"


def feature_figure(
    histogram: FeatureHistogram, labels: Sequence[str], colours: Sequence[str] = _COLOURS
) -> Figure:
    """One feature, normalised to 1 for each process; bands are the error of the simulation.

    Events in which the feature is undefined are counted in a bin of their own on the left.
    """
    axis = histogram.axis
    total = histogram.sumw.sum(axis=1) + histogram.undefined
    absent = histogram.undefined.sum() > 0
    with styled():
        figure = new_figure(5.6, 4.2)
        if absent:
            left, ax = figure.subplots(1, 2, sharey=True, width_ratios=(1, 9))
            _undefined_bins(left, histogram.undefined / np.maximum(total, 1e-300), colours)
        else:
            ax = left = figure.subplots()
        lowest, highest = np.inf, 0.0
        for p, label in enumerate(labels):
            if total[p] <= 0:
                continue
            y = histogram.sumw[p] / total[p]
            error = np.sqrt(histogram.sumw2[p]) / total[p]
            colour = colours[p % len(colours)]
            ax.stairs(y, axis.edges, color=colour, ls=_LINES[p % 4], lw=1.8, label=label)
            _band(ax, axis.edges, y, error, colour)
            lowest = min(lowest, y[y > 0].min(initial=np.inf))
            highest = max(highest, float((y + error).max()), histogram.undefined[p] / total[p])
        log_y = highest / max(lowest, 1e-300) > _LOG_RANGE
        _frame(ax, histogram)
        _room_for_legend(left, lowest, highest, log_y)
        left.set_ylabel("Fraction of events" + ("" if axis.discrete else " per bin"))
        ax.legend(loc="upper right", ncols=2, frameon=False)
    return figure


def _undefined_bins(ax: Axes, fractions: Floats, colours: Sequence[str]) -> None:
    n = len(fractions)
    for p, fraction in enumerate(fractions):
        ax.bar(p, fraction, width=0.85, color=colours[p % len(colours)])
    ax.set_xlim(-0.7, n - 0.3)
    ax.set_xticks([(n - 1) / 2], ["undefined"], rotation=90)
    ax.tick_params(axis="x", which="both", length=0)
    ax.minorticks_on()
    ax.tick_params(axis="x", which="minor", length=0)


def _band(ax: Axes, edges: Floats, y: Floats, error: Floats, colour: str) -> None:
    ax.stairs(
        y + error,
        edges,
        baseline=np.maximum(y - error, 0),
        fill=True,
        color=colour,
        alpha=0.25,
        lw=0,
    )


def _frame(ax: Axes, histogram: FeatureHistogram) -> None:
    axis = histogram.axis
    ax.set_xlim(axis.edges[0], axis.edges[-1])
    if axis.log:
        ax.set_xscale("log")
    if axis.discrete:
        ax.xaxis.set_major_locator(_whole_numbers())
        ax.tick_params(axis="x", which="minor", length=0)
    ax.set_xlabel(_axis_label(histogram.feature))


def _whole_numbers() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(integer=True)


def _room_for_legend(
    ax: Axes, lowest: float, highest: float, log_y: bool, room: float = 0.35
) -> None:
    if not highest > 0:
        highest = 1.0
    if log_y:
        low = max(lowest, highest * 1e-6) / 2
        ax.set_yscale("log")
        ax.set_ylim(low, low * (highest / low) ** (1 + room))
    else:
        ax.set_ylim(0, highest * (1 + room))


def shift_figure(
    nominal: FeatureHistogram,
    shifted: Mapping[str, FeatureHistogram],
    processes: Sequence[int],
    label: str,
) -> Figure:
    """One feature as it is and under shifts of a nuisance parameter, with their ratio.

    The `processes` are added up. The band is the error of the simulation; the shifts
    are made of the same events, so that their own scatter is much smaller.
    """

    def pick(values: Floats) -> Floats:
        chosen: Floats = values[list(processes)].sum(axis=0)
        return chosen

    edges = nominal.axis.edges
    y, error = pick(nominal.sumw), np.sqrt(pick(nominal.sumw2))
    filled = y > 0
    with styled():
        figure = new_figure(5.6, 5.0)
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1.3))
        top.stairs(y, edges, color="black", lw=1.8, label="Nominal")
        _band(top, edges, y, error, "black")
        relative = np.divide(error, y, out=np.zeros_like(y), where=filled)
        _band(bottom, edges, np.ones_like(y), relative, "black")
        bottom.axhline(1.0, color="black", lw=1)
        spread = 0.0
        for i, (name, histogram) in enumerate(shifted.items()):
            z = pick(histogram.sumw)
            colour, line = _COLOURS[i // 2 % len(_COLOURS)], _LINES[i % 2]
            top.stairs(z, edges, color=colour, ls=line, lw=1.5, label=name)
            ratio = np.divide(z, y, out=np.full_like(y, np.nan), where=filled)
            bottom.stairs(ratio, edges, color=colour, ls=line, lw=1.5)
            known = np.abs(ratio[filled] - 1)
            # The bulk sets the scale: one nearly empty bin must not flatten all others.
            weights = y[filled] / y[filled].sum() if filled.any() else y[filled]
            spread = max(spread, _weighted_quantile(known, weights, 0.95))
        highest = max(
            [float((y + error).max()), *(float(pick(h.sumw).max()) for h in shifted.values())]
        )
        lowest = float(y[filled].min()) if filled.any() else 1.0
        log_y = highest / max(lowest, 1e-300) > _LOG_RANGE
        _room_for_legend(top, lowest, highest, log_y, 0.55)
        _frame(bottom, nominal)
        top.set_ylabel("Expected events" + ("" if nominal.axis.discrete else " per bin"))
        bottom.set_ylabel("Ratio")
        half = min(max(1.4 * spread, 0.01), 1.0)
        bottom.set_ylim(1 - half, 1 + half)
        top.text(0.03, 0.96, label, transform=top.transAxes, va="top", weight="bold")
        top.legend(loc="upper right", ncols=2, frameon=False, fontsize=10)
        figure.align_ylabels()
    return figure


def _weighted_quantile(values: Floats, weights: Floats, level: float) -> float:
    if values.size == 0:
        return 0.0
    order = np.argsort(values)
    cumulative = np.cumsum(weights[order])
    return float(values[order][min(int(np.searchsorted(cumulative, level)), len(order) - 1)])


def correlation_figure(correlations: Correlations, process: int, label: str) -> Figure:
    """The linear correlations of all features in one process; grey where they are not defined."""
    from matplotlib import colormaps

    matrix = correlations.matrix(process)
    names = [feature.label or feature.name for feature in correlations.features]
    with styled():
        size = max(4.5, 0.32 * len(names) + 2.2)
        figure = new_figure(size, size * 0.9)
        figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.1)
        ax = figure.subplots()
        colours = colormaps["RdBu_r"].with_extremes(bad="0.85")
        image = ax.imshow(np.ma.masked_invalid(matrix), cmap=colours, vmin=-1, vmax=1)
        ticks = range(len(names))
        ax.set_xticks(ticks, names, rotation=90, fontsize=9)
        ax.set_yticks(ticks, names, fontsize=9)
        ax.tick_params(which="both", length=0)
        ax.minorticks_off()
        ax.set_title(label, loc="left", fontsize=13)
        bar = figure.colorbar(image, ax=ax, fraction=0.045, pad=0.02)
        bar.set_label("Linear correlation coefficient")
        bar.ax.minorticks_off()
    return figure


def yields_figure(
    yields: Yields, labels: Sequence[str], colours: Sequence[str] = _COLOURS
) -> Figure:
    """Expected events per region and process, with the error of the simulation."""
    n_regions, n_processes = yields.sumw.shape
    width = 0.8 / n_processes
    errors = np.sqrt(yields.sumw2)
    with styled():
        figure = new_figure(7.2, 4.4)
        ax = figure.subplots()
        for p, label in enumerate(labels):
            x = np.arange(n_regions) + (p - (n_processes - 1) / 2) * width
            ax.bar(
                x,
                yields.sumw[:, p],
                width,
                color=colours[p % len(colours)],
                label=label,
                yerr=errors[:, p],
                error_kw={"lw": 1.2, "capsize": 2},
            )
        known = yields.sumw[yields.sumw > 0]
        low, high = (known.min(), known.max()) if known.size else (1.0, 10.0)
        ax.set_yscale("log")
        ax.set_ylim(low / 3, high * (high / low) ** 0.25)
        ax.set_xticks(range(n_regions), [_two_lines(name) for name in yields.regions.names])
        ax.tick_params(axis="x", which="both", length=0, labelsize=10)
        ax.set_ylabel("Expected events")
        ax.legend(loc="upper right", ncols=n_processes, frameon=False)
    return figure


def _two_lines(name: str) -> str:
    return name.replace(">=", "\N{GREATER-THAN OR EQUAL TO}").replace(", ", ",\n")


def score_figure(
    scores: Floats,
    weights: Floats,
    process: npt.NDArray[np.int8],
    labels: Sequence[str],
    method: str,
    colours: Sequence[str] = _COLOURS,
) -> Figure:
    """A method's score by process, normalised to 1; `scores`, `weights`, `process` are (n,)."""
    low, high = float(scores.min()), float(scores.max())
    edges = np.linspace(low, high if high > low else low + 1, 31)
    with styled():
        figure = new_figure(5.6, 4.2)
        ax = figure.subplots()
        lowest, highest = np.inf, 0.0
        for p, label in enumerate(labels):
            chosen = process == p
            total = weights[chosen].sum()
            if total <= 0:
                continue
            y = np.histogram(scores[chosen], edges, weights=weights[chosen])[0] / total
            error = np.sqrt(np.histogram(scores[chosen], edges, weights=weights[chosen] ** 2)[0])
            error /= total
            colour = colours[p % len(colours)]
            ax.stairs(y, edges, color=colour, ls=_LINES[p % 4], lw=1.8, label=label)
            _band(ax, edges, y, error, colour)
            lowest = min(lowest, y[y > 0].min(initial=np.inf))
            highest = max(highest, float((y + error).max()))
        _room_for_legend(ax, lowest, highest, highest / max(lowest, 1e-300) > _LOG_RANGE)
        ax.set_xlim(edges[0], edges[-1])
        ax.set_xlabel(f"Score of {method}")
        ax.set_ylabel("Fraction of events per bin")
        ax.legend(loc="upper right", ncols=2, frameon=False)
    return figure


def roc_figure(
    scores: Floats, weights: Floats, labels: npt.NDArray[np.int8], method: str
) -> Figure:
    """Background rejected against signal kept, for every cut on the score, weighted."""
    signal, background = roc(scores, weights, labels)
    area = float(np.trapezoid(signal, background))
    with styled():
        figure = new_figure(4.8, 4.5)
        ax = figure.subplots()
        ax.plot(signal, 1 - background, color=_COLOURS[1], lw=2, label=f"{method}, area {area:.3f}")
        ax.plot([0, 1], [1, 0], color="0.6", ls=":", label="No discrimination, area 0.5")
        ax.set_xlim(0, 1)
        ax.set_ylim(0, 1.02)
        ax.set_xlabel("Signal efficiency")
        ax.set_ylabel("Background rejection")
        ax.legend(loc="lower left", frameon=False)
    return figure


def roc(scores: Floats, weights: Floats, labels: npt.NDArray[np.int8]) -> tuple[Floats, Floats]:
    """Fractions of signal and of background above each cut, from none to all, both (n_cuts,)."""
    order = np.argsort(-scores, kind="stable")
    s = np.cumsum(np.where(labels[order] == 1, weights[order], 0.0))
    b = np.cumsum(np.where(labels[order] == 1, 0.0, weights[order]))
    # Equal scores fall together: only the last of a run of equals is a cut.
    last = np.append(np.diff(scores[order]) != 0, True)
    return (
        np.concatenate([[0.0], s[last] / max(s[-1], 1e-300)]),
        np.concatenate([[0.0], b[last] / max(b[-1], 1e-300)]),
    )
