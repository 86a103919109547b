"""A seeded sample of a file for what needs the events themselves.

Rows are kept with probability min(1, w / c) and then weigh max(w, c): sums are right on average,
the kept rows weigh nearly the same, and no row is there twice. c is chosen per process so that
the wished number of rows is kept. Where no more rows than that are there, all are kept as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from sigma68.seeds import Stream
from sigma68.tasks.higgs.bias import bias_columns
from sigma68.tasks.higgs.dataset import EventBatch
from sigma68.tasks.higgs.schema import FEATURES, PROCESSES
from sigma68.tasks.higgs.split import mixed
from sigma68.tasks.higgs.validation.ledger import Ledger

__all__ = ["Sample", "SampleCollector", "thinned", "thinning"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Sample:
    """Events of a file. Shapes: `values` (28, n) float32; the others (n,).

    `unit` is the number of the hard event, or of the row where every row is its own.
    """

    values: npt.NDArray[np.float32]
    weights: Floats
    process: npt.NDArray[np.int8]
    unit: npt.NDArray[np.int64]

    @property
    def n_events(self) -> int:
        return len(self.weights)

    @property
    def effective(self) -> float:
        """(sum w)^2 / sum w^2, hard events counted once."""
        _, unit = np.unique(self.unit, return_inverse=True)
        together = np.bincount(unit, self.weights)
        squares = float(together @ together)
        return float(together.sum()) ** 2 / squares if squares > 0 else 0.0

    def chosen(self, index: npt.NDArray[np.integer] | npt.NDArray[np.bool_]) -> Sample:
        """The events of an index or mask, in its order."""
        return Sample(
            self.values[:, index], self.weights[index], self.process[index], self.unit[index]
        )

    def of(self, processes: Sequence[int]) -> Sample:
        """The events of some processes."""
        return self.chosen(np.isin(self.process, list(processes)))


def thinning(
    weights: Floats, wanted: int, numbers: npt.NDArray[np.int64], stream: Stream
) -> Floats:
    """New weights, shape (n,), of which about `wanted` are not 0.

    `numbers` names each row, so that the choice is a function of row and stream alone.
    """
    if len(weights) <= wanted:
        return weights
    cut = _cut(weights, wanted)
    uniform = (mixed(numbers, stream.key) >> np.uint64(11)) * 2.0**-53
    return np.where(uniform * cut < weights, np.maximum(weights, cut), 0.0)


def _cut(weights: Floats, wanted: int) -> float:
    """The number c for which min(1, w / c) sums to `wanted`."""
    ordered = np.sort(weights)[::-1]
    # With the k largest kept for certain, c is the sum of the others over wanted - k.
    k = np.arange(wanted)
    rest = ordered.sum() - np.concatenate([[0.0], np.cumsum(ordered)[: wanted - 1]])
    cuts = rest / (wanted - k)
    fits = ordered[:wanted] <= cuts
    return float(cuts[np.argmax(fits)]) if fits.any() else float(cuts[-1])


def thinned(sample: Sample, wanted: int, stream: Stream) -> Sample:
    """About `wanted` of the events of a sample, reweighted as the module says."""
    numbers = np.arange(sample.n_events, dtype=np.int64)
    weights = thinning(sample.weights, wanted, numbers, stream)
    return replace(sample, weights=weights).chosen(weights > 0)


class SampleCollector:
    """Picks the sample while the file streams past; at most about `wanted` rows a process.

    With `high_thresholds` those of the picked events that survive them are kept, as they are then.
    """

    def __init__(
        self, ledger: Ledger, wanted: int, stream: Stream, *, high_thresholds: bool = False
    ) -> None:
        self._ledger = ledger
        self._high_thresholds = high_thresholds
        self._weights = np.zeros(ledger.n_rows)
        for p in range(len(PROCESSES)):
            rows = np.flatnonzero(ledger.process == p)
            self._weights[rows] = thinning(ledger.weights[rows], wanted, rows, stream)
        self._parts: list[npt.NDArray[np.float32]] = []
        self._rows: list[npt.NDArray[np.int64]] = []

    def add(self, batch: EventBatch) -> None:
        """Keep the chosen events of one batch, which has all 28 columns."""
        here = slice(batch.first_row, batch.first_row + batch.n_events)
        kept = np.flatnonzero(self._weights[here] > 0)
        values = batch.values[:, kept]
        if self._high_thresholds:
            values, passing = bias_columns(values)
            kept = kept[passing]
        self._parts.append(values)
        self._rows.append(kept + batch.first_row)

    def sample(self) -> Sample:
        """What was kept."""
        rows = np.concatenate([np.empty(0, np.int64), *self._rows])
        values = np.concatenate([np.empty((len(FEATURES), 0), np.float32), *self._parts], axis=1)
        return Sample(
            values, self._weights[rows], self._ledger.process[rows], self._ledger.units(rows)
        )
