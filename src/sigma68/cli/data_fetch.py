"""`sigma68 data fetch`: the public data, downloaded, checked and made ready."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sigma68.errors import SettingsError

if TYPE_CHECKING:
    from sigma68.meter import HowFar, Report

_PLAIN_INTERVAL_S = 10.0


def fetch(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="What to fetch (see --list).")
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(help="Folder for it, empty or new; if left out, one in the user's data."),
    ] = None,
    list_: Annotated[
        bool, typer.Option("--list", help="Show what can be fetched and what is here.")
    ] = False,
    url: Annotated[str | None, typer.Option(help="Another address of the same archive.")] = None,
    sha256: Annotated[
        str | None, typer.Option(help="With --url: what that archive hashes to, if it differs.")
    ] = None,
    keep_zip: Annotated[
        bool, typer.Option("--keep-zip", help="Keep the archive after it is unpacked.")
    ] = False,
    allow_http: Annotated[
        bool, typer.Option("--allow-http", help="Take an address of plain http.")
    ] = False,
) -> None:
    """Download the public data, check, unpack and lay them out.

    The archive has 16 GB; with what is made of it, it takes 40 GB of disk on the way and 35 GB
    at the end. Stopped at any moment and started again with the same command, it goes on where
    it was. For example:

        sigma68 data fetch --list

        sigma68 data fetch higgs --to /big/disk/higgs

        sigma68 run bdt --data public --out bdt-run
    """
    from sigma68.cli.console import say, warn
    from sigma68.tasks.higgs import public

    if list_:
        _print_list()
        return
    records = {record.name: record for record in (public.HIGGS,)}
    if name is None or name not in records:
        asked = "say what to fetch" if name is None else f"there is no data set {name!r} to fetch"
        raise SettingsError(f"{asked}; there is: {', '.join(records)}")
    record = records[name].elsewhere(url, sha256)
    folder = public.chosen_folder(record, to)
    with _bar(name) as report:
        path = public.fetch(
            record,
            folder,
            keep_zip=keep_zip,
            allow_http=allow_http,
            report=report,
            tell=warn,
            go_on=f"go on with: {_same_command(name, folder, url, sha256, keep_zip, allow_http)}",
        )
        public.convert(path, report)
    say(f"{path}: open it with --data {record.source}")
    say(f"{record.licence}; when you use it, cite doi:{record.doi}")


def _same_command(
    name: str,
    folder: Path,
    url: str | None,
    sha256: str | None,
    keep_zip: bool,
    allow_http: bool,
) -> str:
    import shlex

    words = ["sigma68", "data", "fetch", name, "--to", str(folder)]
    words += ["--url", url] if url else []
    words += ["--sha256", sha256] if sha256 else []
    words += ["--keep-zip"] * keep_zip + ["--allow-http"] * allow_http
    return shlex.join(words)


def _print_list() -> None:
    from sigma68.cli.console import print_table, say
    from sigma68.tasks.higgs import public

    record = public.HIGGS
    print_table(
        ("name", "--data", "events", "archive", "what it is"),
        [
            (
                record.name,
                record.source,
                f"{record.rows:,}",
                f"{record.gigabytes:g} GB",
                f"{record.title}, {record.licence}, doi:{record.doi}",
            )
        ],
    )
    copies = public.copies(record)
    for copy in copies:
        if copy.state == "complete":
            state = f"complete, {copy.rows:,} events"
        else:
            state = f"begun, {copy.bytes_here / 1e9:,.2f} GB of the archive are here"
        if copy.sha256 != record.sha256:
            state += f", of another archive (SHA-256 {copy.sha256[:12]}...)"
        say(f"{record.name} in {copy.folder}: {state}")
    if not copies:
        say(f"{record.name} is not here; it would go to {public.chosen_folder(record)}")


@contextmanager
def _bar(title: str) -> Iterator[Report]:
    """A bar with bytes, rate and time left; a line every ten seconds where there is no terminal."""
    if not sys.stderr.isatty():
        yield _plain(title)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[numbers]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(title, total=None, numbers="")

        def report(how_far: HowFar) -> None:
            progress.update(
                bar,
                description=f"{title}: {how_far.what}",
                completed=how_far.done,
                total=how_far.total,
                numbers=numbers(how_far),
            )

        yield report


def _plain(title: str) -> Report:
    last, what = time.monotonic(), ""

    def report(how_far: HowFar) -> None:
        nonlocal last, what
        finished = how_far.done == how_far.total
        if finished or what != how_far.what or time.monotonic() - last >= _PLAIN_INTERVAL_S:
            last, what = time.monotonic(), how_far.what
            text = f"{title}: {how_far.what} {numbers(how_far)}"
            print(text.rstrip(), file=sys.stderr, flush=True)  # noqa: T201

    return report


def numbers(how_far: HowFar) -> str:
    """Bytes done and in all, bytes per second and time left, as far as they are known."""
    parts = []
    if how_far.total:
        parts.append(f"{how_far.done / 1e9:,.2f} of {how_far.total / 1e9:,.2f} GB")
    elif how_far.done:
        parts.append(f"{how_far.done / 1e9:,.2f} GB")
    if how_far.rate > 0:
        parts.append(f"{how_far.rate / 1e6:,.1f} MB/s")
    left = how_far.seconds_left
    if left is not None and left >= 1:
        whole = round(left)
        parts.append(f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02} left")
    return ", ".join(parts)
