"""Figures of one observation: its image, its summaries among others like it, posteriors from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sigma68.report.style import (
    BLUE,
    GREEN,
    PURPLE,
    VERMILION,
    legend_above,
    new_figure,
    styled,
    title_of,
)
from sigma68.types import Parameter

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["contour_figure", "enclosing", "image_figure", "summary_figure"]

FloatArray = npt.NDArray[np.float64]

_UNSEEN = "#B8B8B8"
_SHARES = (0.6827, 0.9545)
_COLOURS = (BLUE, VERMILION, GREEN, PURPLE)
_CELLS = 80
_WIDEST = 2.5


def image_figure(
    image: npt.NDArray[np.floating[Any]],
    mask: npt.NDArray[np.bool_],
    *,
    pixel_size: float,
    pixel_unit: str,
    label: str,
) -> Figure:
    """An image (rows, columns), its longer side along the page; what is not seen is grey.

    Colours reach 2.5 standard deviations of what is seen.
    """
    shown = np.where(mask, image, np.nan)
    tall = shown.shape[0] > shown.shape[1]
    shown = shown.T if tall else shown
    widest = _WIDEST * float(np.nanstd(shown))
    height, width = (n * pixel_size for n in shown.shape)
    with styled():
        figure = new_figure(9.0, 1.35 + 8.6 * height / width)
        axes = figure.subplots()
        axes.set_facecolor(_UNSEEN)
        drawn = axes.imshow(
            shown,
            cmap="RdBu_r",
            vmin=-widest,
            vmax=widest,
            extent=(0, width, 0, height),
            origin="lower",
            interpolation="none",
            rasterized=True,
        )
        axes.set_xlabel(f"Position [{pixel_unit}]")
        axes.set_ylabel(f"[{pixel_unit}]")
        bar = figure.colorbar(drawn, ax=axes, location="top", aspect=50, extend="both", pad=0.02)
        bar.set_label(label)
    return figure


def summary_figure(
    seen: FloatArray,
    others: Mapping[str, FloatArray],
    *,
    axis: Sequence[float],
    axis_label: str,
    label: str,
) -> Figure:
    """Summaries of one observation (n_summaries,) and bands of others (n, n_summaries) by their names.

    Bands hold the central 68% and 95% of the others. Below: everything minus the mean of the
    first of them, in its standard deviations.
    """
    from matplotlib.ticker import LogLocator, NullFormatter

    first = next(iter(others.values()))
    mean, width = first.mean(axis=0), first.std(axis=0, ddof=1)
    with styled():
        figure = new_figure(6.4, 5.6)
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1.2))
        for (name, rows), colour in zip(others.items(), _COLOURS * len(others), strict=False):
            for panel, values in ((above, rows), (below, (rows - mean) / width)):
                for share, shade in zip(_SHARES, (0.35, 0.15), strict=True):
                    low, high = np.quantile(values, [0.5 - share / 2, 0.5 + share / 2], axis=0)
                    panel.fill_between(axis, low, high, color=colour, alpha=shade, lw=0)
            above.plot(axis, rows.mean(axis=0), color=colour, lw=1, label=name)
        above.plot(axis, seen, "o", color="black", ms=4, label="this observation")
        below.plot(axis, (seen - mean) / width, "o", color="black", ms=4)
        below.axhline(0, color="black", lw=0.8)
        below.set_xscale("log")
        below.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        below.xaxis.set_major_formatter("{x:,.0f}")
        below.xaxis.set_minor_formatter(NullFormatter())
        below.set_xlabel(axis_label)
        below.set_ylabel("Difference / width")
        # Bands far away are to be seen leaving, not to squeeze the rest.
        below.set_ylim(-6, 6)
        above.set_ylabel(label)
        legend_above(above, 2)
    return figure


def contour_figure(
    draws: Mapping[str, FloatArray],
    parameters: Sequence[Parameter],
    truth: Mapping[str, float] | None = None,
) -> Figure:
    """Regions of highest posterior density, 68% and 95%, of two parameters, from draws (n, 2).

    Densities are histograms of n draws, smoothed by a normal of their width times n^(-1/6) (Scott's
    rule): for two parameters and thousands of draws a package of its own would draw the same.
    """
    x, y = parameters
    with styled():
        figure = new_figure(5.6, 5.2)
        axes = figure.subplots()
        for (name, own), colour in zip(draws.items(), _COLOURS * len(draws), strict=False):
            at_x, at_y, density = _density(own, parameters)
            inner, outer = enclosing(density, _SHARES)
            levels = [outer, inner, float(density.max()) * 1.001]
            axes.contourf(at_x, at_y, density.T, levels, colors=[colour, colour], alpha=0.25)
            axes.contour(at_x, at_y, density.T, levels[:2], colors=[colour], linewidths=1.3)
            axes.plot([], [], color=colour, label=name)
        if truth is not None:
            axes.plot(truth[x.name], truth[y.name], "*", color="black", ms=11, label="truth")
        axes.set_xlim(x.low, x.high)
        axes.set_ylim(y.low, y.high)
        axes.set_xlabel(title_of(x))
        axes.set_ylabel(title_of(y))
        legend_above(axes, 2)
    return figure


def _density(
    draws: FloatArray, parameters: Sequence[Parameter]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Centres of cells along both parameters, and the smoothed share of draws in each (nx, ny)."""
    from scipy.ndimage import gaussian_filter

    low, high = (np.array([getattr(p, end) for p in parameters]) for end in ("low", "high"))
    counts, *edges = np.histogramdd(draws, bins=_CELLS, range=list(zip(low, high, strict=True)))
    width = draws.std(axis=0) * len(draws) ** (-1 / 6) / ((high - low) / _CELLS)
    # Draws do not cross the edges of the prior: what is smoothed over them comes back.
    smooth = gaussian_filter(counts, width, mode="reflect")
    centres = [0.5 * (e[1:] + e[:-1]) for e in edges[0]]
    density: FloatArray = smooth / smooth.sum()
    return centres[0], centres[1], density


def enclosing(density: FloatArray, shares: Sequence[float]) -> tuple[float, ...]:
    """The densities above which cells hold these shares of all, for each."""
    falling = np.sort(density.ravel())[::-1]
    total = np.cumsum(falling) / falling.sum()
    return tuple(float(falling[np.searchsorted(total, share)]) for share in shares)
