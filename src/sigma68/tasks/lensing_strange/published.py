"""Answers to maps that were given away: a score of strangeness for each, and what they are worth."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sigma68.errors import DataError
from sigma68.summaries import Columns
from sigma68.tasks.lensing.scores import strangeness_score
from sigma68.tasks.lensing.submission import read_strangeness
from sigma68.tasks.lensing_strange.scores import FAMILY, ORDINARY
from sigma68.types import Score

__all__ = ["ABOUT_SCORE", "ABOUT_SCORES", "score_of_answers", "strangeness_of"]

_COLUMN = "score"

ABOUT_SCORES = """\
The file holds two arrays, for `numpy.load`: `kappa`, float16 of shape (number of maps, number of
pixels), and `mask`, boolean of shape (rows, columns) of a map. A row of `kappa` has the pixels where
the mask is true, row by row, with their noise.

Send a zip with one `result.json`, one number for each map, in their order, larger for stranger maps:

    {"ood_scores": [0.3, 12.5, ...]}

All are finite.
"""

ABOUT_SCORE = """\
The mean of the true-positive rate (strange maps that are found) at 100 rates of false positives
(ordinary maps taken for strange), spaced logarithmically from 0.001 to 0.05. Random numbers reach 0.0127.
"""


def strangeness_of(path: Path, n_maps: int) -> Columns:
    """The column of scores in a submission to `n_maps` maps.

    Raises
    ------
    DataError
        If it is no submission, or a score is not finite.
    """
    scores = read_strangeness(path, n_maps)
    bad = np.flatnonzero(~np.isfinite(scores))
    if bad.size:
        raise DataError(
            f"{path} has a score that is not finite for {bad.size:,} of {n_maps:,} maps: look at "
            f"number {int(bad[0])} (from 0)"
        )
    return {_COLUMN: scores}


def score_of_answers(answers: Columns, truths: Columns) -> Score:
    """The second phase's score of answers that `strangeness_of` gave.

    Raises
    ------
    DataError
        If there are not as many answers as truths, or all maps are of one kind.
    """
    strange = truths[FAMILY.name] > ORDINARY
    value = strangeness_score(answers[_COLUMN], strange)
    return Score(headline="score", values={"score": value, "n_maps": len(strange)})
