"""The challenge's score of confidence intervals: narrow is good, honest coverage is a must.

    score = -ln((w + epsilon) f(c)),

with w the mean width of the intervals, c the fraction that contains the truth, and f a penalty
that is 1 within two binomial errors s68 of the level, rises with the fourth power of the
distance below and with the third power above (dataset-and-competition paper, section 3.1).
Larger is better. A toy without a valid interval does not cover and counts with the whole
allowed range as its width.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sigma68.errors import SettingsError
from sigma68.score.binomial import clopper_pearson
from sigma68.score.resampling import resampled_counts, set_sums
from sigma68.score.table import IntervalToys, interval_toys
from sigma68.types import LEVEL, Parameter, Score

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "EPSILON",
    "MOST_FAILURES",
    "penalty",
    "quantiles_score",
    "score_intervals",
    "sigma_of_coverage",
]

EPSILON = 1e-2
"""The paper's regularisation of the width; the challenge's code had 1e-3."""

MOST_FAILURES = 0.01
"""The fraction of failed toys above which an entry is not ranked."""


def sigma_of_coverage(n_toys: npt.ArrayLike, level: float = LEVEL) -> npt.NDArray[np.float64]:
    """s68, the binomial standard deviation of the coverage of `n_toys` honest intervals."""
    return np.sqrt(level * (1 - level) / np.asarray(n_toys, dtype=float))


def penalty(
    coverage: npt.ArrayLike, n_toys: npt.ArrayLike, level: float = LEVEL
) -> npt.NDArray[np.float64]:
    """f(c): 1 within `level` +- 2 s68 (ends included), growing outside; elementwise.

    Paper, equation (1). Undercoverage grows with the fourth power of its distance from the
    window in units of s68, overcoverage with the third.
    """
    c = np.asarray(coverage, dtype=float)
    sigma = sigma_of_coverage(n_toys, level)
    below = np.maximum((level - 2 * sigma) - c, 0) / sigma
    above = np.maximum(c - (level + 2 * sigma), 0) / sigma
    return np.asarray(1 + below**4 + above**3)


def quantiles_score(
    width: npt.ArrayLike,
    coverage: npt.ArrayLike,
    n_toys: npt.ArrayLike,
    *,
    epsilon: float = EPSILON,
    level: float = LEVEL,
) -> npt.NDArray[np.float64]:
    """-ln((w + epsilon) f(c)), paper, equation (2); elementwise, larger is better."""
    w = np.asarray(width, dtype=float)
    return np.asarray(-np.log((w + epsilon) * penalty(coverage, n_toys, level)))


def score_intervals(
    toys: pd.DataFrame,
    parameter: Parameter,
    *,
    level: float = LEVEL,
    epsilon: float | None = EPSILON,
) -> Score:
    """The verdict on a table of toys with the interval [p16, p84] on `parameter`.

    `values` and every item of `per_set` hold `quantiles_score`, `interval` (mean width, in
    units of the parameter), `coverage` with its Clopper-Pearson interval `coverage_low`,
    `coverage_high` (at `level`), `rmse`, `mae`, `bias` (mean of estimate - truth), `pull_mean`,
    `pull_width`, `n_toys`, `n_failed`. RMSE, MAE, bias and pulls leave failed toys out and are
    None where no toy is left. `rmse_peer` and `mae_peer` are the challenge code's variants:
    means over toys of sqrt(d^2 + (d^2 - delta^2)^2) and |d| + ||d| - delta|, averaged over the
    sets. `ranked` is False with more than 1% failures. Errors (`..._error`) of bias and
    pulls are standard errors; those of the overall score and width are bootstrap errors over
    sets (over toys where one set was run), that of a set's width is its standard error. An
    `epsilon` of None is the default one.

    Raises
    ------
    DataError
        If the table cannot be scored.
    SettingsError
        If `epsilon` or `level` is out of range.
    """
    epsilon = EPSILON if epsilon is None else epsilon
    if not (math.isfinite(epsilon) and epsilon > 0):
        raise SettingsError(f"epsilon must be a positive number, not {epsilon}")
    if not 0 < level < 1:
        raise SettingsError(f"the level of an interval lies between 0 and 1, not at {level}")
    table = interval_toys(toys, parameter)
    per_set = [
        {
            "set": int(number),
            parameter.name: float(of_set.truth.mean()),
            **_summary(of_set, epsilon, level),
        }
        for number, of_set in zip(table.set_numbers, table.by_set(), strict=True)
    ]
    values = _summary(table, epsilon, level)
    # The challenge averages its own two variants over sets, not over toys.
    for name in ("rmse_peer", "mae_peer"):
        values[name] = _mean([s[name] for s in per_set])
    sigma = float(sigma_of_coverage(table.n_toys, level))
    score_error, width_error = _bootstrap_errors(table, epsilon, level)
    values |= {
        "quantiles_score_error": score_error,
        "interval_error": width_error,
        "penalty": float(penalty(values["coverage"], table.n_toys, level)),
        "s68": sigma,
        "window_low": level - 2 * sigma,
        "window_high": level + 2 * sigma,
        "epsilon": epsilon,
        "level": level,
        "n_sets": len(per_set),
        "ranked": table.n_failed / table.n_toys <= MOST_FAILURES,
    }
    return Score(headline="quantiles_score", values=values, per_set=per_set)


def _summary(table: IntervalToys, epsilon: float, level: float) -> dict[str, Any]:
    """The numbers that are reported of a set as well as of all toys."""
    n = table.n_toys
    n_covered = int(np.count_nonzero(table.covered))
    width, coverage = float(np.mean(table.width)), n_covered / n
    low, high = clopper_pearson(n_covered, n, level)
    use = table.has_estimate
    distance = table.hat[use] - table.truth[use]
    with_delta = use & np.isfinite(table.delta)
    d, delta = (table.hat - table.truth)[with_delta], table.delta[with_delta]
    pulls = table.pulls
    spread = float(np.std(pulls, ddof=1)) if len(pulls) > 1 else None
    return {
        "quantiles_score": float(quantiles_score(width, coverage, n, epsilon=epsilon, level=level)),
        "interval": width,
        "interval_error": _standard_error(table.width),
        "coverage": coverage,
        "coverage_low": float(low),
        "coverage_high": float(high),
        "rmse": _root(_mean(distance**2)),
        "mae": _mean(np.abs(distance)),
        "rmse_peer": _mean(np.sqrt(d**2 + (d**2 - delta**2) ** 2)),
        "mae_peer": _mean(np.abs(d) + np.abs(np.abs(d) - delta)),
        "bias": _mean(distance),
        "bias_error": _standard_error(distance),
        "pull_mean": _mean(pulls),
        "pull_mean_error": _standard_error(pulls),
        "pull_width": spread,
        "pull_width_error": None if spread is None else spread / math.sqrt(2 * (len(pulls) - 1)),
        "n_toys": n,
        "n_failed": table.n_failed,
    }


def _bootstrap_errors(
    table: IntervalToys, epsilon: float, level: float, n_resamples: int = 1000
) -> tuple[float | None, float | None]:
    """Standard deviations of score and mean width over resamples of sets (or of toys)."""
    sums = set_sums(table)
    width, covered, n = sums.width, sums.covered, sums.n
    if len(n) == 1:
        width, covered, n = table.width, table.covered.astype(float), np.ones(table.n_toys)
    if len(n) == 1:
        return None, None
    scores, widths = [], []
    for counts in resampled_counts(len(n), n_resamples=n_resamples):
        drawn = counts @ n
        w = counts @ width / drawn
        c = counts @ covered / drawn
        widths.append(w)
        scores.append(quantiles_score(w, c, drawn, epsilon=epsilon, level=level))
    return float(np.std(np.concatenate(scores))), float(np.std(np.concatenate(widths)))


def _mean(values: Any) -> float | None:
    numbers = [v for v in values if v is not None] if isinstance(values, list) else values
    return float(np.mean(numbers)) if len(numbers) else None


def _standard_error(values: npt.NDArray[np.float64]) -> float | None:
    return float(np.std(values, ddof=1) / math.sqrt(len(values))) if len(values) > 1 else None


def _root(value: float | None) -> float | None:
    return None if value is None else math.sqrt(value)
