"""Who is better at tasks that ask for no interval: a bootstrap of the task's own headline score.

Sets are resampled, as in `ranking.py`: toys of one set share their parameters. Where every set has one
toy, that is a bootstrap over toys. Every entry that saw the same toys gets the same resamples. Ties and
groups are those of `ranking.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError, SettingsError
from sigma68.protocols import Task
from sigma68.run.results import answer_columns
from sigma68.score.places import (
    Placed,
    Places,
    fails_too_often,
    few_sets,
    group_by_ties,
    score_differences,
    why_unpaired,
)
from sigma68.score.resampled import resampled_auc, resampled_quantiles_score
from sigma68.score.resampling import N_RESAMPLES, resampled_counts
from sigma68.score.standings import contains_zero
from sigma68.summaries import ScoresResamples
from sigma68.types import LEVEL, AnswerKind, Parameter

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["WHOLE_TABLES", "HeadlineEntry", "HeadlineRanking", "rank_by_headline"]

FloatArray = npt.NDArray[np.float64]

WHOLE_TABLES = 500
"""Resamples where a task scores whole tables only, which takes it its time."""

Scorer = Callable[["pd.DataFrame", FloatArray], FloatArray]
"""From a table of toys, and how often each is in each resample, to the scores of the resamples."""

_MOST_AT_ONCE = 2_000_000
_FEWEST_DEFINED = 0.5


@dataclass(frozen=True)
class HeadlineEntry(Placed):
    """One entry's place.

    `score_error` is the standard deviation of its resampled scores, `values` are all numbers of its
    task's score.
    """

    score_error: float
    values: Mapping[str, float | int | None]


@dataclass(frozen=True)
class HeadlineRanking(Places[HeadlineEntry]):
    """Entries by the headline score of their task; see `Places`."""

    headline: str
    answer: AnswerKind
    parameters: tuple[Parameter, ...]


def rank_by_headline(
    entries: Mapping[str, pd.DataFrame],
    task: Task,
    *,
    epsilon: float | None = None,
    seed: int = 0,
    n_resamples: int | None = None,
    sets_drawn: int | None = None,
    notes: Sequence[str] = (),
) -> HeadlineRanking:
    """Rank tables of toys of one task, keyed by the entry's name.

    There are 10,000 resamples where they can be scored all at once, `WHOLE_TABLES` else, unless
    `n_resamples` says how many (see `ScoresResamples`). Entries that did not see the same toys are resampled each on its
    own: the result is then marked indicative. `notes` are reasons known to the caller for which it is.

    Raises
    ------
    SettingsError
        If there is no entry, or a number is out of range.
    DataError
        If a table cannot be scored, or too few resamples can.
    """
    if not entries:
        raise SettingsError("there is nothing to rank: give at least one run")
    for name, value in (("n_resamples", n_resamples), ("sets_drawn", sets_drawn)):
        if value is not None and value < 1:
            raise SettingsError(f"{name} must be 1 or more, not {value}")
    scores = {name: task.score(toys, epsilon=epsilon) for name, toys in entries.items()}
    headline = next(iter(scores.values())).headline
    scorer = _scorer(task, headline, entries, {n: s.value for n, s in scores.items()}, epsilon)
    if n_resamples is None:
        n_resamples = WHOLE_TABLES if scorer is None else N_RESAMPLES
    parameters = [p.name for p in task.parameters]
    said = [*notes, *why_unpaired(entries, parameters, answer_columns(task))]
    paired = not said
    resampled = {
        name: _resampled(
            toys,
            scorer,
            lambda table: task.score(table, epsilon=epsilon).value,
            resampled_counts(
                toys["set"].nunique(),
                seed=seed,
                n_resamples=n_resamples,
                sets_drawn=sets_drawn,
                entry=None if paired else i,
            ),
        )
        for i, (name, toys) in enumerate(entries.items())
    }
    resampled, left_out = _defined(resampled)
    n_sets = min(toys["set"].nunique() for toys in entries.values())
    said += [*few_sets(n_sets), *left_out]
    found = [
        _place(name, scores[name].value, scores[name].values, resampled[name], toys)
        for name, toys in entries.items()
    ]
    order = sorted(found, key=lambda e: (fails_too_often(e), -e.score, e.name))
    differences = score_differences(order, resampled)
    ties = {pair: contains_zero(ends, n_sets) for pair, ends in differences.items()}
    groups = group_by_ties([e.name for e in order if not fails_too_often(e)], ties)
    place = {name: i + 1 for i, group in enumerate(groups) for name in group}
    ranked = [replace(e, rank=place.get(e.name)) for e in order]
    return HeadlineRanking(
        entries=tuple(sorted(ranked, key=lambda e: e.rank or len(ranked) + 1)),
        groups=groups,
        differences=differences,
        paired=paired,
        notes=tuple(said),
        n_sets=n_sets,
        sets_drawn=n_sets if sets_drawn is None else sets_drawn,
        n_resamples=n_resamples,
        seed=seed,
        headline=headline,
        answer=task.answer,
        parameters=tuple(task.parameters),
    )


def _resampled(
    toys: pd.DataFrame,
    scorer: Scorer | None,
    score: Callable[[pd.DataFrame], float],
    blocks: Iterator[FloatArray],
) -> FloatArray:
    """The headline score in every resample, (n_resamples,), from how often each set is drawn."""
    _, index = np.unique(toys["set"].to_numpy(), return_inverse=True)
    if scorer is None:
        tables = (_drawn(toys, index, counts) for block in blocks for counts in block)
        return np.array([score(table) for table in tables])
    at_once = max(1, _MOST_AT_ONCE // len(toys))
    found = [
        scorer(toys, block[start : start + at_once][:, index])
        for block in blocks
        for start in range(0, len(block), at_once)
    ]
    return np.concatenate(found)


def _scorer(
    task: Task,
    headline: str,
    entries: Mapping[str, pd.DataFrame],
    scores: Mapping[str, float],
    epsilon: float | None,
) -> Scorer | None:
    """What scores resamples all at once; None where the task scores whole tables only."""

    def agrees(scorer: Scorer) -> bool:
        """Whether a table, taken for a resample of itself, has the score that it has."""
        found = [scorer(toys, np.ones((1, len(toys))))[0] for toys in entries.values()]
        return bool(np.allclose(found, list(scores.values()), rtol=1e-6, equal_nan=True))

    if isinstance(task, ScoresResamples):
        own: Scorer = partial(task.score_resampled, epsilon=epsilon)
        if not agrees(own):
            raise DataError(
                f"task {task.name!r} scores toys otherwise than resamples of them: its "
                "score_resampled must give its headline score"
            )
        return own
    common: dict[tuple[str, str], Scorer] = {
        ("estimates", "quantiles_score"): partial(
            resampled_quantiles_score, parameters=task.parameters, epsilon=epsilon
        ),
        ("strangeness", "auc"): partial(resampled_auc, parameter=task.parameters[0]),
    }
    found = common.get((task.answer, headline))
    return found if found is not None and agrees(found) else None


def _drawn(toys: pd.DataFrame, index: npt.NDArray[np.intp], counts: FloatArray) -> pd.DataFrame:
    """The table of a resample; a set that was drawn twice is two sets."""
    sets = np.repeat(np.arange(len(counts)), counts.astype(int))
    rows = [np.flatnonzero(index == number) for number in sets]
    numbers = np.repeat(np.arange(len(sets)), [len(r) for r in rows])
    table: pd.DataFrame = toys.iloc[np.concatenate(rows)].assign(set=numbers)
    return table.reset_index(drop=True)


def _defined(resampled: Mapping[str, FloatArray]) -> tuple[dict[str, FloatArray], list[str]]:
    """Scores in the resamples that all entries have a score in, and a word about the others."""
    n = len(next(iter(resampled.values())))
    good = np.all([np.isfinite(scores) for scores in resampled.values()], axis=0)
    kept = int(np.count_nonzero(good))
    if kept < _FEWEST_DEFINED * n:
        raise DataError(f"{n - kept:,} of {n:,} resamples of the sets have no score: run more sets")
    said = [f"{n - kept:,} of {n:,} resamples have no score and are left out"] if kept < n else []
    return {name: scores[good] for name, scores in resampled.items()}, said


def _place(
    name: str,
    score: float,
    values: Mapping[str, float | int | None],
    resampled: FloatArray,
    toys: pd.DataFrame,
) -> HeadlineEntry:
    if not np.isfinite(score):
        raise DataError(f"the toys of {name!r} give no score: run more of them")
    low, high = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    failed = values.get("n_failed")
    return HeadlineEntry(
        name=name,
        rank=None,
        score=score,
        score_low=float(low),
        score_high=float(high),
        n_toys=len(toys),
        n_failed=int(np.count_nonzero(toys["status"] != "ok") if failed is None else failed),
        score_error=float(np.std(resampled)),
        values=dict(values),
    )
