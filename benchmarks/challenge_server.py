"""A whole server of a challenge, as a process: its pages under load, and SIGKILL at random moments.

What `benchmarks.challenge` runs as its cases `page` and `server`.
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import json
import os
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import func, select

from benchmarks.challenge_house import Furnished, Server, entry_zip, furnish, store_of
from sigma68.challenge.queue.soundness import faults
from sigma68.challenge.queue.worker import utc_now
from sigma68.challenge.rules import accounts, submissions
from sigma68.challenge.store.stores import Store
from sigma68.challenge.store.tables import Entry, Job, Phase, Result, Submission


def page_times(
    folder: Path,
    n_teams: int,
    n_submissions: int,
    n_workers: int,
    seconds: float,
    limit_ms: float,
    judge: Any,
) -> bool:
    """Whether the leaderboard's page comes within the limit 95 times of 100, with workers busy.

    Every team is on the board, `n_submissions` wait, and the server's own workers run them.
    Four visitors ask, each over one connection, about five times a second in all.
    """
    from sigma68.challenge.queue.worker import Worker

    home = folder / "page"
    store = store_of(home)
    made = furnish(store, n_teams, utc_now(), sets=10, toys=10)
    upload = home / "entry.zip"
    upload.write_bytes(entry_zip())
    _hand_in(store, made, upload, n_teams)
    Worker(store, judge, home / "seeding", isolate="trusted").work(until_empty=True)
    _hand_in(store, made, upload, n_submissions)
    with store.read() as session:
        before = session.get_one(Phase, made.phase_id).version
    server = Server(home, n_workers).start()
    try:
        found = _asked(server.port, seconds)
    finally:
        server.stop()
    with store.read() as session:
        judged = session.get_one(Phase, made.phase_id).version - before
        left = session.scalar(select(func.count(Job.id)).where(Job.status == "queued"))
    quantiles = np.quantile(1e3 * np.array([one.seconds for one in found]), [0.5, 0.95, 1.0])
    rows = min(one.rows for one in found)
    faulty = {
        f"OVER the limit of {limit_ms:g} ms": quantiles[1] > limit_ms,
        f"{n_teams - rows} TEAMS WERE MISSING": rows != n_teams,
        "NO ENTRY WAS JUDGED MEANWHILE": not judged,
    }
    wrong = [words for words, is_so in faulty.items() if is_so]
    print(
        f"page of {rows} teams ({max(one.size for one in found) / 1024:.0f} KiB sent), asked for "
        f"{len(found)} times in {seconds:.0f} s over HTTP while {n_workers} workers judged {judged} "
        f"entries and {left} waited: median {quantiles[0]:.1f} ms, 95th percentile "
        f"{quantiles[1]:.1f} ms, longest {quantiles[2]:.0f} ms; load average {os.getloadavg()[0]:.1f} "
        f"on {os.cpu_count()} cores" + "".join(f": {words}" for words in wrong)
    )
    store.close()
    return not wrong


@dataclass(frozen=True)
class _Answer:
    seconds: float
    size: int
    rows: int


def _asked(port: int, seconds: float) -> list[_Answer]:
    """The leaderboard's page, as several visitors' browsers ask for it."""
    answers: list[_Answer] = []
    until = time.monotonic() + seconds

    def visit(seed: int) -> None:
        rng = random.Random(seed)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while time.monotonic() < until:
            time.sleep(rng.uniform(0.4, 1.2))
            start = time.perf_counter()
            connection.request("GET", "/c/load/leaderboard", headers={"accept-encoding": "gzip"})
            answer = connection.getresponse()
            content = answer.read()
            took = time.perf_counter() - start
            if answer.status != 200:
                raise RuntimeError(f"the leaderboard answered {answer.status}")
            answers.append(
                _Answer(took, len(content), gzip.decompress(content).count(b'class="rank"'))
            )

    visitors = [threading.Thread(target=visit, args=(i,)) for i in range(4)]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join()
    return answers


def _hand_in(store: Store, made: Furnished, upload: Path, count: int) -> None:
    for i in range(count):
        user = made.users[i % len(made.users)]
        submissions.submit(store, made.phase_id, user, upload, "entry.zip", utc_now())


def killed_servers(
    folder: Path,
    rounds: int,
    n_clients: int,
    n_workers: int,
    seed: int,
    *,
    longest: float = 5.0,
    most: int = 1000,
) -> bool:
    """Whether nothing that was acknowledged is lost or doubled, and all that is kept agrees.

    In each round clients upload, `most` times each, to a server that is killed, with its workers,
    at a random moment in the first `longest` seconds after an upload was acknowledged; the next
    round's goes on in the same folder.
    """
    home = folder / "server"
    store = store_of(home)
    made = furnish(store, n_clients, utc_now(), sets=2, toys=3)
    rng = random.Random(seed)
    began = time.monotonic()
    acknowledged: dict[int, str] = {}
    broken, bad, killed_jobs = 0, 0, 0
    for number in range(rounds):
        server = Server(home, n_workers).start()
        over = threading.Event()
        uploads = [_Uploads(server.port, token, over, most) for token in made.tokens]
        for one in uploads:
            one.start()
        while not any(one.acknowledged for one in uploads) and any(
            one.is_alive() for one in uploads
        ):
            time.sleep(0.02)
        time.sleep(rng.uniform(0.0, longest))
        server.kill()
        over.set()
        for one in uploads:
            one.join()
            acknowledged |= one.acknowledged
            broken += one.broken
        found = faults(store, utc_now())
        bad += len(found)
        with store.read() as session:
            running = select(func.count(Job.id)).where(Job.status == "running")
            killed_jobs += session.scalar(running) or 0
        for why in found[:5]:
            print(f"  after kill {number + 1}: {why}")
    server = Server(home, n_workers).start()
    _work_off(store)
    restarted = _start_again(store)
    _work_off(store)
    server.stop()
    removed = store.sweep(utc_now(), age=timedelta(0))
    found = faults(store, utc_now())
    with store.read() as session:
        kept = dict(
            session.execute(select(Submission.id, Entry.sha256).join(Submission.entry)).all()
        )
        states = Counter(session.scalars(select(Submission.status)))
        jobs = Counter(session.scalars(select(Job.status)))
        attempts = Counter(session.scalars(select(Job.attempts)))
        results = session.scalar(select(func.count()).select_from(Result)) or 0
    lost = [i for i, sha256 in acknowledged.items() if kept.get(i) != sha256]
    is_right = (
        not found
        and not bad
        and not lost
        and set(states) == {"finished"}
        and results == states["finished"]
        and set(store.files.stored()) == set(_files(store))
    )
    store.close()
    print(
        f"{rounds} servers killed (SIGKILL, with {n_workers} workers each) while {n_clients} clients "
        f"uploaded, {time.monotonic() - began:.0f} s: {len(acknowledged)} uploads acknowledged, "
        f"{broken} broken off, {len(kept)} kept, {len(lost)} lost; {killed_jobs} jobs were running"
    )
    print(
        f"{restarted} were lost three times with their workers, and started again by an organiser"
    )
    print(
        f"submissions: {dict(states)}; jobs: {dict(jobs)}; attempts: {dict(sorted(attempts.items()))}; "
        f"results: {results}; {len(removed)} files of broken uploads swept; {bad + len(found)} faults"
    )
    print("nothing was lost" if is_right else "SOMETHING WAS LOST, DOUBLED OR LEFT")
    return is_right


class _Uploads(threading.Thread):
    """A client that hands in one zip after the other, and remembers which were acknowledged."""

    def __init__(self, port: int, token: str, over: threading.Event, most: int) -> None:
        super().__init__(daemon=True)
        self._port, self._token, self._over, self._most = port, token, over, most
        self.acknowledged: dict[int, str] = {}
        self.broken = 0

    def run(self) -> None:
        while not self._over.is_set() and len(self.acknowledged) < self._most:
            content = entry_zip(padding=200_000)
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
            try:
                connection.request(
                    "POST",
                    "/api/v1/challenges/load/submissions",
                    content,
                    {"authorization": f"Bearer {self._token}", "content-type": "application/zip"},
                )
                answer = connection.getresponse()
                told = json.loads(answer.read())
            except (OSError, http.client.HTTPException, ValueError):
                self.broken += 1
                self._over.wait(0.1)
                continue
            finally:
                connection.close()
            if answer.status == 201:
                self.acknowledged[told["id"]] = hashlib.sha256(content).hexdigest()
            elif answer.status == 429:
                return  # this one's uploads of an hour are used up
            else:
                raise RuntimeError(f"an upload was answered by {answer.status}: {told}")
            time.sleep(0.3)


def _work_off(store: Store) -> None:
    while True:
        with store.read() as session:
            left = select(func.count(Job.id)).where(Job.status.in_(("queued", "running")))
            if not session.scalar(left):
                return
        time.sleep(0.3)


def _start_again(store: Store) -> int:
    """What an organiser does with those that lost their worker three times; how many."""
    with store.write() as session:
        boss = accounts.find(session, "boss")
        assert boss is not None
        lost = session.scalars(select(Submission).where(Submission.status == "failed")).all()
        for one in lost:
            submissions.restart(session, one, boss, utc_now())
    return len(lost)


def _files(store: Store) -> list[str]:
    with store.read() as session:
        return [*session.scalars(select(Entry.file)), *session.scalars(select(Result.toys))]
