from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from sigma68.challenge.rules import board, challenges, jury, phases
from sigma68.challenge.rules.phases import PhaseSettings
from sigma68.challenge.rules.refusals import (
    ConflictError,
    ForbiddenError,
    NotFoundError,
    QuotaError,
    RefusedError,
)
from sigma68.challenge.store.tables import Challenge, Phase, Submission, User
from sigma68.errors import SettingsError
from tests.challenge.server_world import CLOSES, OPENS, World

GOOD = PhaseSettings("Second", OPENS, CLOSES)


def test_a_challenge_is_made_by_organisers_for_a_task_that_is_there(world: World) -> None:
    bob_id = world.person("bob")
    with world.store.write() as session:
        organiser, bob = (session.get_one(User, i) for i in (world.organiser_id, bob_id))
        with pytest.raises(ForbiddenError):
            challenges.create(session, "mine", "Mine", "gaussian", world.now, by=bob)
        with pytest.raises(SettingsError, match="no task"):
            challenges.create(session, "mine", "Mine", "nothing", world.now, by=organiser)
        with pytest.raises(ConflictError):
            challenges.create(session, "toys", "Mine", "gaussian", world.now, by=organiser)
        with pytest.raises(RefusedError, match="address"):
            challenges.create(session, "My Own", "Mine", "gaussian", world.now, by=organiser)
        made = challenges.create(
            session, "mine", "Mine", "gaussian", world.now, by=organiser, predict_seconds=2.0
        )
        assert made.predict_seconds == 2.0
        challenges.edit(session, made, {"visible": False}, by=organiser, now=world.now)
        with pytest.raises(NotFoundError):
            challenges.by_slug(session, "mine", bob)
        assert challenges.by_slug(session, "mine", organiser) is made
        assert [c.slug for c in challenges.listing(session)] == ["toys"]
        for changes in ({"predict_seconds": -1}, {"task": "higgs"}, {"memory_bytes": True}):
            with pytest.raises(RefusedError):
                challenges.edit(session, made, changes, by=organiser, now=world.now)


def test_pages_are_written_over(world: World) -> None:
    with world.store.write() as session:
        organiser = session.get_one(User, world.organiser_id)
        challenge = session.get_one(Challenge, world.challenge_id)
        for text in ("# One", "# Two"):
            challenges.set_page(
                session, challenge, "rules", "Rules", text, by=organiser, now=world.now
            )
        found = challenges.page(session, challenge, "rules")
        assert found is not None
        assert found.text == "# Two"
        assert len(challenge.pages) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"sets": 0},
        {"per_day": 0},
        {"parts": 11},
        {"closes": OPENS},
        {"opens": OPENS.replace(tzinfo=None)},
        {"nuisances": ("nothing",)},
        {"kind": "final"},
        {"draws_from": 1},
        {"name": "Public"},
        {"kind": "final", "draws_from": 1, "opens": CLOSES - timedelta(seconds=1)},
    ],
)
def test_a_phase_that_cannot_be_is_refused(world: World, changes: dict[str, object]) -> None:
    with world.store.write() as session:
        organiser = session.get_one(User, world.organiser_id)
        challenge = session.get_one(Challenge, world.challenge_id)
        wrong = replace(GOOD, **changes)  # type: ignore[arg-type]
        with pytest.raises(RefusedError):
            phases.add(session, challenge, wrong, by=organiser, now=world.now)


def test_what_toys_are_made_of_stays_once_something_was_handed_in(world: World) -> None:
    world.submit("ann")
    with world.store.write() as session:
        organiser = session.get_one(User, world.organiser_id)
        phase = session.get_one(Phase, world.public_id)
        same = PhaseSettings("Public", OPENS, CLOSES, sets=2, toys=3)
        longer = replace(same, closes=CLOSES - timedelta(days=1), per_day=7)
        phases.edit(session, phase, longer, by=organiser, now=world.now)
        assert phase.per_day == 7
        with pytest.raises(ConflictError, match="sets cannot change"):
            phases.edit(session, phase, replace(same, sets=3), by=organiser, now=world.now)
        with pytest.raises(ConflictError, match="has submissions"):
            phases.delete(session, phase, by=organiser, now=world.now)
        final = session.get_one(Phase, world.final_id)
        phases.delete(session, final, by=organiser, now=world.now)
        assert session.get(Phase, world.final_id) is None


