"""Part of a file of events as a file of its own: the roles that a split gives to hard events.

An emulator is trained on the hard events of some roles and never sees the others: both are read from
the one file that holds the whole simulation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError
from sigma68.tasks.higgs.dataset import BATCH_ROWS, EventBatch, EventFile
from sigma68.tasks.higgs.schema import PRIMARIES
from sigma68.tasks.higgs.split import ROLES, numbers_of, role_of, take_census

__all__ = ["HELD_OUT", "PartOfFile", "parts_of", "title_of"]

HELD_OUT = "final"
"""The role that an emulator is not trained on."""


@dataclass(frozen=True)
class PartOfFile(EventFile):
    """The events of some roles, their weights rescaled per process to the sums of the whole file.

    `factor`, shape (4,), is by how much; `n_rows` counts the rows of the part, `rows_of_whole` those
    of the file.
    """

    roles: tuple[str, ...] = ()
    split_seed: int = 0
    factor: npt.NDArray[np.float64] = field(default_factory=lambda: np.ones(4))
    rows_of_whole: int = 0

    def iter_batches(
        self, columns: Sequence[str] = PRIMARIES, *, batch_rows: int = BATCH_ROWS
    ) -> Iterator[EventBatch]:
        """Stream the part as `EventFile.iter_batches` does the whole; rows count within the part."""
        whole = EventFile(
            self.path,
            self.rows_of_whole,
            self.sum_weights,
            self.has_hard_event,
            self.has_decay,
            self.is_compact,
        )
        wanted = [ROLES.index(role) for role in self.roles]
        row = 0
        for batch in whole.iter_batches(columns, batch_rows=batch_rows):
            kept = np.flatnonzero(np.isin(role_of(numbers_of(batch), self.split_seed), wanted))
            if kept.size:
                yield _chosen(batch, kept, row, self.factor)
            row += kept.size


def title_of(file: EventFile) -> str:
    """What a report calls a file: its name, and the roles of a part."""
    if not isinstance(file, PartOfFile):
        return file.path.name
    return f"{file.path.name}, {' + '.join(file.roles)}"


def parts_of(file: EventFile, split_seed: int) -> tuple[PartOfFile, PartOfFile]:
    """What an emulator does not see, and all that it is trained on.

    Raises
    ------
    DataError
        If a process has no events in one of the two; as `EventFile.iter_batches`.
    """
    census = take_census(file, split_seed)
    found = []
    for roles in ((HELD_OUT,), tuple(role for role in ROLES if role != HELD_OUT)):
        own = [ROLES.index(role) for role in roles]
        sums, rows = census.sumw[own].sum(axis=0), int(census.counts[own].sum())
        whole = census.sumw.sum(axis=0)
        if ((sums == 0) & (whole > 0)).any():
            raise DataError(
                f"{file.path} has too few events to hold any out: its roles {', '.join(roles)} lack "
                "a process; give a larger file"
            )
        factor = np.divide(whole, sums, out=np.ones_like(sums), where=sums > 0)
        found.append(
            PartOfFile(
                file.path,
                rows,
                file.sum_weights,
                file.has_hard_event,
                file.has_decay,
                file.is_compact,
                roles=roles,
                split_seed=split_seed,
                factor=factor,
                rows_of_whole=file.n_rows,
            )
        )
    return found[0], found[1]


def _chosen(
    batch: EventBatch, rows: npt.NDArray[np.intp], first_row: int, factor: npt.NDArray[np.float64]
) -> EventBatch:
    process = batch.process[rows]
    return replace(
        batch,
        first_row=first_row,
        values=np.ascontiguousarray(batch.values[:, rows]),
        weights=batch.weights[rows] * factor[process],
        process=process,
        hard_event=None if batch.hard_event is None else batch.hard_event[rows],
        decay=None if batch.decay is None else batch.decay[rows],
    )
