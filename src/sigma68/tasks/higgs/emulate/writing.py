"""Emulated events as a Parquet file in the layout of the public data set.

Row i is a function of weights, seed, mixture and i alone. Which process it is follows a sequence
of low discrepancy, the multiples of the golden ratio modulo 1 from a random start (Weyl, Math.
Ann. 77 (1916) 313; Knuth, The Art of Computer Programming 3, section 6.4): any stretch of rows, and
every k-th row of them for a small k, holds each process in its share to a few rows. Which event of
its process it is, is i.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from sigma68 import __version__
from sigma68.errors import OutputError, SettingsError
from sigma68.protocols import Progress
from sigma68.seeds import Stream, stream
from sigma68.tasks.higgs.derived import derive
from sigma68.tasks.higgs.emulate.source import EVEN_MIXTURE, EmulatedSource, shares_of
from sigma68.tasks.higgs.emulate.threads import in_order, threads_here
from sigma68.tasks.higgs.history import KEY
from sigma68.tasks.higgs.schema import FEATURES, LUMINOSITY_FB, PRIMARIES, PROCESSES
from sigma68.tasks.higgs.storage import cache_folder, made_once
from sigma68.tasks.higgs.writer import EventWriter

if TYPE_CHECKING:
    from sigma68.tasks.higgs.emulate.emulator import Emulator

__all__ = ["Emulated", "emulate_file", "emulated_file", "processes_of_rows"]

_GROUP: Final = 1 << 18  # rows of a row group
_CHUNK: Final = 1 << 14  # rows that one thread makes at a time
_AHEAD: Final = 2 * _GROUP // _CHUNK  # while a row group is written, the next is made
_BYTES_PER_ROW: Final = 100
_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)  # 2^64 divided by the golden ratio
_VERSION: Final = "1"


@dataclass(frozen=True)
class Emulated:
    """What was written: how many events of each process, int64, and what one weighs, (4,)."""

    counts: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float64]


def emulate_file(
    target: str | Path,
    emulator: Emulator,
    rows: int,
    *,
    seed: int = 1,
    mixture: Mapping[str, float] | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Emulated:
    """Write emulated events, before the high thresholds.

    Parameters
    ----------
    mixture
        The share of each process in the rows; its events then weigh expected events / (share
        times rows). Without one the shares are those of expected events, and all rows weigh the
        same.
    threads
        How many threads make events; all cores if left out. The file does not depend on it.

    Raises
    ------
    SettingsError
        If a mixture names an unknown process or has a share that is not positive, or a process
        would get no row.
    OutputError
        If `target` cannot be written, or the disk has no room; nothing is left behind.
    """
    if mixture is not None:
        _check(mixture)
    target = Path(target)
    shares = shares_of(_natural(emulator) if mixture is None else mixture)
    _check_rows(rows, shares)
    _check_room(target.parent, rows)
    own = stream("higgs", "emulated file", seed)
    weights = _weights(emulator, shares, rows)
    counts = np.zeros(len(PROCESSES), np.int64)
    about = _history(emulator, rows, seed, mixture)

    def make(span: tuple[int, int]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int8]]:
        return _events(emulator, own, shares, *span)

    groups = list(_spans(0, rows, _GROUP))
    chunks = (span for group in groups for span in _spans(*group, _CHUNK))
    with EventWriter(target, metadata={KEY: json.dumps(about)}) as writer:
        made = in_order(make, chunks, threads=threads or threads_here(), ahead=_AHEAD)
        with contextlib.closing(made):
            for first, end in groups:
                features, process = _group(made, end - first)
                writer.write(features, weights=weights[process], process=process)
                counts += np.bincount(process, minlength=len(PROCESSES))
                if progress is not None:
                    progress("", end / rows)
    return Emulated(counts, weights)


def emulated_file(source: EmulatedSource, progress: Progress | None = None) -> Path:
    """The file that a name for emulated events stands for, made in the cache the first time.

    It has as many rows as each of the name's pools, and none of their events.

    Raises
    ------
    DataError
        If the emulator's weights are missing or damaged.
    SettingsError
        If a process would get no row.
    OutputError
        If the cache cannot be written.
    """
    from sigma68.tasks.higgs.emulate.emulator import Emulator

    emulator = Emulator.load()
    name = f"{emulator.fingerprint} {source.seed} {source.rows} {dict(EVEN_MIXTURE)} {_VERSION}"
    key = hashlib.blake2b(name.encode(), digest_size=16).hexdigest()
    folder = cache_folder() / "emulated" / f"file-{key}"
    report = progress or (lambda what, fraction: None)
    what = f"emulating {source}"

    def make(temporary: Path) -> None:
        emulate_file(
            temporary / "events.parquet",
            emulator,
            source.rows,
            seed=source.seed,
            mixture=EVEN_MIXTURE,
            progress=lambda _, fraction: report(what, fraction),
        )

    try:
        made_once(folder, make, waiting=lambda: report(f"another program is {what}: waiting", 0.0))
    except OSError as error:
        raise OutputError(
            f"emulated events cannot be kept in {folder.parent} ({error.strerror or error}): set "
            "SIGMA68_CACHE to a folder that can be written to"
        ) from error
    return folder / "events.parquet"


def processes_of_rows(
    shares: tuple[float, ...], own: Stream, first: int, end: int
) -> npt.NDArray[np.int8]:
    """The process of rows first to end - 1 of a stream, an index into `PROCESSES`, (n,)."""
    start = np.uint64(own.child("processes").key & 0xFFFFFFFFFFFFFFFF)
    place = (np.arange(first, end, dtype=np.uint64) * _GOLDEN + start) >> np.uint64(1)
    edges = [int(edge * 2.0**63) for edge in np.cumsum(shares)[:-1]]
    # Rounding must not give the end of the scale to processes that have no share.
    last = max(p for p, share in enumerate(shares) if share > 0)
    edges = [edge if p < last else 1 << 63 for p, edge in enumerate(edges)]
    return np.searchsorted(np.array(edges, np.uint64), place, side="right").astype(np.int8)


def _events(
    emulator: Emulator, own: Stream, shares: tuple[float, ...], first: int, end: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int8]]:
    """Primaries, (16, n), and processes, (n,), of rows first to end - 1."""
    process = processes_of_rows(shares, own, first, end)
    primaries = np.empty((len(PRIMARIES), end - first), np.float32)
    for p in range(len(PROCESSES)):
        at = np.flatnonzero(process == p)
        if len(at):
            primaries[:, at] = emulator.sample(p, first + at, own)
    return primaries, process


def _group(
    made: Iterator[tuple[npt.NDArray[np.float32], npt.NDArray[np.int8]]], n: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int8]]:
    """The features, (28, n), and processes, (n,), of the next n rows."""
    features = np.empty((len(FEATURES), n), np.float32)
    process = np.empty(n, np.int8)
    at = 0
    while at < n:
        primaries, own = next(made)
        features[: len(PRIMARIES), at : at + len(own)] = primaries
        process[at : at + len(own)] = own
        at += len(own)
    derive(features[: len(PRIMARIES)], features[len(PRIMARIES) :])
    return features, process


def _spans(first: int, end: int, step: int) -> Iterator[tuple[int, int]]:
    for begin in range(first, end, step):
        yield begin, min(begin + step, end)


def _natural(emulator: Emulator) -> dict[str, float]:
    return dict(zip(PROCESSES, emulator.expected.tolist(), strict=True))


def _weights(emulator: Emulator, shares: tuple[float, ...], rows: int) -> npt.NDArray[np.float64]:
    """The weight of an event of each process, (4,)."""
    share = np.array(shares)
    weights = np.zeros(len(share))
    np.divide(emulator.expected, share * rows, out=weights, where=share > 0)
    return weights


def _history(
    emulator: Emulator, rows: int, seed: int, mixture: Mapping[str, float] | None
) -> dict[str, Any]:
    return {
        "kind": "emulation",
        "format": 1,
        "luminosity_fb": LUMINOSITY_FB,
        "rows": rows,
        "seed": seed,
        "mixture": None if mixture is None else dict(mixture),
        "expected": _natural(emulator),
        "weights": emulator.fingerprint,
        "emulator": dict(emulator.history),
        "sigma68": __version__,
    }


def _check(mixture: Mapping[str, float]) -> None:
    for name, share in mixture.items():
        if name not in PROCESSES:
            raise SettingsError(f"there is no process {name!a}: choose from {', '.join(PROCESSES)}")
        if not 0 < share < math.inf:
            raise SettingsError(f"the share of {name} must be a positive number, not {share}")
    if not mixture:
        raise SettingsError("a mixture of nothing: give at least one process a share")


def _check_rows(rows: int, shares: tuple[float, ...]) -> None:
    # Between N places of the sequence no gap is wider than 1.9 / N: where three rows are expected,
    # there is one.
    least, name = min((s, n) for s, n in zip(shares, PROCESSES, strict=True) if s > 0)
    if rows * least < _ENOUGH:
        raise SettingsError(
            f"of {rows:,} rows {name} would get {rows * least:.2g}: ask for "
            f"{math.ceil(_ENOUGH / least):,} or more, or for another mixture"
        )


_ENOUGH: Final = 3.0


def _check_room(folder: Path, rows: int) -> None:
    if not folder.is_dir():
        return  # whoever opens the file says so
    free, need = shutil.disk_usage(folder).free, rows * _BYTES_PER_ROW
    if need > free:
        raise OutputError(
            f"{folder} has room for {free / 1e9:,.1f} GB, but {rows:,} rows take about "
            f"{need / 1e9:,.0f} GB: ask for fewer, or give another folder"
        )
