"""The second phase's score of a table of toys, over all and for each family of strange maps.

A toy's parameter `family` is below `ORDINARY` for an ordinary map; above, the rest of its range is
shared by the families.

Reference: FAIR Universe, arXiv:2604.14451.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sigma68.seeds import stream
from sigma68.tasks.lensing.scores import FALSE_POSITIVES
from sigma68.tasks.lensing_strange.families import FAMILIES
from sigma68.types import Parameter, Score

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FAMILY", "ORDINARY", "family_of", "resampled_scores", "score_strange"]

FloatArray = npt.NDArray[np.float64]

ORDINARY, HIGHEST = 1.0, 2.0
FAMILY = Parameter("family", 0.0, HIGHEST, label="family")
"""Ordinary up to 1; then a family for each fifth."""

_RESAMPLES = 500


def family_of(value: float) -> int | None:
    """The number of the family that a value of `family` stands for; None for an ordinary map."""
    if value <= ORDINARY:
        return None
    share = (value - ORDINARY) / (HIGHEST - ORDINARY)
    return min(int(share * len(FAMILIES)), len(FAMILIES) - 1)


def score_strange(toys: pd.DataFrame) -> Score:
    """The challenge's score, overall and of each family's maps among all ordinary ones.

    `strangeness_score` is the headline: the mean true-positive rate at 100 false-positive rates
    from 0.001 to 0.05, with its error from a bootstrap of toys. The area under the ROC curve and
    the rest are as `sigma68.score.estimates.score_strangeness` says. A toy without a finite
    score loses every comparison. None where all toys are of one kind.

    Raises
    ------
    DataError
        If the table is empty or lacks a column.
    """
    from sigma68.score.estimates import score_strangeness, strange_toys

    common = score_strangeness(toys, FAMILY)
    scores, strange, _ = strange_toys(toys, FAMILY)
    numbers = np.array([-1 if (f := family_of(v)) is None else f for v in toys[FAMILY.name]])
    values: dict[str, Any] = {**common.values, "strangeness_score": _score(scores, strange)}
    draw = stream("lensing_strange", "bootstrap of toys", 0).generator()
    counts = draw.multinomial(len(toys), np.full(len(toys), 1 / len(toys)), size=_RESAMPLES)
    values["strangeness_score_error"] = _spread(_resampled(scores, strange, counts))
    for number, family in enumerate(FAMILIES):
        kept = ~strange | (numbers == number)
        values[f"{family.name}_score"] = _score(scores[kept], strange[kept])
        of_family = _resampled(scores[kept], strange[kept], counts[:, kept])
        values[f"{family.name}_score_error"] = _spread(of_family)
        values[f"n_{family.name}"] = int(np.count_nonzero(numbers == number))
    return Score(headline="strangeness_score", values=values, per_set=common.per_set)


def resampled_scores(toys: pd.DataFrame, counts: FloatArray) -> FloatArray:
    """The challenge's score of resamples, (n_resamples,), NaN for one kind of maps only.

    `counts` (n_resamples, n_toys) says how often each row of the table is in a resample.

    Raises
    ------
    DataError
        If the table is empty or lacks a column.
    """
    from sigma68.score.estimates import strange_toys

    scores, strange, _ = strange_toys(toys, FAMILY)
    return _resampled(scores, strange, counts)


def _score(scores: FloatArray, strange: npt.NDArray[np.bool_]) -> float | None:
    if strange.all() or not strange.any():
        return None
    return float(_resampled(scores, strange, np.ones((1, len(scores))))[0])


def _resampled(
    scores: FloatArray, strange: npt.NDArray[np.bool_], counts: npt.NDArray[Any]
) -> FloatArray:
    from sigma68.score.roc import resampled_roc

    found: FloatArray = resampled_roc(scores, strange, counts, FALSE_POSITIVES).mean(axis=1)
    return found


def _spread(resampled: FloatArray) -> float | None:
    known = resampled[np.isfinite(resampled)]
    return float(known.std(ddof=1)) if len(known) > 1 else None
