"""The final: each team's chosen or best entry, all on the same toys, none of it seen too early."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from sigma68.challenge.queue.jobs import enqueue
from sigma68.challenge.rules import phases
from sigma68.challenge.rules.audit import record
from sigma68.challenge.rules.leaderboards import best_of_each
from sigma68.challenge.rules.refusals import ConflictError
from sigma68.challenge.store.tables import Choice, Job, Phase, Submission

__all__ = ["candidates", "part_of", "pieces_complete", "start", "start_due"]

_FIRST = 10
"""The priority of a final's jobs: before whatever else waits."""


def candidates(session: Session, final: Phase) -> Sequence[Submission]:
    """What each team goes into `final` with: its choice, else its best ranked submission.

    Raises
    ------
    ConflictError
        If the phase is no final, or draws from none.
    """
    origin = None if final.draws_from is None else session.get(Phase, final.draws_from)
    if final.kind != "final" or origin is None:
        raise ConflictError(f"{final.name!r} is no final that draws from a phase")
    wanted = {team_id: best for team_id, (best, _) in best_of_each(session, origin).items()}
    choices = (
        select(Choice.team_id, Choice.submission_id)
        .join(Submission, Submission.id == Choice.submission_id)
        .where(Choice.phase_id == origin.id, Submission.status == "finished")
    )
    for team_id, submission_id in session.execute(choices):
        wanted[team_id] = submission_id
    return session.scalars(
        select(Submission).where(Submission.id.in_(wanted.values())).order_by(Submission.team_id)
    ).all()


def start(session: Session, final: Phase, now: datetime) -> bool:
    """Queue the final if it is time: it has opened, and all that it draws from is judged.

    True if it was started by this call. Calling it again does nothing.
    """
    # The row is locked: of two servers, one starts it.
    session.refresh(final, with_for_update=True)
    if final.kind != "final" or final.started is not None or now < final.opens:
        return False
    waiting = select(Submission.id).where(
        Submission.phase_id == final.draws_from, Submission.status.in_(("queued", "running"))
    )
    if session.scalar(waiting.limit(1)) is not None:
        return False
    final.started = now
    phases.board_changed(session, final.id)
    found = candidates(session, final)
    for source in found:
        session.add(
            Submission(
                key=secrets.token_hex(16),
                phase_id=final.id,
                team_id=source.team_id,
                entry_id=source.entry_id,
                user_id=source.user_id,
                source_id=source.id,
                counts=False,
                created=now,
                total=final.sets * final.toys,
            )
        )
    session.flush()
    for number in range(final.parts if found else 0):
        first, n_sets = part_of(final, number)
        enqueue(
            session,
            f"final:{final.id}:{number}",
            "final",
            final.id,
            now,
            first_set=first,
            n_sets=n_sets,
            total=n_sets * final.toys,
            priority=_FIRST,
        )
    record(session, None, "start_final", f"phase:{final.id}", now, entries=len(found))
    session.flush()
    return True


def start_due(session: Session, now: datetime) -> Sequence[Phase]:
    """Start every final whose time has come; those that were."""
    due = session.scalars(
        select(Phase)
        .where(Phase.kind == "final", Phase.started.is_(None), Phase.opens <= now)
        .order_by(Phase.id)
    ).all()
    return [final for final in due if start(session, final, now)]


def part_of(final: Phase, number: int) -> tuple[int, int]:
    """The first set of a part of the final, and how many sets it has: as even as can be."""
    first = final.sets * number // final.parts
    return first, final.sets * (number + 1) // final.parts - first


def pieces_complete(session: Session, final: Phase, now: datetime) -> bool:
    """Ask for the merging of the final if this was its last part; whether it was.

    Call it in the session in which a part ends.
    """
    # The row is locked, so that of two parts that end at once the second sees the first.
    session.refresh(final, with_for_update=True)
    left = select(Job.id).where(
        Job.phase_id == final.id, Job.kind == "final", Job.status != "finished"
    )
    if session.scalar(left.limit(1)) is not None:
        return False
    enqueue(session, f"merge:{final.id}", "merge", final.id, now, priority=_FIRST)
    return True
