"""What the verbs print with: tables, sentences, and progress bars that suit the terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sigma68.run.progress import ProgressCallback, RunProgress

__all__ = ["plain_steps", "print_table", "run_bar", "say", "steps", "warn"]


def say(text: str) -> None:
    """One line on stdout, as it is."""
    print(text)  # noqa: T201


def warn(text: str) -> None:
    """One line on stderr, marked as a warning."""
    print(f"warning: {text}", file=sys.stderr)  # noqa: T201


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str = "") -> None:
    """A table on stdout; a column whose cells are all numbers is set flush right."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for i, column in enumerate(columns):
        numeric = bool(rows) and all(_is_number(row[i]) for row in rows)
        table.add_column(Text(column), justify="right" if numeric else "left")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    if not console.is_terminal:
        # A file or a pipe has no width: lines must not be broken to fit one.
        console = Console(highlight=False, width=10_000)
        console.width = max(80, console.measure(table).maximum)
    if title:
        say(title)
    # Printed by Python, since rich ends the program where a reader of the pipe went away.
    with console.capture() as text:
        console.print(table)
    say(text.get().removesuffix("\n"))


@contextmanager
def steps(title: str) -> Iterator[Callable[[str, float], None]]:
    """A bar for work that reports (what is being done, fraction done), as `Progress` does.

    On a terminal it is a moving bar; elsewhere a plain line at most every ten seconds.
    """
    if not sys.stderr.isatty():
        yield plain_steps(title)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(title, total=1.0)

        def report(what: str, fraction: float) -> None:
            text = f"{title}: {what}" if what else title
            progress.update(bar, completed=fraction, description=text)

        yield report


def plain_steps(title: str) -> Callable[[str, float], None]:
    """What takes the progress of work between other output: a line at most every ten seconds."""
    last = time.monotonic()

    def report(what: str, fraction: float) -> None:
        nonlocal last
        if time.monotonic() - last >= _PLAIN_INTERVAL_S:
            last = time.monotonic()
            text = f"{title}: {what}" if what else title
            print(f"{text}: {fraction:.0%}", file=sys.stderr, flush=True)  # noqa: T201

    return report


@contextmanager
def run_bar(title: str) -> Iterator[ProgressCallback]:
    """A bar for a run over toys: done of total, failures, toys per second, time left.

    On a terminal it is a moving bar; elsewhere a plain line at most every ten seconds.
    """
    if not sys.stderr.isatty():
        yield _plain_run(title)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(title, total=None, speed="")

        def report(how_far: RunProgress) -> None:
            text = title if how_far.stage == "toys" else f"{title}: {how_far.stage}"
            progress.update(
                bar,
                description=text,
                completed=how_far.done,
                total=how_far.total,
                speed=_speed(how_far),
            )

        yield report


def _plain_run(title: str) -> ProgressCallback:
    last = time.monotonic()

    def report(how_far: RunProgress) -> None:
        nonlocal last
        finished = how_far.stage == "toys" and how_far.done == how_far.total
        if finished or time.monotonic() - last >= _PLAIN_INTERVAL_S:
            last = time.monotonic()
            text = f"{title}: {how_far.stage} {how_far.done}/{how_far.total} {_speed(how_far)}"
            print(text.rstrip(), file=sys.stderr, flush=True)  # noqa: T201

    return report


def _speed(how_far: RunProgress) -> str:
    parts = []
    if how_far.failed:
        parts.append(f"{how_far.failed} failed")
    if how_far.rate > 0:
        parts.append(f"{how_far.rate:.3g} toys/s")
        left = round((how_far.total - how_far.done) / how_far.rate)
        if left > 0:
            parts.append(f"{left // 3600}:{left // 60 % 60:02}:{left % 60:02} left")
    return ", ".join(parts)


_PLAIN_INTERVAL_S = 10.0


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "").rstrip("%") or "x")
    except ValueError:
        return text in ("-", "")
    return True
