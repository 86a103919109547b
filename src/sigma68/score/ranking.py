"""Who is better, and who cannot be told apart: a bootstrap over sets.

Every resample draws as many sets as were run, with replacement, and is the same for every entry.
Two entries are tied if the central 95% of the difference of their scores contains 0. Going down
in score, a group is its best entry plus all those tied with it. The challenge's organisers drew
100 of 1000 sets instead: `sets_drawn=100`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sigma68.errors import SettingsError
from sigma68.score.best_widths import OverBest
from sigma68.score.binomial import clopper_pearson
from sigma68.score.intervals import EPSILON, quantiles_score
from sigma68.score.places import (
    Placed,
    Places,
    fails_too_often,
    few_sets,
    group_by_ties,
    score_differences,
    why_unpaired,
)
from sigma68.score.resampling import N_RESAMPLES, SetSums, set_sums
from sigma68.score.rescaled import rescaled_width
from sigma68.score.standings import bootstrap_scores, contains_zero
from sigma68.score.table import IntervalToys, interval_toys
from sigma68.types import LEVEL, Parameter

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RankedEntry", "Ranking", "group_by_ties", "rank"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RankedEntry(Placed):
    """One entry's place, and what its intervals are like.

    `rescaled_width` is the mean width after rescaling to the nominal coverage, with its
    bootstrap error; None where it cannot be had. `over_best` compares it with the narrowest
    intervals possible, where these are known.
    """

    interval: float
    coverage: float
    coverage_low: float
    coverage_high: float
    rescaled_width: float | None
    rescaled_width_error: float | None
    over_best: OverBest | None = None


@dataclass(frozen=True)
class Ranking(Places[RankedEntry]):
    """Entries by the score of their intervals on one parameter; see `Places`."""

    parameter: Parameter
    epsilon: float
    level: float


def rank(
    entries: Mapping[str, pd.DataFrame],
    parameter: Parameter,
    *,
    level: float = LEVEL,
    epsilon: float | None = None,
    seed: int = 0,
    n_resamples: int = N_RESAMPLES,
    sets_drawn: int | None = None,
    notes: Sequence[str] = (),
    over_best: Mapping[str, OverBest | None] | None = None,
) -> Ranking:
    """Rank tables of toys of one `parameter`, keyed by the entry's name.

    Entries that did not see the same toys (the same set, toy, truth and nuisances) are resampled
    each on its own, which says little: the result is then marked indicative. `notes` are reasons
    known to the caller for which it is (another data set, another seed). `over_best` is handed on
    to the entries.

    Raises
    ------
    SettingsError
        If there is no entry, or a number is out of range.
    DataError
        If a table cannot be scored.
    """
    epsilon = EPSILON if epsilon is None else epsilon
    if not entries:
        raise SettingsError("there is nothing to rank: give at least one run")
    for name, value in (("n_resamples", n_resamples), ("sets_drawn", sets_drawn)):
        if value is not None and value < 1:
            raise SettingsError(f"{name} must be 1 or more, not {value}")
    tables = {name: interval_toys(toys, parameter) for name, toys in entries.items()}
    p = parameter.name
    said = [*notes, *why_unpaired(entries, [p], [f"{p}_hat", f"delta_{p}_hat", "p16", "p84"])]
    paired = not said
    sums = {name: set_sums(table) for name, table in tables.items()}
    resampled = _resampled_scores(sums, paired, epsilon, level, seed, n_resamples, sets_drawn)
    n_sets = min(len(s.n) for s in sums.values())
    said += few_sets(n_sets)
    found = {
        name: _place(name, table, resampled[name], epsilon, level, seed)
        for name, table in tables.items()
    }
    order = sorted(found.values(), key=lambda e: (fails_too_often(e), -e.score, e.name))
    differences = score_differences(order, resampled)
    ties = {pair: contains_zero(ends, n_sets) for pair, ends in differences.items()}
    groups = group_by_ties([e.name for e in order if not fails_too_often(e)], ties)
    place = {name: i + 1 for i, group in enumerate(groups) for name in group}
    best = over_best or {}
    ranked = [replace(e, rank=place.get(e.name), over_best=best.get(e.name)) for e in order]
    return Ranking(
        entries=tuple(sorted(ranked, key=lambda e: e.rank or len(ranked) + 1)),
        groups=groups,
        differences=differences,
        paired=paired,
        notes=tuple(said),
        parameter=parameter,
        n_sets=n_sets,
        sets_drawn=n_sets if sets_drawn is None else sets_drawn,
        n_resamples=n_resamples,
        seed=seed,
        epsilon=epsilon,
        level=level,
    )


def _resampled_scores(
    sums: Mapping[str, SetSums],
    paired: bool,
    epsilon: float,
    level: float,
    seed: int,
    n_resamples: int,
    sets_drawn: int | None,
) -> dict[str, FloatArray]:
    """The score of every entry in every resample, arrays of shape (n_resamples,)."""
    settings: dict[str, Any] = {
        "epsilon": epsilon,
        "level": level,
        "seed": seed,
        "n_resamples": n_resamples,
        "sets_drawn": sets_drawn,
    }
    if paired:
        return dict(zip(sums, bootstrap_scores([*sums.values()], **settings), strict=True))
    return {
        name: bootstrap_scores([one], entry=i, **settings)[0]
        for i, (name, one) in enumerate(sums.items())
    }


def _place(
    name: str, table: IntervalToys, scores: FloatArray, epsilon: float, level: float, seed: int
) -> RankedEntry:
    covered = int(np.count_nonzero(table.covered))
    coverage, width = covered / table.n_toys, float(np.mean(table.width))
    low, high = clopper_pearson(covered, table.n_toys, level)
    score_low, score_high = np.quantile(scores, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    rescaled = rescaled_width(table, level=level, seed=seed)
    return RankedEntry(
        name=name,
        rank=None,
        score=float(quantiles_score(width, coverage, table.n_toys, epsilon=epsilon, level=level)),
        score_low=float(score_low),
        score_high=float(score_high),
        interval=width,
        coverage=coverage,
        coverage_low=float(low),
        coverage_high=float(high),
        rescaled_width=rescaled.width,
        rescaled_width_error=rescaled.error,
        n_toys=table.n_toys,
        n_failed=table.n_failed,
    )
