"""Figures of a validation: tested events as lines and bands, the reference as black points.

Every function takes what a validation found and returns a new Figure; none is shown, none is
written, and no global state is changed.
"""

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
    SKY,
    VERMILION,
    legend_above,
    new_figure,
    styled,
)
from sigma68.tasks.higgs.schema import FEATURE_TABLE, PROCESS_LABELS, PROCESSES
from sigma68.types import Feature

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sigma68.tasks.higgs.validation.correlations import CorrelationTest
    from sigma68.tasks.higgs.validation.distributions import DistributionTest
    from sigma68.tasks.higgs.validation.histograms import ColumnHistogram
    from sigma68.tasks.higgs.validation.judgement import Judgement
    from sigma68.tasks.higgs.validation.yields import YieldTest

__all__ = [
    "correlation_pulls",
    "distributions_grid",
    "p_values",
    "yields_ratio",
]

Floats = npt.NDArray[np.float64]

_COLUMNS = 4
_FARTHEST = 0.45
_MOST_PULL = 5.0
_FEW_DECADES = 60.0


def label_of(process: str) -> str:
    """How a process, or a group of them, is written."""
    return PROCESS_LABELS[PROCESSES.index(process)] if process in PROCESSES else process.title()


def short(name: str) -> str:
    """What events are called where there is little room."""
    return {"simulated": "sim.", "emulated": "emu."}.get(name, name)


def _ratio_title(judgement: Judgement) -> str:
    return f"{short(judgement.reference).capitalize()} / {short(judgement.tested)}"


def region_title(name: str) -> str:
    """How a region is written."""
    return name.replace(">=", "\N{GREATER-THAN OR EQUAL TO}")


def yields_ratio(tests: Sequence[YieldTest], table: str, judgement: Judgement) -> Figure:
    """Tested over expected yields with their statistical error; bands are the tolerances.

    Yields that are too small to be judged are hollow. Ratios beyond the axis stand at its end,
    as triangles.
    """
    shown = [test for test in tests if test.verdict != "none"]
    span = min(max([0.12, *(abs(t.ratio - 1) + t.error for t in shown)]) * 1.1, _FARTHEST)
    with styled():
        figure = new_figure(7.2, 1.3 + 0.24 * max(len(shown), 4))
        ax = figure.subplots()
        for row, test in enumerate(shown):
            ax.barh(row, 2 * test.tolerance, left=1 - test.tolerance, height=0.8, color="0.9")
            _yield_point(ax, row, test, span)
        ax.axvline(1.0, color="black", lw=1)
        for row in range(1, len(shown)):
            if shown[row].process != shown[row - 1].process:
                ax.axhline(row - 0.5, color="0.6", lw=0.7)
        ax.set_yticks(
            range(len(shown)), [f"{label_of(t.process)}, {region_title(t.region)}" for t in shown]
        )
        ax.tick_params(axis="y", which="both", length=0, labelsize=9)
        ax.set_ylim(len(shown) - 0.4, -0.6)
        ax.set_xlim(1 - span, 1 + span)
        ax.set_xlabel(f"{judgement.tested.title()} / expected yield ({table})")
        _yield_legend(ax)
    return figure


def _yield_point(ax: Axes, row: int, test: YieldTest, span: float) -> None:
    colour = {"pass": BLUE, "miss": VERMILION}.get(test.verdict, GREY)
    if abs(test.ratio - 1) > span:
        side = 1 if test.ratio > 1 else -1
        ax.plot(1 + side * span * 0.98, row, marker=">" if side > 0 else "<", color=colour, ms=6)
        return
    hollow: dict[str, Any] = {"mfc": "white"} if colour == GREY else {}
    marker = "s" if test.verdict == "miss" else "o"
    ax.errorbar(test.ratio, row, xerr=test.error, color=colour, marker=marker, lw=1.2, **hollow)


def _yield_legend(ax: Axes) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles = [
        Line2D([], [], color=BLUE, marker="o", lw=1.2, label="passes"),
        Line2D([], [], color=VERMILION, marker="s", lw=1.2, label="misses"),
        Line2D([], [], color=GREY, marker="o", mfc="white", lw=1.2, label="not judged"),
        Patch(color="0.9", label="tolerance"),
    ]
    legend_above(ax, 4, handles=handles, frameon=False)


