from __future__ import annotations

import pytest
from sqlalchemy.exc import IntegrityError

from sigma68.challenge.rules import teams
from sigma68.challenge.rules.refusals import ConflictError, ForbiddenError, NotFoundError
from sigma68.challenge.store.tables import Challenge, Membership, Team, User
from tests.challenge.server_world import World


def test_one_joins_by_code_one_team_per_challenge(world: World) -> None:
    team_id, bob_id = world.team("ann"), world.person("bob")
    with world.store.write() as session:
        team, bob = session.get_one(Team, team_id), session.get_one(User, bob_id)
        with pytest.raises(NotFoundError):
            teams.join(session, bob, "wrong", world.now)
        assert teams.join(session, bob, f" {team.invite_code} ", world.now) is team
        assert [user.name for user in teams.members(session, team)] == ["ann", "bob"]
        with pytest.raises(ConflictError, match="already"):
            teams.join(session, bob, team.invite_code, world.now)
        challenge = session.get_one(Challenge, world.challenge_id)
        with pytest.raises(ConflictError, match="already"):
            teams.create(session, challenge, bob, "another", world.now)


def test_the_database_itself_allows_no_second_team(world: World) -> None:
    one, two = world.team("ann"), world.team("bob")
    assert one != two
    with pytest.raises(IntegrityError), world.store.write() as session:
        session.add(
            Membership(
                user_id=world.people["ann"],
                challenge_id=world.challenge_id,
                team_id=two,
                joined=world.now,
            )
        )


def test_a_new_code_makes_the_old_void(world: World) -> None:
    team_id, bob_id = world.team("ann"), world.person("bob")
    with world.store.write() as session:
        team, bob = session.get_one(Team, team_id), session.get_one(User, bob_id)
        old = team.invite_code
        with pytest.raises(ForbiddenError):
            teams.new_invite_code(session, team, bob)
        ann = session.get_one(User, world.people["ann"])
        assert teams.new_invite_code(session, team, ann) != old
        with pytest.raises(NotFoundError):
            teams.join(session, bob, old, world.now)


def test_names_are_taken_once_and_no_pseudonym_is_copied(world: World) -> None:
    one, two = world.team("ann"), world.team("bob")
    with world.store.write() as session:
        ann = session.get_one(User, world.people["ann"])
        team, other = session.get_one(Team, one), session.get_one(Team, two)
        for taken in ("TEAM BOB", other.pseudonym):
            with pytest.raises(ConflictError, match="taken"):
                teams.rename(session, team, ann, taken, world.now)
        teams.rename(session, team, ann, "Team Ann", world.now)
        with pytest.raises(ForbiddenError):
            teams.rename(session, other, ann, "mine", world.now)


def test_who_handed_something_in_stays(world: World) -> None:
    world.submit("ann")
    team_id, bob_team = world.team("ann"), world.team("bob")
    with world.store.write() as session:
        ann, bob = (session.get_one(User, world.people[n]) for n in ("ann", "bob"))
        with pytest.raises(ConflictError, match="you stay"):
            teams.leave(session, session.get_one(Team, team_id), ann)
        with pytest.raises(NotFoundError):
            teams.leave(session, session.get_one(Team, team_id), bob)
        # An empty team that never did anything is gone.
        teams.leave(session, session.get_one(Team, bob_team), bob)
        assert session.get(Team, bob_team) is None
        assert teams.team_of(session, world.challenge_id, bob) is None


def test_a_team_is_full_at_twenty(world: World) -> None:
    team_id = world.team("ann")
    people = [world.person(f"member{i}") for i in range(20)]
    with world.store.write() as session:
        team = session.get_one(Team, team_id)
        for user_id in people[:19]:
            teams.join(session, session.get_one(User, user_id), team.invite_code, world.now)
        with pytest.raises(ConflictError, match="20 members"):
            teams.join(session, session.get_one(User, people[19]), team.invite_code, world.now)
        (found,) = teams.listing(session, world.challenge_id)
        assert len(found.members) == 20


def test_an_anonymous_team_is_shown_by_its_pseudonym(world: World) -> None:
    team_id = world.team("ann")
    with world.store.write() as session:
        team, ann = session.get_one(Team, team_id), session.get_one(User, world.people["ann"])
        assert team.public_name == "team ann"
        teams.set_anonymous(session, team, ann, True)
        assert team.public_name == team.pseudonym != "team ann"
