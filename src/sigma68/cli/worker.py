"""`sigma68 worker`: judges what was handed in to a challenge's server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def worker(
    database: Annotated[
        str,
        typer.Option(
            envvar="SIGMA68_DATABASE",
            show_envvar=True,
            help="The server's database, such as sqlite:////srv/challenge/challenge.db.",
        ),
    ],
    files: Annotated[
        str,
        typer.Option(
            envvar="SIGMA68_FILES",
            show_envvar=True,
            help="The server's files: a folder, or a URL such as s3://bucket/folder.",
        ),
    ],
    processes: Annotated[int, typer.Option(min=1, help="How many jobs at once.")] = 1,
    lanes: Annotated[int, typer.Option(min=1, help="How many toys at once in each job.")] = 1,
    folder: Annotated[
        Path | None, typer.Option(help="Where work in progress lies; below ~/.cache if left out.")
    ] = None,
    dask: Annotated[
        str | None, typer.Option(help="Send workers to this Dask scheduler instead.")
    ] = None,
    trusted: Annotated[
        bool,
        typer.Option("--trusted", help="Run entries without a sandbox: only for your own."),
    ] = False,
    until_empty: Annotated[
        bool, typer.Option("--until-empty", help="End when no job waits.")
    ] = False,
    attached: Annotated[bool, typer.Option("--attached", hidden=True)] = False,
) -> None:
    """Judge what was handed in to a challenge's server, job after job.

    Any number of workers may run, on any machine that reaches the database and the files. One
    that is killed loses nothing: its job is taken up by another. For example:

        sigma68 worker --database sqlite:////srv/challenge/challenge.db --files /srv/challenge/files
    """
    from sigma68.challenge.queue.run import WorkerSettings, run_workers
    from sigma68.cli.console import say

    settings = WorkerSettings(database, files, folder, trusted, lanes)
    run_workers(
        settings,
        processes=processes,
        dask=dask,
        until_empty=until_empty,
        attached=attached,
        say=say,
    )
