"""Jobs in a table: asked for once, leased to one worker at a time, ended exactly once.

A worker holds a job as long as it says so in time. Whoever finds a lease that ran out, or a holder
that is dead, takes the job back into the queue, and ends it as failed the third time. Every change of a running job asks
for its lease by name in the very statement that makes the change: of two workers who think
they hold a job, one is told that it does not.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import CursorResult, func, or_, select, update
from sqlalchemy.orm import Session

from sigma68.challenge.rules.phases import board_changed
from sigma68.challenge.store.tables import Job, LogLine, Submission

__all__ = [
    "LEASE",
    "MOST_ATTEMPTS",
    "Lease",
    "add_log",
    "end",
    "enqueue",
    "fail",
    "give_back",
    "heartbeat",
    "lease",
    "reclaim",
]

LEASE = timedelta(seconds=60)
"""How long a worker may be silent before its job is somebody else's."""

MOST_ATTEMPTS = 3
_RETRY_AFTER = timedelta(seconds=10)
_MOST_LOG = 64 << 10
_LOST = (
    "the worker was lost {n} times while it judged this; an organiser can start it again once the "
    "machine is well"
)


@dataclass(frozen=True)
class Lease:
    """A job held by a worker: what is to be done, and the random name to prove it with."""

    job_id: int
    name: str
    kind: str
    attempt: int
    phase_id: int
    submission_id: int | None
    first_set: int
    n_sets: int
    total: int


def enqueue(
    session: Session,
    key: str,
    kind: str,
    phase_id: int,
    now: datetime,
    *,
    submission_id: int | None = None,
    first_set: int = 0,
    n_sets: int = 0,
    total: int = 0,
    priority: int = 0,
) -> Job:
    """Ask for a job. One with this `key` that is there already is returned as it is."""
    found = session.scalar(select(Job).where(Job.key == key))
    if found is not None:
        return found
    job = Job(
        key=key,
        kind=kind,
        phase_id=phase_id,
        submission_id=submission_id,
        first_set=first_set,
        n_sets=n_sets,
        total=total,
        priority=priority,
        created=now,
        not_before=now,
    )
    session.add(job)
    session.flush()
    return job


