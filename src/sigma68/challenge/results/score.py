"""Score a file of results against the truths that the server keeps."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from sigma68.challenge.queue.jobs import Lease
from sigma68.challenge.queue.outcome import Outcome
from sigma68.challenge.rules.observations import results_task
from sigma68.challenge.store.tables import Challenge, ObservationTruths, Phase, Submission
from sigma68.errors import DataError
from sigma68.seeds import stream
from sigma68.summaries import Columns, TakesResults
from sigma68.types import LEVEL, Score

if TYPE_CHECKING:
    from sigma68.challenge.store.stores import Store

__all__ = ["N_RESAMPLES", "is_for_results", "resampled_scores", "scored"]

N_RESAMPLES = 1000
_TRIES = 20
"""Resamples that are drawn at most for one that has a score."""
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Asked:
    """A submission that waits for its score, and where its files are."""

    submission_id: int
    task: str
    n_observations: int
    answers: str
    truths: str


def is_for_results(session: Session, held: Lease) -> bool:
    """Whether a job's submission is a file of results."""
    takes = session.scalar(
        select(Challenge.takes)
        .join(Phase, Phase.challenge_id == Challenge.id)
        .where(Phase.id == held.phase_id)
    )
    return takes == "results" and held.kind == "judge"


def scored(store: Store, held: Lease, folder: Path, key: str) -> Outcome | None:
    """The outcome of the results that a job is about; None if they were cancelled meanwhile.

    Its table of answers is stored under `key`; there is no truth in it.

    Raises
    ------
    DataError
        If the truths are not there, or are not those that were stored.
    """
    with store.read() as session:
        asked = _asked(session, held)
    if asked is None:
        return None
    _, task = results_task(asked.task)
    truths = _truths(store, asked)
    with store.files.local(asked.answers) as path:
        try:
            answers = task.read_results(path, asked.n_observations)
            score = task.score_results(answers, truths)
        except DataError as error:
            told = str(error).replace(str(path), "the file")
            return Outcome.failed(asked.submission_id, told)
    table = folder / "answers.parquet"
    _write(table, answers)
    resampled = resampled_scores(task, answers, truths)
    low, high = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    columns = {
        "score": score.value,
        "score_low": float(low),
        "score_high": float(high),
        "ranked": True,
        "sums": resampled.astype("<f8").tobytes(),
        "n_toys": asked.n_observations,
        "n_failed": 0,
        "cpu_seconds": 0.0,
        "toys": key,
        "sha256": _sha256(table),
        "document": _document(score),
    }
    store.files.put(key, table)
    return Outcome(asked.submission_id, columns, None)


def resampled_scores(
    task: TakesResults, answers: Columns, truths: Columns, *, n_resamples: int = N_RESAMPLES
) -> FloatArray:
    """The score on resampled observations, (n_resamples,): the same ones for the same number of them.

    Two submissions to one phase can be compared resample by resample. One that has no score, as when
    it holds one kind of maps only, is drawn again: that is up to the truths, so for all alike.

    Raises
    ------
    DataError
        If hardly any resample has a score.
    """
    n = len(next(iter(truths.values())))
    draw = stream("score", "bootstrap of results", 0, n).generator()

    def of_one() -> float:
        drawn = draw.integers(0, n, n)
        return task.score_results(
            {name: column[drawn] for name, column in answers.items()},
            {name: column[drawn] for name, column in truths.items()},
        ).value

    scores: list[float] = []
    left = _TRIES * n_resamples
    while len(scores) < n_resamples:
        left -= 1
        try:
            scores.append(of_one())
        except DataError:
            if left <= 0:
                raise
    return np.array(scores)


def _asked(session: Session, held: Lease) -> _Asked | None:
    one = session.scalar(
        select(Submission)
        .where(Submission.id == held.submission_id, Submission.status == "running")
        .options(joinedload(Submission.entry), joinedload(Submission.phase))
    )
    if one is None:
        return None
    phase = one.phase
    truths = session.get(ObservationTruths, phase.id)
    if truths is None or phase.observations is None:
        raise DataError(
            f"the truths of {phase.name!r} are not on this server: make its observations again "
            "with `sigma68 challenge observations`"
        )
    return _Asked(
        one.id,
        phase.challenge.task,
        phase.observations.n_observations,
        one.entry.file,
        truths.file,
    )


def _truths(store: Store, asked: _Asked) -> Columns:
    import pandas as pd

    try:
        with store.files.local(asked.truths) as path:
            table = pd.read_parquet(path)
    except (DataError, OSError, ValueError) as error:  # Arrow's errors are among these
        # Teams may come to read this: nothing of where the truths lie.
        raise DataError(
            f"the truths of this phase cannot be read ({type(error).__name__}): organisers run "
            "`sigma68 challenge check`, and workers as the user who made the observations"
        ) from error
    if len(table) != asked.n_observations:
        raise DataError(
            f"there are {len(table):,} truths for {asked.n_observations:,} observations: restore "
            "the store's files from a backup"
        )
    return {name: table[name].to_numpy(dtype=np.float64) for name in table.columns}


def _write(path: Path, answers: Columns) -> None:
    import pandas as pd

    first = {"observation": np.arange(len(next(iter(answers.values()))))}
    pd.DataFrame({**first, **answers}).to_parquet(path, index=False)


def _document(score: Score) -> dict[str, object]:
    """The score.json; what is said of single observations would say something of their truths."""
    from sigma68.score.files import strict

    values = {"headline": score.headline, "values": dict(score.values), "per_set": []}
    return dict(strict(values))


def _sha256(path: Path) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