def distributions_grid(
    histograms: Sequence[ColumnHistogram],
    tests: Sequence[DistributionTest],
    group: str,
    judgement: Judgement,
) -> Figure:
    """All columns of one group of processes: shapes on top, reference over tested below.

    `histograms` are those of every process of the group; they are added up. Both samples are
    normalised to 1, events without the column included. Bands and bars are statistical errors.
    """
    by_column = {feature.name: feature for feature in FEATURE_TABLE}
    p_of = {test.column: test.corrected for test in tests if test.kind == "shape"}
    with styled():
        n_rows = -(-len(by_column) // _COLUMNS)
        figure = new_figure(13.0, 2.75 * n_rows)
        figure.set_layout_engine("none")
        outer = figure.add_gridspec(
            n_rows,
            _COLUMNS,
            hspace=0.42,
            wspace=0.3,
            left=0.055,
            right=0.99,
            top=0.985,
            bottom=0.03,
        )
        for i, (name, feature) in enumerate(by_column.items()):
            own = [h for h in histograms if h.column == name]
            inner = outer[i // _COLUMNS, i % _COLUMNS].subgridspec(
                2, 1, height_ratios=(2.4, 1), hspace=0.06
            )
            top = figure.add_subplot(inner[0])
            bottom = figure.add_subplot(inner[1], sharex=top)
            _panel(top, bottom, own, feature, p_of.get(name), judgement)
            if i % _COLUMNS == 0:
                top.set_ylabel("Fraction / bin", fontsize=9)
                bottom.set_ylabel(_ratio_title(judgement), fontsize=9)
            if i == 0:
                top.legend(fontsize=8, frameon=False, loc="best", title=label_of(group))
    return figure


def _panel(
    top: Axes,
    bottom: Axes,
    histograms: Sequence[ColumnHistogram],
    feature: Feature,
    p_value: float | None,
    judgement: Judgement,
) -> None:
    edges = histograms[0].edges
    s, s_error, s_missing = _normalised(
        [(h.tested, h.tested_error, h.tested_undefined) for h in histograms]
    )
    r, r_error, r_missing = _normalised(
        [(h.reference, h.reference_error, h.reference_undefined) for h in histograms]
    )
    centre = np.sqrt(edges[:-1] * edges[1:]) if histograms[0].log else (edges[:-1] + edges[1:]) / 2
    top.stairs(s, edges, color=BLUE, lw=1.4, label=judgement.tested.title())
    _band(top, edges, s, s_error)
    seen = r > 0
    style: dict[str, Any] = {"color": "black", "ls": "none", "marker": "o", "ms": 2.5, "lw": 0.9}
    top.errorbar(
        centre[seen], r[seen], yerr=r_error[seen], label=judgement.reference.title(), **style
    )
    filled = s > 0
    ratio, relative = (
        np.divide(x, s, out=np.full_like(s, np.nan), where=filled) for x in (r, s_error)
    )
    _band(bottom, edges, np.ones_like(s), np.nan_to_num(relative))
    bottom.axhline(1.0, color=BLUE, lw=1)
    known = filled & seen
    errors = np.divide(r_error, s, out=np.zeros_like(s), where=filled)
    bottom.errorbar(centre[known], ratio[known], yerr=errors[known], **style)
    half = 0.3 if judgement.fine else 0.6
    bottom.set_ylim(1 - half, 1 + half)
    top.set_ylim(0, 1.35 * max(float(s.max(initial=0)), float((r + r_error).max(initial=0)), 1e-9))
    top.set_xlim(edges[0], edges[-1])
    if histograms[0].log:
        _log_ticks(top, bottom, float(edges[-1] / edges[0]))
    for ax in (top, bottom):
        # Hundreds of minor ticks would take most of the time that drawing takes.
        ax.minorticks_off()
        ax.tick_params(labelsize=8)
    top.tick_params(labelbottom=False)
    unit = f" [{feature.unit}]" if feature.unit else ""
    bottom.set_xlabel(f"{feature.label or feature.name}{unit}", fontsize=9, labelpad=1)
    said = [] if p_value is None else [f"p = {p_value:.2g}" if p_value > 1e-16 else "p < 1e-16"]
    if s_missing > 0 or r_missing > 0:
        names = short(judgement.tested), short(judgement.reference)
        said.append(f"undefined: {names[0]} {s_missing:.1%}, {names[1]} {r_missing:.1%}")
    top.text(0.03, 0.97, "\n".join(said), transform=top.transAxes, va="top", fontsize=7.5)


def _log_ticks(top: Axes, bottom: Axes, span: float) -> None:
    """Plain numbers on a logarithmic axis: 1, 2 and 5 of each decade, or 1 alone."""
    from matplotlib.ticker import FuncFormatter, LogLocator

    top.set_xscale("log")
    subs = (1.0, 2.0, 5.0) if span < _FEW_DECADES else (1.0,)
    bottom.xaxis.set_major_locator(LogLocator(subs=subs))
    bottom.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))


