"""What pages that compare entries have in common: parts of the page, marks of tie groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sigma68.report.style import BLUE, GREEN, GREY, ORANGE, PURPLE, VERMILION
from sigma68.score.places import Placed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["ComparedFigure", "Comparison", "look", "name_axis"]

_GROUP_COLORS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE)
_MARKERS = ("o", "s", "^", "D", "v")


@dataclass(frozen=True)
class Comparison:
    """What a page says of entries of one kind of task.

    `about` stands under the title; `rows` have a cell for each of `columns`; `note` stands below the
    table.
    """

    about: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str | None = None


@dataclass(frozen=True)
class ComparedFigure:
    """A figure with its words; `name` is that of its files."""

    name: str
    title: str
    caption: str
    alt: str
    figure: Figure


def look(entry: Placed) -> tuple[str, str]:
    """Colour and marker of an entry's tie group."""
    if entry.rank is None:
        return GREY, "x"
    i = (entry.rank - 1) % len(_GROUP_COLORS)
    return _GROUP_COLORS[i], _MARKERS[i]


def name_axis(axes: Axes, entries: Sequence[Placed]) -> None:
    """The entries' names along the vertical axis, the best on top."""
    # A name is somebody's: its dollars are no mathematics.
    names = [_shortened(e.name).replace("$", r"\$") for e in entries]
    axes.set_yticks(np.arange(len(entries)), names)
    axes.set_ylim(len(entries) - 0.45, -0.55)
    axes.tick_params(axis="y", which="both", length=0)


def _shortened(name: str, most: int = 28) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"
