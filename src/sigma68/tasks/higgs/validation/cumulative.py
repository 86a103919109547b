"""Weighted cumulative distributions of all columns, added up while a file streams past.

Columns are counted between and on the points of a grid. The grid holds the values of the
reference (of a few thousand events per process where there are more), so that the largest distance
of two distributions is found exactly where the reference is small, and to 1 / `GRID_POINTS` of
the events where it is large.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sigma68.tasks.higgs.dataset import EventBatch
from sigma68.tasks.higgs.schema import FEATURES, PROCESSES, UNDEFINED
from sigma68.tasks.higgs.validation.sample import Sample

__all__ = ["GRID_POINTS", "Column", "Cumulative", "choose_grids"]

Floats = npt.NDArray[np.float64]

GRID_POINTS = 2048
"""Grid points that one process may give to a column."""


def choose_grids(reference: Sample) -> tuple[Floats, ...]:
    """For each column the values at which distributions are compared, increasing, (n_points,)."""
    return tuple(
        np.unique(
            np.concatenate(
                [
                    _points(column[(reference.process == p) & (column != UNDEFINED)])
                    for p in range(4)
                ]
            )
        ).astype(np.float64)
        for column in reference.values
    )


def _points(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    distinct = np.unique(values)
    if distinct.size <= GRID_POINTS:
        return distinct
    levels = np.linspace(0.0, 1.0, GRID_POINTS)
    return np.quantile(values, levels, method="inverted_cdf").astype(np.float32)


@dataclass(frozen=True)
class Column:
    """One column of some processes together.

    Attributes
    ----------
    grid
        The grid, shape (n_points,).
    cumulative, squares
        Sum of weights and of squared weights (hard events counted once) up to each step, shape
        (2 n_points + 1,): before, and up to, each grid point; last the total.
    undefined, undefined_squares
        The same sums over events in which the column is undefined.
    mean, deviation
        Weighted mean and standard deviation of the defined values; NaN if there are none.
    """

    grid: Floats
    cumulative: Floats
    squares: Floats
    undefined: float
    undefined_squares: float
    mean: float
    deviation: float

    @property
    def fractions(self) -> Floats:
        """The cumulative distribution at its steps, shape (2 n_points + 1,)."""
        fractions: Floats = self.cumulative / self.cumulative[-1]
        return fractions


class Cumulative:
    """Adds up weights and squared weights of every column between and on its grid points."""

    def __init__(self, grids: Sequence[Floats]) -> None:
        self._grids = tuple(grids)
        n = len(PROCESSES)
        self._sumw = [np.zeros((n, 2 * len(g) + 1)) for g in self._grids]
        self._sumw2 = [np.zeros((n, 2 * len(g) + 1)) for g in self._grids]
        self._undefined = np.zeros((2, len(self._grids), n))
        self._moments = np.zeros((2, len(self._grids), n))
        self._centres = [float(g[len(g) // 2]) if len(g) else 0.0 for g in self._grids]

    def add(self, batch: EventBatch) -> None:
        """Count the events of one batch, which has all 28 columns."""
        for i in range(len(FEATURES)):
            self._add_column(i, batch.values[i], batch.process, batch.weights)

    def _add_column(
        self,
        i: int,
        values: npt.NDArray[np.float32],
        process: npt.NDArray[np.int8],
        weights: Floats,
    ) -> None:
        n = len(PROCESSES)
        absent = values == UNDEFINED
        if absent.any():
            p, w = process[absent], weights[absent]
            self._undefined[0, i] += np.bincount(p, w, minlength=n)
            self._undefined[1, i] += np.bincount(p, w * w, minlength=n)
            values, process, weights = values[~absent], process[~absent], weights[~absent]
        x = values.astype(np.float64)
        grid = self._grids[i]
        place = np.searchsorted(grid, x)
        steps = 2 * place
        if len(grid):
            steps += (grid[np.minimum(place, len(grid) - 1)] == x) & (place < len(grid))
        n_steps = 2 * len(grid) + 1
        slot = process.astype(np.int64) * n_steps + steps
        shape, size = (n, n_steps), n * n_steps
        squares = weights * weights
        self._sumw[i] += np.bincount(slot, weights, minlength=size).reshape(shape)
        self._sumw2[i] += np.bincount(slot, squares, minlength=size).reshape(shape)
        off = x - self._centres[i]
        self._moments[0, i] += np.bincount(process, weights * off, minlength=n)
        self._moments[1, i] += np.bincount(process, weights * off * off, minlength=n)

    def absent(self, feature: int, processes: Sequence[int]) -> tuple[float, ...]:
        """Sums of weights and of their squares over the events of each process without a column.

        Columns for which they are equal are absent in the same events.
        """
        return tuple(self._undefined[:, feature, list(processes)].ravel().tolist())

    def column(self, feature: int, processes: Sequence[int], clustering: Floats) -> Column:
        """One column of some processes together.

        `clustering`, shape (28, 4), is the factor on the squared weights of each column and process
        that counts hard events once.
        """
        chosen = list(processes)
        sumw = self._sumw[feature][chosen].sum(axis=0)
        sumw2 = clustering[feature, chosen] @ self._sumw2[feature][chosen]
        total = float(sumw.sum())
        first, second = self._moments[:, feature, chosen].sum(axis=1)
        mean = first / total if total > 0 else np.nan
        variance = second / total - mean**2 if total > 0 else np.nan
        return Column(
            grid=self._grids[feature],
            cumulative=np.cumsum(sumw),
            squares=np.cumsum(sumw2),
            undefined=float(self._undefined[0, feature, chosen].sum()),
            undefined_squares=float(
                clustering[feature, chosen] @ self._undefined[1, feature, chosen]
            ),
            mean=float(mean + self._centres[feature]),
            deviation=float(np.sqrt(max(variance, 0.0))) if total > 0 else float("nan"),
        )
