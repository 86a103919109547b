"""Does the challenge's server lose anything, and how fast is its board: `python -m benchmarks.challenge`.

Four cases, all of them if none is named:

jobs
    Workers are killed (SIGKILL) at random moments: every job must end exactly once, with one
    result, and none be left running. The judging is made up and takes a moment.
board
    How long the leaderboard takes by itself, asked for while such workers write results.
page
    How long its page takes over HTTP from `sigma68 serve`, whose own workers judge real entries
    meanwhile, with all that wait in the queue.
server
    `sigma68 serve` is killed with its workers, again and again, while clients upload to it: what
    was acknowledged must be there and be judged once, and all that is kept must agree.

Ends with exit code 1 if something was lost or doubled, or if the 95th percentile of the
leaderboard is over `--limit-ms`.
"""

from __future__ import annotations

import argparse
import functools
import io
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import func, select, update

from sigma68.challenge.judge.plan import Candidate, JudgingStopped, Plan, Verdict
from sigma68.challenge.queue.worker import Worker, utc_now
from sigma68.challenge.rules import accounts, challenges, phases, submissions, teams
from sigma68.challenge.rules.leaderboards import leaderboard
from sigma68.challenge.store.stores import Store, open_store
from sigma68.challenge.store.tables import Challenge, Job, Phase, Result, Submission

LEASE = timedelta(seconds=5)
MAX_AGE = 1.0
"""How old, in seconds, a board may be that is shown to visitors: as the server has it."""

PRELOADED = [
    *("scipy.stats", "pandas", "pyarrow.parquet", "fsspec", "alembic.command"),
    *("sigma68.challenge.queue.worker", "sigma68.challenge.rules.submissions"),
    *("sigma68.challenge.store.stores", "sigma68.score.ranking", "sqlalchemy.dialects.sqlite"),
]
"""What a worker's process has imported before it begins, so that it begins at once."""


def quick_judge(
    entries: Sequence[Candidate],
    plan: Plan,
    *,
    folder: Path,
    progress: Callable[[int, int], None],
    log: Callable[[str, str], None],
    stop: Callable[[], bool],
    dawdle: float = 0.3,
) -> list[Verdict]:
    """Made-up answers of an honest method, whose width is drawn with the toys.

    They take up to `dawdle` seconds.
    """
    import pandas as pd

    from sigma68.discover import load_task
    from sigma68.score.files import score_document

    rng = np.random.default_rng(plan.seed)
    until = time.monotonic() + rng.uniform(0.0, dawdle)
    while time.monotonic() < until:
        if stop():
            raise JudgingStopped("the judging was asked to stop")
        time.sleep(0.01)
    sigma = rng.uniform(0.2, 0.6)
    mu = np.repeat(rng.uniform(0.5, 2.5, plan.sets), plan.toys)
    hat = mu + sigma * rng.standard_normal(mu.size)
    table = pd.DataFrame(
        {
            "set": np.repeat(np.arange(plan.sets), plan.toys),
            "toy": np.tile(np.arange(plan.toys), plan.sets),
            "mu": mu,
            "mu_hat": hat,
            "delta_mu_hat": sigma,
            "p16": hat - sigma,
            "p84": hat + sigma,
            "status": "ok",
            "seconds": 0.01,
        }
    )
    verdicts = []
    for entry in entries:
        path = folder / f"{entry.id}.parquet"
        table.to_parquet(path, index=False)
        _, document = score_document(table, load_task(plan.task), epsilon=plan.epsilon)
        progress(plan.n_toys, plan.n_toys)
        verdicts.append(Verdict(entry.id, document, path, 1.0))
    return verdicts


def work(database: str, files: str, folder: str) -> None:
    """What a worker's process does until it is killed."""
    os.nice(5)
    store = open_store(database, files)
    Worker(store, quick_judge, Path(folder), isolate="trusted", duration=LEASE).work(poll=0.1)


def start_worker(store: Store, folder: Path) -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    places = (store.database_url, store.files_url, str(folder))
    process = context.Process(target=work, args=places, daemon=True)
    process.start()
    return process


