"""Submissions as organisers and jurors see them."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Body, Query
from fastapi.responses import FileResponse

from sigma68.challenge.rules import jury, submissions, views
from sigma68.challenge.web.api.caller import CallerDep, ChangerDep
from sigma68.challenge.web.api.challenges import phase_in
from sigma68.challenge.web.api.models import Mark, SubmissionOut
from sigma68.challenge.web.api.submissions import describe
from sigma68.challenge.web.exporting import exported

__all__ = ["router"]

router = APIRouter(tags=["for organisers"])

_Page = Annotated[int, Query(ge=0, le=1 << 40)]
_Status = Literal["queued", "running", "finished", "failed", "cancelled"]


@router.get("/challenges/{slug}/phases/{phase_id}/submissions")
def listing(
    caller: CallerDep,
    slug: str,
    phase_id: int,
    status: _Status | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    offset: _Page = 0,
) -> list[SubmissionOut]:
    """All submissions of a phase, newest first (jurors too)."""
    caller.juror()
    phase = phase_in(caller, slug, phase_id)
    found = views.of_phase(caller.session, phase.id, status=status, limit=limit, offset=offset)
    return [describe(caller, one) for one in found]


@router.post("/submissions/{submission_id}/cancel")
def cancel(
    caller: ChangerDep, submission_id: int, reason: Annotated[str, Body(embed=True, min_length=1)]
) -> SubmissionOut:
    """Stop a submission and give it back to its team's limits."""
    by = caller.organiser()
    found = views.submission(caller.session, submission_id, by)
    submissions.cancel(caller.session, found, by, reason, caller.now)
    caller.session.commit()
    return describe(caller, found)


@router.post("/submissions/{submission_id}/refund")
def refund(
    caller: ChangerDep, submission_id: int, reason: Annotated[str, Body(embed=True, min_length=1)]
) -> SubmissionOut:
    """Give a submission back to its team's limits, and leave all else as it is."""
    by = caller.organiser()
    found = views.submission(caller.session, submission_id, by)
    submissions.refund(caller.session, found, by, reason, caller.now)
    caller.session.commit()
    return describe(caller, found)


@router.post("/submissions/{submission_id}/restart")
def restart(caller: ChangerDep, submission_id: int) -> SubmissionOut:
    """Queue a failed submission again."""
    by = caller.organiser()
    found = views.submission(caller.session, submission_id, by)
    submissions.restart(caller.session, found, by, caller.now)
    caller.session.commit()
    return describe(caller, found)


@router.get("/export", response_class=FileResponse)
def export(caller: CallerDep) -> FileResponse:
    """All that the server knows as a zip, without passwords, seeds and invite codes."""
    return exported(caller)


@router.get("/submissions/{submission_id}/marks")
def marks(caller: CallerDep, submission_id: int) -> dict[str, Mark]:
    """What jurors said of a submission, by their names (jurors too)."""
    viewer = caller.juror()
    found = jury.marks_of(caller.session, submission_id, viewer)
    return {one.juror.name: Mark.model_validate(one) for one in found}


@router.put("/submissions/{submission_id}/marks")
def set_mark(caller: ChangerDep, submission_id: int, mark: Mark) -> Mark:
    """What this juror thinks: 0 to 10 points each, or null."""
    by = caller.juror()
    found = views.submission(caller.session, submission_id, by)
    jury.set_mark(caller.session, found, by=by, now=caller.now, **mark.model_dump())
    caller.session.commit()
    return mark
