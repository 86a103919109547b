"""The rows of one pool, laid out so that a pseudo-experiment costs what it draws, not what it draws from.

Rows of one process lie together; within a process a row is drawn with probability proportional
to its weight in constant time through an alias table (Walker 1977; Vose, IEEE Trans. Softw.
Eng. 17 (1991) 972). The arrays lie in memory or in a folder of memory-mapped files.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
from numba import njit

from sigma68.tasks.higgs.dataset import EventBatch
from sigma68.tasks.higgs.schema import PRIMARIES, PROCESSES

__all__ = [
    "EventLayout",
    "LayoutBuilder",
    "build_layout",
    "empty_layout",
    "fill_alias_table",
    "load_layout",
]

_FULL: Final = (1 << 32) - 1
_LINE: Final = 64


@dataclass(frozen=True)
class EventLayout:
    """What `toys.draw` reads of a pool. Arrays may be memory-mapped files.

    Attributes
    ----------
    rows
        Primary columns, float32, shape (n, 16), C-contiguous: one 64-byte line per event.
        Process p occupies rows[starts[p]:starts[p + 1]], in the order of `PROCESSES`; within a
        process rows keep the order of the file.
    starts
        int64, shape (5,).
    sumw
        Expected events per process at mu = 1 and all nuisance parameters off, before the high
        thresholds: the whole file's sums; 0 for a process that the pool lacks. float64, (4,).
    weights
        Expected events of each row, float64, shape (n,); sums to `sumw` in each process.
    threshold, alias
        Alias tables within each process, uint32, shape (n,): a slot is kept if a 32-bit random
        word is below its threshold (2^32 saturates at 2^32 - 1), else its alias (a row number
        counted from the start of the process) is taken. Not read where `uniform`.
    uniform
        Whether all rows of a process have the same weight, bool, shape (4,).
    hard_event
        Number of the hard collision, int64, shape (n,); None when every row is its own.
    """

    rows: npt.NDArray[np.float32]
    starts: npt.NDArray[np.int64]
    sumw: npt.NDArray[np.float64]
    weights: npt.NDArray[np.float64]
    threshold: npt.NDArray[np.uint32]
    alias: npt.NDArray[np.uint32]
    uniform: npt.NDArray[np.bool_]
    hard_event: npt.NDArray[np.int64] | None = None

    @property
    def n_rows(self) -> int:
        return int(self.starts[-1])

    @property
    def process(self) -> npt.NDArray[np.int8]:
        """The process of each row, int8, shape (n,)."""
        return np.repeat(np.arange(len(PROCESSES), dtype=np.int8), np.diff(self.starts))


@njit(cache=True)
def _word(probability: float) -> np.uint32:
    word = np.int64(probability * 4294967296.0 + 0.5)
    if word > _FULL:
        word = np.int64(_FULL)
    if word < 0:
        word = np.int64(0)
    return np.uint32(word)


@njit(cache=True)
def fill_alias_table(
    weights: npt.NDArray[np.float64],
    threshold: npt.NDArray[np.uint32],
    alias: npt.NDArray[np.uint32],
) -> None:
    """The alias table of `weights`, shape (n,), written to `threshold` and `alias`.

    Two cursors sweep the rows once, one over those below the mean weight, one over those above
    it, which give away their surplus; no work space, whatever n.
    """
    n = len(weights)
    total = 0.0
    for i in range(n):
        total += weights[i]
        threshold[i] = _FULL
        alias[i] = i
    if n == 0 or total <= 0:
        return
    scale = n / total
    giver = 0
    while giver < n and weights[giver] * scale < 1:
        giver += 1
    if giver == n:  # equal weights, up to rounding
        return
    left = weights[giver] * scale  # what the giver still has, in units of the mean
    for i in range(n):
        own = weights[i] * scale
        if own >= 1:
            continue
        threshold[i] = _word(own)
        alias[i] = giver
        left -= 1 - own
        while left < 1:
            following = giver + 1
            while following < n and weights[following] * scale < 1:
                following += 1
            if following == n:
                # Only rounding is left over: the last giver keeps its slot to itself.
                return
            threshold[giver] = _word(left)
            alias[giver] = following
            left = weights[following] * scale - (1 - left)
            giver = following


@njit(cache=True)
def _place(
    values: npt.NDArray[np.float32],
    weights: npt.NDArray[np.float64],
    process: npt.NDArray[np.int8],
    chosen: npt.NDArray[np.bool_],
    scale: npt.NDArray[np.float64],
    cursor: npt.NDArray[np.int64],
    rows: npt.NDArray[np.float32],
    out: npt.NDArray[np.float64],
) -> None:
    for i in range(len(process)):
        if chosen[i]:
            p = process[i]
            place = cursor[p]
            cursor[p] = place + 1
            for j in range(values.shape[0]):
                rows[place, j] = values[j, i]
            out[place] = weights[i] * scale[p]


class ArrayStore(Protocol):
    """Where the arrays of a layout are made."""

    def new(
        self, name: str, dtype: npt.DTypeLike, shape: tuple[int, ...], used: bool = True
    ) -> npt.NDArray[Any]:
        """An array to be filled; `used` says whether it will be."""
        ...


class MemoryStore:
    """Arrays in memory, aligned to cache lines."""

    def new(
        self, name: str, dtype: npt.DTypeLike, shape: tuple[int, ...], used: bool = True
    ) -> npt.NDArray[Any]:
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        raw = np.empty(size + _LINE, np.uint8)
        offset = -raw.ctypes.data % _LINE
        return raw[offset : offset + size].view(dtype).reshape(shape)


@dataclass(frozen=True)
class FolderStore:
    """Arrays in files of a folder, memory-mapped.

    Space is reserved when an array is made, so that a full disk is an OSError here and not a
    signal when a page is written; an array that is not used is a hole.
    """

    folder: Path

    def new(
        self, name: str, dtype: npt.DTypeLike, shape: tuple[int, ...], used: bool = True
    ) -> npt.NDArray[Any]:
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if size == 0:
            return np.empty(shape, dtype)
        path = self.folder / f"{name}.bin"
        with path.open("xb") as file:
            file.truncate(size)
            if used:
                os.posix_fallocate(file.fileno(), 0, size)
        return np.asarray(np.memmap(path, dtype, "r+", shape=shape))


def empty_layout(
    counts: npt.NDArray[np.int64],
    sumw: npt.NDArray[np.float64],
    uniform: npt.NDArray[np.bool_],
    store: ArrayStore,
    *,
    hard_event: bool = False,
) -> EventLayout:
    """A layout whose arrays are yet to be filled.

    `counts`, `sumw` and `uniform` are the rows of each process, their expected events, and
    whether their weights are all equal, (4,); arrays are made in `store`.
    """
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    n = int(starts[-1])
    tables = not bool(uniform.all())
    return EventLayout(
        rows=store.new("rows", np.float32, (n, len(PRIMARIES))),
        starts=starts,
        sumw=sumw.astype(np.float64),
        weights=store.new("weights", np.float64, (n,)),
        threshold=store.new("threshold", np.uint32, (n,), tables),
        alias=store.new("alias", np.uint32, (n,), tables),
        uniform=uniform.astype(np.bool_),
        hard_event=store.new("hard_event", np.int64, (n,)) if hard_event else None,
    )


class LayoutBuilder:
    """Fills the layout of one pool while its events stream past, in the order of the file.

    Parameters
    ----------
    counts, scale, sumw
        Rows of each process, the factor on their weights, and what these then sum to; (4,).
    uniform
        Whether the weights of a process are all equal; (4,).
    store
        Where the arrays are made.
    hard_event
        Whether the events are numbered by hard collision.
    """

    def __init__(
        self,
        counts: npt.NDArray[np.int64],
        scale: npt.NDArray[np.float64],
        sumw: npt.NDArray[np.float64],
        uniform: npt.NDArray[np.bool_],
        store: ArrayStore,
        *,
        hard_event: bool = False,
    ) -> None:
        self._scale = scale.astype(np.float64)
        self._layout = empty_layout(counts, sumw, uniform, store, hard_event=hard_event)
        self._cursor = self._layout.starts[:-1].copy()

    def add(self, batch: EventBatch, chosen: npt.NDArray[np.bool_]) -> None:
        """Append the `chosen` events of a batch of primaries."""
        layout = self._layout
        if layout.hard_event is not None and batch.hard_event is not None:
            for p, place in enumerate(self._cursor):
                numbers = batch.hard_event[chosen & (batch.process == p)]
                layout.hard_event[place : place + len(numbers)] = numbers
        _place(
            batch.values,
            batch.weights,
            batch.process,
            chosen,
            self._scale,
            self._cursor,
            layout.rows,
            layout.weights,
        )

    def finish(self) -> EventLayout:
        """The layout, with its alias tables.

        Raises
        ------
        ValueError
            If not as many events came as were promised.
        """
        layout = self._layout
        if not np.array_equal(self._cursor, layout.starts[1:]):
            raise ValueError("the events placed are not those that were counted")
        for p in np.flatnonzero(~layout.uniform):
            span = slice(layout.starts[p], layout.starts[p + 1])
            fill_alias_table(layout.weights[span], layout.threshold[span], layout.alias[span])
        return layout


def build_layout(
    primaries: npt.NDArray[np.float32],
    process: npt.NDArray[np.int8],
    weights: npt.NDArray[np.float64],
    hard_event: npt.NDArray[np.int64] | None = None,
) -> EventLayout:
    """The layout, in memory, of events in columns: `primaries` (16, n), the others (n,)."""
    kinds = range(len(PROCESSES))
    counts = np.bincount(process, minlength=len(kinds)).astype(np.int64)
    sumw = np.bincount(process, weights, minlength=len(kinds)).astype(np.float64)
    uniform = np.array([np.ptp(weights[process == p]) == 0 if counts[p] else True for p in kinds])
    builder = LayoutBuilder(
        counts,
        np.ones(len(kinds)),
        sumw,
        uniform,
        MemoryStore(),
        hard_event=hard_event is not None,
    )
    batch = EventBatch(
        0,
        PRIMARIES,
        np.ascontiguousarray(primaries, np.float32),
        np.asarray(weights, np.float64),
        np.asarray(process, np.int8),
        hard_event,
    )
    builder.add(batch, np.ones(len(process), np.bool_))
    return builder.finish()


def save_index(layout: EventLayout, folder: Path) -> None:
    """Write what `load_layout` needs beside the arrays that a `FolderStore` made."""
    document = {
        "starts": layout.starts.tolist(),
        "sumw": layout.sumw.tolist(),
        "uniform": layout.uniform.tolist(),
        "hard_event": layout.hard_event is not None,
    }
    (folder / "layout.json").write_text(json.dumps(document), encoding="utf-8")


def load_layout(folder: Path) -> EventLayout:
    """The layout in `folder`, memory-mapped read-only.

    Raises
    ------
    OSError
        If a file is missing.
    ValueError
        If a file is shorter than it should be.
    """
    document = json.loads((folder / "layout.json").read_text(encoding="utf-8"))
    starts = np.array(document["starts"], np.int64)
    n = int(starts[-1])

    def array(name: str, dtype: npt.DTypeLike, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        return np.asarray(np.memmap(folder / f"{name}.bin", dtype, "r", shape=shape))

    return EventLayout(
        rows=array("rows", np.float32, (n, len(PRIMARIES))),
        starts=starts,
        sumw=np.array(document["sumw"], np.float64),
        weights=array("weights", np.float64, (n,)),
        threshold=array("threshold", np.uint32, (n,)),
        alias=array("alias", np.uint32, (n,)),
        uniform=np.array(document["uniform"], np.bool_),
        hard_event=array("hard_event", np.int64, (n,)) if document["hard_event"] else None,
    )
