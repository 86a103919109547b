from __future__ import annotations

from datetime import timedelta

import pandas as pd
import pytest
from sqlalchemy import func, select

from sigma68.challenge.rules import finals, submissions, views
from sigma68.challenge.rules.refusals import ConflictError
from sigma68.challenge.store.tables import Job, Phase, Piece, Result, Submission, User
from sigma68.score.ranking import rank
from sigma68.tasks.gaussian.task import Gaussian
from tests.challenge.server_world import CLOSES, FINAL_CLOSES, World, zipped
from tests.challenge.trivial_judge import trivial_judge


def sigma(value: float) -> bytes:
    return zipped(f"sigma = {value}\nclass Model: pass\n")


def in_the_final(world: World) -> World:
    """A world whose final has been judged: ann's best, bob's choice, none of carl's bad one."""
    world.submit("ann", sigma(0.5))
    world.submit("ann", sigma(0.2))
    chosen = world.submit("bob", sigma(0.3))
    world.submit("bob", sigma(0.1))
    world.submit("carl", zipped("bad"))
    world.work(trivial_judge)
    with world.store.write() as session:
        bob = session.get_one(User, world.people["bob"])
        submissions.choose(session, session.get_one(Submission, chosen), bob, world.now)
    world.now = CLOSES
    assert world.work(trivial_judge) == 3  # two parts and their merging
    return world


def test_the_final_takes_each_teams_choice_or_best(world: World) -> None:
    in_the_final(world)
    found = world.finalists()
    assert set(found) == {"ann", "bob"}
    assert all(one.status == "finished" for one in found.values())
    assert not any(one.counts for one in found.values())
    with world.store.read() as session:
        widths = {name: session.get_one(Result, one.id).width for name, one in found.items()}
        result = session.get_one(Result, found["ann"].id)
        assert (result.n_toys, result.cpu_seconds, result.energy_joules) == (20, 4.0, 60.0)
    assert widths == {"ann": pytest.approx(0.4), "bob": pytest.approx(0.6)}


def test_all_in_the_final_see_the_same_toys(world: World) -> None:
    found = in_the_final(world).finalists()
    tables = []
    with world.store.read() as session:
        for one in found.values():
            with world.store.files.local(session.get_one(Result, one.id).toys) as path:
                tables.append(pd.read_parquet(path))
    assert tables[0][["set", "toy", "mu"]].equals(tables[1][["set", "toy", "mu"]])
    assert sorted(set(tables[0]["set"])) == [0, 1, 2, 3]
    assert tables[0]["mu"].nunique() == 4


def test_no_truth_of_a_final_is_seen_before_its_end_whatever_its_settings_say(
    world: World,
) -> None:
    with world.store.write() as session:
        session.get_one(Phase, world.final_id).hidden = False
    found = in_the_final(world).finalists()
    viewers = {"ann": "participant", "eve": "participant", "jane": "juror"}
    known = {world.person(name): role for name, role in viewers.items()}
    with world.store.write() as session:
        for user_id, role in known.items():
            session.get_one(User, user_id).role = role
    for now in (CLOSES + timedelta(hours=1), FINAL_CLOSES - timedelta(seconds=1)):
        world.now = now
        with world.store.read() as session:
            mine = session.get_one(Submission, found["ann"].id)
            assert mine.status == "finished"
            assert len(mine.result.document["per_set"]) == 4  # with mu, for organisers alone
            for name in viewers:
                viewer = session.get_one(User, world.people[name])
                assert views.visible_result(session, mine, viewer, now) is None
                assert world.board(final=True, viewer=viewer.id).rows == ()
    world.now = FINAL_CLOSES
    with world.store.read() as session:
        ann = session.get_one(User, world.people["ann"])
        mine = session.get_one(Submission, found["ann"].id)
        assert views.visible_result(session, mine, ann, world.now) is not None


def test_scores_of_the_final_are_hidden_until_it_closes(world: World) -> None:
    found = in_the_final(world).finalists()
    for now, hidden in ((CLOSES, True), (FINAL_CLOSES - timedelta(seconds=1), True)):
        world.now = now
        board = world.board(final=True)
        assert (board.hidden is not None) is hidden
        assert board.rows == ()
        with world.store.read() as session:
            ann = session.get_one(User, world.people["ann"])
            mine = session.get_one(Submission, found["ann"].id)
            assert views.visible_result(session, mine, ann, now) is None
    assert len(world.board(final=True, viewer=world.organiser_id).rows) == 2
    world.now = FINAL_CLOSES
    board = world.board(final=True)
    assert board.hidden is None
    assert not board.indicative
    assert [row.team for row in board.rows] == ["team ann", "team bob"]
    with world.store.read() as session:
        ann = session.get_one(User, world.people["ann"])
        mine = session.get_one(Submission, found["ann"].id)
        assert views.visible_result(session, mine, ann, world.now) is not None