def furnish(store: Store, n_teams: int, n_submissions: int, now: datetime) -> int:
    """An organiser, a phase, teams and what they handed in; the phase."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("model.py", "class Model:\n    pass\n")
    with store.write() as session:
        boss = accounts.create_for_identity(session, "https://id", "boss", "boss", now)
        boss.role = "organiser"
        challenge = challenges.create(session, "load", "Load", "gaussian", now, by=boss)
        phase = phases.add(
            session,
            challenge,
            phases.PhaseSettings(
                "Public", now, now + timedelta(days=365), per_day=10**6, total=10**6
            ),
            by=boss,
            now=now,
        )
    people = []
    for i in range(n_teams):
        with store.write() as session:
            user = accounts.create_for_identity(session, "https://id", str(i), f"user{i}", now)
            found = session.get_one(Challenge, challenge.id)
            teams.create(session, found, user, f"team {i}", now)
            people.append(user.id)
    with tempfile.TemporaryDirectory() as folder:
        upload = Path(folder) / "entry.zip"
        upload.write_bytes(made.getvalue())
        for i in range(n_submissions):
            submissions.submit(store, phase.id, people[i % n_teams], upload, "entry.zip", now)
    return phase.id


def killed_workers(folder: Path, n_jobs: int, n_workers: int, every: float, seed: int) -> bool:
    """Whether every job ended exactly once although workers were killed all the time."""
    store = open_store(f"sqlite:///{folder}/killed.db", str(folder / "killed"))
    furnish(store, 20, n_jobs, utc_now())
    rng = random.Random(seed)
    began, killed = time.monotonic(), 0
    workers = [start_worker(store, folder / "work") for _ in range(n_workers)]

    def waiting() -> int:
        with store.read() as session:
            left = Job.status.in_(("queued", "running"))
            return session.scalar(select(func.count(Job.id)).where(left)) or 0

    while waiting():
        time.sleep(rng.uniform(0.0, 2 * every))
        # On a machine that is busy enough they would never get anything done.
        if killed < n_jobs:
            i = rng.randrange(n_workers)
            workers[i].kill()
            workers[i].join()
            workers[i] = start_worker(store, folder / "work")
            killed += 1
    for worker in workers:
        worker.kill()
        worker.join()
    store.sweep(utc_now(), age=timedelta(0))
    with store.read() as session:
        jobs = Counter(session.scalars(select(Job.status)))
        states = Counter(session.scalars(select(Submission.status)))
        attempts = Counter(session.scalars(select(Job.attempts)))
        results = session.scalar(select(func.count()).select_from(Result)) or 0
        agree = all(
            job.status == session.get_one(Submission, job.submission_id).status
            for job in session.scalars(select(Job))
        )
        files = len(store.files.stored())
    seconds = time.monotonic() - began
    is_right = (
        jobs == states
        and agree
        and set(jobs) <= {"finished", "failed"}
        and results == jobs["finished"]
        and files == n_jobs + results
    )
    store.close()
    print(f"{n_jobs} jobs, {n_workers} workers, {killed} kills (SIGKILL), {seconds:.0f} s")
    print(f"jobs: {dict(jobs)}; submissions: {dict(states)}; results: {results}; files: {files}")
    print(f"attempts: {dict(sorted(attempts.items()))} (the third loss of a job ends it as failed)")
    print("every job ended exactly once" if is_right else "JOBS WERE LOST OR DOUBLED")
    return is_right


def board_times(
    folder: Path, n_teams: int, n_submissions: int, n_workers: int, asks: int, limit_ms: float
) -> bool:
    """Whether the board is there within the limit 95 times of 100, while workers are busy."""
    store = open_store(f"sqlite:///{folder}/board.db", str(folder / "board"))
    began = time.monotonic()
    phase_id = furnish(store, n_teams, n_submissions, utc_now())
    print(
        f"{n_teams} teams, {n_submissions} submissions taken in, in "
        f"{time.monotonic() - began:.0f} s; {n_workers} workers judge them meanwhile"
    )
    workers = [start_worker(store, folder / "work") for _ in range(n_workers)]
    seconds, cpu, versions, n_rows = [], [], set(), 0
    last = 0.0
    while len(seconds) < asks or n_rows < n_teams:
        time.sleep(0.02)
        start, start_cpu = time.perf_counter(), time.thread_time()
        with store.read() as session:
            phase = session.get_one(Phase, phase_id)
            board = leaderboard(session, phase, utc_now(), max_age=MAX_AGE)
        seconds.append(time.perf_counter() - start)
        cpu.append(time.thread_time() - start_cpu)
        versions.add(phase.version)
        n_rows = len(board.rows)
        if time.monotonic() - last > 10:
            last = time.monotonic()
            with store.read() as session:
                ended = select(func.count(Job.id)).where(Job.status == "finished")
                print(f"  {session.scalar(ended)} judged, {n_rows} rows", flush=True)
    for worker in workers:
        worker.kill()
        worker.join()
    quantiles = np.quantile(1e3 * np.array(seconds), [0.5, 0.95, 1.0])
    is_quick = bool(quantiles[1] <= limit_ms)
    print(
        f"leaderboard of {n_rows} teams, asked {len(seconds)} times while it changed "
        f"{len(versions)} times: median {quantiles[0]:.1f} ms, 95th percentile "
        f"{quantiles[1]:.1f} ms, longest {quantiles[2]:.0f} ms "
        f"(of which CPU at most {1e3 * max(cpu):.0f} ms)"
        + ("" if is_quick else f": OVER the limit of {limit_ms:g} ms")
    )
    with store.write() as session:
        session.execute(update(Job).where(Job.status == "queued").values(status="cancelled"))
    store.close()
    return is_quick


CASES = ("jobs", "board", "page", "server")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(CASES)}")
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--teams", type=int, default=200)
    parser.add_argument("--submissions", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kill-every", type=float, default=0.7, help="mean seconds between kills")
    parser.add_argument("--asks", type=int, default=1000, help="how often the board is asked for")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long its page is")
    parser.add_argument("--rounds", type=int, default=12, help="how many servers are killed")
    parser.add_argument("--clients", type=int, default=4, help="how many upload to them")
    parser.add_argument("--limit-ms", type=float, default=50.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder if left out")
    given = parser.parse_args()
    strange = set(given.cases) - set(CASES)
    if strange:
        parser.error(f"there is no case {strange.pop()!r}: choose from {', '.join(CASES)}")
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    folder = given.folder or Path(tempfile.mkdtemp(prefix="sigma68-bench-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        ran = [_ran(case, folder, given) for case in given.cases or CASES]
    finally:
        if given.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
    return 0 if all(ran) else 1


def _ran(case: str, folder: Path, given: argparse.Namespace) -> bool:
    """Run one case; whether all was well."""
    from benchmarks.challenge_server import killed_servers, page_times

    at_once = functools.partial(quick_judge, dawdle=0.0)
    if case == "jobs":
        return killed_workers(folder, given.jobs, given.workers, given.kill_every, given.seed)
    size = (given.teams, given.submissions, given.workers)
    if case == "board":
        return board_times(folder, *size, given.asks, given.limit_ms)
    if case == "page":
        return page_times(folder, *size, given.seconds, given.limit_ms, at_once)
    return killed_servers(folder, given.rounds, given.clients, given.workers, given.seed)


if __name__ == "__main__":
    raise SystemExit(main())
