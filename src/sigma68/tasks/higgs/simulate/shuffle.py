"""Rows in random order without holding them all: dealt out to files, each shuffled in memory."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Final

import numpy as np
import numpy.typing as npt

from sigma68.files import explained
from sigma68.seeds import stream
from sigma68.tasks.higgs.schema import FEATURES

__all__ = ["EventRows", "shuffled"]

_BUCKET_ROWS: Final = 1 << 18
_MOST_BUCKETS: Final = 256  # each is an open file
_BUFFER: Final = 1 << 16

_RECORD: Final = np.dtype(
    [
        ("features", np.float32, (len(FEATURES),)),
        ("weights", np.float64),
        ("process", np.int8),
        ("hard_event", np.int64),
        ("decay", np.int64),
        ("process_code", np.int16),
    ]
)


@dataclass(frozen=True)
class EventRows:
    """Simulated events as columns: `features` (28, n) and the others (n,)."""

    features: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float64]
    process: npt.NDArray[np.int8]
    hard_event: npt.NDArray[np.int64]
    decay: npt.NDArray[np.int64]
    process_code: npt.NDArray[np.int16]

    @property
    def n_rows(self) -> int:
        return len(self.weights)

    def with_weights(self, weights: npt.NDArray[np.float64]) -> EventRows:
        """The same events with other weights."""
        return replace(self, weights=weights)

    @classmethod
    def joined(cls, pieces: Sequence[EventRows]) -> EventRows:
        """The rows of several, one after the other."""
        return cls(
            np.concatenate([piece.features for piece in pieces], axis=1),
            np.concatenate([piece.weights for piece in pieces]),
            np.concatenate([piece.process for piece in pieces]),
            np.concatenate([piece.hard_event for piece in pieces]),
            np.concatenate([piece.decay for piece in pieces]),
            np.concatenate([piece.process_code for piece in pieces]),
        )


def shuffled(
    rows: Iterator[EventRows], n_rows: int, seed: int, beside: Path
) -> Iterator[EventRows]:
    """The same rows in random order, a function of their order and of `seed` alone.

    Each row goes to a random one of at most 256 temporary files, which lie without a name in the
    folder of the file `beside`; then each is read, shuffled and handed on.

    Raises
    ------
    OutputError
        If the temporary files cannot be written.
    """
    dice = stream("higgs", "merge", seed).generator()
    n_buckets = min(max(1, -(-n_rows // _BUCKET_ROWS)), _MOST_BUCKETS)
    with contextlib.ExitStack() as stack:
        buckets: list[IO[bytes]] = []
        for _ in range(n_buckets):
            with explained(beside):
                bucket = tempfile.TemporaryFile(dir=beside.parent, buffering=_BUFFER)  # noqa: SIM115
            buckets.append(bucket)
            stack.callback(_close, bucket)
        for piece in rows:
            _deal(piece, dice.integers(n_buckets, size=piece.n_rows), buckets, beside)
        for bucket in buckets:
            with explained(beside):
                bucket.seek(0)
                records = np.frombuffer(bucket.read(), _RECORD)
            yield _columns(records[dice.permutation(len(records))])


def _close(bucket: IO[bytes]) -> None:
    # Where the disk is full, closing tries once more to write what could not be written.
    with contextlib.suppress(OSError):
        bucket.close()


def _deal(
    rows: EventRows,
    target: npt.NDArray[np.int64],
    buckets: Sequence[IO[bytes]],
    beside: Path,
) -> None:
    records = np.empty(rows.n_rows, _RECORD)
    records["features"] = rows.features.T
    for name in ("weights", "process", "hard_event", "decay", "process_code"):
        records[name] = getattr(rows, name)
    records = records[np.argsort(target, kind="stable")]
    ends = np.cumsum(np.bincount(target, minlength=len(buckets)))
    with explained(beside):
        for bucket, first, last in zip(buckets, [0, *ends[:-1]], ends, strict=True):
            bucket.write(records[first:last].tobytes())


def _columns(records: npt.NDArray[np.void]) -> EventRows:
    return EventRows(
        np.ascontiguousarray(records["features"].T),
        *(
            np.ascontiguousarray(records[name])
            for name in ("weights", "process", "hard_event", "decay", "process_code")
        ),
    )
