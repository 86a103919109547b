"""Handing in: what may be uploaded when, and what a team or an organiser may do with it then."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from sigma68.challenge.queue.jobs import enqueue
from sigma68.challenge.rules import phases
from sigma68.challenge.rules.accounts import require_organiser
from sigma68.challenge.rules.audit import record
from sigma68.challenge.rules.observations import why_none
from sigma68.challenge.rules.refusals import (
    ConflictError,
    ForbiddenError,
    QuotaError,
    RefusedError,
)
from sigma68.challenge.rules.teams import membership_of, team_of
from sigma68.challenge.rules.texts import line
from sigma68.challenge.rules.uploads import look_at, wanted_of
from sigma68.challenge.store.tables import (
    Choice,
    Entry,
    FailedUpload,
    Job,
    Phase,
    Submission,
    Team,
    User,
)
from sigma68.errors import EntryError

if TYPE_CHECKING:
    from sigma68.challenge.archive import Limits
    from sigma68.challenge.store.stores import Store

__all__ = [
    "FAILED_UPLOADS_A_DAY",
    "Allowance",
    "allowance",
    "cancel",
    "choose",
    "chosen",
    "day_of",
    "refund",
    "restart",
    "submit",
]

FAILED_UPLOADS_A_DAY = 20
"""How many uploads that are no entry a team may make in a day, counted apart."""


@dataclass(frozen=True)
class Allowance:
    """What a team may still hand in: today, in all, and when the next day begins (UTC).

    `failed_uploads` counts today's uploads that were no entry. `reason` is the sentence why
    nothing may be handed in now, None if something may.
    """

    today: int
    in_all: int
    failed_uploads: int
    next_day: datetime
    reason: str | None


def day_of(now: datetime) -> datetime:
    """The beginning of the day that `now` is in, in UTC."""
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


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

    It is an entry, or results where the challenge takes these.

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
    BusyError
        If too many uploads are looked at already.
    """
    shown = line(name.rpartition("/")[2], "a file's name", most=200)
    with store.read() as session:
        team_id = _may_submit(session, phase_id, user_id, now).id
        wanted = wanted_of(phases.find(session, phase_id))
    try:
        looked = look_at(upload, wanted, limits)
    except EntryError as error:
        with store.write() as session:
            session.add(
                FailedUpload(
                    phase_id=phase_id,
                    team_id=team_id,
                    user_id=user_id,
                    name=shown,
                    at=now,
                    reason=str(error),
                )
            )
        raise
    key = f"entries/{secrets.token_hex(16)}.zip"
    store.files.put(key, upload)
    try:
        with store.write() as session:
            # Again, with the team's row locked: two uploads at once are both counted.
            team = _may_submit(session, phase_id, user_id, now, lock=True)
            entry = Entry(
                team_id=team.id,
                user_id=user_id,
                name=shown,
                file=key,
                sha256=looked.sha256,
                fingerprint=looked.fingerprint,
                n_files=looked.n_files,
                n_bytes=looked.n_bytes,
                created=now,
            )
            return _queued(session, phases.find(session, phase_id), team, entry, user_id, now)
    except RefusedError:
        store.files.remove(key)
        raise


def allowance(session: Session, phase: Phase, team_id: int, now: datetime) -> Allowance:
    """What the team may still hand in to the phase."""
    day = day_of(now)
    counted = select(func.count(Submission.id)).where(
        Submission.phase_id == phase.id, Submission.team_id == team_id, Submission.counts.is_(True)
    )
    in_all = phase.total - (session.scalar(counted) or 0)
    today = phase.per_day - (session.scalar(counted.where(Submission.created >= day)) or 0)
    failed = session.scalar(
        select(func.count(FailedUpload.id)).where(
            FailedUpload.phase_id == phase.id,
            FailedUpload.team_id == team_id,
            FailedUpload.at >= day,
        )
    )
    found = Allowance(
        today=max(min(today, in_all), 0),
        in_all=max(in_all, 0),
        failed_uploads=failed or 0,
        next_day=day + timedelta(days=1),
        reason=None,
    )
    return Allowance(**{**vars(found), "reason": _why_not(phase, found, now)})


def cancel(session: Session, submission: Submission, by: User, reason: str, now: datetime) -> None:
    """Stop a submission and give it back to its team's limits; it leaves the leaderboard.

    Raises
    ------
    ForbiddenError
        If `by` is no organiser.
    ConflictError
        If it is cancelled already.
    """
    require_organiser(by)
    # The job first, then the submission: in the order in which a worker locks them.
    session.execute(
        update(Job)
        .where(Job.submission_id == submission.id, Job.status.in_(("queued", "running")))
        .values(status="cancelled", ended=now, expires=None)
    )
    # The row as it is now, not as it was when the page was made.
    session.refresh(submission, with_for_update=True)
    if submission.status == "cancelled":
        raise ConflictError("this submission is cancelled already")
    why = line(reason, "the reason", most=500)
    subject = f"submission:{submission.id}"
    record(session, by, "cancel", subject, now, reason=why, was=submission.status)
    submission.status, submission.counts, submission.reason = "cancelled", False, why
    submission.ended = submission.ended or now
    for choice in session.scalars(select(Choice).where(Choice.submission_id == submission.id)):
        session.delete(choice)
    phases.board_changed(session, submission.phase_id)


def refund(session: Session, submission: Submission, by: User, reason: str, now: datetime) -> None:
    """Give a submission back to its team's limits and leave all else as it is.

    Raises
    ------
    ForbiddenError
        If `by` is no organiser.
    """
    require_organiser(by)
    submission.counts = False
    why = line(reason, "the reason", most=500)
    record(session, by, "refund", f"submission:{submission.id}", now, reason=why)
    session.flush()


