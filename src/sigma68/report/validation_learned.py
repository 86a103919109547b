"""Figures of what trees and neighbours find in a validation.

As in `validation_figures`, every function returns a new Figure, tested events are lines and bands,
and those of the reference black points.
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
    PURPLE,
    SKY,
    VERMILION,
    new_figure,
    styled,
)
from sigma68.report.validation_figures import label_of, short
from sigma68.tasks.higgs.validation.neighbours import NEAREST

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sigma68.tasks.higgs.validation.gap import Separation
    from sigma68.tasks.higgs.validation.judgement import Judgement
    from sigma68.tasks.higgs.validation.neighbours import NeighbourTest
    from sigma68.tasks.higgs.validation.roc import ClassifierTest

__all__ = ["areas", "neighbour_distances", "roc_curves", "separation_plot"]

Floats = npt.NDArray[np.float64]

_COLOURS = (BLUE, VERMILION, GREEN, ORANGE, PURPLE)
_LINES = ("-", "--", "-.", ":")
_LEAST_SPAN = 0.01


def roc_curves(tests: Sequence[ClassifierTest], judgement: Judgement) -> Figure:
    """Tested against reference events above a cut, for each group; the diagonal is the goal."""
    with styled():
        figure = new_figure(5.6, 5.2)
        ax = figure.subplots()
        for i, test in enumerate(tests):
            x = np.linspace(0, 1, len(test.curve))
            said = f"{label_of(test.group)}: {test.auc:.3f} ± {test.error:.3f}"
            ax.plot(x, test.curve, color=_COLOURS[i % 5], ls=_LINES[i % 4], lw=1.8, label=said)
        ax.plot([0, 1], [0, 1], color="0.6", ls=":", lw=1, label="Not to be told apart: 0.5")
        ax.set_xlim(0, 1)
        ax.set_ylim(0, 1.02)
        ax.set_xlabel(f"Fraction of {judgement.reference} events above the cut")
        ax.set_ylabel(f"Fraction of {judgement.tested} events above the cut")
        ax.legend(loc="lower right", frameon=False)
    return figure


def areas(
    tests: Sequence[ClassifierTest], controls: Sequence[ClassifierTest], judgement: Judgement
) -> Figure:
    """The area under the ROC curve of each group with its error, beside that of its control.

    The grey band is what is allowed.
    """
    control_of = {test.group: test for test in controls}
    limit = judgement.largest_area
    with styled():
        figure = new_figure(5.6, 1.6 + 0.55 * len(tests))
        ax = figure.subplots()
        if limit is not None:
            ax.axvspan(0.0, limit, color="0.92", lw=0, label=f"at most {limit:g}")
        pair = f"{judgement.tested} against {judgement.reference}"
        for row, test in enumerate(tests):
            first = row == 0
            _area(ax, row - 0.13, test, BLUE, "o", pair if first else None)
            control = control_of.get(test.group)
            if control is not None:
                said = "control: training against held out"
                _area(ax, row + 0.13, control, "black", "s", said if first else None)
        ax.axvline(0.5, color="0.5", lw=1, ls=":")
        shown = [t.auc + s * t.error for t in (*tests, *controls) for s in (-1, 1)]
        low, high = min([0.47, *shown]) - 0.01, max([0.55, *shown]) + 0.01
        ax.set_xlim(low, high)
        ax.set_ylim(len(tests) - 0.4, -0.6)
        ax.set_yticks(range(len(tests)), [label_of(t.group) for t in tests])
        ax.tick_params(axis="y", which="both", length=0)
        ax.set_xlabel("Area under the ROC curve")
        figure.legend(loc="outside upper left", ncols=1, frameon=False)
    return figure


def _area(
    ax: Axes, row: float, test: ClassifierTest, colour: str, marker: str, label: str | None
) -> None:
    face = "white" if colour == "black" else colour
    ax.errorbar(
        test.auc, row, xerr=test.error, color=colour, marker=marker, mfc=face, lw=1.2, label=label
    )


def separation_plot(separation: Separation, judgement: Judgement) -> Figure:
    """Left the score of signal and backgrounds in both files, right the two ROC curves.

    Below, their ratio and the difference of the efficiencies of the signal. Scores are log odds for
    equal amounts of signal and background; bands and bars are statistical errors.
    """
    with styled():
        figure = new_figure(10.6, 5.0)
        axes = figure.subplots(2, 2, height_ratios=(2.6, 1), sharex="col")
        _scores(axes[0, 0], axes[1, 0], separation, judgement)
        _efficiencies(axes[0, 1], axes[1, 1], separation, judgement)
    return figure


def _scores(top: Axes, bottom: Axes, separation: Separation, judgement: Judgement) -> None:
    h = separation.scores
    centre = (h.edges[:-1] + h.edges[1:]) / 2
    kinds = (("Signal", VERMILION, "s"), ("Backgrounds", BLUE, "o"))
    for i, (name, colour, marker) in enumerate(kinds):
        top.stairs(h.tested[i], h.edges, color=colour, lw=1.5, label=f"{name}, {judgement.tested}")
        _band(top, h.edges, h.tested[i], h.tested_error[i], colour)
        seen = h.reference[i] > 0
        style: dict[str, Any] = {
            "color": colour,
            "ls": "none",
            "marker": marker,
            "ms": 3.5,
            "mfc": "white",
        }
        top.errorbar(
            centre[seen],
            h.reference[i][seen],
            yerr=h.reference_error[i][seen],
            label=f"{name}, {judgement.reference}",
            **style,
        )
        filled = seen & (h.tested[i] > 0)
        ratio = h.reference[i][filled] / h.tested[i][filled]
        relative = np.hypot(
            h.reference_error[i][filled] / h.reference[i][filled],
            h.tested_error[i][filled] / h.tested[i][filled],
        )
        shift = (-0.1 if i == 0 else 0.1) * (h.edges[1] - h.edges[0])
        bottom.errorbar(centre[filled] + shift, ratio, yerr=ratio * relative, **style)
    bottom.axhline(1.0, color="0.4", lw=1)
    bottom.set_ylim(0.8, 1.2)
    bottom.set_ylabel(f"{short(judgement.reference).capitalize()} / {short(judgement.tested)}")
    bottom.set_xlabel("Score (log odds)")
    top.set_xlim(h.edges[0], h.edges[-1])
    top.set_ylim(0, 1.45 * float(max(h.tested.max(), h.reference.max())))
    top.set_ylabel("Fraction / bin")
    top.set_title(f"Trees trained on {separation.trained_on} events", loc="left", fontsize=11)
    top.legend(loc="upper center", ncols=2, frameon=False)


def _efficiencies(top: Axes, bottom: Axes, separation: Separation, judgement: Judgement) -> None:
    gap = separation.gap
    x = np.linspace(0, 1, len(gap.tested_curve))
    for name, curve, area, error, colour, line in (
        (judgement.tested, gap.tested_curve, gap.tested, gap.tested_error, BLUE, "-"),
        (
            judgement.reference,
            gap.reference_curve,
            gap.reference,
            gap.reference_error,
            "black",
            "--",
        ),
    ):
        said = f"{name.capitalize()}: {area:.4f} ± {error:.4f}"
        top.plot(x, curve, color=colour, ls=line, lw=1.8, label=said)
    difference = gap.tested_curve - gap.reference_curve
    bottom.plot(x, difference, color=VERMILION, lw=1.5)
    bottom.axhline(0.0, color="0.4", lw=1)
    half = max(_LEAST_SPAN, 1.3 * float(np.abs(difference).max()))
    bottom.set_ylim(-half, half)
    bottom.set_ylabel(f"{short(judgement.tested).capitalize()} − {short(judgement.reference)}")
    bottom.set_xlabel("Fraction of background above the cut")
    top.set_xlim(0, 1)
    top.set_ylim(0, 1.02)
    top.set_ylabel("Fraction of signal above the cut")
    title = f"Area, difference {gap.difference:+.4f} ± {gap.error:.4f}".replace("-", "−")
    top.legend(loc="lower right", frameon=False, title=title)


def neighbour_distances(tests: Sequence[NeighbourTest], judgement: Judgement) -> Figure:
    """Distances to the nearest training event, a panel for each process.

    In units of the median distance of the held-out events; what is repeated stands at the left.
    """
    with styled():
        n_rows = -(-len(tests) // 2)
        figure = new_figure(9.6, 0.5 + 3.0 * n_rows)
        panels = figure.subplots(n_rows, 2, squeeze=False)
        low = min(_first(test) for test in tests)
        for ax, test in zip(panels.flat, tests, strict=False):
            _distances(ax, test, low, judgement)
        for ax in panels.flat[len(tests) :]:
            ax.set_visible(False)
        panels[0, 0].legend(loc="upper left", frameon=False, bbox_to_anchor=(0, 0.78))
    return figure


def _first(test: NeighbourTest) -> float:
    """The left end of an axis that shows every distance."""
    filled = np.flatnonzero((test.tested > 0) | (test.reference > 0))
    return float(test.edges[max(int(filled[0]), 1)]) if filled.size else 0.1


def _distances(ax: Axes, test: NeighbourTest, low: float, judgement: Judgement) -> None:
    edges = test.edges.copy()
    # The first bin begins at 0, which a logarithmic axis does not have.
    edges[0] = edges[1] ** 2 / edges[2]
    centre = np.sqrt(edges[:-1] * edges[1:])
    ax.stairs(test.tested, edges, color=BLUE, lw=1.5, label=judgement.tested.capitalize())
    _band(ax, edges, test.tested, np.sqrt(test.tested / test.rows_tested), SKY)
    seen = test.reference > 0
    ax.errorbar(
        centre[seen],
        test.reference[seen],
        yerr=test.reference_error[seen],
        color="black",
        ls="none",
        marker="o",
        ms=3,
        lw=0.9,
        label=f"{judgement.reference.capitalize()}, held out",
    )
    ax.set_xscale("log")
    ax.set_yscale("log")
    floor = 0.3 / max(test.rows_tested, test.rows_reference)
    ax.set_ylim(floor, 30 * float(max(test.tested.max(), test.reference.max())))
    ax.set_xlim(min(0.7 * low, 0.2), 5.0)
    ax.set_xlabel("Distance to the nearest training event / held-out median", fontsize=10)
    ax.set_ylabel("Fraction / bin")
    colour = VERMILION if test.verdict == "miss" else GREY
    ax.text(
        0.03,
        0.96,
        f"{label_of(test.process)}: {test.share:.2%} ± {test.error:.2%} nearer than the nearest "
        f"{NEAREST:.0%}\nrepeated: {test.copies_tested:,} of {test.rows_tested:,}",
        transform=ax.transAxes,
        va="top",
        fontsize=9.5,
        color="black" if colour == GREY else colour,
    )


def _band(ax: Axes, edges: Floats, y: Floats, error: Floats, colour: str) -> None:
    low = np.maximum(y - error, 0)
    ax.stairs(y + error, edges, baseline=low, fill=True, color=colour, alpha=0.3, lw=0)
