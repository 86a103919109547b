"""What waits, what runs and who runs it: for the organisers' page and the author of an entry."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from sigma68.challenge.store.tables import Job, Submission

__all__ = ["Overview", "Running", "ahead", "overview"]


@dataclass(frozen=True)
class Running:
    """A job in the hands of a worker; `expires` is when it is taken back if the worker is silent."""

    job_id: int
    kind: str
    phase_id: int
    submission_id: int | None
    worker: str
    attempt: int
    done: int
    total: int
    expires: datetime


@dataclass(frozen=True)
class Overview:
    """The state of the queue; `oldest` is when the job that waits longest was asked for."""

    queued: int
    running: tuple[Running, ...]
    oldest: datetime | None


def overview(session: Session) -> Overview:
    """How many jobs wait and since when, and which run where."""
    queued, oldest = session.execute(
        select(func.count(Job.id), func.min(Job.created)).where(Job.status == "queued")
    ).one()
    rows = session.scalars(select(Job).where(Job.status == "running").order_by(Job.id)).all()
    running = tuple(
        Running(
            job_id=job.id,
            kind=job.kind,
            phase_id=job.phase_id,
            submission_id=job.submission_id,
            worker=job.holder,
            attempt=job.attempts,
            done=job.done,
            total=job.total,
            expires=job.expires,
        )
        for job in rows
        if job.holder is not None and job.expires is not None
    )
    return Overview(queued, running, oldest)


def ahead(session: Session, submission: Submission) -> int:
    """How many jobs are to be done before this submission's; 0 once it runs or has ended."""
    job = session.scalar(
        select(Job).where(Job.submission_id == submission.id, Job.status == "queued")
    )
    if job is None:
        return 0
    waiting = (Job.status == "queued") & (
        (Job.priority > job.priority) | ((Job.priority == job.priority) & (Job.id < job.id))
    )
    return (
        session.scalar(select(func.count(Job.id)).where(waiting | (Job.status == "running"))) or 0
    )
