"""ROC curves of scores of strangeness, of one table of toys or of many resamples of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["resampled_roc"]

FloatArray = npt.NDArray[np.float64]


def resampled_roc(
    scores: FloatArray,
    strange: npt.NDArray[np.bool_],
    counts: npt.NDArray[Any],
    false_positives: FloatArray,
) -> FloatArray:
    """True-positive rates at given false-positive rates, (n_resamples, n_rates).

    `scores` and `strange` have shape (n_toys,), scores may be infinite; `counts` (n_resamples,
    n_toys) says how often each toy is in a resample; a row of ones is the table itself. The curve
    has a point for each different score and is linear between them. NaN for a resample with toys of
    one kind only.
    """
    # Only the order counts; ranks keep it, and are finite.
    ranks = np.unique(scores, return_inverse=True)[1]
    order = np.argsort(-ranks, kind="stable")
    last = np.r_[np.diff(ranks[order]) != 0, True]
    found = np.full((len(counts), len(false_positives)), np.nan)
    for i, drawn in enumerate(np.asarray(counts)[:, order]):
        true, false = (
            np.concatenate([[0.0], np.cumsum(np.where(kind, drawn, 0))[last]])
            for kind in (strange[order], ~strange[order])
        )
        if true[-1] > 0 and false[-1] > 0:
            found[i] = np.interp(false_positives, false / false[-1], true / true[-1])
    return found
