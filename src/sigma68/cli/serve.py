"""`sigma68 serve`: a challenge's server, with its pages, its API and its workers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def serve(
    folder: Annotated[
        Path, typer.Argument(help="Where the server keeps everything; made if it is not there.")
    ] = Path("challenge"),
    database: Annotated[
        str | None,
        typer.Option(
            envvar="SIGMA68_DATABASE",
            show_envvar=True,
            help="A database by URL, PostgreSQL say; SQLite in FOLDER if left out.",
        ),
    ] = None,
    files: Annotated[
        str | None,
        typer.Option(
            envvar="SIGMA68_FILES",
            show_envvar=True,
            help="A folder or a URL (s3://...) for entries and toys; in FOLDER if left out.",
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The port; 0 for any that is free.")
    ] = 8000,
    address: Annotated[
        str | None,
        typer.Option(help="Where people reach it, if by another name: https://challenge.example"),
    ] = None,
    workers: Annotated[
        int, typer.Option(min=0, help="How many entries are judged at once; 0 to judge elsewhere.")
    ] = 1,
    trusted: Annotated[
        bool,
        typer.Option("--trusted", help="Run entries without a sandbox: only for your own."),
    ] = False,
    demo: Annotated[
        bool, typer.Option("--demo", help="Begin with small challenges and entries to look at.")
    ] = False,
    empty: Annotated[
        bool, typer.Option("--empty", help="Begin without the challenges of the papers.")
    ] = False,
    proxy: Annotated[
        str | None,
        typer.Option(help="The proxy in front, believed about visitors' addresses: 127.0.0.1"),
    ] = None,
    closed: Annotated[
        bool, typer.Option("--closed", help="Let nobody register; organisers make accounts.")
    ] = False,
    name: Annotated[str, typer.Option(help="What the site is called.")] = "sigma68",
) -> None:
    """Open a challenge: people register, hand in entries, see them run, see their place.

    An empty folder gets the HiggsML Uncertainty Challenge, its twin without systematics, and an
    organiser, whose sign-in is printed. For example:

        sigma68 serve

        sigma68 serve demo-challenge --demo

        sigma68 serve /srv/challenge --address https://challenge.example --proxy 127.0.0.1
    """
    from sigma68.challenge.web.serve import Options, serve
    from sigma68.cli.console import say

    def say_now(line: str) -> None:
        say(line)
        typer.get_text_stream("stdout").flush()

    serve(
        Options(
            folder=folder,
            database=database,
            files=files,
            host=host,
            port=port,
            address=address,
            workers=workers,
            trusted=trusted,
            demo=demo,
            empty=empty,
            proxy=proxy,
            registration=not closed,
            name=name,
        ),
        say_now,
    )
