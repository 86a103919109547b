"""Bootstrap over sets: toys of one set share their truth, so that sets are what is resampled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sigma68.score.table import IntervalToys
from sigma68.seeds import stream

__all__ = ["N_RESAMPLES", "SetSums", "resampled_counts", "set_sums"]

N_RESAMPLES = 10_000
_MOST_AT_ONCE = 2_000_000

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SetSums:
    """What a score needs of each set: arrays of shape (n_sets,)."""

    width: FloatArray
    covered: FloatArray
    n: FloatArray


def set_sums(toys: IntervalToys) -> SetSums:
    """The sums of width, covering toys and toys of each set."""
    size = len(toys.set_numbers)
    return SetSums(
        width=np.bincount(toys.set_index, toys.width, size).astype(float),
        covered=np.bincount(toys.set_index, toys.covered, size).astype(float),
        n=np.bincount(toys.set_index, minlength=size).astype(float),
    )


def resampled_counts(
    n_sets: int,
    *,
    seed: int = 0,
    n_resamples: int = N_RESAMPLES,
    sets_drawn: int | None = None,
    entry: int | None = None,
) -> Iterator[FloatArray]:
    """How often each set is drawn, in blocks of shape (some resamples, n_sets).

    Each resample draws `sets_drawn` sets with replacement (as many as there are by default).
    The same `seed` gives the same resamples; `entry` gives an entry resamples of its own, for
    comparing entries that were not run on common toys.
    """
    drawn = n_sets if sets_drawn is None else sets_drawn
    generator = stream("score", "bootstrap", seed, entry).generator()
    # A block's size depends on the numbers of sets alone, so that blocks are reproducible.
    block = max(1, _MOST_AT_ONCE // max(drawn, n_sets))
    for start in range(0, n_resamples, block):
        size = min(block, n_resamples - start)
        chosen = generator.integers(0, n_sets, size=(size, drawn))
        chosen += n_sets * np.arange(size)[:, np.newaxis]
        counts = np.bincount(chosen.ravel(), minlength=size * n_sets)
        yield counts.reshape(size, n_sets).astype(float)
