"""How far a simulation is: a moving bar on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sigma68.tasks.higgs.simulate.production import Advance

__all__ = ["simulation_bar"]

_PLAIN_INTERVAL_S = 60.0


@contextmanager
def simulation_bar(title: str) -> Iterator[Callable[[Advance], None]]:
    """A bar for making shards: events, events and hard events per second, time left."""
    if not sys.stderr.isatty():
        yield _plain(title)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[words]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(title, total=1.0, words="")

        def report(advance: Advance) -> None:
            progress.update(bar, completed=advance.fraction, words=_words(advance))

        yield report


def _plain(title: str) -> Callable[[Advance], None]:
    last = time.monotonic()

    def report(advance: Advance) -> None:
        nonlocal last
        if advance.fraction >= 1.0 or time.monotonic() - last >= _PLAIN_INTERVAL_S:
            last = time.monotonic()
            text = f"{title}: {advance.fraction:.0%}, {_words(advance)}"
            print(text, file=sys.stderr, flush=True)  # noqa: T201

    return report


def _words(advance: Advance) -> str:
    parts = [f"{advance.rows:,} events"]
    if advance.made_hard:
        parts.append(f"{advance.made_rows / advance.seconds:.3g} events/s")
        parts.append(f"{advance.made_hard / advance.seconds:.3g} hard events/s")
    if advance.seconds_left:
        left = round(advance.seconds_left)
        parts.append(f"{left // 3600}:{left // 60 % 60:02}:{left % 60:02} left")
    return ", ".join(parts)
