"""Figures of scores of strangeness: the ROC curve where few ordinary toys are lost, and by kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sigma68.report.style import (
    BLUE,
    GREY,
    SKY,
    VERMILION,
    count_axis,
    legend_above,
    new_figure,
    styled,
)
from sigma68.score.estimates import strange_toys
from sigma68.score.roc import resampled_roc
from sigma68.seeds import stream
from sigma68.types import Parameter, Score

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["parts", "roc_at_low_rates", "scores_of_parts", "strangeness"]

FloatArray = npt.NDArray[np.float64]

LOWEST, HIGHEST = 0.001, 0.05
_RESAMPLES = 500
_BAND = (0.15865, 0.84135)


def scores_of_parts(score: Score) -> dict[str, tuple[float | None, float | None]]:
    """Scores of parts of the toys with their errors, by the part's name.

    They are the values `PART_score` that come with a `PART_score_error`, but for the headline.
    """
    return {
        name.removesuffix("_score").replace("_", " "): (value, score.values[f"{name}_error"])
        for name, value in score.values.items()
        if name.endswith("_score") and name != score.headline and f"{name}_error" in score.values
    }


def roc_at_low_rates(toys: pd.DataFrame, parameter: Parameter) -> Figure:
    """The true-positive rate against false-positive rates from 0.001 to 0.05 (logarithmic).

    The band holds the central 68.27% of 500 resamples of toys at each rate. `parameter` says which
    toys are strange, as for `sigma68.score.estimates.strange_toys`.

    Raises
    ------
    DataError
        If the table is empty or lacks a column.
    """
    scores, strange, _ = strange_toys(toys, parameter)
    n, n_strange = len(scores), int(np.count_nonzero(strange))
    rates = np.geomspace(LOWEST, HIGHEST, 200)
    curve = 100 * resampled_roc(scores, strange, np.ones((1, n)), rates)[0]
    draw = stream("report", "bootstrap of a ROC curve", 0).generator()
    counts = draw.multinomial(n, np.full(n, 1 / n), size=_RESAMPLES)
    resampled = 100 * resampled_roc(scores, strange, counts, rates)
    known = resampled[np.isfinite(resampled[:, 0])]
    with styled():
        figure = new_figure(6.0, 4.4)
        axes = figure.subplots()
        if len(known):
            low, high = np.quantile(known, _BAND, axis=0)
            axes.fill_between(rates, low, high, color=SKY, alpha=0.5, lw=0, label="68% band")
        found = f"{n_strange:,} strange, {n - n_strange:,} ordinary toys"
        axes.plot(rates, curve, color=BLUE, label=found)
        axes.plot(rates, 100 * rates, color=VERMILION, ls="--", label="chance")
        one = 1 / max(n - n_strange, 1)
        if LOWEST < one < HIGHEST:
            axes.axvline(one, color=GREY, lw=1, ls=":", label="one ordinary toy")
        axes.set_xscale("log")
        axes.set_xlim(LOWEST, HIGHEST)
        axes.set_xticks([0.001, 0.002, 0.005, 0.01, 0.02, 0.05])
        axes.set_xticklabels(["0.1", "0.2", "0.5", "1", "2", "5"])
        axes.xaxis.set_minor_formatter("")
        axes.set_ylim(0, min(max(1.05 * axes.get_ylim()[1], 6.0), 102.0))
        axes.set_xlabel("False-positive rate: ordinary toys taken for strange [%]")
        axes.set_ylabel("True-positive rate: strange toys found [%]")
        legend_above(axes, 2)
    return figure


def parts(score: Score) -> Figure:
    """The score of all toys and, below, of each part alone, with errors from resampled toys."""
    whole = (score.values[score.headline], score.values.get(f"{score.headline}_error"))
    rows = {"all": whole, **scores_of_parts(score)}
    with styled():
        figure = new_figure(6.0, 1.3 + 0.42 * len(rows))
        axes = figure.subplots()
        for row, (name, (value, error)) in enumerate(rows.items()):
            if value is not None:
                color = BLUE if name == "all" else VERMILION
                axes.errorbar(value, row, xerr=error, fmt="o", color=color, ms=6, capsize=3)
        axes.set_yticks(range(len(rows)), list(rows))
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.minorticks_off()
        axes.tick_params(axis="y", length=0)
        right = max(axes.get_xlim()[1], 0.05)
        axes.set_xlim(min(0.0, axes.get_xlim()[0]), right)
        axes.set_xlabel(score.headline.replace("_", " ").capitalize())
    return figure


def strangeness(toys: pd.DataFrame, parameter: Parameter, score: Score) -> Figure:
    """The strangeness of ordinary and of strange toys; the bins at the ends hold what is beyond."""
    threshold = score.values["threshold"]
    values = toys["score"].to_numpy(dtype=float)
    finite = np.isfinite(values)
    strange = toys[parameter.name].to_numpy(dtype=float) > (threshold or 0.0)
    with styled():
        figure = new_figure(5.6, 4.2)
        axes = figure.subplots()
        if finite.any():
            ends = _ends(values[finite], values[finite & ~strange])
            edges = np.linspace(*ends, 41)
            for use, color, name in (
                (finite & ~strange, BLUE, "ordinary"),
                (finite & strange, VERMILION, "strange"),
            ):
                counts, _ = np.histogram(np.clip(values[use], *ends), edges)
                axes.stairs(counts, edges, color=color, fill=True, alpha=0.2)
                axes.stairs(counts, edges, color=color, label=f"{name}, {np.sum(use):,} toys")
            legend_above(axes, 2)
        count_axis(axes)
        axes.set_xlabel("Strangeness")
        axes.set_ylabel("Toys per bin")
    return figure


def _ends(values: FloatArray, ordinary: FloatArray) -> tuple[float, float]:
    """Ends of an axis half of which, at least, is for the central 98% of ordinary values."""
    low, high = float(values.min()), float(values.max())
    if len(ordinary):
        lowest, highest = (float(q) for q in np.quantile(ordinary, [0.01, 0.99]))
        beyond = (highest - lowest) / 2
        if beyond > 0:
            low, high = max(low, lowest - beyond), min(high, highest + beyond)
    return (low, high) if high > low else (low - 0.5, high + 0.5)
