from __future__ import annotations

import hashlib
import io
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import func, select

from sigma68.challenge.judge.plan import Verdict
from sigma68.challenge.queue import jobs
from sigma68.challenge.rules import submissions, views
from sigma68.challenge.store.tables import Job, Phase, PhaseSecret, Result, Submission, User
from tests.challenge.server_world import World, zipped
from tests.challenge.trivial_judge import trivial_judge


def test_a_submission_is_judged_and_its_result_written_once(world: World) -> None:
    one = world.submit("ann")
    assert world.status(one) == "queued"
    assert world.work(trivial_judge) == 1
    with world.store.read() as session:
        found = session.get_one(Submission, one)
        assert (found.status, found.done, found.total) == ("finished", 6, 6)
        result = session.get_one(Result, one)
        assert (result.n_toys, result.n_failed, result.cpu_seconds) == (6, 0, 2.0)
        assert (result.energy_joules, result.energy_known) == (30.0, "estimated")
        assert result.width == pytest.approx(0.8)
        assert result.document["headline"] == "quantiles_score"
        with world.store.files.local(result.toys) as path:
            assert hashlib.sha256(path.read_bytes()).hexdigest() == result.sha256
            assert len(pd.read_parquet(path)) == 6
        assert [line.text for line in views.latest_log(session, one)] == ["the entry is judged"]
    assert world.work(trivial_judge) == 0


def test_an_author_does_not_read_what_an_entry_is_called_in_here(world: World) -> None:
    one = world.submit("ann")

    def tells(entries: Any, plan: object, **rest: object) -> list[Verdict]:
        (entry,) = entries
        reason = f"{entry.path.stem}: {entry.path.name} of {entry.id} is bad"
        return [Verdict(entry.id, None, None, 0.5, reason=reason, log_tail=reason)]

    world.work(tells)
    with world.store.read() as session:
        found = session.get_one(Submission, one)
        assert found.reason == "the entry of the entry is bad"
        assert [line.text for line in views.latest_log(session, one)] == [found.reason]


def test_every_submission_gets_toys_of_its_own(world: World) -> None:
    made = [world.submit("ann"), world.submit("ann")]
    world.work(trivial_judge)
    truths = []
    with world.store.read() as session:
        for one in made:
            with world.store.files.local(session.get_one(Result, one).toys) as path:
                truths.append(pd.read_parquet(path)["mu"].tolist())
    assert truths[0] != truths[1]


def test_an_entry_that_cannot_be_judged_failed_with_the_reason(world: World) -> None:
    one = world.submit("ann", zipped("bad"))
    world.work(trivial_judge)
    with world.store.read() as session:
        found = session.get_one(Submission, one)
        assert (found.status, found.reason, found.result) == ("failed", "it is bad", None)


def test_an_error_of_the_server_is_tried_three_times_then_told(world: World) -> None:
    one = world.submit("ann")
    tried = []

    def breaks(*args: object, **kwargs: object) -> list[object]:
        tried.append(1)
        raise RuntimeError("a bug")

    said: list[str] = []
    worker = world.worker(breaks, say=said.append)  # type: ignore[arg-type]
    for _ in range(5):
        worker.work(until_empty=True)
        world.later(minutes=5)
    assert len(tried) == 3
    assert world.status(one) == "failed"
    with world.store.read() as session:
        reason = session.get_one(Submission, one).reason
    assert reason is not None
    assert "RuntimeError" in reason
    assert "a bug" not in reason
    assert any("a bug" in line for line in said)
    # An organiser starts it again once the machine is well.
    with world.store.write() as session:
        organiser = session.get_one(User, world.organiser_id)
        submissions.restart(session, session.get_one(Submission, one), organiser, world.now)
    world.work(trivial_judge)
    assert world.status(one) == "finished"


def test_a_worker_that_is_stopped_gives_its_job_back_at_no_cost(world: World) -> None:
    one = world.submit("ann")
    said: list[str] = []
    assert world.worker(trivial_judge, stop=lambda: True, say=said.append).do_one()
    assert any("given back" in line for line in said)
    with world.store.read() as session:
        job = session.scalars(select(Job)).one()
        assert (job.status, job.attempts, job.lease) == ("queued", 0, None)
    assert world.status(one) == "queued"
    assert world.worker(trivial_judge, stop=lambda: True).work() == 0
    world.work(trivial_judge)
    assert world.status(one) == "finished"


