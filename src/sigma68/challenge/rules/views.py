"""Who may see what of submissions: their state, their log, their result when it is time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from sigma68.challenge.rules.phases import state
from sigma68.challenge.rules.refusals import NotFoundError
from sigma68.challenge.rules.submissions import day_of
from sigma68.challenge.store.tables import (
    FailedUpload,
    LogLine,
    Membership,
    Phase,
    Result,
    Submission,
    User,
)

__all__ = [
    "failed_uploads",
    "latest_log",
    "of_phase",
    "of_team",
    "shown_until",
    "submission",
    "visible_result",
]

_LOADED = (
    joinedload(Submission.entry),
    joinedload(Submission.result),
    joinedload(Submission.fact_sheet),
    joinedload(Submission.team),
    joinedload(Submission.user),
    joinedload(Submission.phase),
)


def submission(session: Session, submission_id: int, viewer: User | None) -> Submission:
    """A submission that `viewer` may see: their team's, or any for organisers and jurors.

    Raises
    ------
    NotFoundError
        If there is none, or it is not theirs to see.
    """
    found = session.get(Submission, submission_id, options=_LOADED)
    if found is None or viewer is None or not _is_theirs(session, found, viewer):
        raise NotFoundError(f"there is no submission {submission_id} that you may see")
    return found


def of_team(session: Session, team_id: int, phase_id: int | None = None) -> Sequence[Submission]:
    """A team's submissions, newest first, with entries, results and fact sheets loaded."""
    query = select(Submission).where(Submission.team_id == team_id)
    if phase_id is not None:
        query = query.where(Submission.phase_id == phase_id)
    return session.scalars(query.options(*_LOADED).order_by(Submission.id.desc())).all()


def of_phase(
    session: Session, phase_id: int, *, status: str | None = None, limit: int = 200, offset: int = 0
) -> Sequence[Submission]:
    """All teams' submissions, newest first, for organisers and jurors."""
    query = select(Submission).where(Submission.phase_id == phase_id)
    if status is not None:
        query = query.where(Submission.status == status)
    ordered = query.options(*_LOADED).order_by(Submission.id.desc())
    return session.scalars(ordered.limit(limit).offset(offset)).all()


def failed_uploads(
    session: Session, team_id: int, phase_id: int, *, limit: int = 20
) -> Sequence[FailedUpload]:
    """A team's uploads that were no entry, newest first, with the reasons."""
    return session.scalars(
        select(FailedUpload)
        .where(FailedUpload.team_id == team_id, FailedUpload.phase_id == phase_id)
        .order_by(FailedUpload.id.desc())
        .limit(limit)
    ).all()


def latest_log(session: Session, submission_id: int, after: int = 0) -> Sequence[LogLine]:
    """The log of a submission in order, lines with an id above `after`."""
    return session.scalars(
        select(LogLine)
        .where(LogLine.submission_id == submission_id, LogLine.id > after)
        .order_by(LogLine.id)
    ).all()


def shown_until(phase: Phase, now: datetime) -> datetime | None:
    """Up to when results must have been made to be shown at `now`; None: none is shown yet.

    A result tells the truth of every set. In a public phase nobody else meets that truth; in a
    final all do, so that nothing of one is shown before it has closed, whatever its settings say.
    """
    closed = state(phase, now) == "closed"
    if (phase.hidden or phase.kind == "final") and not closed:
        return None
    if phase.updates == "daily" and not closed:
        return day_of(now)
    return now


def visible_result(
    session: Session, submission: Submission, viewer: User | None, now: datetime
) -> Result | None:
    """The result if `viewer` may see it now, else None.

    Organisers see all. Others see their team's alone, and jurors every team's, after the day's
    update where a phase updates daily, after its end where its scores are hidden until then.
    Pages show no result that did not come through here or through a leaderboard.
    """
    result = submission.result
    if result is None or viewer is None or not _is_theirs(session, submission, viewer):
        return None
    if viewer.role == "organiser":
        return result
    until = shown_until(submission.phase, now)
    return None if until is None or result.created > until else result


def _is_theirs(session: Session, submission: Submission, viewer: User) -> bool:
    if viewer.role in ("organiser", "juror"):
        return True
    member = select(Membership.id).where(
        Membership.team_id == submission.team_id, Membership.user_id == viewer.id
    )
    return session.scalar(member) is not None
