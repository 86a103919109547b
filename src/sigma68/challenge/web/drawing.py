"""Figures as SVG that takes its colours from the page, light or dark, and says in words what it shows.

Nothing is styled inline, since the pages forbid it: classes only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

__all__ = ["Scale", "coverage_figure", "scale_over", "score_axis", "score_bar", "score_scale"]

_WIDTH, _HEIGHT, _MARGIN = 272, 26, 12


@dataclass(frozen=True)
class Scale:
    """A linear axis from `low` to `high`, with the places of its ticks."""

    low: float
    high: float
    ticks: tuple[float, ...]

    def at(self, value: float, start: float, end: float) -> float:
        """Where `value` lies between the coordinates `start` (of `low`) and `end`."""
        return start + (value - self.low) / (self.high - self.low) * (end - start)


def scale_over(low: float, high: float, n_ticks: int = 4) -> Scale:
    """A scale with round ticks that holds [`low`, `high`], widened where that has no length."""
    if not high - low > 1e-9:
        low, high = low - 0.5, high + 0.5
    raw = (high - low) / n_ticks
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return Scale(low, high, tuple(step * i for i in range(first, last + 1)))


def score_scale(ends: Sequence[float | None], *, most_below: float = 3.0) -> Scale:
    """The axis that the scores and ends of error bars of a leaderboard share.

    An entry far below the best would squeeze the others: what is more than `most_below` under
    the best is drawn at the left end, as an arrow.
    """
    good = [end for end in ends if end is not None and math.isfinite(end)]
    if not good:
        return scale_over(0.0, 1.0)
    high = max(good)
    low = min(end for end in good if end >= high - most_below)
    pad = 0.06 * max(high - low, 0.05)
    return scale_over(low - pad, high + pad)


def score_bar(
    scale: Scale, score: float | None, low: float | None = None, high: float | None = None
) -> str:
    """One score on `scale` with an error bar from `low` to `high`, as wide as `score_axis`."""
    start, end, middle = _MARGIN, _WIDTH - _MARGIN, _HEIGHT / 2
    marks = [
        f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{_HEIGHT}"/>'
        for x in (scale.at(tick, start, end) for tick in scale.ticks)
    ]
    if score is None or not math.isfinite(score):
        return _svg(_WIDTH, _HEIGHT, "no score", marks)
    words = f"score {score:.3f}"
    if score < scale.low:
        marks.append(f'<path class="point" d="M2 {middle}l9 -5v10z"/>')
        return _svg(_WIDTH, _HEIGHT, f"{words}, off the scale", marks)
    if low is not None and high is not None:
        words += f", from {low:.3f} to {high:.3f}"
        left = max(scale.at(low, start, end), 2)
        right = min(scale.at(high, start, end), _WIDTH - 2)
        marks.append(
            f'<path class="error" d="M{left:.1f} {middle}H{right:.1f}'
            f'M{left:.1f} {middle - 4}v8M{right:.1f} {middle - 4}v8"/>'
        )
    x = min(scale.at(score, start, end), _WIDTH - 4)
    marks.append(f'<circle class="point" cx="{x:.1f}" cy="{middle}" r="4"/>')
    return _svg(_WIDTH, _HEIGHT, words, marks)


def score_axis(scale: Scale) -> str:
    """The axis above a column of `score_bar`: ticks and numbers; readers skip it."""
    start, end = _MARGIN, _WIDTH - _MARGIN
    step = scale.ticks[1] - scale.ticks[0] if len(scale.ticks) > 1 else 1.0
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    if abs(step * 10**digits - round(step * 10**digits)) > 1e-6:
        digits += 1
    marks = []
    for tick in scale.ticks:
        x = scale.at(tick, start, end)
        anchor = "start" if x < 24 else "end" if x > _WIDTH - 24 else "middle"
        number = f"{tick + 0.0:.{digits}f}".replace("-", "\N{MINUS SIGN}")
        marks.append(f'<text x="{x:.1f}" y="14" text-anchor="{anchor}">{number}</text>')
        marks.append(f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="18" y2="22"/>')
    return _svg(_WIDTH, 22, None, marks)


def coverage_figure(
    score: Mapping[str, Any], per_set: Sequence[Mapping[str, Any]], parameter: str
) -> str | None:
    """Coverage of every set against its true value of `parameter`, or None without sets.

    The band is the window without penalty for one set's number of toys, points outside of it
    are hollow. `score` and `per_set` are those of a score.json.
    """
    rows = [row for row in per_set if isinstance(row.get(parameter), int | float)]
    if not rows:
        return None
    width, height, left, right, top, bottom = 400, 272, 42, 12, 24, 42
    x_of = scale_over(
        min(row[parameter] for row in rows) - 0.05, max(row[parameter] for row in rows) + 0.05
    )
    level = float(score.get("level") or 0.6827)
    sigma = math.sqrt(level * (1 - level) * len(rows) / sum(row["n_toys"] for row in rows))
    y_of = Scale(0.0, 1.0, (0.0, 0.25, 0.5, 0.75, 1.0))

    def y(value: float) -> float:
        return y_of.at(min(max(value, 0.0), 1.0), height - bottom, top)

    low, high = level - 2 * sigma, level + 2 * sigma
    marks = [
        f'<rect class="band" x="{left}" y="{y(high):.1f}" width="{width - left - right}" '
        f'height="{y(low) - y(high):.1f}"/>',
        f'<path class="level" d="M{left} {y(level):.1f}H{width - right}"/>',
        f'<path class="axis" d="M{left} {top}V{height - bottom}H{width - right}"/>',
    ]
    marks.append('<text class="strong" x="8" y="13">coverage</text>')
    for tick in y_of.ticks:
        marks.append(
            f'<text x="{left - 7}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:.2f}</text>'
        )
    for tick in x_of.ticks:
        x = x_of.at(tick, left, width - right)
        marks.append(
            f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{height - bottom}" '
            f'y2="{height - bottom + 4}"/><text x="{x:.1f}" y="{height - bottom + 17}" '
            f'text-anchor="middle">{tick + 0.0:.3g}</text>'
        )
    outside = 0
    # Many sets: their error bars would cover each other.
    bare = len(rows) > 100
    for row in rows:
        x, at = x_of.at(row[parameter], left, width - right), y(row["coverage"])
        off = not low <= row["coverage"] <= high
        outside += off
        kind = " off" if off else ""
        if not bare:
            marks.append(
                f'<path class="error{kind}" d="M{x:.1f} {y(row["coverage_low"]):.1f}'
                f'V{y(row["coverage_high"]):.1f}"/>'
            )
        marks.append(
            f'<circle class="point{kind}" cx="{x:.1f}" cy="{at:.1f}" r="{2 if bare else 4}"/>'
        )
    marks.append(
        f'<text class="strong" x="{(left + width - right) / 2}" y="{height - 6}" '
        f'text-anchor="middle">true value of {escape(parameter)}</text>'
    )
    words = (
        f"Coverage of {len(rows)} sets, each with its own true {parameter}: "
        f"{outside} outside the window from {max(low, 0):.3f} to {min(high, 1):.3f}"
    )
    return _svg(width, height, words, marks)


def _svg(width: float, height: float, words: str | None, marks: Sequence[str]) -> str:
    said = f'role="img" aria-label="{escape(words)}"' if words else 'aria-hidden="true"'
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" {said}>'
        f"{''.join(marks)}</svg>"
    )
