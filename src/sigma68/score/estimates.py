"""Scores for tasks that ask for several parameters with errors, or for a strangeness alone.

Estimates: value +- error is read as an interval on its parameter and scored like one, in units
of the parameter's allowed range so that parameters can be averaged. Strangeness: how well the
score tells the strange toys from the ordinary ones. Both count a failure as the worst answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError
from sigma68.score.intervals import MOST_FAILURES, score_intervals
from sigma68.types import LEVEL, AnswerKind, Parameter, Score

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["as_intervals", "score_estimates", "score_strangeness", "score_toys", "strange_toys"]

_PER_PARAMETER = (
    "quantiles_score",
    "interval",
    "coverage",
    "coverage_low",
    "coverage_high",
    "rmse",
    "mae",
    "bias",
    "pull_mean",
    "pull_width",
    "n_failed",
)


def score_toys(
    toys: pd.DataFrame,
    answer: AnswerKind,
    parameters: Sequence[Parameter],
    *,
    epsilon: float | None = None,
) -> Score:
    """The score that suits a task's kind of answer: what most tasks' `score` delegates to.

    Raises
    ------
    DataError
        If the table of toys cannot be scored.
    """
    if answer == "interval":
        return score_intervals(toys, parameters[0], epsilon=epsilon)
    if answer == "estimates":
        return score_estimates(toys, parameters, epsilon=epsilon)
    return score_strangeness(toys, parameters[0])


def score_estimates(
    toys: pd.DataFrame,
    parameters: Sequence[Parameter],
    *,
    level: float = LEVEL,
    epsilon: float | None = None,
) -> Score:
    """The verdict on toys with columns `p, p_hat, delta_p_hat` for each parameter p.

    For each p, `values` holds `p_rmse`, `p_coverage` (of +-1 error) and the rest of what
    `score_intervals` says of the interval [p_hat - delta_p_hat, p_hat + delta_p_hat], in units
    of the parameter, except `p_quantiles_score`: its width is relative to the allowed range.
    The headline `quantiles_score` is the mean of these over the parameters. A toy fails for all
    parameters if any answer is not finite or has no positive error.

    Raises
    ------
    DataError
        If there is no parameter, or the table cannot be scored.
    """
    if not parameters:
        raise DataError("there is no parameter to score: a task of estimates needs at least one")
    tables = {p.name: as_intervals(toys, p, parameters) for p in parameters}
    values: dict[str, Any] = {}
    per_set: list[dict[str, Any]] = []
    for p in parameters:
        span = p.high - p.low
        table = tables[p.name]
        absolute = score_intervals(table, p, level=level, epsilon=epsilon)
        columns = [p.name, f"{p.name}_hat", f"delta_{p.name}_hat", "p16", "p84"]
        relative = score_intervals(
            table.assign(**{c: table[c] / span for c in columns}),
            Parameter(p.name, p.low / span, p.high / span),
            level=level,
            epsilon=epsilon,
        )
        values |= _prefixed(p, absolute.values, relative.values)
        for i, (a, r) in enumerate(zip(absolute.per_set, relative.per_set, strict=True)):
            if i == len(per_set):
                per_set.append({"set": a["set"], "n_toys": a["n_toys"], "n_failed": a["n_failed"]})
            per_set[i] |= {p.name: a[p.name], **_prefixed(p, a, r)}
    for summary in (values, *per_set):
        scores = [summary[f"{p.name}_quantiles_score"] for p in parameters]
        summary["quantiles_score"] = float(np.mean(scores))
    for name in ("n_toys", "n_failed", "n_sets", "ranked", "epsilon", "level"):
        values[name] = absolute.values[name]
    return Score(headline="quantiles_score", values=values, per_set=per_set)


def score_strangeness(
    toys: pd.DataFrame, parameter: Parameter, *, threshold: float | None = None
) -> Score:
    """The verdict on toys with a column `score`, larger being stranger.

    Toys whose true `parameter` is above `threshold` (the middle of its range by default) are the
    strange ones. The headline `auc` is the probability that a strange toy scores higher than an
    ordinary one (ties count half): the area under the ROC curve. A toy without a finite score
    loses every comparison. None where all toys are of one kind. `auc_low` and `auc_high` are
    its standard error's ends (J. A. Hanley and B. J. McNeil, Radiology 143 (1982) 29).

    Raises
    ------
    DataError
        If the table is empty or lacks a column.
    """
    filled, strange, valid = strange_toys(toys, parameter, threshold=threshold)
    numbers, index = np.unique(toys["set"].to_numpy(dtype=np.int64), return_inverse=True)
    values: dict[str, Any] = _strangeness(filled, strange, valid)
    values |= {
        "n_sets": len(numbers),
        "threshold": _threshold(parameter, threshold),
        "ranked": values["n_failed"] / len(toys) <= MOST_FAILURES,
    }
    per_set = [
        {"set": int(number), **_strangeness(filled[rows], strange[rows], valid[rows])}
        for i, number in enumerate(numbers)
        for rows in [index == i]
    ]
    return Score(headline="auc", values=values, per_set=per_set)


def strange_toys(
    toys: pd.DataFrame, parameter: Parameter, *, threshold: float | None = None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Scores, which toys are strange, and which have a finite score: arrays of shape (n_toys,).

    A toy without a finite score has the one that loses every comparison.

    Raises
    ------
    DataError
        If the table is empty or lacks a column.
    """
    for column in ("set", "toy", parameter.name, "score", "status"):
        if column not in toys.columns:
            raise DataError(f"the table of toys has no column {column!r}, which the score needs")
    if len(toys) == 0:
        raise DataError("the table of toys has no rows: run at least one toy")
    strange = toys[parameter.name].to_numpy(dtype=float) > _threshold(parameter, threshold)
    score = toys["score"].to_numpy(dtype=float)
    valid = (toys["status"] == "ok").to_numpy(dtype=bool) & np.isfinite(score)
    return np.where(valid, score, np.where(strange, -np.inf, np.inf)), strange, valid


