"""Weight, process and hard event of every row of a file, and the sums that follow from them.

Rows of one hard event are not independent. Wherever an error or an effective number is made, the
weights of one hard event are added before squaring ("hard events counted once"). For a yield this is
its variance; for the shape of a column it is cautious, since the decays of one hard event differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sigma68.tasks.higgs.dataset import EventFile
from sigma68.tasks.higgs.schema import PROCESSES

__all__ = ["CellSums", "Ledger", "cell_sums", "read_ledger"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class CellSums:
    """Sums over the rows of each cell, all of shape (n_cells,).

    `sumw2` adds the squares of the rows' weights, `unit2` those of the hard events' weights;
    `largest` is the largest weight.
    """

    rows: Integers
    sumw: Floats
    sumw2: Floats
    unit2: Floats
    largest: Floats

    @property
    def effective(self) -> Floats:
        """(sum w)^2 / sum w^2, hard events counted once; 0 where there is nothing."""
        return np.divide(
            self.sumw**2, self.unit2, out=np.zeros_like(self.sumw), where=self.unit2 > 0
        )

    @property
    def clustering(self) -> Floats:
        """How much larger the sum of squares is with hard events counted once, 1 or more."""
        return np.divide(self.unit2, self.sumw2, out=np.ones_like(self.sumw), where=self.sumw2 > 0)


@dataclass(frozen=True)
class Ledger:
    """A file without its features. Shapes (n_rows,); `unit` is None where every row is its own."""

    file: EventFile
    weights: Floats
    process: npt.NDArray[np.int8]
    unit: Integers | None

    @property
    def n_rows(self) -> int:
        return len(self.weights)

    def by_process(self) -> CellSums:
        """The sums of each process, in the order of `PROCESSES`."""
        return cell_sums(self.weights, self.process, self.unit, len(PROCESSES))

    def units(self, rows: npt.NDArray[np.integer] | slice) -> Integers:
        """What counts once: the numbers of the hard events of `rows`, else of the rows."""
        if self.unit is not None:
            return self.unit[rows]
        return np.arange(self.n_rows, dtype=np.int64)[rows]


def read_ledger(file: EventFile) -> Ledger:
    """Read everything but the features.

    Raises
    ------
    DataError
        As `EventFile.iter_batches`.
    """
    weights = np.empty(file.n_rows)
    process = np.empty(file.n_rows, np.int8)
    unit = np.empty(file.n_rows, np.int64) if file.has_hard_event else None
    for batch in file.iter_batches(()):
        here = slice(batch.first_row, batch.first_row + batch.n_events)
        weights[here] = batch.weights
        process[here] = batch.process
        if unit is not None and batch.hard_event is not None:
            unit[here] = batch.hard_event
    return Ledger(file, weights, process, unit)


def cell_sums(
    weights: Floats,
    cell: npt.NDArray[np.integer],
    unit: Integers | None,
    n_cells: int,
) -> CellSums:
    """Sums per cell; rows whose cell is negative are in none.

    `weights`, `cell` and `unit` (None where every row is its own) have shape (n_rows,).
    """
    inside = cell >= 0
    own, w = cell[inside].astype(np.int64), weights[inside]
    sumw2 = np.bincount(own, w * w, minlength=n_cells)
    largest = np.zeros(n_cells)
    np.maximum.at(largest, own, w)
    unit2 = sumw2
    if unit is not None and w.size:
        order = np.lexsort((own, unit[inside]))
        own_sorted, unit_sorted = own[order], unit[inside][order]
        new = np.append(True, (np.diff(own_sorted) != 0) | (np.diff(unit_sorted) != 0))
        together = np.add.reduceat(w[order], np.flatnonzero(new))
        unit2 = np.bincount(own_sorted[new], together * together, minlength=n_cells)
    return CellSums(
        rows=np.bincount(own, minlength=n_cells).astype(np.int64),
        sumw=np.bincount(own, w, minlength=n_cells).astype(np.float64),
        sumw2=sumw2.astype(np.float64),
        unit2=unit2.astype(np.float64),
        largest=largest,
    )


def of_group(sums: CellSums, cells: Sequence[int]) -> CellSums:
    """The sums of several cells together, as one cell.

    A hard event belongs to one process, so that sums over processes add up.
    """
    chosen = list(cells)
    return CellSums(
        rows=sums.rows[chosen].sum(keepdims=True),
        sumw=sums.sumw[chosen].sum(keepdims=True),
        sumw2=sums.sumw2[chosen].sum(keepdims=True),
        unit2=sums.unit2[chosen].sum(keepdims=True),
        largest=sums.largest[chosen].max(keepdims=True),
    )
