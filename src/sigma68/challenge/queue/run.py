"""Run workers in one of three ways: this process, processes of its own, a Dask cluster."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable
from pathlib import Path

from sigma68.challenge.queue.pool import Workers, WorkerSettings, stdin_closed
from sigma68.challenge.queue.worker import Worker
from sigma68.challenge.store.stores import open_store
from sigma68.errors import IsolationError, SettingsError

__all__ = ["WorkerSettings", "default_folder", "refuse_without_sandbox", "run_workers"]

_NICE = 5


def run_workers(
    settings: WorkerSettings,
    *,
    processes: int = 1,
    dask: str | None = None,
    until_empty: bool = False,
    attached: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> None:
    """Judge until stopped or, with `until_empty`, until no job waits.

    `attached` ends with whoever started this process.

    Raises
    ------
    IsolationError
        If this machine cannot shut strangers' code in, and `settings` do not say "trusted".
    SettingsError
        If the settings contradict each other, or a URL is not understood.
    MissingExtraError
        If a package is not installed.
    """
    if attached:
        # Beside a server: who looks at a page does not wait for who judges.
        os.nice(_NICE)
    stop = stdin_closed() if attached else lambda: False
    if dask is not None:
        _on_cluster(dask, settings, stop, until_empty, say)
        return
    refuse_without_sandbox(settings.trusted)
    if processes > 1:
        if until_empty:
            raise SettingsError("--until-empty is for one worker: leave --processes out")
        # Made or brought up to date before several open it.
        open_store(settings.database_url, settings.files_url).close()
        say(f"{processes} workers begin")
        with Workers(settings, processes, say=say):
            while not stop():
                time.sleep(0.5)
        return
    _here(settings, stop, until_empty, say)


def refuse_without_sandbox(trusted: bool) -> None:
    """Raise if strangers' code cannot be run here.

    Raises
    ------
    IsolationError
        If this machine cannot shut it in, and it is not `trusted`.
    """
    from sigma68.challenge.sandbox.probe import probe

    why = None if trusted else probe()
    if why is not None:
        raise IsolationError(
            f"entries of others cannot be run here: {why}; with --trusted only your own are safe"
        )


def default_folder() -> Path:
    """Where work in progress lies on this machine, unless another place is given."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "sigma68" / "judging"


def _here(
    settings: WorkerSettings,
    stop: Callable[[], bool],
    until_empty: bool,
    say: Callable[[str], None],
) -> None:
    from sigma68.challenge.judge.events import Events
    from sigma68.challenge.judge.judge import judge

    store = open_store(settings.database_url, settings.files_url)
    try:
        worker = Worker(
            store,
            functools.partial(judge, workers=settings.lanes, events=Events()),
            settings.folder or default_folder(),
            isolate="trusted" if settings.trusted else "sandbox",
            stop=stop,
            say=say,
        )
        say(f"worker {worker.name} begins")
        worker.work(until_empty=until_empty)
    finally:
        store.close()


def _on_cluster(
    address: str,
    settings: WorkerSettings,
    stop: Callable[[], bool],
    until_empty: bool,
    say: Callable[[str], None],
) -> None:
    from sigma68.challenge.queue.cluster import send_workers

    if settings.database_url.startswith("sqlite"):
        say(
            "warning: SQLite is safe for workers on its own machine alone: for a cluster of "
            "several give a PostgreSQL database"
        )
    store = open_store(settings.database_url, settings.files_url)
    try:
        send_workers(address, store, settings, stop=stop, say=say, until_empty=until_empty)
    finally:
        store.close()
