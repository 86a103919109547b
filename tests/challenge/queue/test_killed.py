"""SIGKILL at random moments, of real processes: nothing is lost, doubled, or stuck."""

from __future__ import annotations

import random
import time
from datetime import timedelta

from sqlalchemy import func, select

from sigma68.challenge.queue.worker import utc_now
from sigma68.challenge.store.tables import Entry, Job, Phase, Piece, Result, Submission
from tests.challenge.queue.killable import hand_in, kill, start, work
from tests.challenge.server_world import World, zipped
from tests.challenge.trivial_judge import trivial_judge


def states(world: World) -> dict[str, int]:
    with world.store.read() as session:
        counts = select(Job.status, func.count()).group_by(Job.status)
        return {row[0]: row[1] for row in session.execute(counts)}


def over(world: World) -> bool:
    """Whether every job has ended, the last of the final among them."""
    with world.store.read() as session:
        last = select(Job.status).where(Job.kind.in_(("merge", "final"))).order_by(Job.id.desc())
        ended = ("finished", "failed")
        return session.scalar(last.limit(1)) in ended and set(states(world)) <= set(ended)


def test_workers_killed_at_random_end_every_job_exactly_once(world: World) -> None:
    made = [world.submit(f"team{i % 5}", zipped(f"sigma = 0.{i + 1}")) for i in range(20)]
    places = (world.store.database_url, world.store.files_url, str(world.folder / "work"))
    rng = random.Random(1)
    workers = [start(work, *places) for _ in range(3)]
    killed, deadline = 0, time.monotonic() + 120
    try:
        # By the workers' clock the public phase is over: the final follows, and its merging.
        while not over(world):
            time.sleep(rng.uniform(0.1, 0.5))
            if killed < 8:
                i = rng.randrange(len(workers))
                kill(workers[i])
                workers[i] = start(work, *places)
                killed += 1
            assert time.monotonic() < deadline, states(world)
    finally:
        for worker in workers:
            kill(worker)
    assert killed >= 3
    with world.store.read() as session:
        jobs = session.scalars(select(Job)).all()
        assert {job.status for job in jobs} <= {"finished", "failed"}
        for job in jobs:
            if job.status == "failed":
                assert job.attempts == 3
                assert "lost 3 times" in (job.reason or "")
        found = session.scalars(select(Submission)).all()
        assert {one.status for one in found} <= {"finished", "failed"}
        finished = [one for one in found if one.status == "finished"]
        assert len(finished) >= 15
        for one in finished:
            with world.store.files.local(session.get_one(Result, one.id).toys) as path:
                assert path.stat().st_size > 0
        assert session.scalar(select(func.count()).select_from(Result)) == len(finished)
        pieces = session.execute(select(Piece.job_id, Piece.submission_id)).all()
        assert len(pieces) == len(set(pieces))
    # What the killed left on the disk goes when a server starts.
    world.store.sweep(utc_now(), age=timedelta(0))
    stored = world.store.files.stored()
    assert len(stored) == len(made) + len(finished) + len(pieces)


def test_an_upload_killed_at_any_moment_is_whole_or_not_there(world: World) -> None:
    world.team("ann")
    with world.store.write() as session:
        phase = session.get_one(Phase, world.public_id)
        phase.per_day = phase.total = 10_000
    upload = world.folder / "upload.zip"
    upload.write_bytes(zipped("x = 1\n" + "# padding\n" * 20_000))
    told = world.folder / "told"
    rng = random.Random(2)
    for _ in range(4):
        process = start(
            hand_in,
            world.store.database_url,
            world.store.files_url,
            str(upload),
            world.public_id,
            world.people["ann"],
            world.now,
            str(told),
        )
        time.sleep(rng.uniform(0.3, 0.9))
        kill(process)
    world.store.sweep(utc_now(), age=timedelta(0))
    stored = world.store.files.stored()
    with world.store.read() as session:
        rows = session.execute(
            select(Submission.id, Entry.file, Entry.sha256, Job.status)
            .join(Entry, Entry.id == Submission.entry_id)
            .join(Job, Job.submission_id == Submission.id)
        ).all()
    assert {row[0] for row in rows} >= {int(line) for line in told.read_text().split()}
    assert rows
    assert {row[1] for row in rows} == set(stored)
    assert {row[3] for row in rows} == {"queued"}
    for _, key, _, _ in rows:
        with world.store.files.local(key) as path:
            assert path.read_bytes() == upload.read_bytes()


def test_orphans_are_swept_and_young_files_are_not(world: World) -> None:
    one = world.submit("ann")
    orphan = world.folder / "orphan"
    orphan.write_bytes(b"x")
    world.store.files.put("entries/orphan.zip", orphan)
    (world.folder / "files" / "entries" / "half.zip.part").write_bytes(b"x")
    now = utc_now()
    assert world.store.sweep(now) == []
    assert sorted(world.store.sweep(now + timedelta(hours=3))) == [
        "entries/half.zip.part",
        "entries/orphan.zip",
    ]
    world.work(trivial_judge)
    assert world.status(one) == "finished"
    assert world.store.sweep(now + timedelta(hours=3)) == []
