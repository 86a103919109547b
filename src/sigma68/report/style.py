"""How figures look: the ATLAS style of mplhep, colours everybody can tell apart, same bytes twice.

Nothing here touches matplotlib's global settings: whoever makes or saves a figure does so inside
`styled()`.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from sigma68.types import Nuisance, Parameter

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "BLUE",
    "GREEN",
    "GREY",
    "HEAVY",
    "ORANGE",
    "PURPLE",
    "SKY",
    "VERMILION",
    "count_axis",
    "legend_above",
    "new_figure",
    "render",
    "styled",
    "title_of",
]

# Okabe and Ito, "Color Universal Design" (2008).
BLUE = "#0072B2"
VERMILION = "#D55E00"
SKY = "#56B4E9"
ORANGE = "#E69F00"
GREEN = "#009E73"
PURPLE = "#CC79A7"
GREY = "#707070"

HEAVY = 250_000
"""Bytes from which an SVG goes into a page as PNG instead."""

_SMALLER = {
    "font.size": 11,
    "axes.titlesize": "medium",
    "axes.labelsize": "medium",
    "axes.labelpad": 4,
    "axes.autolimit_mode": "data",
    "axes.xmargin": 0.03,
    "axes.ymargin": 0.05,
    "axes.axisbelow": True,
    "axes.formatter.limits": "-4, 6",
    "axes.formatter.use_mathtext": False,  # a parse per tick label would take half of the time
    "axes.unicode_minus": True,
    "xtick.labelsize": "medium",
    "ytick.labelsize": "medium",
    "ytick.major.size": 5,
    "ytick.minor.size": 3,
    "lines.linewidth": 1.5,
    "lines.markersize": 4.5,
    "legend.fontsize": "small",
    "legend.borderpad": 0.2,
    "svg.hashsalt": "sigma68",
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
    "figure.dpi": 100,
}


@contextmanager
def styled() -> Iterator[None]:
    """The style of all figures, for the length of a block."""
    import matplotlib.style
    import mplhep

    with matplotlib.style.context([mplhep.style.ATLAS, _SMALLER]):
        yield


def new_figure(width: float = 6.4, height: float = 4.2) -> Figure:
    """An empty figure of the given size in inches, which lays itself out."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def render(figure: Figure, kind: Literal["svg", "pdf", "png"]) -> bytes:
    """The figure as a file; the same figure gives the same bytes.

    The first rendering lays the figure out; it then keeps that layout for others.
    """
    metadata: dict[str, Any] = {
        "svg": {"Date": None, "Creator": None},
        "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
        "png": {"Software": None},
    }[kind]
    buffer = io.BytesIO()
    with styled(), warnings.catch_warnings():
        # A figure of very little data may have panels too small to lay out; it is still drawn.
        warnings.filterwarnings("ignore", message="constrained_layout not applied")
        figure.savefig(buffer, format=kind, dpi=150, metadata=metadata)
        figure.set_layout_engine("none")
    return buffer.getvalue()


def title_of(what: Parameter | Nuisance, prefix: str = "") -> str:
    """The axis title of a parameter: its label (or name), a prefix, and its unit."""
    label = what.label or what.name
    unit = f" [{what.unit}]" if what.unit else ""
    return f"{prefix}{label}{unit}"


def count_axis(axes: Axes) -> None:
    """A y axis of counts: from 0, with whole numbers only."""
    from matplotlib.ticker import MaxNLocator

    top = axes.get_ylim()[1]
    axes.set_ylim(0, max(top, 1.2))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    if top < 20:
        axes.yaxis.set_minor_locator(MaxNLocator(integer=True))


def legend_above(axes: Axes, columns: int = 3, **options: Any) -> None:
    """A legend over the axes, where no data can be under it."""
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=columns,
        borderaxespad=0.3,
        handlelength=1.6,
        columnspacing=1.2,
        **options,
    )
