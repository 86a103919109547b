"""What all rankings say, whatever was scored: places, tie groups, and on which toys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from sigma68.score.intervals import MOST_FAILURES
from sigma68.score.standings import contains_zero, tie_interval

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Placed",
    "Places",
    "fails_too_often",
    "few_sets",
    "group_by_ties",
    "score_differences",
    "why_unpaired",
]


@dataclass(frozen=True)
class Placed:
    """One entry's place.

    `rank` is the number of its group, 1 for the best; None for an entry with more than 1%
    failures. `score_low` and `score_high` bound the central 68.27% of its resampled scores.
    """

    name: str
    rank: int | None
    score: float
    score_low: float
    score_high: float
    n_toys: int
    n_failed: int


Entry = TypeVar("Entry", bound=Placed)


@dataclass(frozen=True)
class Places(Generic[Entry]):
    """Entries from best to worst, those that cannot be ranked last.

    `groups` are the tie groups by name. `differences` holds, for every pair of names in the
    order of `entries`, the central 95% of score(first) - score(second). `paired` says whether
    all entries saw the same toys; where not, `notes` say why and that the ranking is only
    indicative.
    """

    entries: tuple[Entry, ...]
    groups: tuple[tuple[str, ...], ...]
    differences: Mapping[tuple[str, str], tuple[float, float]]
    paired: bool
    notes: tuple[str, ...]
    n_sets: int
    sets_drawn: int
    n_resamples: int
    seed: int

    @property
    def is_indicative(self) -> bool:
        """Whether the entries were compared on different toys."""
        return not self.paired

    @property
    def groups_in_words(self) -> str:
        """How many sets a resample draws, and the tie groups that this gives."""
        groups = "; ".join(f"{i}. {' = '.join(group)}" for i, group in enumerate(self.groups, 1))
        return (
            f"Resampling {self.sets_drawn:,} of {self.n_sets:,} sets gives: "
            f"{groups or 'no ranked entry'}."
        )

    def is_tied(self, first: str, second: str) -> bool:
        """Whether the central 95% of the two entries' score difference contains 0.

        With a single set nothing is resampled, and any two entries are tied.
        """
        found = self.differences.get((first, second)) or self.differences[second, first]
        return contains_zero(found, self.n_sets)

    def to_json(self) -> dict[str, Any]:
        """A JSON object with everything the ranking says."""
        document = asdict(self)
        document["indicative"] = self.is_indicative
        document["differences"] = [
            {"entries": list(pair), "low": low, "high": high}
            for pair, (low, high) in self.differences.items()
        ]
        return document


def group_by_ties(
    names: Sequence[str], ties: Mapping[tuple[str, str], bool]
) -> tuple[tuple[str, ...], ...]:
    """Tie groups of `names`, which come from best to worst.

    A group is the best name that has none yet, plus all later ones without a group tied with
    it; being tied is not transitive, so that members need not be tied among themselves.
    """
    left = list(names)
    groups = []
    while left:
        best = left[0]
        group = [best, *(name for name in left[1:] if ties[best, name])]
        groups.append(tuple(group))
        left = [name for name in left if name not in group]
    return tuple(groups)


def score_differences(
    order: Sequence[Placed], resampled: Mapping[str, npt.NDArray[np.float64]]
) -> dict[tuple[str, str], tuple[float, float]]:
    """The central 95% of score(first) - score(second) for every pair of entries in `order`."""
    found = {}
    for i, first in enumerate(order):
        for second in order[i + 1 :]:
            pair = first.name, second.name
            found[pair] = tie_interval(resampled[first.name], resampled[second.name])
    return found


def why_unpaired(
    entries: Mapping[str, pd.DataFrame], parameters: Sequence[str], answers: Sequence[str]
) -> list[str]:
    """One sentence if the tables are not of the same toys, else nothing.

    `answers` are the columns that a method fills; what else all tables have must agree.
    """
    own = {*answers, "status", "seconds"}
    (first, *others) = entries.items()
    shared = sorted(
        set.intersection(*(set(map(str, toys.columns)) for toys in entries.values())) - own
    )
    reference = first[1].sort_values(["set", "toy"])[shared]
    for name, toys in others:
        table = toys.sort_values(["set", "toy"])[shared]
        same_length = len(table) == len(reference)
        for column in ("set", "toy", *parameters, *shared):
            if same_length and _agree(table[column], reference[column]):
                continue
            what = "other sets or toys" if column in ("set", "toy") else f"other values of {column}"
            return [
                f"indicative only: {name!r} was run on {what} than {first[0]!r}, so that their "
                "resamples are not the same; run both with the same seed, sets, toys and nuisances"
            ]
    return []


def _agree(one: pd.Series[Any], two: pd.Series[Any]) -> bool:
    a, b = one.to_numpy(), two.to_numpy()
    # What does not apply to a toy may stand there as NaN.
    return np.array_equal(a, b, equal_nan=a.dtype.kind == b.dtype.kind == "f")


def few_sets(n_sets: int) -> list[str]:
    """A warning where a bootstrap over so many sets says little."""
    if n_sets == 1:
        return ["with one set there is nothing to resample: no entry can be told from another"]
    if n_sets < 10:
        return [f"{n_sets} sets are few for a bootstrap: take ties and errors as rough"]
    return []


def fails_too_often(entry: Placed) -> bool:
    """Whether an entry has no rank for its failures."""
    return entry.n_failed / entry.n_toys > MOST_FAILURES
