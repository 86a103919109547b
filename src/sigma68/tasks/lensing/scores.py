"""The challenge's two scores: of estimates with errors, and of strangeness.

First phase: how probable the truth is under the normal distribution that mean and error stand
for, with a penalty that keeps means near the truth. Second phase: how many strange maps are found
where few ordinary ones are taken for strange.

Reference: FAIR Universe, arXiv:2604.14451.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError
from sigma68.types import Parameter, Score

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "FLOOR",
    "estimate_score",
    "roc_curve",
    "score_estimated",
    "strangeness_score",
    "summary_of_estimates",
    "toy_scores",
]

FloatArray = npt.NDArray[np.float64]

FLOOR = -1e6
"""No score of the first phase is lower."""

PENALTY = 1000.0
FALSE_POSITIVES = np.geomspace(0.001, 0.05, 100)


def map_scores(means: FloatArray, errors: FloatArray, truths: FloatArray) -> FloatArray:
    """The score of each map, (n_maps,), from means, errors and truths (n_maps, n_parameters).

    -sum_p [(m - t)^2 / s^2 + ln s^2 + 1000 (m - t)^2]; the floor where an error is not positive or
    a number not finite.

    Raises
    ------
    DataError
        If the shapes differ.
    """
    means, errors, truths = (np.asarray(a, dtype=np.float64) for a in (means, errors, truths))
    if not (means.ndim == 2 and means.shape == errors.shape == truths.shape and len(means)):
        raise DataError(
            f"means {means.shape}, errors {errors.shape} and truths {truths.shape} do not match: "
            "give one row for each map, and a column for each parameter"
        )
    good = (np.isfinite(means) & np.isfinite(errors) & (errors > 0)).all(axis=1)
    scores = np.full(len(means), FLOOR)
    off2, variance = (means[good] - truths[good]) ** 2, errors[good] ** 2
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        terms = off2 / variance + np.log(variance) + PENALTY * off2
    scores[good] = -terms.sum(axis=1)
    # The square of a tiny error may vanish.
    scores[~np.isfinite(scores)] = -np.inf
    return scores


def estimate_score(means: FloatArray, errors: FloatArray, truths: FloatArray) -> float:
    """The first phase's score of a submission: the mean over maps, `FLOOR` at least.

    One error that is not positive, or one number that is not finite, is enough for the floor.

    Raises
    ------
    DataError
        If the shapes differ.
    """
    scores = map_scores(means, errors, truths)
    broken = ~(np.isfinite(means) & np.isfinite(errors) & (np.asarray(errors) > 0)).all()
    return FLOOR if broken else max(float(np.mean(scores)), FLOOR)


def summary_of_estimates(
    means: FloatArray, errors: FloatArray, truths: FloatArray
) -> dict[str, float]:
    """Score, mean squared error, R^2 and coverage of +-1 error, means over the parameters.

    Raises
    ------
    DataError
        If the shapes differ.
    """
    score = estimate_score(means, errors, truths)
    off = np.asarray(means) - np.asarray(truths)
    spread = np.var(truths, axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        r2 = 1 - np.mean(off**2, axis=0) / spread
    return {
        "score": score,
        "mse": float(np.mean(off**2)),
        "r2": float(np.mean(r2)),
        "coverage": float(np.mean(np.abs(off) <= np.asarray(errors))),
    }


def score_estimated(
    toys: pd.DataFrame, parameters: Sequence[Parameter], *, epsilon: float | None = None
) -> Score:
    """The verdict on a table of toys: what `score_estimates` says, headed by the challenge's score.

    `challenge_score` is the mean over toys, a failed one at the floor; in the challenge one would take
    the whole submission there.

    Raises
    ------
    DataError
        If the table cannot be scored.
    """
    from sigma68.score.estimates import score_estimates

    common = score_estimates(toys, parameters, epsilon=epsilon)
    scores = toy_scores(toys, parameters)
    good = scores > FLOOR
    values: dict[str, Any] = {**common.values, "challenge_score": float(np.mean(scores))}
    n_good = int(np.count_nonzero(good))
    values["challenge_score_error"] = (
        float(np.std(scores, ddof=1) / np.sqrt(len(scores))) if len(scores) > 1 else None
    )
    values["challenge_score_of_answers"] = float(np.mean(scores[good])) if n_good else None
    numbers = toys["set"].to_numpy(dtype=np.int64)
    per_set = [
        {**entry, "challenge_score": float(np.mean(scores[numbers == entry["set"]]))}
        for entry in common.per_set
    ]
    return Score(headline="challenge_score", values=values, per_set=per_set)


def toy_scores(toys: pd.DataFrame, parameters: Sequence[Parameter]) -> FloatArray:
    """The challenge's score of each toy, (n_toys,); the floor for one that failed.

    Raises
    ------
    DataError
        If the table has no rows.
    """
    names = [p.name for p in parameters]
    truths = toys[names].to_numpy(dtype=float)
    means, errors = (
        toys[[form.format(n) for n in names]].to_numpy(dtype=float)
        for form in ("{}_hat", "delta_{}_hat")
    )
    failed = (toys["status"] != "ok").to_numpy(dtype=bool)
    means = np.where(failed[:, None], np.nan, means)
    scores: FloatArray = np.maximum(map_scores(means, errors, truths), FLOOR)
    return scores


def roc_curve(scores: FloatArray, strange: npt.NDArray[np.bool_]) -> tuple[FloatArray, FloatArray]:
    """False- and true-positive rates from (0, 0) to (1, 1), one point for each different score.

    Raises
    ------
    DataError
        If scores are not finite, or all maps are of one kind.
    """
    scores, strange = np.asarray(scores, dtype=np.float64), np.asarray(strange, dtype=bool)
    if scores.ndim != 1 or scores.shape != strange.shape or not np.isfinite(scores).all():
        raise DataError(
            "scores of strangeness must be finite numbers, one for each map: "
            f"found shape {scores.shape} for {strange.shape} maps"
        )
    if strange.all() or not strange.any():
        raise DataError("all maps are of one kind: a ROC curve needs ordinary and strange ones")
    order = np.argsort(-scores, kind="stable")
    last = np.r_[np.diff(scores[order]) != 0, True]
    found, all_above = np.cumsum(strange[order])[last], (np.flatnonzero(last) + 1)
    false = np.r_[0.0, (all_above - found) / np.count_nonzero(~strange)]
    true = np.r_[0.0, found / np.count_nonzero(strange)]
    return false, true


def strangeness_score(scores: FloatArray, strange: npt.NDArray[np.bool_]) -> float:
    """The second phase's score: mean true-positive rate at 100 low false-positive rates.

    They are spaced logarithmically from 0.001 to 0.05; the ROC curve is interpolated linearly.
    0.01266 is expected of random scores.

    Raises
    ------
    DataError
        If scores are not finite, or all maps are of one kind.
    """
    false, true = roc_curve(scores, strange)
    return float(np.mean(np.interp(FALSE_POSITIVES, false, true)))
