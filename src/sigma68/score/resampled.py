"""The scores of `estimates.py` for many resamples of toys at once, without a table for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sigma68.score.estimates import as_intervals, strange_toys
from sigma68.score.intervals import EPSILON, quantiles_score
from sigma68.score.table import interval_toys
from sigma68.types import Parameter

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["resampled_auc", "resampled_quantiles_score"]

FloatArray = npt.NDArray[np.float64]


def resampled_quantiles_score(
    toys: pd.DataFrame,
    counts: FloatArray,
    parameters: Sequence[Parameter],
    *,
    epsilon: float | None = None,
) -> FloatArray:
    """The headline of `score_estimates` of each resample, (n_resamples,).

    `counts` (n_resamples, n_toys) says how often each row of the table is in a resample.

    Raises
    ------
    DataError
        If the table cannot be scored.
    """
    n = counts.sum(axis=1)
    scores = []
    for p in parameters:
        table = interval_toys(as_intervals(toys, p, parameters), p)
        width = counts @ (table.width / (p.high - p.low)) / n
        covered = counts @ table.covered.astype(float) / n
        scores.append(
            quantiles_score(width, covered, n, epsilon=EPSILON if epsilon is None else epsilon)
        )
    mean: FloatArray = np.mean(scores, axis=0)
    return mean


def resampled_auc(toys: pd.DataFrame, counts: FloatArray, parameter: Parameter) -> FloatArray:
    """The headline of `score_strangeness` of each resample, (n_resamples,); NaN for one kind only.

    `counts` (n_resamples, n_toys) says how often each row of the table is in a resample.

    Raises
    ------
    DataError
        If the table cannot be scored.
    """
    score, strange, _ = strange_toys(toys, parameter)
    order = np.argsort(score, kind="stable")
    _, first, size = np.unique(score[order], return_index=True, return_counts=True)
    ordinary = np.where(strange, 0.0, counts)[:, order]
    below = np.concatenate([np.zeros((len(counts), 1)), np.cumsum(ordinary, axis=1)], axis=1)
    # Half of those that score the same are below.
    lower = np.repeat((below[:, first] + below[:, first + size]) / 2, size, axis=1)
    drawn = np.where(strange, counts, 0.0)[:, order]
    pairs = drawn.sum(axis=1) * ordinary.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        auc: FloatArray = (drawn * lower).sum(axis=1) / pairs
    return auc
