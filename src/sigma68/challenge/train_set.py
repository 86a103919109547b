"""The training events an entry gets: exported once by the run, read as often as it likes.

The file is an uncompressed Arrow file, so that every process of a run maps the same memory. It
holds the training pool alone: no event of it is ever part of a toy that is scored.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError
from sigma68.files import replacing
from sigma68.protocols import Pool
from sigma68.types import Labelled

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["LABEL_COLUMNS", "TrainSet", "compat_module", "export_train"]

LABEL_COLUMNS = ("weights", "detailed_labels", "labels")
"""What an entry is told about a training event beside its features."""

_ROWS_PER_BATCH = 1 << 18
_ADVICE = (
    "an entry's training events are kept there while it is at work; make room, or set TMPDIR to "
    "a folder that has it"
)
_BATCHES = "training_batches"


def export_train(pool: Pool | Labelled, path: Path) -> Path:
    """Write the training events for entries to `path`, whole or not at all.

    A task that has a module `compat` with a function `training_batches(pool)` says itself what
    an entry gets: raw events, say, before any threshold. Any other gives `pool.labelled()`.

    Raises
    ------
    DataError
        If there are no events, or a column is missing.
    OutputError
        If the file cannot be written.
    """
    import pyarrow as pa

    batches = _batches(pool)
    first = next(batches, None)
    if first is None:
        raise DataError("the training pool has no events: an entry cannot be trained on it")
    missing = [name for name in LABEL_COLUMNS if name not in first.schema.names]
    if missing:
        raise DataError(f"the training events have no column {missing[0]!r}")
    with (
        replacing(path, sync=False, advice=_ADVICE) as part,
        pa.OSFile(str(part), "wb") as file,
        pa.ipc.new_file(file, first.schema) as out,
    ):
        out.write_batch(first)
        for batch in batches:
            out.write_batch(batch)
    return path


def _batches(pool: Pool | Labelled) -> Iterator[pa.RecordBatch]:
    if not isinstance(pool, Labelled):
        name = compat_module(pool)
        own = None if name is None else getattr(importlib.import_module(name), _BATCHES, None)
        if own is not None:
            yield from own(pool)
            return
        pool = pool.labelled()
    if pool.n_events:
        yield from _from_labelled(pool).to_batches(max_chunksize=_ROWS_PER_BATCH)


def _from_labelled(events: Labelled) -> pa.Table:
    import pyarrow as pa

    columns: dict[str, Any] = {
        name: pa.array(np.ascontiguousarray(values))
        for name, values in zip(events.names, events.values, strict=True)
    }
    columns["weights"] = pa.array(np.asarray(events.weights))
    columns["detailed_labels"] = pa.DictionaryArray.from_arrays(
        pa.array(np.asarray(events.process)), pa.array(list(events.process_names))
    )
    columns["labels"] = pa.array(np.asarray(events.labels, np.float32))
    return pa.table(columns)


def compat_module(part: object) -> str | None:
    """The module `compat` beside the class of a task or pool; None if there is none.

    It holds what entries to that task expect: `systematics` and `DER_data`, which they import,
    and `training_batches`.
    """
    package = type(part).__module__.rpartition(".")[0]
    name = f"{package}.compat"
    if not package or package == "sigma68" or importlib.util.find_spec(name) is None:
        return None
    return name


class TrainSet:
    """The exported training events; calling it gives a DataFrame, as an entry expects it."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa

        self._table: pa.Table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        self._sum = float(self._table.column("weights").to_numpy().sum(dtype=np.float64))
        self._calls = 0

    def __call__(
        self, train_size: int | float | None = None, selected_indices: Any = None
    ) -> pd.DataFrame:
        """Training events with features, `weights`, `detailed_labels` and `labels`.

        Parameters
        ----------
        train_size:
            How many rows (an int) or which fraction of them (a float), chosen at random, another
            choice in every call; None for all.
        selected_indices:
            Row numbers, instead of a random choice.

        Returns
        -------
        The rows in their original order; the weights sum to those of all training events.

        Raises
        ------
        ValueError, IndexError
            If the size, or a row number, is not possible.
        """
        import pyarrow as pa

        rows = self._rows(train_size, selected_indices)
        table = self._table if rows is None else self._table.take(pa.array(rows))
        at = table.schema.get_field_index("detailed_labels")
        table = table.set_column(at, "detailed_labels", table.column(at).cast(pa.string()))
        frame: pd.DataFrame = table.to_pandas()
        if rows is not None:
            weights = frame["weights"].to_numpy()
            total = float(weights.sum(dtype=np.float64))
            if total > 0:
                frame["weights"] = (weights * (self._sum / total)).astype(weights.dtype)
        return frame

    def _rows(self, train_size: Any, selected_indices: Any) -> npt.NDArray[np.int64] | None:
        n = self._table.num_rows
        if train_size is None and selected_indices is None:
            return None
        if train_size is None:
            return _selected(selected_indices, n)
        if isinstance(train_size, bool) or not isinstance(
            train_size, int | float | np.integer | np.floating
        ):
            raise ValueError(
                f"train_size must be an int (rows) or a float (fraction), not {train_size!r}"
            )
        if isinstance(train_size, float | np.floating):
            if not 0.0 <= train_size <= 1.0:
                raise ValueError(
                    f"a fractional train_size must lie between 0.0 and 1.0, not {train_size}"
                )
            size = int(train_size * n)
        else:
            size = min(int(train_size), n)
        if size < 1:
            raise ValueError(f"train_size={train_size} leaves no event of {n:,}")
        # Reproducible, whatever the entry does to the global state of NumPy.
        generator = np.random.default_rng([68, self._calls])
        self._calls += 1
        return np.sort(generator.choice(n, size=size, replace=False, shuffle=False))


def _selected(selected_indices: Any, n: int) -> npt.NDArray[np.int64]:
    if not isinstance(selected_indices, list | tuple | range | np.ndarray):
        raise ValueError("selected_indices must be a list or an array of row numbers")
    rows = np.asarray(selected_indices)
    if rows.ndim != 1 or rows.size == 0 or not np.issubdtype(rows.dtype, np.integer):
        raise ValueError("selected_indices must be a list of one or more whole row numbers")
    if rows.min() < 0 or rows.max() >= n:
        raise IndexError(f"selected_indices must lie between 0 and {n - 1}, the last row")
    return np.sort(rows).astype(np.int64)