def test_every_phase_has_a_secret_of_its_own(world: World) -> None:
    with world.store.read() as session:
        found = [
            phases.secret_seed(session, session.get_one(Phase, i))
            for i in (world.public_id, world.final_id)
        ]
    assert found[0] != found[1]
    assert all(0 < seed < 2**256 for seed in found)


def test_announcements_are_made_and_withdrawn_by_organisers(world: World) -> None:
    bob_id = world.person("bob")
    with world.store.write() as session:
        organiser, bob = (session.get_one(User, i) for i in (world.organiser_id, bob_id))
        challenge = session.get_one(Challenge, world.challenge_id)
        with pytest.raises(ForbiddenError):
            board.announce(session, challenge, "News", "Text", by=bob, now=world.now)
        made = board.announce(session, challenge, "News", "Text", by=organiser, now=world.now)
        assert board.announcements(session, challenge.id) == [made]
        board.withdraw(session, made.id, by=organiser, now=world.now)
        assert board.announcements(session, challenge.id) == []


def test_questions_are_asked_answered_and_taken_off(world: World) -> None:
    bob_id = world.person("bob")
    with world.store.write() as session:
        organiser, bob = (session.get_one(User, i) for i in (world.organiser_id, bob_id))
        challenge = session.get_one(Challenge, world.challenge_id)
        asked = board.ask(session, challenge, "Why?", "Tell me", by=bob, now=world.now)
        told = board.answer(session, asked, "Because", by=organiser, now=world.now)
        board.hide_answer(session, told.id, True, by=organiser, now=world.now)
        assert board.questions(session, challenge.id, bob) == [asked]
        with pytest.raises(ForbiddenError):
            board.hide_question(session, asked, True, by=bob, now=world.now)
        board.hide_question(session, asked, True, by=organiser, now=world.now)
        assert board.questions(session, challenge.id, bob) == []
        assert board.questions(session, challenge.id, organiser) == [asked]
        with pytest.raises(NotFoundError):
            board.question(session, asked.id, bob)
        for _ in range(board.MOST_A_DAY - 1):
            board.ask(session, challenge, "Why?", "Tell me", by=bob, now=world.now)
        with pytest.raises(QuotaError):
            board.ask(session, challenge, "Why?", "Tell me", by=bob, now=world.now)
        board.ask(session, challenge, "Why?", "x", by=bob, now=world.now + timedelta(days=1))


def test_fact_sheets_are_their_teams_own(world: World) -> None:
    one = world.submit("ann")
    world.team("bob")
    with world.store.write() as session:
        ann, bob = (session.get_one(User, world.people[n]) for n in ("ann", "bob"))
        found = session.get_one(Submission, one)
        with pytest.raises(ForbiddenError):
            jury.set_fact_sheet(session, found, by=bob, now=world.now, method="mine")
        with pytest.raises(RefusedError, match="https"):
            jury.set_fact_sheet(
                session, found, by=ann, now=world.now, method="", code_url="javascript:alert(1)"
            )
        for method in ("First", "Second"):
            sheet = jury.set_fact_sheet(
                session,
                found,
                by=ann,
                now=world.now,
                method=method,
                code_url="https://code.example/x",
                licence="BSD-3-Clause",
            )
        assert (sheet.method, sheet.licence) == ("Second", "BSD-3-Clause")


def test_jurors_mark_others_entries_from_0_to_10(world: World) -> None:
    one = world.submit("ann")
    juror_id = world.person("juror")
    with world.store.write() as session:
        ann, juror = (session.get_one(User, i) for i in (world.people["ann"], juror_id))
        found = session.get_one(Submission, one)
        with pytest.raises(ForbiddenError):
            jury.set_mark(session, found, by=juror, now=world.now, novel=1)
        juror.role = ann.role = "juror"
        with pytest.raises(ForbiddenError, match="own team"):
            jury.set_mark(session, found, by=ann, now=world.now, novel=10)
        with pytest.raises(RefusedError, match="0 to 10"):
            jury.set_mark(session, found, by=juror, now=world.now, novel=11)
        for novel in (3, 8):
            jury.set_mark(session, found, by=juror, now=world.now, novel=novel, notes="fine")
        (mark,) = jury.marks_of(session, one, juror)
        assert (mark.novel, mark.practical, mark.juror) == (8, None, juror)