def _normalised(parts: Sequence[tuple[Floats, Floats, float]]) -> tuple[Floats, Floats, float]:
    """Sum of processes as fractions of all events: bins, errors, and events without the column."""
    total: Floats = np.sum([part[0] for part in parts], axis=0)
    error: Floats = np.sqrt(np.sum([part[1] ** 2 for part in parts], axis=0))
    missing = float(sum(part[2] for part in parts))
    whole = max(float(total.sum()) + missing, 1e-300)
    return total / whole, error / whole, missing / whole


def _band(ax: Axes, edges: Floats, y: Floats, error: Floats) -> None:
    low = np.maximum(y - error, 0)
    ax.stairs(y + error, edges, baseline=low, fill=True, color=SKY, alpha=0.5, lw=0)


def correlation_pulls(test: CorrelationTest, judgement: Judgement) -> Figure:
    """Differences of correlations in units of their error; grey where there is none.

    Above the diagonal the pulls, below it the plain difference of the coefficients times 10.
    """
    from matplotlib import colormaps

    names = [feature.label or feature.name for feature in FEATURE_TABLE]
    matrix = np.where(np.tri(len(names), k=-1) > 0, 10 * (test.tested - test.reference), test.pulls)
    np.fill_diagonal(matrix, np.nan)
    with styled():
        figure = new_figure(9.0, 7.8)
        ax = figure.subplots()
        colours = colormaps["RdBu_r"].with_extremes(bad="0.85")
        image = ax.imshow(
            np.ma.masked_invalid(matrix), cmap=colours, vmin=-_MOST_PULL, vmax=_MOST_PULL
        )
        ax.set_xticks(range(len(names)), names, rotation=90, fontsize=9)
        ax.set_yticks(range(len(names)), names, fontsize=9)
        ax.tick_params(which="both", length=0)
        ax.minorticks_off()
        ax.set_title(
            f"{label_of(test.group)}: {judgement.tested} − {judgement.reference}",
            loc="left",
            fontsize=12,
        )
        bar = figure.colorbar(image, ax=ax, fraction=0.045, pad=0.02)
        bar.set_label("Above: difference / error. Below: difference of coefficients × 10")
        bar.ax.minorticks_off()
    return figure


def p_values(tests: Sequence[DistributionTest]) -> Figure:
    """The p-values of all tests in order, beside those expected if nothing differs.

    The band holds 90% of the p-values of each rank for independent tests; ours are not
    independent, so that the whole row may lie off it by chance.
    """
    from scipy import stats

    groups = list(dict.fromkeys(test.group for test in tests if test.p_value is not None))
    colours, markers = (BLUE, VERMILION, GREEN, ORANGE, SKY), ("o", "s", "^", "D", "v")
    with styled():
        figure = new_figure(5.6, 4.6)
        ax = figure.subplots()
        lowest = 1.0
        for i, group in enumerate(groups):
            own = np.sort(
                [t.p_value or 0.0 for t in tests if t.group == group and t.p_value is not None]
            )
            own = np.maximum(own, 1e-16)
            expected = (np.arange(len(own)) + 0.5) / len(own)
            lowest = min(lowest, float(own[0]), float(expected[0]))
            ax.plot(
                expected,
                own,
                color=colours[i % 5],
                marker=markers[i % 5],
                ls="none",
                label=label_of(group),
            )
            if i == 0:
                rank = np.arange(1, len(own) + 1)
                low, high = stats.beta.ppf([[0.05], [0.95]], rank, len(own) + 1 - rank)
                ax.fill_between(expected, low, high, color="0.88", lw=0)
        ax.plot([1e-3, 1], [1e-3, 1], color="0.5", lw=1)
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_xlim(4e-3, 1.2)
        ax.set_ylim(lowest / 3, 2)
        ax.set_xlabel("p-value expected for its rank")
        ax.set_ylabel("p-value, uncorrected")
        ax.legend(loc="upper left", frameon=False)
    return figure
