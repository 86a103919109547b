"""Handing in: what may be uploaded when, what becomes of it, and who may see what of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from sigma68.challenge.store.tables import LogLine, Phase, Result, Submission, User

if TYPE_CHECKING:
    from sigma68.challenge.archive import Limits
    from sigma68.challenge.store.stores import Store

__all__ = [
    "Allowance",
    "allowance",
    "cancel",
    "choose",
    "chosen",
    "latest_log",
    "of_phase",
    "of_team",
    "refund",
    "restart",
    "submission",
    "submit",
    "visible_result",
]


@dataclass(frozen=True)
class Allowance:
    """What a team may still hand in: today, in all, and when the next day begins (UTC).

    `reason` is the sentence why nothing may be handed in now, None if something may.
    """

    today: int
    in_all: int
    next_day: datetime
    reason: str | None


def submit(
    store: Store,
    phase_id: int,
    user_id: int,
    upload: Path,
    name: str,
    now: datetime,
    *,
    limits: Limits | None = None,
) -> int:
    """Take the zip at `upload`, called `name` by its author, into a phase; its submission's id.

    The one function here that takes the whole `store` and commits: the file is stored whole
    before the row that names it is written. `upload` itself is left alone. A zip that is no
    entry is counted among the team's failed uploads.

    Raises
    ------
    EntryError
        If it is no entry, with the reason for its author.
    QuotaError
        If the team has reached a limit.
    ConflictError
        If the phase is not open, or not one to hand in to.
    ForbiddenError
        If the user is in no team of the challenge.
    NotFoundError
        If there is no such phase.
    """
    raise NotImplementedError


def allowance(session: Session, phase: Phase, team_id: int, now: datetime) -> Allowance:
    """What the team may still hand in to the phase."""
    raise NotImplementedError


def submission(session: Session, submission_id: int, viewer: User | None) -> Submission:
    """A submission that `viewer` may see: their team's, or any for organisers and jurors.

    Raises
    ------
    NotFoundError
        If there is none, or it is not theirs to see.
    """
    raise NotImplementedError


def of_team(session: Session, team_id: int, phase_id: int | None = None) -> Sequence[Submission]:
    """A team's submissions, newest first, with entries, results and fact sheets loaded."""
    raise NotImplementedError


def of_phase(
    session: Session, phase_id: int, *, status: str | None = None, limit: int = 200, offset: int = 0
) -> Sequence[Submission]:
    """All teams' submissions, newest first, for organisers and jurors."""
    raise NotImplementedError


def latest_log(session: Session, submission_id: int, after: int = 0) -> Sequence[LogLine]:
    """The log of a submission in order, lines with an id above `after`."""
    raise NotImplementedError


def visible_result(
    session: Session, submission: Submission, viewer: User | None, now: datetime
) -> Result | None:
    """The result if `viewer` may see it now, else None.

    Organisers see all. Others see their team's alone, after the day's update where a phase
    updates daily, after its end where its scores are hidden until then. Pages show no result
    that did not come through here or through a leaderboard.
    """
    raise NotImplementedError


def cancel(session: Session, submission: Submission, by: User, reason: str, now: datetime) -> None:
    """Stop a submission and give it back to its team's limits; it leaves the leaderboard.

    Raises
    ------
    ForbiddenError
        If `by` is no organiser.
    ConflictError
        If it is cancelled already.
    """
    raise NotImplementedError


def refund(session: Session, submission: Submission, by: User, reason: str, now: datetime) -> None:
    """Give a submission back to its team's limits and leave all else as it is.

    Raises
    ------
    ForbiddenError
        If `by` is no organiser.
    """
    raise NotImplementedError


def restart(session: Session, submission: Submission, by: User, now: datetime) -> None:
    """Queue a failed submission that has no result again, at no cost to its team.

    Raises
    ------
    ForbiddenError
        If `by` is no organiser.
    ConflictError
        If it did not fail.
    """
    raise NotImplementedError


def choose(session: Session, submission: Submission, by: User, now: datetime) -> None:
    """Take this submission into the final instead of the team's best.

    Raises
    ------
    ForbiddenError
        If `by` is not in its team.
    ConflictError
        If no final draws from its phase, the final has begun, or it was cancelled or failed.
    """
    raise NotImplementedError


def chosen(session: Session, team_id: int, phase_id: int) -> Submission | None:
    """The submission a team chose from a phase; None where its best is taken."""
    raise NotImplementedError
