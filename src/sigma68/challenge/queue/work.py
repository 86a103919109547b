"""What a leased job asks for, read from the tables; and its end, written to them once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from sigma68.challenge.judge.plan import Isolation, Plan
from sigma68.challenge.queue import jobs
from sigma68.challenge.queue.jobs import Lease
from sigma68.challenge.queue.outcome import Costs, Outcome
from sigma68.challenge.rules import finals, phases
from sigma68.challenge.store.tables import Phase, Piece, Result, Submission

if TYPE_CHECKING:
    from sigma68.challenge.store.stores import Store

__all__ = ["Work", "Worked", "derived_seed", "end_judging", "end_part", "work_of"]


@dataclass(frozen=True)
class Worked:
    """A submission to be judged: its number, its random name, the key of its zip."""

    submission_id: int
    name: str
    file: str


@dataclass(frozen=True)
class Work:
    """What a job is about: the plan of its toys and the entries that are to answer them."""

    plan: Plan
    entries: tuple[Worked, ...]


def derived_seed(secret: int, *names: str) -> int:
    """256 bits for one purpose, from a phase's secret: BLAKE2b keyed with it.

    Who knows one of them knows nothing of the others.
    """
    named = "\0".join(names).encode()
    digest = hashlib.blake2b(named, key=secret.to_bytes(32, "big"), digest_size=32).digest()
    return int.from_bytes(digest, "big")


def work_of(session: Session, held: Lease, isolate: Isolation) -> Work:
    """The work of a leased job. Entries that were cancelled meanwhile are left out.

    A submission gets toys of its own: their seed is derived from the phase's secret and the
    submission's random name. The parts of a final are derived from the secret and the part's
    first set, so that all entries see the same toys.

    Raises
    ------
    NotFoundError
        If the phase has no seed.
    """
    phase = session.scalar(
        select(Phase).where(Phase.id == held.phase_id).options(joinedload(Phase.challenge))
    )
    assert phase is not None  # a job's foreign key  # noqa: S101
    query = select(Submission).order_by(Submission.id)
    if held.submission_id is not None:
        query = query.where(Submission.id == held.submission_id, Submission.status == "running")
    else:
        # Those that wait for another part that broke off, too: all parts have all entries.
        query = query.where(Submission.phase_id == phase.id, Submission.status != "cancelled")
    found = session.scalars(query.options(joinedload(Submission.entry))).all()
    purpose = (
        ("submission", *(one.key for one in found))
        if held.kind == "judge"
        else ("final", str(held.first_set))
    )
    challenge = phase.challenge
    plan = Plan(
        task=challenge.task,
        data=challenge.source,
        sets=held.n_sets or phase.sets,
        toys=phase.toys,
        seed=derived_seed(phases.secret_seed(session, phase), *purpose),
        nuisances=tuple(phase.nuisances),
        epsilon=challenge.epsilon,
        predict_seconds=challenge.predict_seconds,
        fit_seconds=challenge.fit_seconds,
        memory_bytes=challenge.memory_bytes,
        max_processes=challenge.max_processes,
        disk_bytes=challenge.disk_bytes,
        replay=challenge.replay,
        isolate=isolate,
        pool="final" if phase.kind == "final" else "scoring",
    )
    return Work(plan, tuple(Worked(one.id, one.key, one.entry.file) for one in found))


def end_judging(store: Store, held: Lease, outcomes: Sequence[Outcome], now: datetime) -> bool:
    """End the job and write its results, in one transaction; False if it was not ours any more.

    A submission that was cancelled while it was judged keeps its state and gets no result.
    """
    with store.write() as session:
        if not jobs.end(session, held, now):
            return False
        for outcome in outcomes:
            _write(session, outcome, now)
        phases.board_changed(session, held.phase_id)
    return True


def end_part(
    store: Store,
    held: Lease,
    pieces: Iterable[tuple[int, str | None, Costs, str | None, str]],
    now: datetime,
) -> bool:
    """End a part of a final and keep what it found; ask for merging if it was the last.

    `pieces` are (submission, key of its toys, costs, reason for none, log). False if the job
    was not ours any more.
    """
    with store.write() as session:
        if not jobs.end(session, held, now):
            return False
        for submission_id, key, costs, reason, log in pieces:
            session.add(
                Piece(
                    job_id=held.job_id,
                    submission_id=submission_id,
                    toys=key,
                    cpu_seconds=costs.cpu_seconds,
                    energy_joules=costs.energy_joules,
                    energy_known=costs.energy_known,
                    flags=list(costs.flags),
                    failures=dict(costs.failures),
                    reason=reason,
                )
            )
            # Where it was told line by line, it stands there already.
            jobs.add_log(session, submission_id, log, now, only_first=True)
        session.flush()
        finals.pieces_complete(session, phases.find(session, held.phase_id), now)
    return True


def _write(session: Session, outcome: Outcome, now: datetime) -> None:
    submission = session.get_one(Submission, outcome.submission_id, with_for_update=True)
    if submission.status != "running":
        return
    jobs.add_log(session, submission.id, outcome.log, now, only_first=True)
    submission.ended, submission.reason = now, outcome.reason
    if outcome.result is None:
        submission.status = "failed"
        return
    submission.status, submission.done = "finished", submission.total
    session.add(Result(submission_id=submission.id, created=now, **outcome.result))
    session.flush()
