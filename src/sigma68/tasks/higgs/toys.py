"""A pseudo-experiment in one pass: draw rows of a pool, bias them, derive, and keep what passes.

A Poisson draw of every row with its scaled weight as the mean is the same as a Poisson number N
of independent events, each of which picks a process with probability proportional to its scaled
yield and a row of it with probability proportional to weight (Poisson splitting). So event i is
a function of (key, i) alone: nothing walks the pool, nothing needs to be shuffled afterwards,
and threads share nothing. Picking a row costs one alias-table look-up and one cache line.
"""

from __future__ import annotations

import sys
import threading

import numpy as np
import numpy.typing as npt
from numba import njit, prange

from sigma68.tasks.higgs.bias import bias_block, passes, soft_met_noise, store_block
from sigma68.tasks.higgs.derived import CHUNK, N_FEATURES, N_PRIMARY, SLOTS
from sigma68.tasks.higgs.layout import EventLayout
from sigma68.tasks.higgs.philox import BLOCK, DRAW, philox_block
from sigma68.tasks.higgs.schema import HAD_PT, LEP_PT

__all__ = ["Workspace", "draw", "draw_rows"]

_HALF = np.uint64(32)


@njit(cache=True)
def _pick(  # type: ignore[no-untyped-def]
    words, events, n, upper, starts, uniform, threshold, alias, key, picked
):
    """Choose a row for each of the first n `events`.

    The loops are split so that many reads from memory are under way at once.
    """
    philox_block(words, events, n, DRAW, key[0], key[1])
    for e in range(n):
        word = words[e]
        process = (
            np.int64(word >= upper[0]) + np.int64(word >= upper[1]) + np.int64(word >= upper[2])
        )
        size = np.uint64(starts[process + 1] - starts[process])
        # floor(size * r / 2^64) for a 64-bit r, from its halves: size has at most 32 bits.
        low = (words[2 * BLOCK + e] * size) >> _HALF
        picked[e] = starts[process] + np.int64((words[BLOCK + e] * size + low) >> _HALF)
        words[e] = np.uint64(process)
    if uniform.all():
        return
    for e in range(n):
        words[BLOCK + e] = np.uint64(threshold[np.uintp(picked[e])])
    for e in range(n):
        process = np.int64(words[e])
        if not uniform[process] and words[3 * BLOCK + e] >= words[BLOCK + e]:
            picked[e] = starts[process] + np.int64(alias[np.uintp(picked[e])])


