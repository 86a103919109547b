"""One's team in a challenge."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body

from sigma68.challenge.rules import submissions, teams
from sigma68.challenge.rules.refusals import NotFoundError
from sigma68.challenge.store.tables import Team
from sigma68.challenge.web.api.caller import Caller, CallerDep, ChangerDep
from sigma68.challenge.web.api.challenges import phase_in
from sigma68.challenge.web.api.models import AllowanceOut, TeamOut

__all__ = ["router"]

router = APIRouter(prefix="/challenges/{slug}", tags=["team"])


def _own(caller: Caller, slug: str) -> Team:
    team = teams.team_of(caller.session, caller.challenge(slug).id, caller.signed_in())
    if team is None:
        raise NotFoundError("you are in no team of this challenge: make or join one first")
    return team


def _described(caller: Caller, team: Team) -> TeamOut:
    return TeamOut(
        name=team.name,
        pseudonym=team.pseudonym,
        anonymous=team.anonymous,
        invite_code=team.invite_code,
        members=[user.name for user in teams.members(caller.session, team)],
    )


def _kept(caller: Caller, team: Team) -> TeamOut:
    caller.session.commit()
    return _described(caller, team)


@router.get("/team")
def read(caller: CallerDep, slug: str) -> TeamOut:
    """Members, invite code, how it is shown."""
    return _described(caller, _own(caller, slug))


@router.post("/team", status_code=201)
def make(caller: ChangerDep, slug: str, name: Annotated[str, Body(embed=True)]) -> TeamOut:
    """A new team of one."""
    user = caller.signed_in()
    caller.limit("post")
    made = teams.create(caller.session, caller.challenge(slug), user, name, caller.now)
    return _kept(caller, made)


@router.post("/team/join")
def join(caller: ChangerDep, slug: str, invite_code: Annotated[str, Body(embed=True)]) -> TeamOut:
    """Become a member by an invite code."""
    user = caller.signed_in()
    caller.limit("join")
    team = teams.join(caller.session, user, invite_code, caller.now)
    if team.challenge_id != caller.challenge(slug).id:
        raise NotFoundError("this code is for a team of another challenge")
    return _kept(caller, team)


@router.patch("/team")
def change(
    caller: ChangerDep,
    slug: str,
    name: Annotated[str | None, Body()] = None,
    anonymous: Annotated[bool | None, Body()] = None,
) -> TeamOut:
    """Another name, or whether others see it."""
    team, user = _own(caller, slug), caller.signed_in()
    if name is not None and name != team.name:
        teams.rename(caller.session, team, user, name, caller.now)
    if anonymous is not None:
        teams.set_anonymous(caller.session, team, user, anonymous)
    return _kept(caller, team)


@router.post("/team/invite-code")
def new_code(caller: ChangerDep, slug: str) -> TeamOut:
    """Another invite code; the one before is void."""
    team = _own(caller, slug)
    teams.new_invite_code(caller.session, team, caller.signed_in())
    return _kept(caller, team)


@router.delete("/team", status_code=204)
def leave(caller: ChangerDep, slug: str) -> None:
    """Stop being a member."""
    teams.leave(caller.session, _own(caller, slug), caller.signed_in())
    caller.session.commit()


@router.get("/phases/{phase_id}/allowance")
def allowance(caller: CallerDep, slug: str, phase_id: int) -> AllowanceOut:
    """What the team may still hand in."""
    team = _own(caller, slug)
    phase = phase_in(caller, slug, phase_id)
    found = submissions.allowance(caller.session, phase, team.id, caller.now)
    return AllowanceOut.model_validate(found)
