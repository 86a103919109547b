"""The organisers' first page, and the audit log."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from sigma68.challenge.queue.overview import overview
from sigma68.challenge.rules import audit, challenges
from sigma68.challenge.web.exporting import exported
from sigma68.challenge.web.forms import PostedDep
from sigma68.challenge.web.visits import VisitDep

__all__ = ["router"]

router = APIRouter(prefix="/admin")

_AUDIT_LINES = 200


@router.get("")
def admin(visit: VisitDep) -> Response:
    """Challenges, people, and how the queue is."""
    visit.juror()
    return visit.page(
        "admin.html",
        challenges=challenges.listing(visit.session, hidden=True),
        queue=overview(visit.session) if visit.is_organiser else None,
    )


@router.post("/export")
def export(visit: VisitDep, posted: PostedDep) -> Response:
    """All that the server knows, as a zip."""
    return exported(visit)


@router.get("/audit")
def audit_log(visit: VisitDep, page: Annotated[int, Query(ge=1, le=100_000)] = 1) -> Response:
    """Who did what, when."""
    visit.organiser()
    lines = audit.audit_log(visit.session, limit=_AUDIT_LINES + 1, offset=(page - 1) * _AUDIT_LINES)
    return visit.page(
        "audit.html", lines=lines[:_AUDIT_LINES], page=page, more=len(lines) > _AUDIT_LINES
    )
