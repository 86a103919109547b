"""A representative piece of a file of events.

Within a stratum rows are drawn by priority sampling (Duffield, Lund and Thorup, J. ACM 54 (2007)
32). A row of weight w gets the priority q = w / u, u uniform in (0, 1]; the n rows of highest
priority are taken, and tau is the highest priority of those that are not. A row is then in with
probability p = min(1, w / tau), and its new weight is

    w' = w / p = max(w, tau),

so that rows of large weight are preferred and the weights of the output are as equal as can be.
A factor per stratum, near 1, makes its sum of weights exactly what it was.

The rows of one hard event are not independent: of a thinned file, those are best kept that come
from as many hard events as possible. u = frac(U + k g), with U a hash of the hard event, g the
golden ratio and k counting its rows, spreads the rows that are taken evenly over hard events.
Effective events (hard events counted with their weights, summed over regions) of three and five
tenths of 42,016 rows of simulated H (3.8 a hard event) and 43,285 of Z (2.8):

| way of thinning | H, 0.3 | H, 0.5 | Z, 0.3 | Z, 0.5 |
| --- | ---: | ---: | ---: | ---: |
| whole hard events, by weight | 3,293 | 5,224 | 4,050 | 6,006 |
| rows with equal probability | 5,144 | 6,344 | 3,511 | 4,549 |
| rows by weight, independent | 5,647 | 6,924 | 5,315 | 6,299 |
| rows by weight, spread over hard events (this) | 6,493 | 7,360 | 5,731 | 6,455 |
| all rows | 8,067 | 8,067 | 6,602 | 6,602 |
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from sigma68 import __version__
from sigma68.errors import SettingsError
from sigma68.protocols import Progress
from sigma68.seeds import stream
from sigma68.tasks.higgs.contents import AREAS, cells_of
from sigma68.tasks.higgs.dataset import BATCH_ROWS, EventBatch, EventFile, open_parquet
from sigma68.tasks.higgs.export import refuse_itself
from sigma68.tasks.higgs.history import KEY, read_history
from sigma68.tasks.higgs.priority import highest
from sigma68.tasks.higgs.schema import FEATURES, PROCESSES
from sigma68.tasks.higgs.split import mixed
from sigma68.tasks.higgs.storage import normalisation
from sigma68.tasks.higgs.writer import EventWriter

__all__ = ["STRATA", "Sample", "sample_events"]

STRATA: Final = ("region", "process")
"""What strata may be made of."""

_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)  # of 2^64; the other part of the golden section
_LOWEST, _HIGHEST = 1e-37, 3e38  # where float32 is exact to its last bit
_N_CELLS: Final = len(AREAS) * len(PROCESSES)


@dataclass(frozen=True)
class Sample:
    """What was taken from what, by area and process: arrays of shape (6, 4).

    `rows` of the input and `taken` of them; `sumw` is the sum of weights of both where regions
    and processes are strata, else of the input.
    """

    rows: npt.NDArray[np.int64]
    taken: npt.NDArray[np.int64]
    sumw: npt.NDArray[np.float64]

    @property
    def n_rows(self) -> int:
        return int(self.taken.sum())


def sample_events(
    source: str | Path,
    target: str | Path,
    *,
    rows: int,
    strata: Sequence[str] = STRATA,
    seed: int = 0,
    progress: Progress | None = None,
    batch_rows: int = BATCH_ROWS,
) -> Sample:
    """Write `rows` events of `source` to `target`, with weights that stand for all of it.

    Strata are the combinations of what `strata` names; each gives its share of rows (one at
    least), drawn as the module's docstring says, and keeps its sum of weights. Rows of weight 0
    are left out. The others keep their order, features, hard events and decays. What is taken is
    a function of the file and `seed`. Reads the file twice and its weights once more; takes six
    bytes of memory a row.

    Raises
    ------
    SettingsError
        If a stratum is unknown, `rows` is not between the number of strata and the number of
        rows that have a weight, `seed` is negative, or `target` is the file that is read.
    DataError
        If `source` is not a file of events.
    OutputError
        If `target` cannot be written; nothing is left behind.
    """
    report = progress or (lambda what, fraction: None)
    stratum_of = _strata(strata)
    if seed < 0:
        raise SettingsError(f"the seed must be 0 or more, not {seed}")
    file, target = open_parquet(source), Path(target)
    refuse_itself(file, target)
    cells, keys, sums = _priorities(file, seed, report, batch_rows)
    wanted = _shares(_by_stratum(sums.weighted, stratum_of).astype(np.int64), rows, file)
    draw = _Draw(cells, stratum_of, *highest(keys, cells, stratum_of, wanted))
    del keys
    factor = normalisation(file, sums.sumw)
    whole = _by_stratum(sums.sumw, stratum_of) * factor
    taken, scale = _scales(file, draw, whole, batch_rows)
    history = {
        "sample": {"rows": rows, "strata": list(strata), "seed": seed, "sigma68": __version__},
        "of": read_history(file.path) or {"file": file.path.name},
    }
    with EventWriter(
        target,
        hard_event=file.has_hard_event,
        decay=file.has_decay,
        metadata={KEY: json.dumps(history)},
    ) as writer:
        _write(writer, _rows(file, draw, scale, report, batch_rows))
    shape = (len(AREAS), len(PROCESSES))
    return Sample(
        sums.rows.reshape(shape), taken.reshape(shape), (sums.sumw * factor).reshape(shape)
    )


@dataclass(frozen=True)
class _Sums:
    """Rows, those of them that have a weight, and sums of weights by cell, (24,)."""

    rows: npt.NDArray[np.int64]
    weighted: npt.NDArray[np.int64]
    sumw: npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Draw:
    """Which rows are taken, and tau of each stratum (0 where all its rows are)."""

    cells: npt.NDArray[np.uint8]
    stratum_of: npt.NDArray[np.uint8]
    chosen: npt.NDArray[np.bool_]
    tau: npt.NDArray[np.float64]

    def of(
        self, batch: EventBatch
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8], npt.NDArray[np.float64]]:
        """Positions in the batch of the rows taken, their cells, and max(w, tau)."""
        own = np.flatnonzero(self.chosen[batch.first_row : batch.first_row + batch.n_events])
        cell = self.cells[batch.first_row + own]
        return own, cell, np.maximum(batch.weights[own], self.tau[self.stratum_of[cell]])


def _by_stratum(
    by_cell: npt.NDArray[np.generic], stratum_of: npt.NDArray[np.uint8]
) -> npt.NDArray[np.float64]:
    return np.bincount(stratum_of, by_cell, minlength=_N_CELLS).astype(np.float64)


def _strata(names: Sequence[str]) -> npt.NDArray[np.uint8]:
    """The stratum of each cell, uint8, shape (24,)."""
    unknown = [name for name in names if name not in STRATA]
    if unknown or not names:
        raise SettingsError(
            f"strata cannot be made of {', '.join(map(repr, unknown)) or 'nothing'}: "
            f"choose among {', '.join(STRATA)}"
        )
    area, process = np.divmod(np.arange(_N_CELLS), len(PROCESSES))
    stratum = ("region" in names) * area * len(PROCESSES) + ("process" in names) * process
    return np.asarray(stratum, np.uint8)


def _priorities(
    file: EventFile, seed: int, report: Progress, batch_rows: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32], _Sums]:
    """Cell and priority (0 for weight 0) of each row, (n,)."""
    key = stream("higgs", "sample", seed).key
    adjacent = _keeps_hard_events_together(file)
    cells, keys = np.empty(file.n_rows, np.uint8), np.empty(file.n_rows, np.float32)
    sums = _Sums(np.zeros(_N_CELLS, np.int64), np.zeros(_N_CELLS, np.int64), np.zeros(_N_CELLS))
    for batch in file.iter_batches(batch_rows=batch_rows):
        span = slice(batch.first_row, batch.first_row + batch.n_events)
        own = cells_of(batch)
        cells[span] = own
        priority = batch.weights / _uniform(batch, key, adjacent)
        keys[span] = np.where(batch.weights > 0, np.clip(priority, _LOWEST, _HIGHEST), 0.0)
        sums.rows[:] += np.bincount(own, minlength=_N_CELLS)
        sums.weighted[:] += np.bincount(own[keys[span] > 0], minlength=_N_CELLS)
        sums.sumw[:] += np.bincount(own, batch.weights, minlength=_N_CELLS)
        report("counting", 0.45 * span.stop / file.n_rows)
    return cells, keys, sums


def _keeps_hard_events_together(file: EventFile) -> bool:
    """Whether the rows of each hard event follow each other, as far as the first rows tell."""
    first = next(file.iter_batches(()))
    if first.hard_event is None or len(first.hard_event) == 0:
        return False
    runs = 1 + np.count_nonzero(np.diff(first.hard_event))
    return bool(runs == len(np.unique(first.hard_event)))


def _uniform(batch: EventBatch, key: int, adjacent: bool) -> npt.NDArray[np.float64]:
    """The u of each row, in (0, 1), (n,)."""
    row = np.arange(batch.first_row, batch.first_row + batch.n_events, dtype=np.uint64)
    if batch.hard_event is None:
        turned = mixed(row, key)
    else:
        # Where they follow each other the row numbers count the rows of a hard event, and no
        # pass that selected nothing leaves a gap.
        counted = row if adjacent or batch.decay is None else batch.decay.astype(np.uint64)
        turned = mixed(batch.hard_event, key) + counted * _GOLDEN
    return ((turned >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


def _shares(counts: npt.NDArray[np.int64], rows: int, file: EventFile) -> npt.NDArray[np.int64]:
    """Rows of each stratum, in proportion to `counts`, one at least where there are any."""
    total, least = int(counts.sum()), int(np.count_nonzero(counts))
    if not least <= rows <= total or rows < 1:
        raise SettingsError(
            f"{rows:,} rows cannot be taken from {file.path}: ask for {max(least, 1):,}, one for "
            f"each stratum, to {total:,}, which have a weight"
        )
    quota = counts * (rows / total)
    wanted: npt.NDArray[np.int64] = np.maximum(np.floor(quota).astype(np.int64), counts > 0)
    while (missing := rows - int(wanted.sum())) != 0:
        # One row at a time to (or from) the stratum that is furthest from its share.
        behind = np.where(
            (wanted < counts) if missing > 0 else (wanted > 1), quota - wanted, np.nan
        )
        wanted[np.nanargmax(behind) if missing > 0 else np.nanargmin(behind)] += np.sign(missing)
    return wanted


def _scales(
    file: EventFile, draw: _Draw, whole: npt.NDArray[np.float64], batch_rows: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Rows taken of each cell, and the factor that gives each stratum its sum `whole`; (24,)."""
    rows, sumw = np.zeros(_N_CELLS, np.int64), np.zeros(_N_CELLS)
    for batch in file.iter_batches((), batch_rows=batch_rows):
        _, cell, weights = draw.of(batch)
        rows += np.bincount(cell, minlength=_N_CELLS)
        sumw += np.bincount(draw.stratum_of[cell], weights, minlength=_N_CELLS)
    return rows, np.divide(whole, sumw, out=np.zeros_like(whole), where=sumw > 0)


