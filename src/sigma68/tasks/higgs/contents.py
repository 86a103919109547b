"""What a file of events holds: rows, expected events and effective events by cell.

A cell is a region after the high thresholds with all nuisance parameters off, or "below
thresholds", times a process. Effective events are (sum W)^2 / sum W^2 with W the weight of a
hard event in a cell: how many events of equal weight from as many hard events would be as good.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from sigma68.protocols import Progress
from sigma68.tasks.higgs.bias import bias_columns
from sigma68.tasks.higgs.dataset import BATCH_ROWS, EventBatch, EventFile
from sigma68.tasks.higgs.regions import REGIONS, region_of
from sigma68.tasks.higgs.schema import PROCESSES
from sigma68.tasks.higgs.split import mixed

__all__ = ["AREAS", "Contents", "cells_of", "take_contents"]

AREAS: Final[tuple[str, ...]] = (*REGIONS, "below thresholds")
"""The regions, and behind them where the rows are that the high thresholds drop."""

_ROWS_AT_ONCE: Final = 4_000_000


@dataclass(frozen=True)
class Contents:
    """Sums by area and process, each of shape (6, 4), in the order of `AREAS` and `PROCESSES`."""

    rows: npt.NDArray[np.int64]
    sumw: npt.NDArray[np.float64]
    effective: npt.NDArray[np.float64]


def cells_of(batch: EventBatch) -> npt.NDArray[np.uint8]:
    """The cell of each event of a batch of primaries, area * 4 + process, uint8, shape (n,)."""
    features, passed = bias_columns(batch.values)
    area = np.full(batch.n_events, len(REGIONS), np.uint8)
    area[passed] = region_of(features)
    cell: npt.NDArray[np.uint8] = area * np.uint8(len(PROCESSES)) + batch.process.view(np.uint8)
    return cell


def take_contents(
    file: EventFile, progress: Progress | None = None, *, rows_at_once: int = _ROWS_AT_ONCE
) -> Contents:
    """Count a file, and its effective events by hard event.

    Reads the events once, and their weights and hard events once more per `rows_at_once` rows;
    takes a byte of memory a row beyond those.

    Raises
    ------
    DataError
        As `EventFile.iter_batches`.
    """
    report = progress or (lambda what, fraction: None)
    n_cells = len(AREAS) * len(PROCESSES)
    cells = np.empty(file.n_rows, np.uint8)
    rows, sumw = np.zeros(n_cells, np.int64), np.zeros(n_cells)
    for batch in file.iter_batches():
        own = cells_of(batch)
        cells[batch.first_row : batch.first_row + batch.n_events] = own
        rows += np.bincount(own, minlength=n_cells)
        sumw += np.bincount(own, batch.weights, minlength=n_cells)
        report("counting", 0.7 * (batch.first_row + batch.n_events) / file.n_rows)
    sumw2 = np.zeros(n_cells)
    for number, cell, weights in _hard_events(file, cells, rows_at_once):
        together, place = np.unique(number * np.int64(n_cells) + cell, return_inverse=True)
        total = np.bincount(place, weights)
        sumw2 += np.bincount(together % n_cells, total * total, minlength=n_cells)
    report("counting", 1.0)
    effective = np.divide(sumw**2, sumw2, out=np.zeros(n_cells), where=sumw2 > 0)
    shape = (len(AREAS), len(PROCESSES))
    return Contents(rows.reshape(shape), sumw.reshape(shape), effective.reshape(shape))


def _hard_events(
    file: EventFile, cells: npt.NDArray[np.uint8], rows_at_once: int
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8], npt.NDArray[np.float64]]]:
    """Number (small), cell and weight of rows, all rows of a hard event in one piece."""
    if not file.has_hard_event:
        for batch in file.iter_batches(()):
            span = slice(batch.first_row, batch.first_row + batch.n_events)
            yield np.arange(batch.n_events), cells[span], batch.weights
        return
    pieces = np.uint64(-(-file.n_rows // rows_at_once))
    for piece in range(int(pieces)):
        parts = []
        for batch in file.iter_batches((), batch_rows=BATCH_ROWS):
            assert batch.hard_event is not None  # noqa: S101  # for the type checker
            own = np.flatnonzero(mixed(batch.hard_event, 0) % pieces == piece)
            parts.append((batch.hard_event[own], cells[batch.first_row + own], batch.weights[own]))
        hard_event, cell, weights = (np.concatenate(column) for column in zip(*parts, strict=True))
        # Their own numbers may be too large to be multiplied by the number of cells.
        number = np.unique(hard_event, return_inverse=True)[1].astype(np.int64)
        yield number, cell, weights
