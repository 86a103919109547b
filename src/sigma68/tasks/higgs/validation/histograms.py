"""Histograms of all columns for looking at: the tested events as lines, the reference as points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from sigma68.tasks.higgs.dataset import EventBatch
from sigma68.tasks.higgs.schema import FEATURES, PROCESSES, UNDEFINED
from sigma68.tasks.higgs.validation.sample import Sample

__all__ = ["Binning", "ColumnHistogram", "Histograms", "choose_binnings", "column_histograms"]

Floats = npt.NDArray[np.float64]

N_BINS: Final = 20
_FEW_VALUES = 20
_SMALL: Final = 100  # whole numbers beyond would make a million bins of nonsense
_TAIL = 0.01
_LONG = 4.0
_END = 0.05
_NEAR = 0.5


@dataclass(frozen=True)
class Binning:
    """Bin edges of a column, shape (n_bins + 1,); the outermost bins take what lies beyond."""

    edges: Floats
    log: bool


@dataclass(frozen=True)
class ColumnHistogram:
    """One column of one process in both files.

    Sums of weights per bin with their errors (hard events counted once), shape (n_bins,), and
    in events that do not have the column.
    """

    process: str
    column: str
    edges: Floats
    log: bool
    tested: Floats
    tested_error: Floats
    tested_undefined: float
    reference: Floats
    reference_error: Floats
    reference_undefined: float


def choose_binnings(reference: Sample) -> tuple[Binning, ...]:
    """Bins for each column that suit every process of a sample.

    Few whole numbers get a bin each; positive values with a long tail get equal steps in the
    logarithm.
    """
    return tuple(_binning(column, reference.process) for column in reference.values)


def _binning(column: npt.NDArray[np.float32], process: npt.NDArray[np.int8]) -> Binning:
    defined = column != UNDEFINED
    x = column[defined].astype(np.float64)
    distinct = np.unique(x[:10_000])
    if distinct.size == 0:
        return Binning(np.array([0.0, 1.0]), False)
    few = distinct.size <= _FEW_VALUES and (distinct == np.rint(distinct)).all()
    if few and np.abs(distinct).max() <= _SMALL:
        return Binning(np.arange(distinct[0] - 0.5, distinct[-1] + 1), False)
    parts = [x[process[defined] == p] for p in np.unique(process[defined])]
    low = min(float(np.quantile(part, _TAIL)) for part in parts)
    high = max(float(np.quantile(part, 1 - _TAIL)) for part in parts)
    bulk = low
    # Where a column has an end rather than a tail, the bins go to the end.
    low = float(x.min()) if low - x.min() < _END * (high - low) else low
    high = float(x.max()) if x.max() - high < _END * (high - low) else high
    if not high > low:
        high = low + max(1.0, 0.001 * abs(low))
    if low > 0 and high > _LONG * low and high > 2.0 * float(np.median(x)):
        # What is a small step to the end may be decades of a logarithm.
        low = low if low > _NEAR * bulk else bulk
        return Binning(np.geomspace(low, high, N_BINS + 1), True)
    return Binning(np.linspace(low, high, N_BINS + 1), False)


class Histograms:
    """Adds up weights and squared weights per process, column and bin while a file streams past."""

    def __init__(self, binnings: Sequence[Binning]) -> None:
        self._binnings = tuple(binnings)
        self._sums = [
            np.zeros((2, len(PROCESSES), len(binning.edges))) for binning in self._binnings
        ]

    def add(self, batch: EventBatch) -> None:
        """Count the events of one batch, which has all 28 columns."""
        for column, binning, sums in zip(batch.values, self._binnings, self._sums, strict=True):
            n_bins = len(binning.edges) - 1
            place = np.searchsorted(binning.edges[1:-1], column.astype(np.float64), "right")
            place[column == UNDEFINED] = n_bins
            slot = batch.process.astype(np.int64) * (n_bins + 1) + place
            for total, weights in zip(sums, (batch.weights, batch.weights**2), strict=True):
                total += np.bincount(slot, weights, minlength=total.size).reshape(total.shape)

    def column(self, feature: int, process: int, clustering: float) -> tuple[Floats, Floats, float]:
        """Sums and their errors per bin, and the sum of events without the column."""
        sumw, sumw2 = self._sums[feature][:, process]
        return sumw[:-1], np.sqrt(sumw2[:-1] * clustering), float(sumw[-1])


def column_histograms(
    tested: Histograms,
    reference: Histograms,
    binnings: Sequence[Binning],
    clustering: tuple[Floats, Floats],
    processes: Sequence[int],
) -> tuple[ColumnHistogram, ...]:
    """Every column of some processes; `clustering` as in `cumulative.Cumulative.column`."""
    return tuple(
        ColumnHistogram(
            PROCESSES[p],
            FEATURES[i],
            binning.edges,
            binning.log,
            *tested.column(i, p, float(clustering[0][p])),
            *reference.column(i, p, float(clustering[1][p])),
        )
        for p in processes
        for i, binning in enumerate(binnings)
    )