def _rows(
    file: EventFile,
    draw: _Draw,
    scale: npt.NDArray[np.float64],
    report: Progress,
    batch_rows: int,
) -> Iterator[EventBatch]:
    """The rows that are taken, all features, with their new weights."""
    for batch in file.iter_batches(FEATURES, batch_rows=batch_rows):
        own, cell, weights = draw.of(batch)
        yield EventBatch(
            batch.first_row,
            batch.names,
            batch.values[:, own],
            weights * scale[draw.stratum_of[cell]],
            batch.process[own],
            None if batch.hard_event is None else batch.hard_event[own],
            None if batch.decay is None else batch.decay[own],
        )
        report("writing", 0.5 + 0.5 * (batch.first_row + batch.n_events) / file.n_rows)


def _write(writer: EventWriter, batches: Iterator[EventBatch]) -> None:
    """Write batches, small ones together: a row group for each would make a large file."""
    waiting: list[EventBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(b.n_events for b in waiting) >= BATCH_ROWS:
            writer.write(**_together(waiting))
            waiting = []
    if waiting:
        writer.write(**_together(waiting))


def _together(batches: list[EventBatch]) -> dict[str, Any]:
    """The columns of all batches, as `EventWriter.write` takes them."""
    return {
        "features": np.concatenate([b.values for b in batches], axis=1),
        "weights": np.concatenate([b.weights for b in batches]),
        "process": np.concatenate([b.process for b in batches]),
        "hard_event": _joined([b.hard_event for b in batches]),
        "decay": _joined([b.decay for b in batches]),
    }


def _joined(parts: list[npt.NDArray[np.int64] | None]) -> npt.NDArray[np.int64] | None:
    there = [part for part in parts if part is not None]
    return np.concatenate(there) if there else None
