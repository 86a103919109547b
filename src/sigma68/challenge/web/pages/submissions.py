"""Handing in, watching it run, what came out, fact sheets, the choice for the final."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from sigma68.challenge.queue.overview import ahead
from sigma68.challenge.rules import jury, phases, submissions, teams, views
from sigma68.challenge.rules.refusals import NotFoundError, RefusedError
from sigma68.challenge.store.tables import Challenge, FactSheet, Phase, Result, Submission
from sigma68.challenge.web.asking import Asking
from sigma68.challenge.web.forms import ChangeDep, PostedDep, UploadDep
from sigma68.challenge.web.pages.frame import challenge_page
from sigma68.challenge.web.pages.leaderboard import figure_of
from sigma68.challenge.web.uploads import as_file
from sigma68.challenge.web.visits import Visit, VisitDep
from sigma68.challenge.web.words import moment
from sigma68.errors import EntryError

__all__ = ["entry_name", "open_phases", "router", "why_hidden"]

router = APIRouter(prefix="/c/{slug}")

_LOG_LINES = 400


@router.get("/submit")
def submit_page(slug: str, visit: VisitDep) -> Response:
    """The form to hand in with, and how often one still may."""
    return _submit_page(visit, visit.challenge(slug))


def _submit_page(
    visit: Visit, challenge: Challenge, status: int = 200, error: str | None = None
) -> Response:
    team = teams.team_of(visit.session, challenge.id, visit.signed_in())
    found = open_phases(challenge, visit) if team else []
    return challenge_page(
        visit,
        challenge,
        "/submit",
        "submit.html",
        status,
        team=team,
        phases=[
            (one, submissions.allowance(visit.session, one, team.id, visit.now))
            for one in found
            if team
        ],
        upload_bytes=visit.house.settings.upload_bytes,
        error=error,
    )


def open_phases(challenge: Challenge, asking: Asking) -> list[Phase]:
    """The phases that one may hand in to now."""
    return [
        phase
        for phase in challenge.phases
        if phase.kind == "public" and phases.state(phase, asking.now) == "open"
    ]


@router.post("/phases/{phase_id}/submit")
def submit(slug: str, phase_id: int, posted: UploadDep, visit: VisitDep) -> Response:
    """Take a zip."""
    challenge, user = visit.challenge(slug), visit.signed_in()
    try:
        phase = phases.find(visit.session, phase_id)
        if phase.challenge_id != challenge.id:
            raise NotFoundError(f"{challenge.title} has no phase {phase_id}")
        upload = posted.file("file")
        name = entry_name(upload.filename or "entry")
        with as_file(upload.file, name) as path:
            number = submissions.submit(
                visit.house.store,
                phase_id,
                user.id,
                path,
                name,
                # When it has come, not when it was begun to be sent: a phase closes in between.
                visit.house.clock(),
            )
    except (RefusedError, EntryError) as error:
        status = error.status if isinstance(error, RefusedError) else 422
        return _submit_page(visit, challenge, status, str(error))
    return visit.go(f"/c/{slug}/submissions/{number}")


def entry_name(filename: str) -> str:
    """The name of an entry whose zip is called `filename`, wherever it came from."""
    last = filename.replace("\\", "/").rsplit("/", 1)[-1].removesuffix(".zip")
    shown = "".join(c for c in last if c.isprintable()).strip()
    return shown[:200] or "entry"


@router.get("/submissions")
def own(slug: str, visit: VisitDep) -> Response:
    """All submissions of the visitor's team."""
    challenge, user = visit.challenge(slug), visit.signed_in()
    team = teams.team_of(visit.session, challenge.id, user)
    if team is None:
        return visit.go(f"/c/{slug}/submit")
    by_phase, chosen = [], set()
    for phase in reversed(challenge.phases):
        rows = [
            (one, views.visible_result(visit.session, one, user, visit.now))
            for one in views.of_team(visit.session, team.id, phase.id)
        ]
        failed = views.failed_uploads(visit.session, team.id, phase.id)
        by_phase.append((phase, rows, failed))
        choice = submissions.chosen(visit.session, team.id, phase.id)
        if choice is not None:
            chosen.add(choice.id)
    return challenge_page(
        visit,
        challenge,
        "/submissions",
        "submissions.html",
        team=team,
        by_phase=by_phase,
        chosen=chosen,
    )


@router.get("/submissions/{submission_id}")
def one(slug: str, submission_id: int, visit: VisitDep) -> Response:
    """One submission: progress and log while it runs, then what came out."""
    return _one(visit, slug, submission_id)


