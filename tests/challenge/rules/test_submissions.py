from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import func, select

from sigma68.challenge.rules import phases, submissions, views
from sigma68.challenge.rules.refusals import (
    ConflictError,
    ForbiddenError,
    NotFoundError,
    QuotaError,
)
from sigma68.challenge.rules.submissions import FAILED_UPLOADS_A_DAY, Allowance, allowance
from sigma68.challenge.store.tables import Entry, FailedUpload, Job, Phase, Submission, User
from sigma68.errors import EntryError
from tests.challenge.server_world import CLOSES, OPENS, World, make_world, zipped
from tests.challenge.trivial_judge import trivial_judge


def left(world: World, name: str) -> Allowance:
    team_id = world.team(name)
    with world.store.read() as session:
        return allowance(session, phases.find(session, world.public_id), team_id, world.now)


def test_five_a_day_and_the_day_is_that_of_utc(world: World) -> None:
    world.now = OPENS + timedelta(hours=23, minutes=59)
    for n in range(5):
        assert left(world, "ann").today == 5 - n
        world.submit("ann")
    with pytest.raises(QuotaError, match=r"5 entries today.*2026-03-03 00:00 UTC"):
        world.submit("ann")
    world.submit("bob")
    # Midnight in UTC; elsewhere it is another day yet or already.
    world.now = (OPENS + timedelta(days=1)).astimezone(timezone(timedelta(hours=-8)))
    assert world.now.day == 2
    assert left(world, "ann").today == 5
    world.submit("ann")


def test_a_hundred_in_all(tmp_path_factory: pytest.TempPathFactory) -> None:
    world = make_world(tmp_path_factory.mktemp("world"), per_day=2, total=3)
    for day in (0, 0, 1):
        world.now = OPENS + timedelta(days=day, hours=1)
        world.submit("ann")
    assert left(world, "ann").today == 0
    world.later(days=3)
    with pytest.raises(QuotaError, match="all 3 entries"):
        world.submit("ann")
    world.store.close()


def test_a_phase_is_open_from_its_first_moment_and_without_its_last(world: World) -> None:
    for now, allowed in (
        (OPENS - timedelta(microseconds=1), False),
        (OPENS, True),
        (CLOSES - timedelta(microseconds=1), True),
        (CLOSES, False),
    ):
        world.now = now
        if allowed:
            world.submit("ann")
        else:
            with pytest.raises(ConflictError, match=r"opens at|closed at"):
                world.submit("ann")
    with world.store.read() as session:
        assert phases.state(phases.find(session, world.public_id), OPENS) == "open"
        assert phases.state(phases.find(session, world.public_id), CLOSES) == "closed"


def test_a_time_without_a_zone_is_refused(world: World) -> None:
    from sqlalchemy.exc import StatementError

    with pytest.raises(StatementError, match="no zone"), world.store.write() as session:
        session.execute(select(Submission).where(Submission.created > datetime(2026, 1, 1)))


def test_failed_uploads_are_counted_apart(world: World) -> None:
    with pytest.raises(EntryError, match=r"has no model\.py"):
        world.submit("ann", zipped(name="readme.txt"))
    with pytest.raises(EntryError, match="cannot be unzipped"):
        world.submit("ann", b"no zip")
    found = left(world, "ann")
    assert (found.today, found.in_all, found.failed_uploads) == (5, 100, 2)
    team_id = world.team("ann")
    with world.store.read() as session:
        failed = views.failed_uploads(session, team_id, world.public_id)
        assert [one.name for one in failed] == ["ann.zip", "ann.zip"]
        assert "model.py" in failed[1].reason
        assert session.scalar(select(func.count()).select_from(Entry)) == 0
    assert world.store.files.stored() == {}


def test_too_many_failed_uploads_wait_for_the_next_day(world: World) -> None:
    team_id = world.team("ann")
    with world.store.write() as session:
        for _ in range(FAILED_UPLOADS_A_DAY):
            session.add(
                FailedUpload(
                    phase_id=world.public_id,
                    team_id=team_id,
                    user_id=world.people["ann"],
                    name="x.zip",
                    at=world.now,
                    reason="no zip",
                )
            )
    with pytest.raises(QuotaError, match="were no entry today"):
        world.submit("ann")
    world.later(days=1)
    world.submit("ann")


def test_what_an_organiser_cancels_is_refunded(world: World) -> None:
    made = [world.submit("ann") for _ in range(5)]
    assert left(world, "ann").today == 0
    with world.store.write() as session:
        organiser = session.get_one(User, world.organiser_id)
        author = session.get_one(User, world.people["ann"])
        one, two = (session.get_one(Submission, i) for i in made[:2])
        with pytest.raises(ForbiddenError):
            submissions.cancel(session, one, author, "mine", world.now)
        submissions.cancel(session, one, organiser, "our disk was full", world.now)
        submissions.refund(session, two, organiser, "a slow machine", world.now)
        with pytest.raises(ConflictError):
            submissions.cancel(session, one, organiser, "again", world.now)
    assert (left(world, "ann").today, left(world, "ann").in_all) == (2, 97)
    assert world.work(trivial_judge) == 4
    assert [world.status(i) for i in made] == ["cancelled", *["finished"] * 4]


