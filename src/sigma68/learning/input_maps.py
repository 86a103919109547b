"""How features become inputs of a network: monotone maps of straight pieces, learned from quantiles.

A map takes a feature's distribution towards a normal one of mean 0 and width 1, so that tails,
edges and units are alike to the network. A value that many events share (0 jets, "undefined")
goes where the middle of its events belongs, and stands apart from its neighbours by as much as it
holds of the events. Outside its knots a map is constant: a value beyond all that were seen is the
last one seen.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from sigma68.errors import FitError
from sigma68.learning.dense import EVENTS, apply_maps, padded
from sigma68.types import FloatArray

__all__ = ["CHUNK", "InputMaps", "learn_maps", "on_threads", "seen_by_kernels"]

Floats = npt.NDArray[np.float64]
Float32 = npt.NDArray[np.float32]

CHUNK: Final = 64 * EVENTS
"""Events that one thread takes at a time."""

_PIECES: Final = 32
_OUTER: Final = 0.002
"""Of the events on either side, those beyond the outermost knots."""
_SAMPLE: Final = 200_000
"""Events that quantiles are taken from, about."""
_LEAST: Final = 1e-6
"""Knots are at least so far apart, as a share of the distance between the outermost ones."""
_TINY: Final = 1e-30
"""And so far in any case, or slopes would be infinite."""


@dataclass(frozen=True)
class InputMaps:
    """Input f is low_f + sum_k slopes_fk min(max(x_f - starts_fk, 0), widths_fk).

    Shapes: `starts`, `widths`, `slopes` (n_features, n_pieces), n_pieces a multiple of 4; `low`
    (n_features,); all float32.
    """

    starts: Float32
    widths: Float32
    slopes: Float32
    low: Float32

    @property
    def n_features(self) -> int:
        return len(self.low)

    @property
    def arrays(self) -> tuple[Float32, ...]:
        """What kernels take, in their order."""
        return tuple(getattr(self, field.name) for field in fields(self))

    def apply(self, values: FloatArray, names: tuple[str, ...], threads: int = 0) -> Float32:
        """The inputs, (n_events, n_features), of features (n_features, n_events).

        Raises
        ------
        FitError
            If a feature is NaN or infinite.
        """
        seen = seen_by_kernels(values)
        inputs = np.empty(seen.shape[::-1], np.float32)

        def work(first: int, last: int) -> int:
            wrong: int = apply_maps(seen, first, last, *self.arrays, inputs[first:last])
            return wrong

        on_threads(work, seen, names, threads)
        return inputs


def learn_maps(
    values: Float32, weights: npt.NDArray[np.floating[Any]], names: tuple[str, ...]
) -> InputMaps:
    """The maps for features (n_features, n_events) of weighted events.

    Knots are at quantiles, at even steps of probability.

    Raises
    ------
    FitError
        If a feature is NaN or infinite.
    """
    for row, name in zip(values, names, strict=True):
        finite = np.isfinite(row)
        if not finite.all():
            event = int(np.argmin(finite))
            raise FitError(f"{name} is {row[event]} in event {event}")
    step = -(-values.shape[1] // _SAMPLE)
    w = weights[::step].astype(np.float64)
    maps = [_learn_one(row[::step].astype(np.float64), w) for row in values]
    starts, widths, slopes = (
        np.stack([one[part] for one in maps]).astype(np.float32) for part in range(3)
    )
    return InputMaps(starts, widths, slopes, np.array([one[3] for one in maps], np.float32))


def _learn_one(x: Floats, w: Floats) -> tuple[Floats, Floats, Floats, float]:
    """Starts, widths and slopes of the pieces, and the height at the first knot."""
    knots, heights = _knots(x, w)
    inputs = np.interp(x, knots, heights)
    mean = float(inputs @ w / w.sum())
    spread = float(np.sqrt((inputs - mean) ** 2 @ w / w.sum()))
    heights = (heights - mean) / spread if spread > 0 else np.zeros_like(heights)
    filled = padded(_PIECES)
    starts, widths, slopes = np.full(filled, knots[-1]), np.zeros(filled), np.zeros(filled)
    n = len(knots) - 1
    starts[:n] = knots[:-1]
    widths[:n] = np.minimum(np.diff(knots), np.finfo(np.float32).max)
    slopes[:n] = np.diff(heights) / widths[:n]
    return starts, widths, slopes, float(heights[0])


def _knots(x: Floats, w: Floats) -> tuple[Floats, Floats]:
    """Quantiles of x, each once, and where a normal distribution has them."""
    from scipy.special import ndtri

    order = np.argsort(x, kind="stable")
    rank = (np.cumsum(w[order]) - w[order] / 2) / w.sum()
    levels = np.linspace(0.0, 1.0, _PIECES + 1)
    levels[0], levels[-1] = _OUTER, 1.0 - _OUTER
    # As the kernel will see them, so that no two knots are one there.
    quantiles = np.interp(levels, rank, x[order]).astype(np.float32).astype(np.float64)
    apart = max(_LEAST * (quantiles[-1] - quantiles[0]), _TINY)
    first = np.concatenate([[True], np.diff(quantiles) > apart])
    group = np.cumsum(first) - 1
    return quantiles[first], ndtri(np.bincount(group, levels) / np.bincount(group))


def seen_by_kernels(values: FloatArray) -> Float32:
    """The values as float32, one contiguous row per feature, not to be written.

    Without a copy where they are. Kernels are compiled for this kind of array alone.
    """
    with np.errstate(over="ignore"):
        seen = np.ascontiguousarray(values, np.float32).view()
    seen.flags.writeable = False
    return seen


def on_threads(
    work: Callable[[int, int], int], values: Float32, names: tuple[str, ...], threads: int
) -> None:
    """Have `work(first, last)` done on all events, in chunks; 0 threads are all cores.

    Raises
    ------
    FitError
        If a chunk gives the first event of a block with a feature that is NaN or infinite.
    """
    from numba import get_num_threads

    n_events = values.shape[1]
    starts = range(0, n_events, CHUNK)
    ends = [min(first + CHUNK, n_events) for first in starts]
    threads = min(threads or int(get_num_threads()), len(starts))
    if threads <= 1:
        blocks = list(map(work, starts, ends))
    else:
        with ThreadPoolExecutor(threads, thread_name_prefix="network") as executor:
            blocks = list(executor.map(work, starts, ends))
    for first in blocks:
        if first >= 0:
            block = values[:, first : first + EVENTS]
            event, row = np.argwhere(~np.isfinite(block).T)[0]
            raise FitError(f"{names[row]} is {block[row, event]} in event {first + event}")
