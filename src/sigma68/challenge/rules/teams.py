"""Teams: one per user and challenge, joined by an invite code."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session, selectinload

from sigma68.challenge.rules.audit import record
from sigma68.challenge.rules.names import new_pseudonym
from sigma68.challenge.rules.refusals import (
    ConflictError,
    ForbiddenError,
    NotFoundError,
    RefusedError,
)
from sigma68.challenge.rules.texts import line
from sigma68.challenge.store.tables import Challenge, Membership, Phase, Submission, Team, User

__all__ = [
    "create",
    "join",
    "leave",
    "listing",
    "members",
    "membership_of",
    "new_invite_code",
    "rename",
    "set_anonymous",
    "team_of",
]

MOST_MEMBERS = 20


def create(session: Session, challenge: Challenge, user: User, name: str, now: datetime) -> Team:
    """A new team with `user` as its first member.

    Raises
    ------
    RefusedError
        If the name cannot be taken.
    ConflictError
        If the name is taken, or the user is in a team already.
    """
    _refuse_second_team(session, challenge.id, user)
    team = Team(
        challenge_id=challenge.id,
        name=_free_name(session, challenge.id, name),
        pseudonym=new_pseudonym(session, Team.pseudonym, Team.challenge_id == challenge.id),
        invite_code=secrets.token_urlsafe(16),
        created=now,
    )
    session.add(team)
    session.flush()
    _add(session, team, user, now)
    return team


def join(session: Session, user: User, invite_code: str, now: datetime) -> Team:
    """Become a member of the team whose code it is.

    Raises
    ------
    NotFoundError
        If it is no team's code.
    ConflictError
        If the user is in a team of that challenge already, or the team is full.
    """
    # The row is locked, so that two who join at once are both counted.
    team = session.scalar(
        select(Team).where(Team.invite_code == invite_code.strip()).with_for_update()
    )
    if team is None:
        raise NotFoundError("no team has this invite code: ask a member for the present one")
    _refuse_second_team(session, team.challenge_id, user)
    if len(members(session, team)) >= MOST_MEMBERS:
        raise ConflictError(f"the team has {MOST_MEMBERS} members already, which is the most")
    _add(session, team, user, now)
    return team


def leave(session: Session, team: Team, user: User) -> None:
    """Stop being a member; a team that nobody is left in and that handed nothing in is removed.

    Who has handed something in for the team stays in it, so that nobody gets new limits by
    changing teams.

    Raises
    ------
    NotFoundError
        If the user is not in the team.
    ConflictError
        If the user has handed something in for it.
    """
    membership = session.scalar(
        select(Membership).where(Membership.team_id == team.id, Membership.user_id == user.id)
    )
    if membership is None:
        raise NotFoundError("you are not in this team")
    used = select(Submission.id).where(Submission.team_id == team.id)
    if session.scalar(used.where(Submission.user_id == user.id).limit(1)) is not None:
        raise ConflictError(
            "you have handed in an entry for this team: you stay in it until the challenge ends"
        )
    session.delete(membership)
    session.flush()
    if not members(session, team) and session.scalar(used.limit(1)) is None:
        session.delete(team)
        session.flush()


def team_of(session: Session, challenge_id: int, user: User) -> Team | None:
    """The team that the user is in; None if in none."""
    return session.scalar(
        select(Team)
        .join(Membership, Membership.team_id == Team.id)
        .where(Membership.user_id == user.id, Membership.challenge_id == challenge_id)
    )


def membership_of(session: Session, team_id: int, user: User) -> Membership:
    """The user's membership in a team.

    Raises
    ------
    ForbiddenError
        If the user is not in it.
    """
    found = session.scalar(
        select(Membership).where(Membership.team_id == team_id, Membership.user_id == user.id)
    )
    if found is None:
        raise ForbiddenError("only members of the team may do this")
    return found


def members(session: Session, team: Team) -> Sequence[User]:
    """Who is in the team, in the order they joined."""
    return session.scalars(
        select(User)
        .join(Membership, Membership.user_id == User.id)
        .where(Membership.team_id == team.id)
        .order_by(Membership.id)
    ).all()


def listing(session: Session, challenge_id: int) -> Sequence[Team]:
    """All teams of a challenge by name, with members and their users loaded."""
    return session.scalars(
        select(Team)
        .where(Team.challenge_id == challenge_id)
        .options(selectinload(Team.members).joinedload(Membership.user))
        .order_by(Team.name)
    ).all()


def rename(session: Session, team: Team, by: User, name: str, now: datetime) -> None:
    """Give the team another name; a member or an organiser may.

    Raises
    ------
    RefusedError
        If the name cannot be taken.
    ConflictError
        If the name is taken.
    ForbiddenError
        If `by` is neither member nor organiser.
    """
    _require_member_or_organiser(session, team, by)
    old, team.name = team.name, _free_name(session, team.challenge_id, name, but=team.id)
    record(session, by, "rename_team", f"team:{team.id}", now, old=old, new=team.name)
    _board_changed(session, team)


def set_anonymous(session: Session, team: Team, by: User, anonymous: bool) -> None:
    """Be shown by the pseudonym, or by name.

    Raises
    ------
    ForbiddenError
        If `by` is neither member nor organiser.
    """
    _require_member_or_organiser(session, team, by)
    team.anonymous = anonymous
    _board_changed(session, team)


def new_invite_code(session: Session, team: Team, by: User) -> str:
    """Another code; the one before is void.

    Raises
    ------
    ForbiddenError
        If `by` is not in the team.
    """
    membership_of(session, team.id, by)
    team.invite_code = secrets.token_urlsafe(16)
    session.flush()
    return team.invite_code


def _add(session: Session, team: Team, user: User, now: datetime) -> None:
    session.add(
        Membership(user_id=user.id, challenge_id=team.challenge_id, team_id=team.id, joined=now)
    )
    session.flush()


def _refuse_second_team(session: Session, challenge_id: int, user: User) -> None:
    if team_of(session, challenge_id, user) is not None:
        raise ConflictError("you are in a team of this challenge already: leave it first")


def _free_name(session: Session, challenge_id: int, name: str, but: int | None = None) -> str:
    """The name, if no other team is called or could be taken to be called so."""
    clean = line(name, "a team's name", least=2)
    lower = clean.lower()
    others = session.execute(
        select(Team.id).where(
            Team.challenge_id == challenge_id,
            (func.lower(Team.name) == lower) | (func.lower(Team.pseudonym) == lower),
        )
    ).scalars()
    if any(other != but for other in others):
        raise ConflictError(f"the name {clean!r} is taken: choose another")
    if "@" in clean:
        raise RefusedError("a team's name is shown to all: leave addresses out of it")
    return clean


def _require_member_or_organiser(session: Session, team: Team, by: User) -> None:
    if by.role != "organiser":
        membership_of(session, team.id, by)


def _board_changed(session: Session, team: Team) -> None:
    """All leaderboards that show the team are to be made again."""
    session.flush()
    session.execute(
        update(Phase)
        .where(Phase.challenge_id == team.challenge_id)
        .values(version=Phase.version + 1)
        .execution_options(synchronize_session="fetch")
    )
