"""Challenges, their leaderboards, and the description of one entry on them."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import FileResponse

from sigma68.challenge.rules import challenges, leaderboards
from sigma68.challenge.store.tables import Phase
from sigma68.challenge.web.api.caller import Caller, CallerDep
from sigma68.challenge.web.api.models import Challenge, LeaderboardOut
from sigma68.challenge.web.giving import given, phase_of
from sigma68.challenge.web.pages.leaderboard import BOARD_SECONDS

__all__ = ["phase_in", "router"]

router = APIRouter(prefix="/challenges", tags=["challenges"])


@router.get("")
def listing(caller: CallerDep) -> list[Challenge]:
    """All challenges, newest first."""
    found = challenges.listing(caller.session, hidden=caller.is_organiser)
    return [Challenge.model_validate(one) for one in found]


@router.get("/{slug}")
def one(caller: CallerDep, slug: str) -> Challenge:
    """A challenge with its texts (Markdown), limits and phases."""
    return Challenge.model_validate(caller.challenge(slug))


@router.get("/{slug}/phases/{phase_id}/leaderboard")
def leaderboard(caller: CallerDep, slug: str, phase_id: int) -> LeaderboardOut:
    """The leaderboard of a phase as this caller may see it now."""
    phase = phase_in(caller, slug, phase_id)
    found = leaderboards.leaderboard(
        caller.session, phase, caller.now, caller.user, max_age=BOARD_SECONDS
    )
    return LeaderboardOut.model_validate(found)


@router.get("/{slug}/phases/{phase_id}/observations", response_class=FileResponse)
def observations(caller: CallerDep, slug: str, phase_id: int) -> FileResponse:
    """The file of observations that a phase gives away, where results are handed in."""
    return given(caller, phase_in(caller, slug, phase_id))


def phase_in(caller: Caller, slug: str, phase_id: int) -> Phase:
    """A phase of a challenge.

    Raises
    ------
    NotFoundError
        If the challenge has none of this number.
    """
    return phase_of(caller.challenge(slug), phase_id)