def _one(
    visit: Visit,
    slug: str,
    submission_id: int,
    *,
    status: int = 200,
    error: str | None = None,
    typed: FactSheet | None = None,
) -> Response:
    challenge, found = _found(visit, slug, submission_id)
    own = teams.team_of(visit.session, challenge.id, visit.signed_in())
    choice = submissions.chosen(visit.session, found.team_id, found.phase_id)
    return challenge_page(
        visit,
        challenge,
        "/submissions",
        "submission.html",
        status,
        mine=own is not None and own.id == found.team_id,
        can_choose=_can_choose(challenge, found, visit),
        is_chosen=choice is not None and choice.id == found.id,
        sheet=typed or found.fact_sheet or FactSheet(method="", code_url="", licence=""),
        error=error,
        **_live(visit, challenge, found),
    )


@router.get("/submissions/{submission_id}/live")
def live(slug: str, submission_id: int, visit: VisitDep) -> HTMLResponse:
    """The part of the page that renews itself."""
    challenge, found = _found(visit, slug, submission_id)
    return visit.page("live.html", challenge=challenge, **_live(visit, challenge, found))


def _found(visit: Visit, slug: str, submission_id: int) -> tuple[Challenge, Submission]:
    challenge = visit.challenge(slug)
    found = views.submission(visit.session, submission_id, visit.signed_in())
    if found.phase.challenge_id != challenge.id:
        raise NotFoundError(f"there is no submission {submission_id}")
    return challenge, found


def _live(visit: Visit, challenge: Challenge, found: Submission) -> dict[str, Any]:
    result = views.visible_result(visit.session, found, visit.user, visit.now)
    failures = result.failures if result else {}
    return {
        "submission": found,
        "going": found.status in ("queued", "running"),
        "ahead": ahead(visit.session, found) if found.status == "queued" else 0,
        "result": result,
        "figure": figure_of(challenge, result),
        "values": _values(result) if result and challenge.takes == "results" else [],
        "failures": ", ".join(f"{n} {kind}" for kind, n in sorted(failures.items()) if n),
        "hidden": "" if result else why_hidden(found.phase),
        "log": views.latest_log(visit.session, found.id)[-_LOG_LINES:],
    }


def _values(result: Result) -> list[tuple[str, str]]:
    """What the task says of results beside their score, as words."""
    document = result.document
    return [
        (name.replace("_", " "), f"{value:,.4g}".replace("-", "\N{MINUS SIGN}"))
        for name, value in document.get("values", {}).items()
        if name != document.get("headline") and isinstance(value, int | float)
    ]


def why_hidden(phase: Phase) -> str:
    """Why the score of a judged submission cannot be seen yet."""
    if phase.hidden or phase.kind == "final":
        return f"Scores are hidden until {moment(phase.closes).striptags()} UTC."
    return "Scores appear with the next update, at 00:00 UTC."


def _can_choose(challenge: Challenge, found: Submission, visit: Visit) -> bool:
    """Whether a final that has not begun draws from the submission's phase."""
    waits = any(
        phase.draws_from == found.phase_id and phase.started is None and phase.closes > visit.now
        for phase in challenge.phases
    )
    return waits and found.status not in ("failed", "cancelled")


@router.post("/submissions/{submission_id}/choose")
def choose(slug: str, submission_id: int, visit: ChangeDep, posted: PostedDep) -> Response:
    """Take it into the final."""
    _, found = _found(visit, slug, submission_id)
    try:
        submissions.choose(visit.session, found, visit.signed_in(), visit.now)
    except RefusedError as error:
        return _one(visit.again(), slug, submission_id, status=error.status, error=str(error))
    path = f"/c/{slug}/submissions/{submission_id}"
    return visit.go(path, "This submission goes into the final.")


@router.post("/submissions/{submission_id}/sheet")
def fact_sheet(slug: str, submission_id: int, visit: ChangeDep, posted: PostedDep) -> Response:
    """How it works, for the jury and the leaderboard."""
    _, found = _found(visit, slug, submission_id)
    fields = {name: posted.text(name) for name in ("method", "code_url", "licence")}
    try:
        visit.limit("post")
        jury.set_fact_sheet(visit.session, found, by=visit.signed_in(), now=visit.now, **fields)
    except RefusedError as error:
        return _one(
            visit.again(),
            slug,
            submission_id,
            status=error.status,
            error=str(error),
            typed=FactSheet(**fields),
        )
    return visit.go(f"/c/{slug}/submissions/{submission_id}#sheet", "The fact sheet is kept.")
