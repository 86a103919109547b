from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from sigma68.challenge.rules import submissions, teams
from sigma68.challenge.rules.leaderboards import leaderboard, packed, unpacked
from sigma68.challenge.store.tables import Phase, PhaseSecret, Result, Submission, Team, User
from sigma68.score.resampling import SetSums
from tests.challenge.server_world import World, zipped
from tests.challenge.trivial_judge import trivial_judge


def sigma(value: float) -> bytes:
    return zipped(f"sigma = {value}\nclass Model: pass\n")


def test_a_board_shows_each_teams_best_and_says_it_is_indicative(world: World) -> None:
    world.submit("ann", sigma(0.5))
    best = world.submit("ann", sigma(0.05))
    world.submit("bob", sigma(0.3))
    world.work(trivial_judge)
    board = world.board()
    assert board.indicative
    assert any("of its own" in note for note in board.notes)
    with world.store.read() as session:
        scores = {s.id: s.result.score for s in session.query(Submission) if s.result}
    assert [row.score for row in board.rows] == sorted(
        (row.score or 0.0 for row in board.rows), reverse=True
    )
    by_team = {row.team: row for row in board.rows}
    assert by_team["team ann"].n_submissions == 2
    assert by_team["team ann"].score == max(scores[i] for i in scores if i <= best)
    assert by_team["team ann"].energy_known == "estimated"
    low, high = by_team["team ann"].score_low, by_team["team ann"].score_high
    assert low is not None
    assert high is not None
    assert low <= high


def test_entries_that_cannot_be_told_apart_share_a_rank(world: World) -> None:
    with world.store.write() as session:
        session.get_one(Phase, world.public_id).sets = 40
        session.get_one(Phase, world.public_id).toys = 100
        # Of secret seeds, one in ten covers so badly by chance that the order is not sure.
        session.get_one(PhaseSecret, world.public_id).seed = "68" * 32
    for name, value in (("ann", 0.100), ("bob", 0.100), ("carl", 0.9)):
        world.submit(name, sigma(value))
    world.work(trivial_judge)
    ranks = {row.team: row.rank for row in world.board().rows}
    assert ranks == {"team ann": 1, "team bob": 1, "team carl": 2}


def test_who_fails_too_often_has_no_rank_and_stands_last(world: World) -> None:
    world.submit("ann", sigma(0.1))
    bad = world.submit("bob", sigma(0.05))
    world.work(trivial_judge)
    with world.store.write() as session:
        session.get_one(Result, bad).ranked = False
        session.get_one(Phase, world.public_id).version += 1
    board = world.board()
    assert [(row.team, row.rank) for row in board.rows] == [("team ann", 1), ("team bob", None)]
    assert any("1% of the toys" in note for note in board.notes)


def test_a_board_that_updates_daily_shows_what_was_judged_before_midnight(world: World) -> None:
    with world.store.write() as session:
        session.get_one(Phase, world.public_id).updates = "daily"
    world.submit("ann")
    world.work(trivial_judge)
    assert world.board().rows == ()
    assert world.board().as_of == datetime(2026, 3, 2, tzinfo=UTC)
    assert len(world.board(viewer=world.organiser_id).rows) == 1
    assert world.board().rows == ()
    world.later(hours=12)
    assert len(world.board().rows) == 1


def test_a_pseudonym_hides_the_name_everywhere_on_the_board(world: World) -> None:
    world.submit("ann")
    world.work(trivial_judge)
    assert [row.team for row in world.board().rows] == ["team ann"]
    team_id = world.team("ann")
    with world.store.write() as session:
        team = session.get_one(Team, team_id)
        teams.set_anonymous(session, team, session.get_one(User, world.people["ann"]), True)
        pseudonym = team.pseudonym
    assert [row.team for row in world.board().rows] == [pseudonym]
    assert "ann" not in repr(world.board())


def test_a_board_follows_what_is_judged_and_cancelled(world: World) -> None:
    assert world.board().rows == ()
    one = world.submit("ann")
    world.work(trivial_judge)
    assert len(world.board().rows) == 1
    two = world.submit("bob")
    world.work(trivial_judge)
    assert len(world.board().rows) == 2
    with world.store.write() as session:
        organiser = session.get_one(User, world.organiser_id)
        submissions.cancel(session, session.get_one(Submission, one), organiser, "no", world.now)
    assert [row.submission_id for row in world.board().rows] == [two]


def test_visitors_may_get_a_board_of_a_moment_ago_and_organisers_do_not(world: World) -> None:
    world.submit("ann")
    world.work(trivial_judge)

    def teams_seen(max_age: float, *, organiser: bool = False) -> int:
        with world.store.read() as session:
            phase = session.get_one(Phase, world.public_id)
            viewer = session.get_one(User, world.organiser_id) if organiser else None
            board = leaderboard(session, phase, world.now, viewer, max_age=max_age)
            return len(board.rows)

    assert teams_seen(600.0) == 1
    world.submit("bob")
    world.work(trivial_judge)
    assert teams_seen(600.0) == 1
    assert teams_seen(600.0, organiser=True) == 2
    assert teams_seen(0.0) == 2
    assert teams_seen(600.0) == 2


def test_sums_are_kept_to_the_last_bit() -> None:
    rng = np.random.default_rng(1)
    made = SetSums(*rng.uniform(0, 100, (3, 7)))
    back = unpacked(packed(made))
    for name in ("width", "covered", "n"):
        assert np.array_equal(getattr(made, name), getattr(back, name))


@pytest.mark.parametrize("sets", [1, 5])
def test_few_sets_are_said_to_be_few(world: World, sets: int) -> None:
    with world.store.write() as session:
        session.get_one(Phase, world.public_id).sets = sets
    world.submit("ann", sigma(0.1))
    world.submit("bob", sigma(0.9))
    world.work(trivial_judge)
    board = world.board()
    assert any(("one set" if sets == 1 else "5 sets are few") in note for note in board.notes)
    if sets == 1:
        assert {row.rank for row in board.rows} == {1}
