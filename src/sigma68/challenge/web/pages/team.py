"""One's team in a challenge: made, joined, named, shown by name or pseudonym, left."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response

from sigma68.challenge.rules import teams
from sigma68.challenge.rules.refusals import NotFoundError, RefusedError
from sigma68.challenge.store.tables import Challenge, Team
from sigma68.challenge.web.forms import ChangeDep, PostedDep
from sigma68.challenge.web.pages.frame import challenge_page
from sigma68.challenge.web.visits import Visit, VisitDep, local_path

__all__ = ["own_team", "router"]

router = APIRouter(prefix="/c/{slug}/team")


@router.get("")
def team_page(slug: str, visit: VisitDep) -> Response:
    """Who is in it, its invite code, how it is shown."""
    return _team_page(visit, visit.challenge(slug))


def _team_page(
    visit: Visit,
    challenge: Challenge,
    status: int = 200,
    error: str | None = None,
    name: str = "",
    code: str = "",
) -> Response:
    team = teams.team_of(visit.session, challenge.id, visit.signed_in())
    return challenge_page(
        visit,
        challenge,
        "/team",
        "team.html",
        status,
        team=team,
        members=teams.members(visit.session, team) if team else [],
        error=error,
        typed_name=name,
        typed_code=code,
    )


def own_team(visit: Visit, challenge: Challenge) -> Team:
    """The visitor's team.

    Raises
    ------
    NotFoundError
        If they are in none.
    """
    team = teams.team_of(visit.session, challenge.id, visit.signed_in())
    if team is None:
        raise NotFoundError("you are in no team of this challenge: make or join one first")
    return team


@router.post("/new")
def make(slug: str, visit: ChangeDep, posted: PostedDep) -> Response:
    """A new team of one."""
    challenge, name = visit.challenge(slug), posted.text("name")
    try:
        visit.limit("post")
        teams.create(visit.session, challenge, visit.signed_in(), name, visit.now)
    except RefusedError as error:
        return _team_page(visit.again(), challenge, error.status, str(error), name=name)
    return visit.go(local_path(posted.text("next", f"/c/{slug}/team")), "Your team is made.")


@router.post("/join")
def join(slug: str, visit: ChangeDep, posted: PostedDep) -> Response:
    """Become a member of somebody's team, by its invite code."""
    challenge, code = visit.challenge(slug), posted.text("code")
    try:
        visit.limit("join")
        team = teams.join(visit.session, visit.signed_in(), code, visit.now)
        if team.challenge_id != challenge.id:
            raise NotFoundError("this code is for a team of another challenge")
    except RefusedError as error:
        return _team_page(visit.again(), challenge, error.status, str(error), code=code)
    return visit.go(f"/c/{slug}/team", f"You are in the team {team.name}.")


@router.post("/rename")
def rename(slug: str, visit: ChangeDep, posted: PostedDep) -> Response:
    """Another name, and whether others see it."""
    challenge, user, name = visit.challenge(slug), visit.signed_in(), posted.text("name")
    try:
        visit.limit("post")
        team = own_team(visit, challenge)
        if name.strip() != team.name:
            teams.rename(visit.session, team, user, name, visit.now)
        teams.set_anonymous(visit.session, team, user, posted.flag("anonymous"))
    except RefusedError as error:
        return _team_page(visit.again(), challenge, error.status, str(error), name=name)
    return visit.go(f"/c/{slug}/team", "Changed.")


@router.post("/code")
def new_code(slug: str, visit: ChangeDep, posted: PostedDep) -> Response:
    """Another invite code."""
    team = own_team(visit, visit.challenge(slug))
    teams.new_invite_code(visit.session, team, visit.signed_in())
    return visit.go(f"/c/{slug}/team", "The invite code is new; the one before is void.")


@router.post("/leave")
def leave(slug: str, visit: ChangeDep, posted: PostedDep) -> Response:
    """Stop being a member."""
    challenge = visit.challenge(slug)
    try:
        teams.leave(visit.session, own_team(visit, challenge), visit.signed_in())
    except RefusedError as error:
        return _team_page(visit.again(), challenge, error.status, str(error))
    return visit.go(f"/c/{slug}/team", "You have left the team.")
