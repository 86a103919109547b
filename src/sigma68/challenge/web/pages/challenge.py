"""What a challenge is about: the list of challenges, overview, data, rules, further texts."""

from __future__ import annotations

from functools import cache

from fastapi import APIRouter
from fastapi.responses import Response

from sigma68.challenge.rules import board, challenges
from sigma68.challenge.rules.refusals import NotFoundError
from sigma68.challenge.store.tables import Challenge
from sigma68.challenge.web.giving import given, phase_of
from sigma68.challenge.web.pages.frame import challenge_page
from sigma68.challenge.web.visits import Visit, VisitDep
from sigma68.challenge.web.words import phase_line
from sigma68.protocols import Task

__all__ = ["router", "task_of"]

router = APIRouter()


@router.get("/")
def home(visit: VisitDep) -> Response:
    """All challenges."""
    found = challenges.listing(visit.session, hidden=visit.is_organiser)
    lines = {one.id: phase_line(one.phases, visit.now) for one in found}
    return visit.page("home.html", challenges=found, lines=lines)


@router.get("/c/{slug}")
def overview(slug: str, visit: VisitDep) -> Response:
    """What it is about, when, and how to take part."""
    challenge = visit.challenge(slug)
    return challenge_page(
        visit,
        challenge,
        "",
        "overview.html",
        text=_text(challenge, "overview"),
        phases=challenge.phases,
        announcements=board.announcements(visit.session, challenge.id),
    )


@router.get("/c/{slug}/data")
def data(slug: str, visit: VisitDep) -> Response:
    """What an entry is given: features, nuisance parameters, what to answer."""
    challenge = visit.challenge(slug)
    task = task_of(challenge.task)
    return challenge_page(
        visit,
        challenge,
        "/data",
        "data.html",
        text=_text(challenge, "data"),
        task=task,
        parameters=[f"{one.name} (from {one.low:g} to {one.high:g})" for one in task.parameters],
    )


@router.get("/c/{slug}/phases/{phase_id}/observations")
def observations(slug: str, phase_id: int, visit: VisitDep) -> Response:
    """The file of observations that a phase gives away."""
    challenge = visit.challenge(slug)
    visit.signed_in()
    return given(visit, phase_of(challenge, phase_id))


@router.get("/c/{slug}/rules")
def rules(slug: str, visit: VisitDep) -> Response:
    """The score, the limits, how often."""
    from sigma68.score.intervals import EPSILON

    challenge = visit.challenge(slug)
    return challenge_page(
        visit,
        challenge,
        "/rules",
        "rules.html",
        text=_text(challenge, "rules"),
        phases=challenge.phases,
        task=task_of(challenge.task),
        epsilon=EPSILON if challenge.epsilon is None else challenge.epsilon,
    )


@router.get("/c/{slug}/pages/{name}")
def further(slug: str, name: str, visit: VisitDep) -> Response:
    """A further text of the organisers."""
    challenge = visit.challenge(slug)
    found = challenges.page(visit.session, challenge, name)
    if found is None:
        raise NotFoundError(f"there is no page {name!r}")
    return challenge_page(
        visit,
        challenge,
        f"/pages/{name}",
        "text.html",
        page_title=found.title,
        text=found.text,
    )


@router.get("/c/{slug}/announcements")
def announcements(slug: str, visit: VisitDep) -> Response:
    """What organisers told everybody."""
    return show_announcements(visit, visit.challenge(slug))


def show_announcements(
    visit: Visit,
    challenge: Challenge,
    *,
    status: int = 200,
    error: str | None = None,
    title: str = "",
    text: str = "",
) -> Response:
    """The announcements, for organisers with a form that holds what they typed."""
    return challenge_page(
        visit,
        challenge,
        "/announcements",
        "announcements.html",
        status,
        announcements=board.announcements(visit.session, challenge.id),
        error=error,
        title=title,
        text=text,
    )


def _text(challenge: Challenge, name: str) -> str:
    return next((page.text for page in challenge.pages if page.slug == name), "")


@cache
def task_of(name: str) -> Task:
    """A task, loaded once for all pages that describe it."""
    from sigma68.discover import load_task

    return load_task(name)
