"""Whether what a server keeps agrees with itself: rows with rows, rows with files.

Every change is one transaction, and a file is stored whole before the row that names it, so that
a kill at any moment leaves a store in which nothing is found here. Looking changes nothing.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from sigma68.challenge.queue.jobs import MOST_ATTEMPTS
from sigma68.challenge.store.tables import (
    Challenge,
    Entry,
    Job,
    Observations,
    ObservationTruths,
    Phase,
    Piece,
    Result,
    Submission,
)
from sigma68.errors import DataError

if TYPE_CHECKING:
    from sigma68.challenge.store.files import Files
    from sigma68.challenge.store.stores import Store

__all__ = ["OVERDUE", "faults"]

OVERDUE = timedelta(minutes=2)
"""How long ago a lease may have run out: whoever looks next takes the job back."""

_ENDED = ("finished", "failed", "cancelled")


def faults(store: Store, now: datetime, *, files: bool = True) -> list[str]:
    """What does not agree in the store at `now`: a sentence each, none if all is well.

    Every submission of a public phase has one job and is as far as that; what is finished has
    one result, and nothing else has; what runs is held by a worker; every part of a final is
    there once. With `files` every file that a row names is read and compared with its SHA-256.
    """
    with store.read() as session:
        found = [*_database(session), *_jobs(session, now), *_submissions(session)]
        found += _finals(session)
        named = _named(session) if files else {}
    return found + [why for key, sha256 in named.items() for why in _file(store.files, key, sha256)]


def _database(session: Session) -> Iterator[str]:
    """What SQLite says of its own file, and rows that name rows which are not there."""
    if session.get_bind().dialect.name != "sqlite":
        return
    for (said,) in session.execute(text("PRAGMA integrity_check(10)")):
        if said != "ok":
            yield f"the database is damaged: {said}"
    for table, row, other, _ in session.execute(text("PRAGMA foreign_key_check")):
        yield f"row {row} of {table} names a row of {other} that is not there"


def _jobs(session: Session, now: datetime) -> Iterator[str]:
    for job in session.scalars(select(Job).order_by(Job.id)):
        held = (job.lease, job.holder, job.expires)
        if job.status == "running" and None in held:
            yield f"job {job.id} runs, yet nobody holds it"
        elif job.status == "running" and job.expires is not None and job.expires < now - OVERDUE:
            yield (
                f"job {job.id} was left by its worker at {job.expires:%Y-%m-%d %H:%M:%S} UTC and "
                "nobody has taken it up: start a worker"
            )
        elif job.status == "queued" and None not in held:
            yield f"job {job.id} waits, yet {job.holder} holds it"
        if job.status == "failed" and not job.reason:
            yield f"job {job.id} failed without a reason"
        if job.status in _ENDED and job.ended is None and job.started is not None:
            yield f"job {job.id} is {job.status}, yet never ended"
        if job.attempts > MOST_ATTEMPTS:
            yield f"job {job.id} was begun {job.attempts} times, {MOST_ATTEMPTS} being the most"
        if job.kind == "judge" and job.submission_id is None:
            yield f"job {job.id} judges no submission"


def _submissions(session: Session) -> Iterator[str]:
    jobs: dict[int, list[Job]] = {}
    for job in session.scalars(select(Job).where(Job.kind == "judge")):
        jobs.setdefault(job.submission_id or 0, []).append(job)
    results = set(session.scalars(select(Result.submission_id)))
    for one in session.scalars(select(Submission).order_by(Submission.id)):
        name = f"submission {one.id}"
        if (one.id in results) != (one.status == "finished") and one.status != "cancelled":
            has = "a result" if one.id in results else "no result"
            yield f"{name} is {one.status} and has {has}"
        if one.status == "finished" and one.done != one.total:
            yield f"{name} is finished after {one.done} of {one.total} toys"
        if one.status == "failed" and not one.reason:
            yield f"{name} failed without a reason"
        if one.source_id is None:
            yield from _judged(name, one, jobs.get(one.id, []))


def _judged(name: str, one: Submission, jobs: list[Job]) -> Iterator[str]:
    """What is wrong between a submission and the one job that judges it."""
    if len(jobs) != 1:
        yield f"{name} has {len(jobs)} jobs that judge it"
        return
    (job,) = jobs
    # A job that ended well may have found that its entry is none that can be judged.
    agree = {
        "queued": ("queued",),
        "running": ("running",),
        "finished": ("finished",),
        "failed": ("finished", "failed"),
        "cancelled": _ENDED,
    }
    if job.status not in agree[one.status]:
        yield f"{name} is {one.status}, its job {job.id} {job.status}"


def _finals(session: Session) -> Iterator[str]:
    for final in session.scalars(select(Phase).where(Phase.kind == "final").order_by(Phase.id)):
        jobs = session.scalars(
            select(Job).where(Job.phase_id == final.id).order_by(Job.first_set, Job.id)
        ).all()
        entries = session.scalars(
            select(Submission.id).where(
                Submission.phase_id == final.id, Submission.status != "cancelled"
            )
        ).all()
        parts = [job for job in jobs if job.kind == "final"]
        merges = [job for job in jobs if job.kind == "merge"]
        if final.started is None:
            if jobs or entries:
                yield f"{final.name!r} has not begun, yet has {len(entries)} entries"
            continue
        if parts or entries:
            yield from _parts(final, parts)
        complete = bool(parts) and all(job.status == "finished" for job in parts)
        if len(merges) != int(complete):
            yield f"{final.name!r} is merged by {len(merges)} jobs, not by {int(complete)}"
        yield from _pieces(session, final, parts)


def _parts(final: Phase, parts: list[Job]) -> Iterator[str]:
    covered = 0
    for job in parts:
        if job.first_set != covered:
            yield f"the parts of {final.name!r} do not meet at set {covered}"
        covered = job.first_set + job.n_sets
    if covered != final.sets:
        yield f"the parts of {final.name!r} hold {covered} sets of {final.sets}"


def _pieces(session: Session, final: Phase, parts: list[Job]) -> Iterator[str]:
    rows = session.execute(
        select(Piece.job_id, Piece.submission_id)
        .join(Job, Job.id == Piece.job_id)
        .where(Job.phase_id == final.id)
    )
    for (job_id, submission_id), count in Counter(map(tuple, rows)).items():
        if count > 1:
            yield f"job {job_id} found {count} pieces of submission {submission_id}"
        if all(job.id != job_id or job.status != "finished" for job in parts):
            yield f"job {job_id} has not ended, yet found a piece of submission {submission_id}"


def _named(session: Session) -> dict[str, str | None]:
    """The keys of all files that rows name, each with the SHA-256 it must have, if one is kept."""
    named: dict[str, str | None] = {}
    for query in (
        select(Entry.file, Entry.sha256),
        select(Result.toys, Result.sha256),
        select(Observations.file, Observations.sha256),
        select(ObservationTruths.file, ObservationTruths.sha256),
    ):
        for key, sha256 in session.execute(query):
            named[key] = sha256
    for column in (Piece.toys, Challenge.logo):
        named |= {key: None for key in session.scalars(select(column)) if key is not None}
    return named


def _file(files: Files, key: str, sha256: str | None) -> Iterator[str]:
    try:
        with files.local(key) as path, path.open("rb") as stream:
            if sha256 not in (None, hashlib.file_digest(stream, "sha256").hexdigest()):
                yield f"the file {key} is not the one that was stored"
    except DataError as error:
        yield str(error)