@njit(cache=True, parallel=True, error_model="numpy")
def _draw_rows(  # type: ignore[no-untyped-def]
    n, rows, starts, uniform, threshold, alias, upper, tes, key, thresholds, result
):
    """Rows of the n events, those that pass at the front of each chunk; their numbers."""
    counts = np.zeros((n + CHUNK - 1) // CHUNK, np.int64)
    for chunk in prange(counts.size):
        words = np.empty(4 * BLOCK, np.uint64)
        events = np.empty(BLOCK, np.int64)
        picked = np.empty(BLOCK, np.int64)
        pts = np.empty(2 * BLOCK, np.float64)
        at = chunk * CHUNK
        for first in range(chunk * CHUNK, min((chunk + 1) * CHUNK, n), BLOCK):
            m = min(BLOCK, n - first)
            for e in range(m):
                events[e] = first + e
            _pick(words, events, m, upper, starts, uniform, threshold, alias, key, picked)
            for e in range(m):
                row = np.uintp(picked[e])
                pts[e] = rows[row, LEP_PT]
                pts[BLOCK + e] = rows[row, HAD_PT]
            for e in range(m):
                result[at] = picked[e]
                at += np.int64((not thresholds) | passes(pts[e], pts[BLOCK + e], tes))
        counts[chunk] = at - chunk * CHUNK
    return counts


@njit(cache=True, parallel=True, error_model="numpy")
def _fill(rows, picked, counts, at, tes, jes, soft_met, key, out):  # type: ignore[no-untyped-def]
    """Bias the picked rows of each chunk and write them from position `at` of the chunk."""
    for chunk in prange(counts.size):
        w = np.zeros(SLOTS * BLOCK, np.float64)
        words = np.empty(4 * BLOCK, np.uint64)
        events = np.empty(BLOCK, np.int64)
        narrow = np.empty(BLOCK, np.float32)
        for first in range(0, counts[chunk], BLOCK):
            m = min(BLOCK, counts[chunk] - first)
            source = chunk * CHUNK + first
            # The first column on its own: it waits for the cache lines, many at a time.
            for e in range(m):
                w[e] = rows[np.uintp(picked[source + e]), 0]
            for e in range(m):
                row = np.uintp(picked[source + e])
                for column in range(1, N_PRIMARY):
                    w[column * BLOCK + e] = rows[row, column]
            if soft_met > 0.0:
                for e in range(m):
                    events[e] = at[chunk] + first + e
                soft_met_noise(w, words, events, m, soft_met, key[0], key[1])
            bias_block(w, m, tes, jes, True, False)
            store_block(w, m, narrow, out, at[chunk] + first)


def _number_and_thresholds(
    layout: EventLayout, scales: npt.NDArray[np.float64], key32: npt.NDArray[np.uint32]
) -> tuple[int, npt.NDArray[np.uint64]]:
    """The Poisson number of events, and the 32-bit words above which the next process begins."""
    rates = np.asarray(scales, np.float64) * layout.sumw
    total = float(rates.sum())
    if not np.isfinite(total) or (rates < 0).any():
        raise ValueError(f"expected events per process must be finite and not negative: {rates}")
    if total == 0.0:
        return 0, np.zeros(3, np.uint64)
    empty = (np.diff(layout.starts) == 0) & (rates > 0)
    if empty.any():
        raise ValueError(f"expected events of a process without rows: {rates[empty]}")
    key = int(key32[0]) | int(key32[1]) << 32
    number = int(np.random.Generator(np.random.Philox(key=key)).poisson(total))
    upper = np.rint(np.cumsum(rates)[:3] / total * 2.0**32).astype(np.uint64)
    return number, upper


def draw(
    layout: EventLayout,
    scales: npt.NDArray[np.float64],
    tes: float,
    jes: float,
    soft_met: float,
    key32: npt.NDArray[np.uint32],
    workspace: Workspace | None = None,
) -> npt.NDArray[np.float32]:
    """The events of one pseudo-experiment.

    Parameters
    ----------
    layout
        The pool.
    scales
        Factor on the expected events of each process, shape (4,) (`nuisance.process_scales`).
    tes, jes, soft_met
        The biases (soft_met in GeV, 0 for none).
    key32
        Key of the pseudo-experiment's stream, uint32, shape (2,).
    workspace
        Where to take memory from: fresh memory costs as much as the arithmetic.

    Returns
    -------
    The 28 features, float32, shape (28, n).

    Raises
    ------
    ValueError
        If a process with expected events has no rows, or a rate is negative or not finite.
    """
    number, upper = _number_and_thresholds(layout, scales, key32)
    picked, counts = _pick_all(layout, number, upper, tes, key32, thresholds=True)
    at = np.concatenate([[0], np.cumsum(counts)])
    total = int(at[-1])
    # A few per cent more than this toy needs, so that the next one fits as well.
    out = (workspace or Workspace()).take(total + total // 50)
    _fill(layout.rows, picked, counts, at, tes, jes, soft_met, key32, out)
    return out[:, :total]


def _pick_all(
    layout: EventLayout,
    number: int,
    upper: npt.NDArray[np.uint64],
    tes: float,
    key32: npt.NDArray[np.uint32],
    *,
    thresholds: bool,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    picked = np.empty(number, np.int64)
    counts = _draw_rows(
        number,
        layout.rows,
        layout.starts,
        layout.uniform,
        layout.threshold,
        layout.alias,
        upper,
        tes,
        key32,
        thresholds,
        picked,
    )
    return picked, counts


class Workspace:
    """The memory of the last pseudo-experiment, given out again once nobody holds its events.

    A view of an array holds a reference to it: as long as events of an earlier toy are in use
    anywhere, the next toy gets memory of its own.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._memory = np.empty((N_FEATURES, 0), np.float32)

    def take(self, n_events: int) -> npt.NDArray[np.float32]:
        """Memory for at least `n_events` events, shape (28, n_events or more)."""
        with self._lock:
            # Two references: our attribute, and the argument of the question.
            free = sys.getrefcount(self._memory) == 2
            if not free or self._memory.shape[1] < n_events:
                self._memory = np.empty((N_FEATURES, n_events), np.float32)
            return self._memory


def draw_rows(
    layout: EventLayout, scales: npt.NDArray[np.float64], key32: npt.NDArray[np.uint32]
) -> npt.NDArray[np.int64]:
    """The rows of the layout that `draw` picks, in its order, before thresholds: shape (n,).

    Raises
    ------
    ValueError
        As `draw`.
    """
    number, upper = _number_and_thresholds(layout, scales, key32)
    return _pick_all(layout, number, upper, 1.0, key32, thresholds=False)[0]
