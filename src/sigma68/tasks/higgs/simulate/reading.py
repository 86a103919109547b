"""The rows of a shard, read and held against what the shard says of itself."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from sigma68.errors import DataError
from sigma68.tasks.higgs.schema import FEATURES, PROCESSES
from sigma68.tasks.higgs.simulate.shards import ShardAbout
from sigma68.tasks.higgs.simulate.shuffle import EventRows

__all__ = ["read_rows"]

_KINDS: Final[dict[str, pa.DataType]] = {
    **dict.fromkeys(FEATURES, pa.float32()),
    "weights": pa.float64(),
    "hard_event": pa.int64(),
    "decay": pa.int64(),
    "process_code": pa.int16(),
}
_SAME: Final = 1e-9
"""Relative difference of two sums of the same weights, in another order."""


def read_rows(path: Path, about: ShardAbout) -> EventRows:
    """The rows of the shard at `path`, which says `about` of itself.

    Raises
    ------
    DataError
        If it cannot be read, a column is missing or of another type, a value is not finite, or
        rows, weights, process codes or hard events are not those of `about`.
    """
    try:
        if pq.read_metadata(path).num_rows != about.rows:
            raise _ContradictionError(f"rows are not {about.rows:,}")
        columns = _columns(path)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).split("\n", 1)[0].rstrip(".")
        raise DataError(f"{path} cannot be read ({reason}): remove it and go on") from error
    except _ContradictionError as error:
        raise _lies(path, error) from error
    rows = EventRows(
        np.stack([columns[name] for name in FEATURES]),
        columns["weights"],
        np.full(about.rows, PROCESSES.index(about.process), np.int8),
        columns["hard_event"],
        columns["decay"],
        columns["process_code"],
    )
    try:
        _check(rows, about)
    except _ContradictionError as error:
        raise _lies(path, error) from error
    return rows


class _ContradictionError(Exception):
    """What is wrong with a shard's rows, in a few words."""


def _lies(path: Path, why: _ContradictionError) -> DataError:
    return DataError(f"{path} does not hold what it says ({why}): remove it and go on")


def _columns(path: Path) -> dict[str, npt.NDArray[Any]]:
    schema = pq.read_schema(path)
    for name, kind in _KINDS.items():
        if schema.names.count(name) != 1 or schema.field(name).type != kind:
            raise _ContradictionError(f"the column {name} is not there once, as {kind}")
    table = pq.read_table(path, columns=list(_KINDS), partitioning=None)
    for name in _KINDS:
        if table[name].null_count:
            raise _ContradictionError(f"{name} is missing in a row")
    return {name: table[name].to_numpy() for name in _KINDS}


def _check(rows: EventRows, about: ShardAbout) -> None:
    for values, name in zip(rows.features, FEATURES, strict=True):
        if not np.isfinite(values).all():
            raise _ContradictionError(f"{name} is not finite in a row")
    if not (np.isfinite(rows.weights) & (rows.weights > 0)).all():
        raise _ContradictionError("a weight is no positive number")
    first, end = about.first_hard_event, about.first_hard_event + about.hard_events
    if ((rows.hard_event < first) | (rows.hard_event >= end)).any():
        raise _ContradictionError("a hard event is none of its own")
    if (rows.decay < 0).any():
        raise _ContradictionError("a decay has a negative number")
    if not set(np.unique(rows.process_code).tolist()) <= set(about.codes):
        raise _ContradictionError("a process code was never tried")
    for code, sums in about.codes.items():
        own = rows.weights[rows.process_code == code]
        if len(own) != sums.rows or not math.isclose(own.sum(), sums.sum_weights, rel_tol=_SAME):
            raise _ContradictionError(
                f"rows of process code {code} are not as many or heavy as it says"
            )
