"""Make the observations of a phase and their truths, from its secret seed.

The same phase gives the same observations again, so that truths can be had back where only the
seed was kept.
"""

from __future__ import annotations

import hashlib
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from sigma68.challenge.queue.work import derived_seed
from sigma68.challenge.rules import phases
from sigma68.challenge.rules.audit import record
from sigma68.challenge.rules.observations import results_task
from sigma68.challenge.rules.refusals import ConflictError
from sigma68.challenge.store.tables import Observations, ObservationTruths
from sigma68.errors import DataError
from sigma68.protocols import Pool, Progress, Task
from sigma68.run.truth import scored_truth, toy_stream
from sigma68.types import Observation, Truth

if TYPE_CHECKING:
    from sigma68.challenge.store.stores import Store

__all__ = ["Made", "make_observations"]


@dataclass(frozen=True)
class Made:
    """What was made: how many observations, as a file of what name and size in bytes.

    `is_new` is False where the file was there and only its truths were made again.
    """

    name: str
    n_observations: int
    n_bytes: int
    sha256: str
    is_new: bool


@dataclass(frozen=True)
class _Asked:
    """What a phase's observations are made of."""

    task: str
    source: str | None
    nuisances: tuple[str, ...]
    n: int
    seed: int
    known_sha256: str | None


def make_observations(
    store: Store, phase_id: int, now: datetime, *, progress: Progress | None = None
) -> Made:
    """Make the observations of a phase and keep them; the truths as a file that nobody is sent.

    Every observation has a truth of its own: parameters uniform in their ranges, and the phase's
    nuisances from their priors.

    Raises
    ------
    ConflictError
        If the phase has them already, or its challenge does not take results.
    NotFoundError
        If there is no such phase, or it has no seed.
    DataError
        If truths were to be made again, and what the phase gave away is not what comes out.
    OutputError
        If there is no room for them.
    """
    tell: Progress = progress or (lambda what, fraction: None)
    with store.read() as session:
        asked = _asked(session, phase_id)
    task, taking = results_task(asked.task)
    pools = task.open(asked.source)
    pools.prepare("scoring", progress=tell)
    with tempfile.TemporaryDirectory(prefix="sigma68-observations-") as scratch:
        public, hidden = Path(scratch) / taking.observations_file, Path(scratch) / "truths.parquet"
        truths: list[Truth] = []
        made = _observations(task, pools.scoring, asked, truths, tell)
        taking.write_observations(public, made, asked.n)
        _write_truths(hidden, truths)
        sha256 = _sha256(public)
        if asked.known_sha256 not in (None, sha256):
            raise DataError(
                "what comes out of the phase's seed is not what the phase gave away: it was made "
                "with other versions, or the challenge's source has changed"
            )
        found = Made(
            taking.observations_file,
            asked.n,
            public.stat().st_size,
            sha256,
            asked.known_sha256 is None,
        )
        _keep(store, phase_id, found, public, hidden, now)
    return found


def _asked(session: Session, phase_id: int) -> _Asked:
    phase = phases.find(session, phase_id)
    challenge = phase.challenge
    if challenge.takes != "results":
        raise ConflictError(f"{challenge.slug} takes code: there are no observations to give away")
    known = phase.observations
    if known is not None and session.get(ObservationTruths, phase_id) is not None:
        raise ConflictError(f"the observations of {phase.name!r} have been made already")
    return _Asked(
        task=challenge.task,
        source=challenge.source,
        nuisances=tuple(phase.nuisances),
        n=phase.sets,
        seed=derived_seed(phases.secret_seed(session, phase), "observations"),
        known_sha256=None if known is None else known.sha256,
    )


def _observations(
    task: Task, pool: Pool, asked: _Asked, truths: list[Truth], tell: Progress
) -> Iterator[Observation]:
    """The observations one by one; their truths go to the end of `truths`."""
    for number in range(asked.n):
        tell("observations", number / asked.n)
        truth = scored_truth(task, pool, asked.seed, number, 0, asked.nuisances)
        truths.append(truth)
        yield task.pseudo_experiment(pool, truth, toy_stream(task, asked.seed, number, 0))
    tell("observations", 1.0)


def _write_truths(path: Path, truths: list[Truth]) -> None:
    import pandas as pd

    rows: list[Mapping[str, float]] = [{**one.parameters, **one.nuisances} for one in truths]
    pd.DataFrame(rows, dtype="float64").to_parquet(path, index=False)


def _keep(
    store: Store, phase_id: int, made: Made, public: Path, hidden: Path, now: datetime
) -> None:
    """Store the files, then the rows that name them; nothing if somebody was quicker."""
    suffix = "".join(PurePath(made.name).suffixes)
    keys = [f"observations/{secrets.token_hex(16)}{suffix}"] if made.is_new else []
    truths = f"truths/{secrets.token_hex(16)}.parquet"
    try:
        for key in keys:
            store.files.put(key, public)
        store.files.put(truths, hidden, private=True)
        with store.write() as session:
            _add_rows(session, phase_id, made, keys, (truths, _sha256(hidden)), now)
    except BaseException:
        for key in (*keys, truths):
            store.files.remove(key)
        raise


def _add_rows(
    session: Session,
    phase_id: int,
    made: Made,
    keys: list[str],
    truths: tuple[str, str],
    now: datetime,
) -> None:
    phase = phases.find(session, phase_id)
    # The row is locked: of two that make them at once, one keeps them.
    session.refresh(phase, with_for_update=True)
    if session.get(ObservationTruths, phase_id) is not None or (
        phase.observations is not None and made.is_new
    ):
        raise ConflictError(f"the observations of {phase.name!r} have been made already")
    if phase.sets != made.n_observations:
        raise ConflictError(f"{phase.name!r} was changed meanwhile: make its observations again")
    for key in keys:
        session.add(
            Observations(
                phase_id=phase_id,
                name=made.name,
                file=key,
                sha256=made.sha256,
                n_bytes=made.n_bytes,
                n_observations=made.n_observations,
                made=now,
            )
        )
    session.flush()
    session.add(ObservationTruths(phase_id=phase_id, file=truths[0], sha256=truths[1]))
    record(session, None, "make_observations", f"phase:{phase_id}", now, sha256=made.sha256)
    session.flush()


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
