"""Submissions as organisers and jurors see them: cancelled, refunded, run again, marked."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from sigma68.challenge.rules import jury, leaderboards, submissions, views
from sigma68.challenge.rules.refusals import NotFoundError, RefusedError
from sigma68.challenge.store.tables import Submission
from sigma68.challenge.web.forms import ChangeDep, Posted, PostedDep
from sigma68.challenge.web.pages.leaderboard import phase_of
from sigma68.challenge.web.visits import Visit, VisitDep

__all__ = ["router"]

router = APIRouter(prefix="/admin/challenges/{slug}")

_ROWS = 100
_QUALITIES = ("novel", "practical", "frugal")


@router.get("/submissions")
def listing(
    slug: str,
    visit: VisitDep,
    phase: Annotated[int | None, Query()] = None,
    status: Annotated[str, Query()] = "",
    page: Annotated[int, Query(ge=1, le=100_000)] = 1,
) -> Response:
    """All submissions of a phase, newest first."""
    visit.organiser()
    challenge = visit.challenge(slug)
    shown = phase_of(challenge, phase, visit)
    rows = (
        []
        if shown is None
        else views.of_phase(
            visit.session,
            shown.id,
            status=status or None,
            limit=_ROWS + 1,
            offset=(page - 1) * _ROWS,
        )
    )
    return visit.page(
        "admin_submissions.html",
        edited=challenge,
        phase=shown,
        chosen_status=status,
        statuses=("queued", "running", "finished", "failed", "cancelled"),
        rows=rows[:_ROWS],
        page=page,
        more=len(rows) > _ROWS,
    )


@router.post("/submissions/{submission_id}")
def act(slug: str, submission_id: int, visit: ChangeDep, posted: PostedDep) -> Response:
    """Cancel, refund or run again."""
    by = visit.organiser()
    found = _found(visit, slug, submission_id)
    what, reason = posted.text("what"), posted.text("reason").strip()
    back = f"/admin/challenges/{slug}/submissions?phase={found.phase_id}"
    try:
        if what in ("cancel", "refund") and not reason:
            raise RefusedError("say why: the team sees it")
        if what == "cancel":
            submissions.cancel(visit.session, found, by, reason, visit.now)
        elif what == "refund":
            submissions.refund(visit.session, found, by, reason, visit.now)
        elif what == "restart":
            submissions.restart(visit.session, found, by, visit.now)
        else:
            raise RefusedError("there is no such action")
    except RefusedError as error:
        visit.again()
        return visit.go(back, str(error), "bad")
    done = {"cancel": "cancelled", "refund": "refunded", "restart": "in the queue again"}[what]
    return visit.go(back, f"Submission {submission_id} is {done}.")


def _found(visit: Visit, slug: str, submission_id: int) -> Submission:
    challenge = visit.challenge(slug)
    found = views.submission(visit.session, submission_id, visit.user)
    if found.phase.challenge_id != challenge.id:
        raise NotFoundError(f"there is no submission {submission_id}")
    return found


@router.get("/jury")
def jury_page(slug: str, visit: VisitDep, phase: Annotated[int | None, Query()] = None) -> Response:
    """The entries of a leaderboard, with fact sheets and what jurors said."""
    juror = visit.juror()
    challenge = visit.challenge(slug)
    shown = phase_of(challenge, phase, visit)
    board = leaderboards.leaderboard(visit.session, shown, visit.now, juror) if shown else None
    rows = [
        (
            row,
            visit.session.get(Submission, row.submission_id),
            jury.marks_of(visit.session, row.submission_id, juror),
        )
        for row in (board.rows if board else ())
    ]
    return visit.page(
        "jury.html",
        edited=challenge,
        phase=shown,
        hidden=board.hidden if board else None,
        qualities=_QUALITIES,
        rows=[
            (row, found, marks, next((one for one in marks if one.juror_id == juror.id), None))
            for row, found, marks in rows
        ],
    )


@router.post("/jury/{submission_id}")
def mark(slug: str, submission_id: int, visit: ChangeDep, posted: PostedDep) -> Response:
    """Keep what this juror thinks of an entry."""
    juror = visit.juror()
    found = _found(visit, slug, submission_id)
    back = f"/admin/challenges/{slug}/jury?phase={found.phase_id}"
    try:
        jury.set_mark(
            visit.session,
            found,
            by=juror,
            now=visit.now,
            notes=posted.text("notes"),
            **{name: _points(posted, name) for name in _QUALITIES},
        )
    except RefusedError as error:
        visit.again()
        return visit.go(back, str(error), "bad")
    return visit.go(f"{back}#entry-{submission_id}", "Your marks are kept.")


def _points(posted: Posted, name: str) -> int | None:
    return posted.whole(name, name, most=10) if posted.text(name).strip() else None