def test_a_result_that_comes_after_the_lease_was_given_away_is_dropped(world: World) -> None:
    one = world.submit("ann")

    def slow(*args: object, **kwargs: object) -> list[object]:
        world.later(minutes=10)
        other = world.worker(trivial_judge)
        assert other.do_one()
        return trivial_judge(*args, **kwargs)  # type: ignore[arg-type, return-value]

    said: list[str] = []
    # Its heart does not beat meanwhile: it would keep the lease.
    assert world.worker(slow, say=said.append, beat=600.0).do_one()  # type: ignore[arg-type]
    assert any("somebody else's" in line for line in said)
    with world.store.read() as session:
        assert session.scalar(select(func.count()).select_from(Result)) == 1
        kept = session.get_one(Result, one).toys
    # The file of the one that came too late is gone with it.
    assert [key for key in world.store.files.stored() if key.startswith("toys/")] == [kept]


def test_a_cancelled_submission_stops_and_stays_cancelled(world: World) -> None:
    one = world.submit("ann")

    def cancelled_meanwhile(*args: object, **kwargs: object) -> list[object]:
        with world.store.write() as session:
            organiser = session.get_one(User, world.organiser_id)
            found = session.get_one(Submission, one)
            submissions.cancel(session, found, organiser, "a wrong file", world.now)
        return trivial_judge(*args, **kwargs)  # type: ignore[arg-type, return-value]

    world.worker(cancelled_meanwhile).work(until_empty=True)  # type: ignore[arg-type]
    with world.store.read() as session:
        found = session.get_one(Submission, one)
        assert (found.status, found.counts, found.result) == ("cancelled", False, None)
    assert world.board().rows == ()


def test_a_phase_without_its_seed_fails_and_says_so(world: World) -> None:
    one = world.submit("ann")
    with world.store.write() as session:
        session.delete(session.get_one(PhaseSecret, world.public_id))
    for _ in range(3):
        world.work(trivial_judge)
        world.later(minutes=5)
    with world.store.read() as session:
        found = session.get_one(Submission, one)
        assert found.status == "failed"
        assert "no seed" in (found.reason or "")


def test_progress_and_log_are_seen_while_it_runs(world: World) -> None:
    one = world.submit("ann")
    seen: list[tuple[str, int]] = []

    def shows(
        entries: object, plan: object, *, progress: object, log: object, **rest: object
    ) -> list[object]:
        import time

        progress(1, 2)  # type: ignore[operator]
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with world.store.read() as session:
                found = session.get_one(Submission, one)
                seen.append((found.status, found.done))
            if found.done:
                break
            time.sleep(0.02)
        return trivial_judge(
            entries,
            plan,
            progress=progress,
            log=log,
            **rest,  # type: ignore[arg-type, return-value]
        )

    world.worker(shows, beat=0.02).do_one()  # type: ignore[arg-type]
    assert seen[-1] == ("running", 3)
    assert world.status(one) == "finished"


def test_a_log_stays_within_its_bounds(world: World) -> None:
    one = world.submit("ann")
    with world.store.write() as session:
        for _ in range(3):
            jobs.add_log(session, one, "x" * 40_000 + "\0", world.now)
        jobs.add_log(session, one, "not the first", world.now, only_first=True)
        text = "".join(line.text for line in views.latest_log(session, one))
    assert len(text) == 64 << 10
    assert set(text) == {"x"}


def test_a_seed_is_in_no_table_but_its_own(world: World) -> None:
    world.submit("ann")
    world.work(trivial_judge)
    with world.store.read() as session:
        seed = session.get_one(PhaseSecret, world.public_id).seed
        assert len(seed) == 64
        assert not [c for c in Phase.__table__.columns if "seed" in c.name]
    raw = io.BytesIO((world.folder / "challenge.db").read_bytes())
    wal = world.folder / "challenge.db-wal"
    content = raw.getvalue() + (wal.read_bytes() if wal.exists() else b"")
    assert seed.encode() in content
    for path in (world.folder / "work").rglob("*"):
        assert seed not in path.read_text(errors="ignore")
