from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from sigma68.challenge.queue import jobs
from sigma68.challenge.queue.jobs import LEASE, MOST_ATTEMPTS, Lease
from sigma68.challenge.queue.outcome import Outcome
from sigma68.challenge.queue.overview import ahead, overview
from sigma68.challenge.queue.work import derived_seed, end_judging
from sigma68.challenge.store.tables import Job, Result, Submission
from tests.challenge.server_world import World


def take(world: World, name: str = "worker") -> Lease | None:
    with world.store.write() as session:
        return jobs.lease(session, name, world.now)


def took(world: World, name: str = "worker") -> Lease:
    held = take(world, name)
    assert held is not None
    return held


def test_a_job_is_asked_for_once(world: World) -> None:
    world.submit("ann")
    with world.store.write() as session:
        job = session.scalars(select(Job)).one()
        again = jobs.enqueue(session, job.key, "judge", world.public_id, world.now)
        assert again is job
    with pytest.raises(IntegrityError), world.store.write() as session:
        session.add(
            Job(
                key=job.key,
                kind="judge",
                phase_id=world.public_id,
                created=world.now,
                not_before=world.now,
            )
        )


def test_the_oldest_job_of_the_highest_priority_is_taken_first(world: World) -> None:
    made = [world.submit(name) for name in ("ann", "bob", "carl")]
    with world.store.write() as session:
        session.scalars(select(Job).where(Job.submission_id == made[2])).one().priority = 1
        waiting = [session.get_one(Submission, i) for i in made]
        assert [ahead(session, s) for s in waiting] == [1, 2, 0]
    assert [took(world).submission_id for _ in made] == [made[2], made[0], made[1]]
    assert take(world) is None


def test_a_lease_lasts_as_long_as_its_heart_beats(world: World) -> None:
    one = world.submit("ann")
    held = took(world)
    assert world.status(one) == "running"
    for done in (1, 2, 3):
        world.later(seconds=LEASE.total_seconds() - 1)
        with world.store.write() as session:
            assert jobs.reclaim(session, world.now) == []
            assert jobs.heartbeat(session, held, world.now, done=done)
    with world.store.read() as session:
        assert session.get_one(Submission, one).done == 3
        assert overview(session).running[0].worker == "worker"
    world.later(seconds=LEASE.total_seconds())
    with world.store.write() as session:
        assert jobs.reclaim(session, world.now) == [held.job_id]
        assert not jobs.heartbeat(session, held, world.now)
    assert world.status(one) == "queued"


def test_who_lost_the_lease_can_neither_end_nor_fail_nor_give_back(world: World) -> None:
    one = world.submit("ann")
    old = took(world, "old")
    world.later(minutes=2)
    new = took(world, "new")
    assert new.job_id == old.job_id
    assert new.attempt == 2
    with world.store.write() as session:
        assert not jobs.end(session, old, world.now)
        assert not jobs.fail(session, old, "no", world.now)
        assert not jobs.give_back(session, old, world.now)
    assert world.status(one) == "running"
    with world.store.write() as session:
        assert jobs.end(session, new, world.now)
        assert not jobs.end(session, new, world.now)


def test_a_lease_that_ran_out_and_that_nobody_took_is_still_good(world: World) -> None:
    world.submit("ann")
    held = took(world)
    world.later(minutes=10)
    with world.store.write() as session:
        assert jobs.end(session, held, world.now)


def test_a_job_whose_worker_is_lost_three_times_failed(world: World) -> None:
    one = world.submit("ann")
    for attempt in range(1, MOST_ATTEMPTS + 1):
        assert took(world).attempt == attempt
        world.later(minutes=2)
    assert take(world) is None
    with world.store.read() as session:
        found = session.get_one(Submission, one)
        assert found.status == "failed"
        assert "lost 3 times" in (found.reason or "")
        assert overview(session).running == ()


def test_giving_back_costs_no_attempt(world: World) -> None:
    one = world.submit("ann")
    for _ in range(5):
        held = took(world)
        with world.store.write() as session:
            assert jobs.give_back(session, held, world.now)
    assert took(world).attempt == 1
    assert world.status(one) == "running"


def test_a_failed_attempt_waits_before_the_next(world: World) -> None:
    world.submit("ann")
    held = took(world)
    with world.store.write() as session:
        assert jobs.fail(session, held, "no disk", world.now)
    assert take(world) is None
    world.later(seconds=11)
    assert took(world).attempt == 2


def test_a_result_is_written_once_whatever_is_tried(world: World) -> None:
    one = world.submit("ann")
    held = took(world)
    columns = {"ranked": True, "n_toys": 6, "n_failed": 0, "cpu_seconds": 1.0, "sha256": ""}
    first = Outcome(one, {**columns, "toys": "toys/a"}, None)
    assert end_judging(world.store, held, [first], world.now)
    assert not end_judging(world.store, held, [first], world.now)
    with pytest.raises(IntegrityError), world.store.write() as session:
        session.add(Result(submission_id=one, created=world.now, **columns, toys="toys/b"))
    with world.store.read() as session:
        assert session.get_one(Result, one).toys == "toys/a"


def test_an_end_that_breaks_leaves_no_trace(world: World) -> None:
    one = world.submit("ann")
    held = took(world)
    with pytest.raises(IntegrityError):
        end_judging(world.store, held, [Outcome(one, {"ranked": True}, None)], world.now)
    assert world.status(one) == "running"
    with world.store.read() as session:
        assert session.get_one(Job, held.job_id).status == "running"


def test_many_takers_never_share_a_job(world: World) -> None:
    made = [world.submit(name) for name in ("ann", "ann", "bob", "bob", "carl")]
    found: list[int] = []

    def takes() -> None:
        while (held := take(world)) is not None:
            found.append(held.job_id)

    threads = [threading.Thread(target=takes) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted(set(found))
    assert len(found) == len(made)


def test_derived_seeds_are_256_bits_and_differ() -> None:
    secret = 2**256 - 1
    made = {derived_seed(secret, "final", str(i)) for i in range(100)}
    made |= {derived_seed(secret, "submission", str(i)) for i in range(100)}
    assert len(made) == 200
    assert max(made).bit_length() > 248
    assert derived_seed(secret, "a", "b") != derived_seed(secret, "ab")
    assert derived_seed(1, "a") != derived_seed(2, "a")


def test_what_waits_is_counted(world: World) -> None:
    world.submit("ann")
    began = world.now
    world.later(minutes=1)
    world.submit("bob")
    with world.store.read() as session:
        found = overview(session)
        assert (found.queued, found.oldest) == (2, began)
        assert session.scalar(select(func.count()).select_from(Job)) == 2
    took(world)
    with world.store.read() as session:
        assert overview(session).oldest == began + timedelta(minutes=1)
