"""Collision events to Parquet: a file that exists is whole."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, NoReturn

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from sigma68.errors import OutputError
from sigma68.tasks.higgs.schema import DERIVED, FEATURES, IS_SIGNAL, PRIMARIES, PROCESSES

__all__ = ["EventWriter", "alone"]


class EventWriter:
    """Writes events to Parquet, block by block; the file appears under its name when closed.

    Use as a context manager: left through an exception, nothing remains on disk. With `origin`
    the file has the columns of the public data set in its order (primaries, weights,
    detailed_labels, labels, derived), all numbers float32; without, the 28 features alone.
    `hard_event`, `decay` (int64) and `process_code` (int16) add the columns of simulated events.
    With `double_weights` the weights are float64, for files that are yet to be rescaled.
    `metadata` goes to the file's key-value metadata.

    Raises
    ------
    OutputError
        If the file cannot be written (permissions, missing folder, full disk), or somebody else
        is writing it.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        origin: bool = True,
        hard_event: bool = False,
        decay: bool = False,
        process_code: bool = False,
        double_weights: bool = False,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        self.path = Path(path)
        self.n_rows = 0
        self._double_weights = double_weights
        self._temporary = self.path.with_name(f".{self.path.name}.partial")
        further = {"hard_event": hard_event, "decay": decay, "process_code": process_code}
        self._schema = _file_schema(
            origin,
            [name for name, wanted in further.items() if wanted],
            pa.float64() if double_weights else pa.float32(),
        ).with_metadata(metadata)
        self._sink: Any = None
        try:
            self._sink = alone(self._temporary)
            self._writer = pq.ParquetWriter(
                self._sink, self._schema, compression="zstd", use_dictionary=_FEW_VALUES
            )
        except BlockingIOError as error:
            raise OutputError(
                f"another program is writing {self.path}: wait until it ends, or give another name"
            ) from error
        except OSError as error:
            self._failed(error)

    def write(
        self,
        features: npt.NDArray[np.float32],
        *,
        weights: npt.NDArray[np.floating[Any]] | None = None,
        process: npt.NDArray[np.int8] | None = None,
        hard_event: npt.NDArray[np.int64] | None = None,
        decay: npt.NDArray[np.int64] | None = None,
        process_code: npt.NDArray[np.int16] | None = None,
    ) -> None:
        """Append events: `features` (28, n) and, where the file has them, the other columns (n,).

        Raises
        ------
        ValueError
            If the columns given are not those of the file.
        """
        columns: dict[str, pa.Array] = {
            name: pa.array(np.ascontiguousarray(row, np.float32))
            for name, row in zip(FEATURES, features, strict=True)
        }
        if weights is not None:
            kind = np.float64 if self._double_weights else np.float32
            columns["weights"] = pa.array(weights.astype(kind))
        if process is not None:
            columns["labels"] = pa.array(np.array(IS_SIGNAL, np.float32)[process])
            names = pa.array(PROCESSES)
            columns["detailed_labels"] = pa.DictionaryArray.from_arrays(process, names).cast(
                pa.string()
            )
        further = {"hard_event": hard_event, "decay": decay, "process_code": process_code}
        for name, column in further.items():
            if column is not None:
                columns[name] = pa.array(column, _FURTHER[name])
        if set(columns) != set(self._schema.names):
            differing = ", ".join(sorted(set(columns) ^ set(self._schema.names)))
            raise ValueError(f"the columns given are not those of {self.path.name}: {differing}")
        table = pa.Table.from_arrays(
            [columns[name] for name in self._schema.names], schema=self._schema
        )
        try:
            self._writer.write_table(table)
        except OSError as error:
            self._failed(error)
        self.n_rows += table.num_rows

    def close(self) -> None:
        """Finish the file and give it its name."""
        try:
            self._writer.close()
            self._sink.flush()
            os.fsync(self._sink.fileno())
            self._temporary.replace(self.path)
            self._sink.close()  # and with it goes the lock
        except OSError as error:
            self._failed(error)
        except BaseException:
            self._discard()
            raise

    def __enter__(self) -> EventWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._discard()

    def _discard(self) -> None:
        if self._sink is None:
            return
        # Whatever went wrong is on its way to the user; closing what is broken adds nothing.
        with contextlib.suppress(OSError, ValueError, AttributeError):
            self._writer.close()
        with contextlib.suppress(OSError):
            self._temporary.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._sink.close()
        self._sink = None

    def _failed(self, error: OSError) -> NoReturn:
        self._discard()
        raise OutputError(
            f"{self.path} cannot be written ({error.strerror or error}): "
            "choose a folder that exists, is writable and has space"
        ) from error


def alone(path: Path) -> BinaryIO:
    """`path`, empty, opened for writing by this program alone; what a killed one left is reused.

    Raises
    ------
    BlockingIOError
        If another program is writing it.
    """
    while True:
        stream = open(path, "ab", opener=_own)  # noqa: SIM115
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is(stream, path):
                stream.truncate(0)
                stream.seek(0)
                return stream
        except BaseException:
            stream.close()
            raise
        stream.close()  # whoever wrote it has just finished: it has its name, and is not ours


def _own(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)


def _is(stream: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(stream.fileno()), path.stat())
    except FileNotFoundError:
        return False


# A dictionary of a column whose values hardly repeat costs time, is given up, and saves nothing.
_FEW_VALUES = ["weights", "detailed_labels", "labels", "PRI_n_jets", "process_code"]
_FURTHER = {"hard_event": pa.int64(), "decay": pa.int64(), "process_code": pa.int16()}


def _file_schema(origin: bool, further: list[str], kind_of_weights: pa.DataType) -> pa.Schema:
    fields = [(name, pa.float32()) for name in PRIMARIES]
    if origin:
        fields += [
            ("weights", kind_of_weights),
            ("detailed_labels", pa.string()),
            ("labels", pa.float32()),
        ]
    fields += [(name, pa.float32()) for name in DERIVED]
    fields += [(name, _FURTHER[name]) for name in further]
    return pa.schema(fields)
