"""What becomes of an interval that reaches beyond the range its parameter is known to lie in.

To clip costs no coverage: a truth inside the range is contained in the clipped interval exactly
if it is contained in the whole one. It makes intervals narrower, and it must be said.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from sigma68.errors import SettingsError
from sigma68.types import Parameter

__all__ = ["AtEdges", "check_edges", "edge_note", "within"]

FloatArray = npt.NDArray[np.float64]

AtEdges = Literal["extend", "clip"]
"""Let intervals reach beyond the parameter's range, or end them there."""


def check_edges(at_edges: str) -> None:
    """Refuse what is no `AtEdges`.

    Raises
    ------
    SettingsError
        If it is none.
    """
    if at_edges not in get_args(AtEdges):
        raise SettingsError(f"at_edges must be 'extend' or 'clip', not {at_edges!r}")


def within(values: FloatArray, parameter: Parameter, at_edges: AtEdges) -> FloatArray:
    """Ends or estimates, any shape, brought into the range where they are to be clipped."""
    return values if at_edges == "extend" else np.clip(values, parameter.low, parameter.high)


def edge_note(
    lower: float, upper: float, parameter: Parameter, at_edges: AtEdges, beyond: str
) -> str:
    """The sentence on an interval whose ends, before clipping, are given; "" if both lie inside.

    `beyond` says what is special outside the range where nothing is clipped.
    """
    if parameter.low <= lower <= upper <= parameter.high:
        return ""
    range_ = f"[{parameter.low:g}, {parameter.high:g}]"
    if at_edges == "extend":
        return beyond.format(range=range_)
    if lower > parameter.high or upper < parameter.low:
        return (
            f"the interval lies outside the range {range_} of {parameter.name}: it is clipped to the "
            "range's end and has no width"
        )
    return f"clipped to the range {range_} of {parameter.name}"
