"""Beyond the score: fact sheets that teams write, and what jurors think of their entries."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from urllib.parse import urlsplit

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from sigma68.challenge.rules.audit import record
from sigma68.challenge.rules.refusals import ForbiddenError, RefusedError
from sigma68.challenge.rules.teams import membership_of
from sigma68.challenge.rules.texts import line, paragraphs
from sigma68.challenge.store.tables import FactSheet, JuryMark, Submission, User

__all__ = ["marks_of", "set_fact_sheet", "set_mark"]

MOST_POINTS = 10


def set_fact_sheet(
    session: Session,
    submission: Submission,
    *,
    by: User,
    now: datetime,
    method: str,
    code_url: str = "",
    licence: str = "",
) -> FactSheet:
    """Write the fact sheet of a team's own submission: Markdown, an address, a licence's name.

    Raises
    ------
    ForbiddenError
        If `by` is not in the team.
    RefusedError
        If a text cannot be taken, or the address is none of http or https.
    """
    membership_of(session, submission.team_id, by)
    address = line(code_url, "the address of the code", most=1024, least=0)
    if address:
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.netloc or " " in address:
            raise RefusedError(f"{address!r} is no address: give one that begins with https://")
    sheet = session.get(FactSheet, submission.id)
    if sheet is None:
        sheet = FactSheet(submission_id=submission.id)
        session.add(sheet)
        submission.fact_sheet = sheet
    sheet.method = paragraphs(method, "the description of the method", least=0)
    sheet.code_url = address
    sheet.licence = line(licence, "the licence", least=0)
    sheet.updated = now
    session.flush()
    return sheet


def set_mark(
    session: Session,
    submission: Submission,
    *,
    by: User,
    now: datetime,
    novel: int | None = None,
    practical: int | None = None,
    frugal: int | None = None,
    notes: str = "",
) -> JuryMark:
    """Write what juror `by` thinks of a submission: 0 to 10 points each, None for no opinion.

    Raises
    ------
    ForbiddenError
        If `by` is neither juror nor organiser, or in the team.
    RefusedError
        If there are fewer than 0 or more than 10 points, or the notes cannot be taken.
    """
    if by.role not in ("juror", "organiser"):
        raise ForbiddenError("only jurors and organisers may do this")
    if any(member.user_id == by.id for member in submission.team.members):
        raise ForbiddenError("nobody judges an entry of their own team")
    points = {"novel": novel, "practical": practical, "frugal": frugal}
    for name, value in points.items():
        if value is not None and not 0 <= value <= MOST_POINTS:
            raise RefusedError(f"{name} takes 0 to {MOST_POINTS} points, not {value}")
    mark = session.scalar(
        select(JuryMark).where(JuryMark.submission_id == submission.id, JuryMark.juror_id == by.id)
    )
    if mark is None:
        mark = JuryMark(submission_id=submission.id, juror_id=by.id)
        session.add(mark)
    mark.novel, mark.practical, mark.frugal = novel, practical, frugal
    mark.notes = paragraphs(notes, "the notes", least=0)
    mark.updated = now
    record(session, by, "mark", f"submission:{submission.id}", now, **points)
    session.flush()
    return mark


def marks_of(session: Session, submission_id: int, viewer: User) -> Sequence[JuryMark]:
    """What jurors said of a submission, with who they are; for jurors and organisers.

    Raises
    ------
    ForbiddenError
        If `viewer` is neither.
    """
    if viewer.role not in ("juror", "organiser"):
        raise ForbiddenError("only jurors and organisers may see this")
    return session.scalars(
        select(JuryMark)
        .where(JuryMark.submission_id == submission_id)
        .options(joinedload(JuryMark.juror))
        .order_by(JuryMark.id)
    ).all()
