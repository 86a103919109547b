"""Numbers, times and states as the pages say them: filters of the templates."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

from sigma68.challenge.web.markdown import html_of

__all__ = ["FILTERS", "FLAGS", "duration", "moment", "phase_line", "size", "until"]

_MINUS = "\N{MINUS SIGN}"
_NONE = "\N{EN DASH}"

FLAGS = {
    "order_dependent": "its answers depend on the order of toys, or on memory between them",
}
"""What a flag of the judge means; one that is not here is shown by its own words."""


def decimal(value: float | None, digits: int = 3) -> str:
    """A number with a real minus sign; a dash for none."""
    if value is None or not math.isfinite(value):
        return _NONE
    return f"{value:.{digits}f}".replace("-", _MINUS)


def percent(value: float | None, digits: int = 1) -> str:
    """A fraction in per cent; a dash for none."""
    return _NONE if value is None else f"{100 * value:.{digits}f}%"


def count(value: int) -> str:
    """A whole number with its thousands apart."""
    return f"{value:,}"


def duration(seconds: float | None) -> str:
    """A time in the unit that suits it: 0.42 s, 12 min, 3.1 h."""
    if seconds is None:
        return _NONE
    for limit, unit, name in ((100, 1, "s"), (6000, 60, "min"), (math.inf, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.3g} {name}"
    return _NONE


def energy(joules: float | None) -> str:
    """An energy in J, kJ or MJ."""
    if joules is None:
        return _NONE
    for limit, unit, name in ((1e3, 1.0, "J"), (1e6, 1e3, "kJ"), (math.inf, 1e6, "MJ")):
        if joules < limit:
            return f"{joules / unit:.3g} {name}"
    return _NONE


def size(n_bytes: float) -> str:
    """A number of bytes in B, kB, MB or GB."""
    for limit, unit, name in (
        (1e3, 1.0, "B"),
        (1e6, 1e3, "kB"),
        (1e9, 1e6, "MB"),
        (math.inf, 1e9, "GB"),
    ):
        if n_bytes < limit:
            return f"{n_bytes / unit:.3g} {name}"
    return _NONE


def moment(at: datetime | None) -> Markup:
    """A time for people and for machines; always in UTC, as every page says."""
    if at is None:
        return Markup("\N{EN DASH}")
    utc = at.astimezone(UTC)
    text = f"{utc.day} {utc:%b %Y, %H:%M}"
    return Markup('<time datetime="{}">{}</time>').format(f"{utc:%Y-%m-%dT%H:%M:%SZ}", text)


def clock_time(at: datetime) -> str:
    """The time of day, for lines of a log."""
    return f"{at.astimezone(UTC):%H:%M:%S}"


def field_time(at: datetime | None) -> str:
    """A time as an input of kind datetime-local takes it."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M}" if at else ""


def until(then: datetime, now: datetime) -> str:
    """How long from now, roughly: 3 days, 5 hours, 12 minutes."""
    seconds = max(0.0, (then - now).total_seconds())
    for unit, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= 2 * unit or (unit == 60 and seconds >= 60):
            number = int(seconds // unit)
            return f"{number} {name}{'s' * (number != 1)}"
    return "less than a minute"


def phase_line(phases: list[Any], now: datetime) -> str:
    """Where a challenge stands, in one sentence."""
    if not phases:
        return "No phase has been set up yet."
    is_open = [phase for phase in phases if phase.opens <= now < phase.closes]
    if is_open:
        return "; ".join(f"{p.name} open, closes in {until(p.closes, now)}" for p in is_open) + "."
    coming = [phase for phase in phases if phase.opens > now]
    if coming:
        first = min(coming, key=lambda phase: phase.opens)
        return f"{first.name} opens in {until(first.opens, now)}."
    return "All phases have ended."


def state_of(status: str) -> str:
    """A status in a word or two."""
    return {"queued": "in the queue", "cancelled": "cancelled"}.get(status, status)


def flag(word: str) -> str:
    """A flag as it is shown."""
    return word.replace("_", " ")


def flag_meaning(word: str) -> str:
    """What a flag means."""
    return FLAGS.get(word, flag(word))


def markdown(text: str) -> Markup:
    """Sanitised HTML of Markdown."""
    return Markup(html_of(text))  # noqa: S704 (that is what html_of is for)


FILTERS: dict[str, Callable[..., Any]] = {
    "clock_time": clock_time,
    "count": count,
    "decimal": decimal,
    "duration": duration,
    "energy": energy,
    "field_time": field_time,
    "flag": flag,
    "flag_meaning": flag_meaning,
    "markdown": markdown,
    "moment": moment,
    "percent": percent,
    "size": size,
    "state": state_of,
}
