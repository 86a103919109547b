"""What reports say of a method's width over that of the narrowest intervals possible."""

from __future__ import annotations

from collections.abc import Sequence

from sigma68.report.words import number, percent, with_error
from sigma68.score.best_widths import OverBest, OverKind
from sigma68.types import LEVEL

__all__ = ["KINDS", "best_in_words", "kind_in_words", "listed", "ratio_in_words"]

KINDS = {"statistics": "statistics only", "normalisations": "normalisations fitted"}
"""The kinds of narrowest intervals, for people."""


def kind_in_words(kind: OverKind) -> str:
    """Which narrowest intervals are meant."""
    return KINDS.get(kind.kind, kind.kind)


def ratio_in_words(kind: OverKind) -> tuple[str, str]:
    """The ratio as it is, and at equal coverage, with their errors."""
    return (
        with_error(kind.ratio, kind.ratio_error),
        with_error(kind.at_level, kind.at_level_error),
    )


def best_in_words(over: OverBest, unit: str = "") -> str:
    """How far the intervals are from the narrowest possible, and what that means."""
    return " ".join([*(_of_kind(kind, over, unit) for kind in over.kinds), _limit(over)])


def listed(names: Sequence[str]) -> str:
    """Names as a sentence lists them."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _of_kind(kind: OverKind, over: OverBest, unit: str) -> str:
    ratio, at_level = ratio_in_words(kind)
    if kind.kind == "statistics":
        which = "The narrowest intervals that these events allow are"
    else:
        its = "its constraint" if len(over.fitted) == 1 else "their constraints"
        which = f"With {listed(over.fitted)} fitted within {its} they are"
    best = f"{number(kind.best)}{' ' + unit if unit else ''} wide on average"
    rescaled = (
        "" if kind.at_level is None else f", rescaled to cover {percent(LEVEL, 2)} {at_level} times"
    )
    return (
        f"{which} {best} ({kind_in_words(kind)}): those here are {ratio} times as wide{rescaled}."
    )


def _limit(over: OverBest) -> str:
    said = "At 1 nothing is left to gain"
    if not over.known:
        return said + "."
    one = len(over.known) == 1
    return (
        f"{said}; but {listed(over.known)} {'varies' if one else 'vary'} too, which the narrowest "
        f"intervals take as known, so where {'it matters' if one else 'they matter'} no method "
        "comes down to 1."
    )