def test_what_fails_by_its_own_fault_counts(world: World) -> None:
    world.submit("ann", zipped("bad"))
    world.work(trivial_judge)
    assert left(world, "ann").today == 4


def test_two_uploads_at_once_do_not_pass_a_limit(world: World) -> None:
    import threading

    for _ in range(4):
        world.submit("ann")
    upload = world.folder / "one.zip"
    upload.write_bytes(zipped())
    results: list[str] = []

    def hand_in() -> None:
        try:
            submissions.submit(
                world.store, world.public_id, world.people["ann"], upload, "one.zip", world.now
            )
            results.append("taken")
        except QuotaError:
            results.append("refused")

    threads = [threading.Thread(target=hand_in) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["refused"] * 5 + ["taken"]
    assert len(world.store.files.stored()) == 5


def test_who_is_in_no_team_hands_nothing_in(world: World) -> None:
    upload = world.folder / "one.zip"
    upload.write_bytes(zipped())
    alone = world.person("alone")
    with pytest.raises(ForbiddenError, match="member"):
        submissions.submit(world.store, world.public_id, alone, upload, "a.zip", world.now)
    with pytest.raises(NotFoundError):
        submissions.submit(world.store, 999, alone, upload, "a.zip", world.now)
    world.team("ann")
    with pytest.raises(ConflictError, match="nothing is handed in"):
        submissions.submit(
            world.store, world.final_id, world.people["ann"], upload, "a.zip", world.now
        )


def test_submissions_are_seen_by_their_team_jurors_and_organisers(world: World) -> None:
    one, team_id = world.submit("ann"), world.team("ann")
    world.team("bob")
    with world.store.write() as session:
        ann, bob = (session.get_one(User, world.people[n]) for n in ("ann", "bob"))
        organiser = session.get_one(User, world.organiser_id)
        for viewer in (ann, organiser):
            assert views.submission(session, one, viewer).id == one
        for stranger in (bob, None):
            with pytest.raises(NotFoundError):
                views.submission(session, one, stranger)
        bob.role = "juror"
        assert views.submission(session, one, bob).id == one
        assert [s.id for s in views.of_team(session, team_id)] == [one]
        assert [s.id for s in views.of_phase(session, world.public_id, status="queued")] == [one]


def test_results_wait_for_the_day_or_the_end_but_not_for_organisers(world: World) -> None:
    one = world.submit("ann")
    world.work(trivial_judge)

    def sees(name: str) -> bool:
        with world.store.read() as session:
            viewer = session.get_one(User, world.people[name])
            found = session.get_one(Submission, one)
            return views.visible_result(session, found, viewer, world.now) is not None

    def settings(**values: object) -> None:
        with world.store.write() as session:
            phase = session.get_one(Phase, world.public_id)
            for name, value in values.items():
                setattr(phase, name, value)

    world.team("bob")
    assert sees("ann")
    assert not sees("bob")
    settings(updates="daily")
    assert not sees("ann")
    assert sees("organiser")
    world.now = datetime(2026, 3, 2, 23, 59, 59, tzinfo=UTC)
    assert not sees("ann")
    world.now = datetime(2026, 3, 3, tzinfo=UTC)
    assert sees("ann")
    settings(hidden=True)
    assert not sees("ann")
    world.now = CLOSES
    assert sees("ann")
    assert not sees("bob")


def test_a_choice_is_open_until_the_final_begins(world: World) -> None:
    one, two = world.submit("ann"), world.submit("ann")
    world.team("bob")
    with world.store.write() as session:
        ann, bob = (session.get_one(User, world.people[n]) for n in ("ann", "bob"))
        first, second = (session.get_one(Submission, i) for i in (one, two))
        with pytest.raises(ForbiddenError):
            submissions.choose(session, first, bob, world.now)
        assert submissions.chosen(session, first.team_id, world.public_id) is None
        for wanted in (first, second):
            submissions.choose(session, wanted, ann, world.now)
            assert submissions.chosen(session, first.team_id, world.public_id) is wanted
        organiser = session.get_one(User, world.organiser_id)
        submissions.cancel(session, second, organiser, "broken", world.now)
        assert submissions.chosen(session, first.team_id, world.public_id) is None
        with pytest.raises(ConflictError, match="is cancelled"):
            submissions.choose(session, second, ann, world.now)
        with pytest.raises(ConflictError, match="has begun"):
            submissions.choose(session, first, ann, CLOSES)


def test_only_what_failed_is_started_again(world: World) -> None:
    one = world.submit("ann")
    with world.store.write() as session:
        organiser = session.get_one(User, world.organiser_id)
        with pytest.raises(ConflictError):
            submissions.restart(session, session.get_one(Submission, one), organiser, world.now)
        assert session.scalars(select(Job.status)).all() == ["queued"]
