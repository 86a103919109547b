"""Processes to be killed: one that works off jobs, one that hands entries in, without end."""

from __future__ import annotations

import multiprocessing
import random
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sigma68.challenge.judge.plan import Candidate, JudgingStopped, Plan, Verdict
from sigma68.challenge.queue.worker import Worker
from sigma68.challenge.rules import submissions
from sigma68.challenge.store.stores import open_store
from tests.challenge.trivial_judge import trivial_judge

LEASE = timedelta(seconds=1.5)


def dawdling_judge(
    entries: Sequence[Candidate], plan: Plan, *, stop: Any, **rest: Any
) -> list[Verdict]:
    """The trivial judge, which takes some time before and after its work."""
    for _ in range(2):
        until = time.monotonic() + random.uniform(0.0, 0.15)
        while time.monotonic() < until:
            if stop():
                raise JudgingStopped("the judging was asked to stop")
            time.sleep(0.01)
        verdicts = trivial_judge(entries, plan, stop=stop, **rest)
    return verdicts


def work(database: str, files: str, folder: str) -> None:
    """Work until killed."""
    store = open_store(database, files)
    worker = Worker(
        store, dawdling_judge, Path(folder), isolate="trusted", duration=LEASE, beat=0.05
    )
    worker.work(poll=0.05)


def hand_in(
    database: str, files: str, upload: str, phase: int, user: int, now: datetime, told: str
) -> None:
    """Hand the same zip in again and again until killed; a line in `told` for each taken."""
    store = open_store(database, files)
    with Path(told).open("a") as lines:
        while True:
            made = submissions.submit(store, phase, user, Path(upload), "a.zip", now)
            print(made, file=lines, flush=True)


def start(target: Callable[..., None], *arguments: object) -> Any:
    """A process that runs `target`, begun at once: all it needs has been imported before."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        [__name__, "scipy.stats", "alembic.command", "sigma68.score.ranking"]
    )
    process = context.Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


def kill(process: Any) -> None:
    """End it with SIGKILL."""
    process.kill()
    process.join()
    process.close()
