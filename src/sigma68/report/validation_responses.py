"""Figures of a validation: what tes, jes and soft_met do to yields, in both files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma68.report.style import BLUE, new_figure, styled
from sigma68.report.validation_figures import label_of, region_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sigma68.tasks.higgs.validation.judgement import Judgement
    from sigma68.tasks.higgs.validation.response import Response

__all__ = ["responses_plot"]

_LEAST_CHANGE = 0.02


def responses_plot(responses: Sequence[Response], process: str, judgement: Judgement) -> Figure:
    """The change of each region's yield of one process under each shift, tested and reference.

    Responses of the reference that are not judged are hollow and may lie beyond an axis.
    """
    shifts = list(dict.fromkeys(r.shift for r in responses))
    regions = list(dict.fromkeys(r.region for r in responses))
    with styled():
        figure = new_figure(11.0, 1.6 + 0.42 * len(regions))
        panels = np.atleast_1d(figure.subplots(1, len(shifts), sharey=True))
        for ax, shift in zip(panels, shifts, strict=True):
            for r in responses:
                if r.shift != shift:
                    continue
                row = regions.index(r.region)
                _response_point(ax, row - 0.14, r.tested, r.tested_error, BLUE, "o")
                hollow = {} if _is_judged(r) else {"mfc": "white", "alpha": 0.6}
                _response_point(
                    ax, row + 0.14, r.reference, r.reference_error, "black", "s", **hollow
                )
            half = 100 * _span([r for r in responses if r.shift == shift])
            ax.set_xlim(-half, half)
            ax.axvline(0, color="0.6", lw=0.8)
            ax.set_title(shift, fontsize=11)
            ax.set_xlabel("Change of yield [%]", fontsize=10)
            ax.set_ylim(len(regions) - 0.5, -0.5)
            ax.tick_params(axis="y", which="both", length=0)
            ax.tick_params(labelsize=9)
        panels[0].set_yticks(range(len(regions)), [region_title(region) for region in regions])
        _response_legend(figure, label_of(process), judgement)
    return figure


def _is_judged(response: Response) -> bool:
    return response.verdict in ("pass", "miss")


def _span(responses: Sequence[Response]) -> float:
    """Half an axis that shows every tested response, and those of the reference that are judged."""
    wanted = [_LEAST_CHANGE]
    for r in responses:
        pairs = [(r.tested, r.tested_error)]
        pairs += [(r.reference, r.reference_error)] if _is_judged(r) else []
        wanted += [abs(x) + e for x, e in pairs if x is not None and e is not None]
    return min(1.3 * max(wanted), 1.0)


def _response_point(
    ax: Axes,
    row: float,
    value: float | None,
    error: float | None,
    colour: str,
    marker: str,
    **options: Any,
) -> None:
    if value is not None and error is not None:
        ax.errorbar(
            100 * value,
            row,
            xerr=100 * error,
            color=colour,
            marker=marker,
            ms=4,
            lw=1.2,
            **options,
        )


def _response_legend(figure: Figure, process: str, judgement: Judgement) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=BLUE, marker="o", lw=1.2, label=f"{process}, {judgement.tested}"),
        Line2D([], [], color="black", marker="s", lw=1.2, label=judgement.reference),
        Line2D(
            *([], []),
            color="black",
            marker="s",
            mfc="white",
            lw=1.2,
            label=f"{judgement.reference}, not judged",
        ),
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=3, frameon=False)
