"""`sigma68 challenge`: a server's challenges as files: all of them, or one as a Codabench bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sigma68.errors import SettingsError

if TYPE_CHECKING:
    from sigma68.challenge.exchange.table_files import Format
    from sigma68.challenge.store.stores import Store

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Export what a challenge's server knows, take it back, move a challenge, check it.",
)

Database = Annotated[
    str,
    typer.Option(
        envvar="SIGMA68_DATABASE",
        show_envvar=True,
        help="The server's database, such as sqlite:////srv/challenge/challenge.db.",
    ),
]
Files = Annotated[
    str,
    typer.Option(
        envvar="SIGMA68_FILES",
        show_envvar=True,
        help="The server's files: a folder, or a URL such as s3://bucket/folder.",
    ),
]


@app.command("export")
def export(
    folder: Annotated[Path, typer.Argument(help="A new folder for the export.")],
    database: Database,
    files: Files,
    secrets: Annotated[
        bool, typer.Option("--secrets", help="With the seeds of phases and teams' invite codes.")
    ] = False,
    formats: Annotated[
        str,
        typer.Option(help="Of csv, parquet and json; the tables' JSON is always written."),
    ] = "csv,parquet,json",
) -> None:
    """Write everything a server knows into a folder.

    Users, teams, entries, toys, scores, fact sheets and all else, with a manifest of SHA-256
    sums. Hashes of passwords and tokens are never among it. For example:

        sigma68 challenge export backup --database sqlite:////srv/c/challenge.db --files /srv/c/files
    """
    from sigma68.challenge.store.stores import open_store  # says which extra is missing

    _require_database(database)
    from datetime import UTC, datetime

    from sigma68.challenge.exchange.export import export_all
    from sigma68.cli.console import say, steps

    chosen = _formats(formats)
    store = open_store(database, files)
    try:
        with steps("exporting") as progress:
            manifest = export_all(
                store, folder, datetime.now(UTC), secrets=secrets, formats=chosen, progress=progress
            )
    finally:
        store.close()
    rows = sum(manifest.tables.values())
    say(f"{folder}: {rows:,} rows of {len(manifest.tables)} tables, {len(manifest.stored):,} files")
    say("left out: " + "; ".join(manifest.left_out))
    if secrets:
        say("it holds secrets: whoever has the seeds knows every truth")


@app.command("import")
def import_(
    path: Annotated[Path, typer.Argument(help="The folder of an export, or a Codabench bundle.")],
    database: Database,
    files: Files,
    by: Annotated[
        str | None, typer.Option(help="A bundle's organiser here; the first one if left out.")
    ] = None,
    slug: Annotated[
        str | None, typer.Option(help="A bundle's name in addresses; from its title if left out.")
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="What is measured, if a bundle does not tell.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(help="Where a bundle's events are here; the task's own if left out."),
    ] = None,
    password_for: Annotated[
        str | None,
        typer.Option(help="After an export: give this user a new password, and print it."),
    ] = None,
) -> None:
    """Take an export into an empty server, or a bundle into any.

    An export comes back as it was, but for passwords, of which it has none. A bundle (of version
    2) becomes a challenge that organisers alone see until they show it; its programs are not run.
    For example:

        sigma68 challenge import backup --password-for Olga

        sigma68 challenge import bundle.zip --task higgs
    """
    from sigma68.challenge.exchange.manifest import NAME
    from sigma68.challenge.store.stores import open_store

    is_export = (path / NAME).is_file()
    if is_export and (by or slug or task or source):
        raise SettingsError(f"{path} is an export: leave --by, --slug, --task and --source out")
    if not is_export and password_for:
        raise SettingsError(f"{path} is no export: leave --password-for out")
    store = open_store(database, files)
    try:
        if is_export:
            _import_export(store, path, password_for)
        else:
            _import_bundle(store, path, by, slug, task, source)
    finally:
        store.close()


@app.command("bundle")
def bundle(
    slug: Annotated[str, typer.Argument(help="The challenge's name in addresses.")],
    out: Annotated[Path, typer.Argument(metavar="ZIP", help="The bundle to write.")],
    database: Database,
    files: Files,
    image: Annotated[
        str | None,
        typer.Option(help="The container's image, with sigma68 installed in it."),
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="Where the events are in the container.")
    ] = None,
) -> None:
    """Write a challenge as a bundle that Codabench takes (version 2).

    Keep the bundle to yourself: it holds the seed of a final. Codabench has one leaderboard for
    all phases: hide it there while a final runs. For example:

        sigma68 challenge bundle higgs higgs.zip --image registry.example.org/sigma68:1
    """
    from sigma68.challenge.store.stores import open_store

    _require_database(database)
    from sigma68.challenge.exchange.to_bundle import export_bundle
    from sigma68.cli.console import say

    store = open_store(database, files)
    try:
        say(f"bundle: {export_bundle(store, slug, out, image=image, source=source)}")
    finally:
        store.close()


@app.command("observations")
def observations(
    slug: Annotated[str, typer.Argument(help="The challenge's name in addresses.")],
    database: Database,
    files: Files,
    phase: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Only of this phase; of all that have none if left out."),
    ] = None,
    copy: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Copy the files that are given away there, too."),
    ] = None,
) -> None:
    """Make what a challenge that takes results gives away: its observations, without truths.

    They are drawn from the secret seed of their phase, one for each set. Who takes part fetches
    the file from the server; the truths stay beside it, for their owner alone, and in no export.
    For example:

        sigma68 challenge observations lensing --copy public
    """
    from sigma68.challenge.store.stores import open_store

    _require_database(database)
    store = open_store(database, files)
    try:
        _make_observations(store, slug, phase, copy)
    finally:
        store.close()


@app.command("check")
def check(
    folder: Annotated[
        Path, typer.Argument(help="The folder that `sigma68 serve` keeps everything in.")
    ] = Path("challenge"),
    database: Annotated[
        str | None,
        typer.Option(envvar="SIGMA68_DATABASE", show_envvar=True, help="If it is not in FOLDER."),
    ] = None,
    files: Annotated[
        str | None,
        typer.Option(envvar="SIGMA68_FILES", show_envvar=True, help="If they are not in FOLDER."),
    ] = None,
) -> None:
    """Look whether what a server keeps agrees with itself: rows with rows, rows with files.

    Says what does not, a line each, and ends with 1 then. Nothing is changed, and the server may
    go on meanwhile. After a crash or a restored backup:

        sigma68 challenge check /srv/challenge
    """
    from sigma68.challenge.store.stores import open_store

    url = database or f"sqlite:///{folder.resolve() / 'challenge.db'}"
    _require_database(url)
    from datetime import UTC, datetime

    from sigma68.challenge.queue.soundness import faults
    from sigma68.cli.console import say

    store = open_store(url, files or str(folder.resolve() / "files"))
    try:
        found = faults(store, datetime.now(UTC))
    finally:
        store.close()
    for one in found:
        say(one)
    if found:
        raise typer.Exit(1)
    say("all that is kept agrees with itself")


def _make_observations(store: Store, slug: str, phase: str | None, copy: Path | None) -> None:
    from datetime import UTC, datetime

    from sigma68.challenge.results.giving import copy_given, phases_that_give
    from sigma68.challenge.results.make import make_observations
    from sigma68.cli.console import say, steps

    for one in phases_that_give(store, slug, phase):
        if one.is_whole:
            say(f"{one.phase}: made already")
            continue
        with steps("making observations") as progress:
            made = make_observations(store, one.phase_id, datetime.now(UTC), progress=progress)
        again = "" if made.is_new else ", as they were given away"
        say(
            f"{one.phase}: {made.n_observations:,} observations{again}, {made.n_bytes / 1e6:,.1f} MB, "
            f"sha256 {made.sha256}"
        )
    if copy is not None:
        for one in phases_that_give(store, slug, phase):
            say(f"copied: {copy_given(store, one, copy)}")


def _import_export(store: Store, path: Path, password_for: str | None) -> None:
    import secrets

    from sigma68.challenge.exchange.restore import import_all
    from sigma68.challenge.rules import accounts
    from sigma68.cli.console import say, steps

    with steps("importing") as progress:
        manifest = import_all(store, path, progress=progress)
    rows = sum(manifest.tables.values())
    say(f"{rows:,} rows of {len(manifest.tables)} tables, {len(manifest.stored):,} files")
    if password_for is None:
        say("nobody has a password yet: --password-for gives one to a user")
        return
    password = secrets.token_urlsafe(12)
    with store.write() as session:
        user = accounts.find(session, password_for)
        if user is None:
            raise SettingsError(f"all is imported, but there is no user {password_for!r} in it")
        accounts.set_password(session, user, password)
    say(f"the new password of {password_for}: {password}")


def _import_bundle(
    store: Store,
    path: Path,
    by: str | None,
    slug: str | None,
    task: str | None,
    source: str | None,
) -> None:
    from datetime import UTC, datetime

    from sigma68.challenge.exchange.from_bundle import import_bundle
    from sigma68.cli.console import say, warn

    made = import_bundle(store, path, datetime.now(UTC), by=by, slug=slug, task=task, source=source)
    for note in made.notes:
        warn(note)
    say(f"challenge {made.slug}: organisers alone see it until it is shown")


def _formats(text: str) -> tuple[Format, ...]:
    from sigma68.challenge.exchange.table_files import FORMATS

    words = [word.strip() for word in text.split(",") if word.strip()]
    for word in words:
        if word not in FORMATS:
            raise SettingsError(f"there is no format {word!r}: choose from {', '.join(FORMATS)}")
    return tuple(name for name in FORMATS if name in words)


def _require_database(url: str) -> None:
    """Refuse a database that would only now be made."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parsed = make_url(url)
    except ArgumentError:
        return  # opening it says what is wrong
    if parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").is_file():
        raise SettingsError(f"there is no database at {parsed.database}: give the server's")
