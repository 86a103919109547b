"""The end of a final: the parts of each entry put together and scored as one run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select

from sigma68.challenge.queue.jobs import Lease
from sigma68.challenge.queue.outcome import Costs, Outcome, outcome_of
from sigma68.challenge.store.tables import Job, Phase, Piece, Submission

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from sigma68.challenge.store.stores import Store

__all__ = ["merge"]


def merge(store: Store, held: Lease, folder: Path, stop: Callable[[], bool]) -> list[Outcome]:
    """The outcome of every entry of a final; their tables of toys go to the store's files.

    One that could not be judged in some part failed. Nothing is written to the tables. Ends
    early, with what it has, once `stop` says so.

    Raises
    ------
    DataError
        If a part's table is missing or cannot be scored.
    """
    from sigma68.discover import load_task
    from sigma68.score.files import score_document

    with store.read() as session:
        phase = session.get_one(Phase, held.phase_id)
        task, epsilon = load_task(phase.challenge.task), phase.challenge.epsilon
        found: dict[int, list[tuple[int, Piece]]] = {}
        rows = session.execute(
            select(Piece, Job.first_set, Submission.id)
            .join(Job, Job.id == Piece.job_id)
            .join(Submission, Submission.id == Piece.submission_id)
            .where(Submission.phase_id == phase.id, Submission.status != "cancelled")
            .order_by(Submission.id, Job.first_set)
        )
        for piece, first_set, submission_id in rows:
            found.setdefault(submission_id, []).append((first_set, piece))
        n_parts = phase.parts
        present = session.scalars(
            select(Submission.id).where(
                Submission.phase_id == phase.id, Submission.status == "running"
            )
        ).all()
    outcomes = []
    for submission_id in present:
        if stop():
            break
        parts = found.get(submission_id, [])
        reasons = [piece.reason for _, piece in parts if piece.reason is not None]
        if reasons or len(parts) < n_parts:
            why = reasons[0] if reasons else "it was not judged in every part of the final"
            outcomes.append(Outcome.failed(submission_id, why))
            continue
        key = f"toys/final-{submission_id}-{held.name[:12]}.parquet"
        path = folder / f"{submission_id}.parquet"
        table = _joined(store, parts)
        table.to_parquet(path, index=False)
        _, document = score_document(table, task, epsilon=epsilon)
        outcome = outcome_of(
            submission_id, path, key, task, document, _summed(parts), epsilon=epsilon
        )
        store.files.put(key, path)
        path.unlink()
        outcomes.append(outcome)
    return outcomes


def _joined(store: Store, parts: Sequence[tuple[int, Piece]]) -> pd.DataFrame:
    """The tables of all parts as one; the sets of a part are numbered from its first on."""
    import pandas as pd

    tables = []
    for first_set, piece in parts:
        assert piece.toys is not None  # it has no reason  # noqa: S101
        with store.files.local(piece.toys) as path:
            table = pd.read_parquet(path)
        table["set"] += first_set
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _summed(parts: Sequence[tuple[int, Piece]]) -> Costs:
    pieces = [piece for _, piece in parts]
    joules = [piece.energy_joules for piece in pieces]
    failures: Counter[str] = Counter()
    for piece in pieces:
        failures.update(piece.failures)
    known = {piece.energy_known for piece in pieces}
    return Costs(
        cpu_seconds=sum(piece.cpu_seconds for piece in pieces),
        energy_joules=None if None in joules else sum(j for j in joules if j is not None),
        # Partly estimated is estimated.
        energy_known="estimated" if "estimated" in known else "".join(known),
        flags=tuple(sorted({flag for piece in pieces for flag in piece.flags})),
        failures=dict(failures),
    )