def _threshold(parameter: Parameter, threshold: float | None) -> float:
    return (parameter.low + parameter.high) / 2 if threshold is None else threshold


def _strangeness(score: Any, strange: Any, valid: Any) -> dict[str, Any]:
    from scipy.stats import rankdata

    n, n_strange = len(score), int(np.count_nonzero(strange))
    n_ordinary = n - n_strange
    document: dict[str, Any] = {"auc": None, "auc_low": None, "auc_high": None}
    if n_strange and n_ordinary:
        ranks = rankdata(score)
        above = float(ranks[strange].sum()) - n_strange * (n_strange + 1) / 2
        auc = above / (n_strange * n_ordinary)
        q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
        variance = (
            auc * (1 - auc) + (n_strange - 1) * (q1 - auc**2) + (n_ordinary - 1) * (q2 - auc**2)
        ) / (n_strange * n_ordinary)
        error = float(np.sqrt(max(variance, 0.0)))
        document = {"auc": auc, "auc_low": max(auc - error, 0), "auc_high": min(auc + error, 1)}
    finite = score[valid]
    return {
        **document,
        "score_mean": float(np.mean(finite)) if len(finite) else None,
        "score_width": float(np.std(finite, ddof=1)) if len(finite) > 1 else None,
        "n_strange": n_strange,
        "n_toys": n,
        "n_failed": int(np.count_nonzero(~valid)),
    }


def as_intervals(
    toys: pd.DataFrame, parameter: Parameter, parameters: Sequence[Parameter]
) -> pd.DataFrame:
    """The table with value +- error of one parameter as p16 and p84.

    A toy without a finite value and a positive error for every parameter becomes "invalid".

    Raises
    ------
    DataError
        If a column is missing.
    """
    for p in parameters:
        for column in (p.name, f"{p.name}_hat", f"delta_{p.name}_hat", "status"):
            if column not in toys.columns:
                raise DataError(
                    f"the table of toys has no column {column!r}, which a score of {p.name!r} "
                    f"needs; it has {', '.join(map(str, toys.columns))}"
                )
    good = np.ones(len(toys), dtype=bool)
    for p in parameters:
        value = toys[f"{p.name}_hat"].to_numpy(dtype=float)
        error = toys[f"delta_{p.name}_hat"].to_numpy(dtype=float)
        with np.errstate(invalid="ignore"):
            good &= np.isfinite(value) & np.isfinite(error) & (error > 0)
    hat, delta = f"{parameter.name}_hat", f"delta_{parameter.name}_hat"
    status = toys["status"].where(good | (toys["status"] != "ok"), "invalid")
    return toys.assign(p16=toys[hat] - toys[delta], p84=toys[hat] + toys[delta], status=status)


def _prefixed(parameter: Parameter, absolute: Any, relative: Any) -> dict[str, Any]:
    named = {f"{parameter.name}_{key}": absolute[key] for key in _PER_PARAMETER}
    return named | {f"{parameter.name}_quantiles_score": relative["quantiles_score"]}
