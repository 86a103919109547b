"""Collision events on disk: Parquet in and out, by row groups, checked as they stream past.

`open_parquet` looks at a file without reading its events, `EventFile.iter_batches` streams them
in bounded memory, `EventWriter` writes a file that exists only once it is whole. Compact files
(see `embedded.columns`) are read in the same way.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from sigma68.errors import DataError
from sigma68.tasks.higgs.embedded.columns import (
    SCALES,
    check_compact,
    completed,
    is_compact,
    stored_columns,
)
from sigma68.tasks.higgs.schema import FEATURES, IS_SIGNAL, PRIMARIES, PROCESSES
from sigma68.tasks.higgs.sources import located
from sigma68.tasks.higgs.writer import EventWriter

__all__ = ["BATCH_ROWS", "EventBatch", "EventFile", "EventWriter", "open_parquet"]

BATCH_ROWS: Final = 1 << 18
"""Rows held at once when streaming: about 20 MB of columns."""

_LARGEST_WEIGHT: Final = 1e30  # float32 holds it, and float64 the sum of many squares


@dataclass(frozen=True)
class EventBatch:
    """Consecutive events of a file, checked.

    `values` holds the columns asked for, float32, shape (n_columns, n); `weights` float64,
    `process` an index into `PROCESSES`, both (n,). `hard_event` and `decay` are int64 (n,), or
    None where the file has no such column.
    """

    first_row: int
    names: tuple[str, ...]
    values: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float64]
    process: npt.NDArray[np.int8]
    hard_event: npt.NDArray[np.int64] | None = None
    decay: npt.NDArray[np.int64] | None = None

    @property
    def n_events(self) -> int:
        return len(self.weights)


@dataclass(frozen=True)
class EventFile:
    """A Parquet file of events whose columns are as they should be.

    `sum_weights` is what the metadata file beside it says the weights should sum to, or None.
    """

    path: Path
    n_rows: int
    sum_weights: float | None
    has_hard_event: bool
    has_decay: bool
    is_compact: bool = False

    def iter_batches(
        self, columns: Sequence[str] = PRIMARIES, *, batch_rows: int = BATCH_ROWS
    ) -> Iterator[EventBatch]:
        """Stream the feature `columns` with weight and origin, at most `batch_rows` at a time.

        Memory is bounded by the batch (and a Parquet page per column), not by the file.

        Raises
        ------
        DataError
            At the first row with a NaN or infinite value in `columns`, a negative or non-finite
            weight, an unknown process, or a label that contradicts its process; or if the file
            turns out to be truncated or damaged.
        """
        names = tuple(columns)
        extra = [
            n for n, has in (("hard_event", self.has_hard_event), ("decay", self.has_decay)) if has
        ]
        stored = stored_columns(names) if self.is_compact else names
        labels = [] if self.is_compact else ["labels"]
        wanted = [*stored, "weights", *labels, "detailed_labels", *extra]
        row = 0
        try:
            file = _parquet_file(self.path)
            for record in file.iter_batches(batch_rows, columns=wanted):
                if record.num_rows:
                    yield self._checked(record, names, row)
                row += record.num_rows
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            _damaged(self.path, error)
        if row != self.n_rows:
            raise DataError(
                f"{self.path} promises {self.n_rows} rows but holds {row}: it is damaged, get it again"
            )

    def _checked(self, record: pa.RecordBatch, names: tuple[str, ...], row: int) -> EventBatch:
        where = _Where(self.path, row)
        stored = stored_columns(names) if self.is_compact else names
        values = np.empty((len(stored), record.num_rows), np.float32)
        for target, name in zip(values, stored, strict=True):
            numbers = record.column(name).to_numpy(zero_copy_only=False)
            with np.errstate(over="ignore"):  # a float64 beyond float32 is infinite, and found
                target[:] = numbers / SCALES[name] if self.is_compact else numbers
            if not np.isfinite(target).all():
                bad = int(np.flatnonzero(~np.isfinite(target))[0])
                where.fail(bad, f"{name} is {target[bad]:g}", "remove or repair the event")
        weights = record.column("weights").to_numpy(zero_copy_only=False).astype(np.float64)
        sound = (weights >= 0) & (weights <= _LARGEST_WEIGHT)
        if not sound.all():
            bad = int(np.flatnonzero(~sound)[0])
            where.fail(
                bad,
                f"weights is {weights[bad]:g}",
                f"weights must lie between 0 and {_LARGEST_WEIGHT:g}",
            )
        process = _process(record.column("detailed_labels"), where)
        if not self.is_compact:
            _check_labels(record.column("labels"), process, where)
        return EventBatch(
            row,
            names,
            completed(values, names) if self.is_compact else values,
            weights,
            process,
            _integers(record, "hard_event", where) if self.has_hard_event else None,
            _integers(record, "decay", where) if self.has_decay else None,
        )


def open_parquet(source: str | Path) -> EventFile:
    """Look at a Parquet file of events, or at a folder that holds exactly one.

    `source` may also be a name of `sources.NAMES`. A `*_metadata.json` beside the file may give
    `sum_weights`.

    Raises
    ------
    DataError
        If there is no such file, several, it is not a whole Parquet file, it has no rows, or a
        column is missing or of the wrong type.
    """
    path = _locate(located(source))
    try:
        file = _parquet_file(path)
        schema, n_rows = file.schema_arrow, file.metadata.num_rows
    except (pa.ArrowException, OSError) as error:
        _damaged(path, error)
    compact = is_compact(schema)
    if compact:
        check_compact(path, schema)
    else:
        _check_schema(path, schema)
    if n_rows == 0:
        raise DataError(f"{path} holds no events: give a file with signal and background rows")
    return EventFile(
        path,
        n_rows,
        _sum_weights(path),
        has_hard_event="hard_event" in schema.names,
        has_decay="decay" in schema.names,
        is_compact=compact,
    )


@dataclass(frozen=True)
class _Where:
    """Where a batch begins, to say in an error which row of which file is wrong."""

    path: Path
    first_row: int

    def fail(self, index: int, what: str, remedy: str) -> NoReturn:
        raise DataError(
            f"{what} in row {self.first_row + index} of {self.path} (rows count from 0): {remedy}"
        )


def _parquet_file(path: Path) -> pq.ParquetFile:
    # A memory map keeps the compressed bytes out of anonymous memory even where one row group
    # is the whole file; without pre-buffering, pages are decoded as batches ask for them.
    return pq.ParquetFile(
        path, memory_map=True, pre_buffer=False, read_dictionary=["detailed_labels"]
    )


def _damaged(path: Path, error: Exception) -> NoReturn:
    if isinstance(error, PermissionError):
        raise DataError(
            f"{path} cannot be opened (permission denied): make it readable for this user"
        ) from error
    reason = str(error).split("\n", 1)[0].rstrip(".")
    raise DataError(
        f"{path} cannot be read as Parquet ({reason}): it is truncated or damaged, get it again"
    ) from error


def _locate(source: Path) -> Path:
    if source.is_dir():
        found = sorted(source.glob("*.parquet"))
        if len(found) != 1:
            names = ", ".join(path.name for path in found[:3]) + (", ..." if len(found) > 3 else "")
            held = f"several Parquet files ({names})" if found else "no Parquet file"
            raise DataError(
                f"the folder {source} holds {held}: give a folder with exactly one *.parquet, "
                "or the path of the file"
            )
        return found[0]
    if not source.exists():
        dangling = " (it is a link that leads nowhere)" if source.is_symlink() else ""
        raise DataError(
            f"{source} does not exist{dangling}: give a Parquet file of events or its folder"
        )
    return source


def _sum_weights(path: Path) -> float | None:
    found = [path.with_name(f"{path.stem}_metadata.json")]
    if not found[0].exists():
        # Under another name it can only be meant for this file if there is no other.
        alone = len(list(path.parent.glob("*.parquet"))) == 1
        found = list(path.parent.glob("*_metadata.json")) if alone else []
        if len(found) != 1:
            return None
    try:
        metadata = json.loads(found[0].read_text(encoding="utf-8"))
        given = metadata.get("sum_weights")
        if given is None:
            return None
        total = float(given)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise DataError(
            f"{found[0]} cannot be read as the metadata of the events ({error}): "
            "repair or remove it"
        ) from error
    if not (math.isfinite(total) and total > 0):
        raise DataError(f"sum_weights is {total:g} in {found[0]}: it must be a positive number")
    return total


def _check_schema(path: Path, schema: pa.Schema) -> None:
    required = (*FEATURES, "weights", "labels", "detailed_labels")
    missing = [name for name in required if name not in schema.names]
    if missing:
        raise DataError(
            f"{path} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}: "
            "events need the 28 features, weights, labels and detailed_labels"
        )
    twice = [name for name in required if schema.names.count(name) > 1]
    if twice:
        raise DataError(f"{path} has the column {twice[0]} more than once: keep one")
    for name in (*FEATURES, "weights"):
        kind = schema.field(name).type
        if not (pa.types.is_float32(kind) or pa.types.is_float64(kind)):
            _wrong_type(path, name, kind, "float32 (or float64)")
    kind = schema.field("labels").type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        _wrong_type(path, "labels", kind, "a number, 1 for signal and 0 for background")
    kind = schema.field("detailed_labels").type
    text = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not (pa.types.is_string(text) or pa.types.is_large_string(text)):
        _wrong_type(path, "detailed_labels", kind, f"text, one of {', '.join(PROCESSES)}")
    for name in ("hard_event", "decay"):
        if name in schema.names and not pa.types.is_integer(schema.field(name).type):
            _wrong_type(path, name, schema.field(name).type, "an integer")


def _wrong_type(path: Path, name: str, kind: pa.DataType, wanted: str) -> NoReturn:
    raise DataError(f"the column {name} of {path} has type {kind}: it must be {wanted}")


def _process(column: pa.Array, where: _Where) -> npt.NDArray[np.int8]:
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    names = column.dictionary.to_pylist()
    codes = np.array([PROCESSES.index(n) if n in PROCESSES else -1 for n in names], np.int8)
    # A null has no index; -1 points it at the unknown behind the last name.
    indices = column.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    process: npt.NDArray[np.int8] = np.append(codes, np.int8(-1))[indices]
    if (process < 0).any():
        bad = int(np.flatnonzero(process < 0)[0])
        name = names[indices[bad]] if indices[bad] >= 0 else None
        where.fail(
            bad, f"detailed_labels is {name!r}", f"known processes are {', '.join(PROCESSES)}"
        )
    return process


def _check_labels(column: pa.Array, process: npt.NDArray[np.int8], where: _Where) -> None:
    labels = column.to_numpy(zero_copy_only=False)
    wrong = labels != np.array(IS_SIGNAL)[process]
    if wrong.any():
        bad = int(np.flatnonzero(wrong)[0])
        name = PROCESSES[process[bad]]
        where.fail(
            bad,
            f"labels is {labels[bad]} while detailed_labels is {name!r}",
            "labels must be 1 for htautau and 0 for every other process",
        )


def _integers(record: pa.RecordBatch, name: str, where: _Where) -> npt.NDArray[np.int64]:
    column = record.column(name)
    if column.null_count:
        bad = int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
        where.fail(bad, f"{name} is missing", "every event needs one, or drop the column")
    values: npt.NDArray[np.int64] = column.to_numpy(zero_copy_only=False).astype(np.int64)
    return values