def test_the_finals_ranking_is_that_of_the_tables_of_toys(world: World) -> None:
    for name, value in (("ann", 0.30), ("bob", 0.302), ("carl", 0.9), ("dora", 0.5)):
        world.submit(name, sigma(value))
    world.work(trivial_judge)
    world.now = CLOSES
    world.work(trivial_judge)
    world.now = FINAL_CLOSES
    board = world.board(final=True)
    tables = {}
    with world.store.read() as session:
        for row in board.rows:
            with world.store.files.local(session.get_one(Result, row.submission_id).toys) as path:
                tables[row.team] = pd.read_parquet(path)
    ranking = rank(tables, Gaussian().parameters[0])
    assert ranking.paired
    assert {row.team: row.rank for row in board.rows} == {e.name: e.rank for e in ranking.entries}
    assert {row.team: row.score for row in board.rows} == pytest.approx(
        {e.name: e.score for e in ranking.entries}
    )


def test_a_final_waits_for_what_it_draws_from(world: World) -> None:
    world.submit("ann", sigma(0.2))
    with world.store.write() as session:
        final = session.get_one(Phase, world.final_id)
        assert not finals.start(session, final, CLOSES - timedelta(seconds=1))
        assert not finals.start(session, final, CLOSES)  # ann's is not judged
    world.work(trivial_judge)
    with world.store.write() as session:
        final = session.get_one(Phase, world.final_id)
        assert finals.start(session, final, CLOSES)
        assert not finals.start(session, final, CLOSES)
        assert finals.start_due(session, CLOSES) == []
        jobs = session.scalars(select(Job).where(Job.kind == "final").order_by(Job.id)).all()
        assert [(job.first_set, job.n_sets, job.total) for job in jobs] == [(0, 2, 10), (2, 2, 10)]


def test_a_final_that_nobody_is_in_ends(world: World) -> None:
    world.now = FINAL_CLOSES
    assert world.board(final=True).hidden is not None
    world.now = CLOSES
    assert world.work(trivial_judge) == 0
    with world.store.read() as session:
        assert session.get_one(Phase, world.final_id).started == CLOSES
    world.now = FINAL_CLOSES
    board = world.board(final=True)
    assert (board.rows, board.hidden) == ((), None)


def test_an_entry_that_fails_in_one_part_failed(world: World) -> None:
    world.submit("ann", sigma(0.2))
    world.submit("bob", sigma(0.3))
    world.work(trivial_judge)
    world.now = CLOSES
    calls = []

    def fails_once(entries: object, plan: object, **rest: object) -> list[object]:
        from dataclasses import replace

        verdicts = trivial_judge(entries, plan, **rest)  # type: ignore[arg-type]
        calls.append(1)
        if len(calls) == 2:
            verdicts[0] = replace(verdicts[0], score=None, toys=None, reason="it went away")
        return list(verdicts)

    world.worker(fails_once).work(until_empty=True)  # type: ignore[arg-type]
    found = world.finalists()
    assert (found["ann"].status, found["ann"].reason) == ("failed", "it went away")
    assert found["bob"].status == "finished"
    with world.store.read() as session:
        assert session.scalar(select(func.count()).select_from(Piece)) == 4


def test_a_final_whose_judging_broke_off_is_started_again(world: World) -> None:
    world.submit("ann", sigma(0.2))
    world.work(trivial_judge)
    world.now = CLOSES

    def breaks(*args: object, **kwargs: object) -> list[object]:
        raise RuntimeError("no")

    for _ in range(4):
        world.worker(breaks).work(until_empty=True)  # type: ignore[arg-type]
        world.later(minutes=5)
    (one,) = world.finalists().values()
    assert one.status == "failed"
    with world.store.write() as session:
        organiser = session.get_one(User, world.organiser_id)
        submissions.restart(session, session.get_one(Submission, one.id), organiser, world.now)
    world.work(trivial_judge)
    (one,) = world.finalists().values()
    assert (one.status, one.reason) == ("finished", None)


def test_a_disqualified_entry_leaves_the_final(world: World) -> None:
    found = in_the_final(world).finalists()
    with world.store.write() as session:
        organiser = session.get_one(User, world.organiser_id)
        ann = session.get_one(Submission, found["ann"].id)
        submissions.cancel(session, ann, organiser, "not its own work", world.now)
    world.now = FINAL_CLOSES
    assert [row.team for row in world.board(final=True).rows] == ["team bob"]


def test_a_public_phase_is_no_final(world: World) -> None:
    with world.store.read() as session:
        public = session.get_one(Phase, world.public_id)
        with pytest.raises(ConflictError):
            finals.candidates(session, public)
