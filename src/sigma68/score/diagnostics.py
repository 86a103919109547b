"""Where coverage is lost: in bins of the true parameter and of each nuisance parameter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError
from sigma68.score.binomial import clopper_pearson
from sigma68.score.intervals import sigma_of_coverage
from sigma68.score.table import interval_toys, nuisance_columns
from sigma68.types import LEVEL, Parameter

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CoverageCurve", "coverage_curves", "coverage_in_bins"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class CoverageCurve:
    """Coverage against one column of the table of toys, arrays of shape (n_bins,).

    Bins without toys are left out, so that `low[i + 1]` may lie above `high[i]`. `centre` is the
    mean of the column in the bin; `coverage_low` and `coverage_high` are Clopper-Pearson bounds.
    """

    column: str
    low: FloatArray
    high: FloatArray
    centre: FloatArray
    n: npt.NDArray[np.int64]
    coverage: FloatArray
    coverage_low: FloatArray
    coverage_high: FloatArray
    width: FloatArray
    level: float

    @property
    def deviation(self) -> FloatArray:
        """(coverage - level) in binomial standard deviations of each bin."""
        return (self.coverage - self.level) / sigma_of_coverage(self.n, self.level)

    def to_json(self) -> list[dict[str, float | int]]:
        """A row per bin."""
        return [
            {
                "low": float(self.low[i]),
                "high": float(self.high[i]),
                "n_toys": int(self.n[i]),
                "coverage": float(self.coverage[i]),
                "coverage_low": float(self.coverage_low[i]),
                "coverage_high": float(self.coverage_high[i]),
                "interval": float(self.width[i]),
            }
            for i in range(len(self.n))
        ]


def coverage_in_bins(
    toys: pd.DataFrame,
    parameter: Parameter,
    column: str,
    *,
    edges: npt.ArrayLike | None = None,
    level: float = LEVEL,
) -> CoverageCurve:
    """Coverage and mean width of `toys` in bins of `column`.

    Without `edges`, bins hold about equal numbers of toys (at most ten bins, of at least ten
    toys where there are so many); a column with one value has one bin. Values beyond the first
    or last edge count in the bin there.

    Raises
    ------
    DataError
        If the table cannot be scored or lacks the column.
    """
    table = interval_toys(toys, parameter)
    if column not in toys.columns:
        raise DataError(f"the table of toys has no column {column!r} to show coverage against")
    values = toys[column].to_numpy(dtype=float)
    bounds = _equal_bins(values) if edges is None else np.asarray(edges, dtype=float)
    index = np.clip(np.searchsorted(bounds, values, side="right") - 1, 0, len(bounds) - 2)
    n: npt.NDArray[Any] = np.bincount(index, minlength=len(bounds) - 1)
    use = n > 0
    covered = np.bincount(index, table.covered, len(n))[use]
    low, high = clopper_pearson(covered, n[use], level)
    return CoverageCurve(
        column=column,
        low=bounds[:-1][use],
        high=bounds[1:][use],
        centre=np.bincount(index, values, len(n))[use] / n[use],
        n=n[use],
        coverage=covered / n[use],
        coverage_low=low,
        coverage_high=high,
        width=np.bincount(index, table.width, len(n))[use] / n[use],
        level=level,
    )


def coverage_curves(
    toys: pd.DataFrame, parameter: Parameter, *, level: float = LEVEL
) -> dict[str, CoverageCurve]:
    """Coverage against the true parameter and every nuisance parameter that varies, by name.

    The parameter's range is cut into ten equal bins.
    """
    edges = np.linspace(parameter.low, parameter.high, 11)
    curves = {
        parameter.name: coverage_in_bins(toys, parameter, parameter.name, edges=edges, level=level)
    }
    for column in nuisance_columns(toys, parameter):
        if toys[column].nunique() > 1:
            curves[column] = coverage_in_bins(toys, parameter, column, level=level)
    return curves


def _equal_bins(values: FloatArray, most: int = 10, fewest_toys: int = 10) -> FloatArray:
    n_bins = int(np.clip(len(values) // fewest_toys, 1, most))
    bounds = np.unique(np.quantile(values, np.linspace(0, 1, n_bins + 1)))
    # Values piled up at a clip make quantiles equal; what is left must still have two edges.
    if len(bounds) == 1:
        return np.array([bounds[0], bounds[0]])
    return bounds