def lease(
    session: Session, worker: str, now: datetime, *, duration: timedelta = LEASE
) -> Lease | None:
    """Take the next job, the one of the highest priority that waits longest; None if none waits.

    Jobs whose leases ran out are taken back first.
    """
    reclaim(session, now)
    job = session.scalar(
        select(Job)
        .where(Job.status == "queued", Job.not_before <= now)
        .order_by(Job.priority.desc(), Job.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    if job is None:
        return None
    job.status = "running"
    job.attempts += 1
    job.holder = worker
    job.lease = secrets.token_hex(16)
    job.expires = now + duration
    job.started = job.started or now
    session.flush()
    _mirror(session, job, {"status": "running", "started": now}, only=("queued",))
    return Lease(
        job_id=job.id,
        name=job.lease,
        kind=job.kind,
        attempt=job.attempts,
        phase_id=job.phase_id,
        submission_id=job.submission_id,
        first_set=job.first_set,
        n_sets=job.n_sets,
        total=job.total,
    )


def heartbeat(
    session: Session, held: Lease, now: datetime, *, done: int = 0, duration: timedelta = LEASE
) -> bool:
    """Say that the job is being worked on, `done` toys of it. False: stop, it is not yours any more.

    It is somebody else's, was cancelled, or has ended.
    """
    if not _change(session, held, {"expires": now + duration, "done": done}):
        return False
    if held.submission_id is not None:
        session.execute(
            update(Submission).where(Submission.id == held.submission_id).values(done=done)
        )
    elif held.kind == "final":
        so_far = select(func.coalesce(func.sum(Job.done), 0)).where(
            Job.phase_id == held.phase_id, Job.kind == "final"
        )
        session.execute(
            update(Submission)
            .where(Submission.phase_id == held.phase_id, Submission.status == "running")
            .values(done=so_far.scalar_subquery())
        )
    return True


def end(session: Session, held: Lease, now: datetime) -> bool:
    """End the job as finished, if it is still held. What it found is written in the same session.

    True once only: whoever is told True writes the results.
    """
    values = {"status": "finished", "ended": now, "done": held.total, "expires": None}
    return _change(session, held, values)


def give_back(session: Session, held: Lease, now: datetime) -> bool:
    """Put the job back for others, at no cost: the worker has to stop, the job did nothing wrong."""
    values = {"status": "queued", "not_before": now, "expires": None, "lease": None}
    if not _change(session, held, {**values, "attempts": Job.attempts - 1, "holder": None}):
        return False
    job = session.get_one(Job, held.job_id, populate_existing=True)
    _mirror(session, job, {"status": "queued"}, only=("running",))
    return True


def fail(session: Session, held: Lease, reason: str, now: datetime) -> bool:
    """Say that the job could not be done: it is tried again later, and fails the third time.

    `reason` is a sentence.
    """
    if not _change(session, held, {"expires": now}):
        return False
    job = session.get_one(Job, held.job_id, populate_existing=True)
    _retry_or_fail(session, job, reason, now, wait=_RETRY_AFTER * job.attempts)
    return True


def reclaim(
    session: Session, now: datetime, *, is_dead: Callable[[str], bool] = lambda holder: False
) -> Sequence[int]:
    """Take back the jobs whose leases ran out, or whose holder `is_dead` knows to be; their numbers."""
    gone = [
        holder
        for holder in session.scalars(
            select(Job.holder).where(Job.status == "running", Job.expires > now).distinct()
        )
        if holder is not None and is_dead(holder)
    ]
    lost = session.scalars(
        select(Job)
        .where(Job.status == "running", or_(Job.expires <= now, Job.holder.in_(gone)))
        .order_by(Job.id)
        .with_for_update(skip_locked=True)
    ).all()
    for job in lost:
        _retry_or_fail(session, job, _LOST.format(n=job.attempts), now)
    return [job.id for job in lost]


def add_log(
    session: Session, submission_id: int, text: str, now: datetime, *, only_first: bool = False
) -> None:
    """Add to what a submission's author reads, up to 64 KiB in all; what is beyond is dropped.

    With `only_first` nothing is added where something stands already.
    """
    used = session.scalar(
        select(func.coalesce(func.sum(func.length(LogLine.text)), 0)).where(
            LogLine.submission_id == submission_id
        )
    )
    if used and only_first:
        return
    left = _MOST_LOG - int(used or 0)
    # NUL cannot be kept by every database.
    clean = text.replace("\0", "").rstrip("\n")[: max(left, 0)]
    if clean:
        session.add(LogLine(submission_id=submission_id, at=now, text=clean))
        session.flush()


def _change(session: Session, held: Lease, values: dict[str, Any]) -> bool:
    """Change the job if it is held under this lease, in one statement."""
    result = session.execute(
        update(Job)
        .where(Job.id == held.job_id, Job.lease == held.name, Job.status == "running")
        .values(values)
        .execution_options(synchronize_session=False)
    )
    return cast("CursorResult[Any]", result).rowcount == 1


def _retry_or_fail(
    session: Session, job: Job, reason: str, now: datetime, wait: timedelta = timedelta(0)
) -> None:
    job.lease = job.holder = job.expires = None
    if job.attempts < MOST_ATTEMPTS:
        job.status, job.not_before = "queued", now + wait
        session.flush()
        _mirror(session, job, {"status": "queued"}, only=("running",))
        return
    job.status, job.ended, job.reason = "failed", now, reason
    session.flush()
    ended = {"status": "failed", "ended": now, "reason": reason}
    _mirror(session, job, ended, only=("queued", "running"))
    # A board shows that nothing is awaited any more.
    board_changed(session, job.phase_id)


def _mirror(session: Session, job: Job, values: dict[str, Any], *, only: tuple[str, ...]) -> None:
    """Show on the submissions of a job what became of it."""
    which = (
        Submission.id == job.submission_id
        if job.submission_id is not None
        else Submission.phase_id == job.phase_id
    )
    if job.kind == "final" and values.get("status") == "queued":
        others = select(Job.id).where(
            Job.phase_id == job.phase_id, Job.kind == "final", Job.status == "running"
        )
        if session.scalar(others.limit(1)) is not None:
            return
    if "started" in values:
        values = {**values, "started": func.coalesce(Submission.started, values["started"])}
    session.execute(
        update(Submission)
        .where(which, Submission.status.in_(only))
        .values(values)
        .execution_options(synchronize_session=False)
    )