def restart(session: Session, submission: Submission, by: User, now: datetime) -> None:
    """Queue a failed submission that has no result again, at no cost to its team.

    One of a final is started again with all others that failed with it.

    Raises
    ------
    ForbiddenError
        If `by` is no organiser.
    ConflictError
        If it did not fail, or failed by its own fault in a final.
    """
    require_organiser(by)
    session.refresh(submission, with_for_update=True)
    of_it = (
        Job.submission_id == submission.id
        if submission.source_id is None
        else (Job.phase_id == submission.phase_id) & (Job.status == "failed")
    )
    jobs = session.scalars(select(Job).where(of_it)).all()
    if submission.status != "failed" or not jobs:
        raise ConflictError("only a submission whose judging failed can be started again")
    for job in jobs:
        job.status, job.attempts, job.not_before = "queued", 0, now
        job.lease = job.holder = job.expires = job.ended = job.reason = None
    lost = (
        (Submission.id == submission.id)
        if submission.source_id is None
        else (Submission.phase_id == submission.phase_id) & (Submission.status == "failed")
    )
    for one in session.scalars(select(Submission).where(lost)):
        one.status, one.reason, one.ended, one.done = "queued", None, None, 0
    phases.board_changed(session, submission.phase_id)
    record(session, by, "restart", f"submission:{submission.id}", now)
    session.flush()


def choose(session: Session, submission: Submission, by: User, now: datetime) -> None:
    """Take this submission into the final instead of the team's best.

    Raises
    ------
    ForbiddenError
        If `by` is not in its team.
    ConflictError
        If no final draws from its phase, the final has begun, or it was cancelled or failed.
    """
    membership_of(session, submission.team_id, by)
    final = session.scalar(
        select(Phase)
        .where(Phase.draws_from == submission.phase_id, Phase.kind == "final")
        .order_by(Phase.opens)
        .limit(1)
    )
    if final is None:
        raise ConflictError("no final takes entries from this phase")
    if final.started is not None or now >= final.opens:
        raise ConflictError(f"{final.name!r} has begun: entries cannot be chosen any more")
    if submission.status in ("cancelled", "failed"):
        raise ConflictError(f"this submission is {submission.status}: choose another")
    found = _choice(session, submission.team_id, submission.phase_id)
    if found is None:
        found = Choice(team_id=submission.team_id, phase_id=submission.phase_id)
        session.add(found)
    found.submission_id, found.chosen = submission.id, now
    record(session, by, "choose", f"submission:{submission.id}", now)
    session.flush()


def chosen(session: Session, team_id: int, phase_id: int) -> Submission | None:
    """The submission a team chose from a phase; None where its best is taken."""
    found = _choice(session, team_id, phase_id)
    return None if found is None else session.get(Submission, found.submission_id)


def _choice(session: Session, team_id: int, phase_id: int) -> Choice | None:
    return session.scalar(
        select(Choice).where(Choice.team_id == team_id, Choice.phase_id == phase_id)
    )


def _may_submit(
    session: Session, phase_id: int, user_id: int, now: datetime, *, lock: bool = False
) -> Team:
    """The team for which the user may hand in now, or a refusal."""
    phase = phases.find(session, phase_id)
    user = session.get(User, user_id)
    team = None if user is None else team_of(session, phase.challenge_id, user)
    if user is None or user.disabled or team is None:
        raise ForbiddenError("only members of a team may hand in: make one or join one first")
    if lock:
        session.refresh(team, with_for_update=True)
    found = allowance(session, phase, team.id, now)
    if found.reason is not None:
        is_open = phase.kind == "public" and phases.state(phase, now) == "open"
        is_limit = is_open and why_none(phase.challenge, phase) is None
        raise (QuotaError if is_limit else ConflictError)(found.reason)
    return team


def _why_not(phase: Phase, found: Allowance, now: datetime) -> str | None:
    if phase.kind != "public":
        return f"{phase.name!r} takes each team's chosen or best entry: nothing is handed in to it"
    when = phases.state(phase, now)
    if when == "before":
        return f"{phase.name!r} opens at {phase.opens:%Y-%m-%d %H:%M} UTC"
    if when == "closed":
        return f"{phase.name!r} closed at {phase.closes:%Y-%m-%d %H:%M} UTC"
    if found.in_all == 0:
        return f"your team has handed in all {phase.total} entries of this phase"
    if found.today == 0:
        return (
            f"your team has handed in {phase.per_day} entries today, which is a day's limit: the "
            f"next day begins at {found.next_day:%Y-%m-%d %H:%M} UTC"
        )
    if found.failed_uploads >= FAILED_UPLOADS_A_DAY:
        what, look = (
            ("results", "see what the page of the data says of them")
            if phase.challenge.takes == "results"
            else ("entry", "run `sigma68 entry check` on yours")
        )
        return (
            f"{found.failed_uploads} uploads of your team were no {what} today: {look}, and try "
            f"again after {found.next_day:%Y-%m-%d %H:%M} UTC"
        )
    return why_none(phase.challenge, phase)


def _queued(
    session: Session, phase: Phase, team: Team, entry: Entry, user_id: int, now: datetime
) -> int:
    session.add(entry)
    session.flush()
    made = Submission(
        key=secrets.token_hex(16),
        phase_id=phase.id,
        team_id=team.id,
        entry_id=entry.id,
        user_id=user_id,
        created=now,
        total=phase.sets * phase.toys,
    )
    session.add(made)
    session.flush()
    enqueue(
        session,
        f"submission:{made.key}",
        "judge",
        phase.id,
        now,
        submission_id=made.id,
        n_sets=phase.sets,
        total=made.total,
    )
    return made.id
