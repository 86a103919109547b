"""Which shard comes next, and when it is enough: by numbers of shards, of rows, or by time.

A sample must not choose its shards by what is in them. So shards of a process are begun in the
order of their numbers, whatever was begun is finished, and what decides when to stop is the
number of rows or the time, never a weight.

Rows: the first shard says how many more are needed, those say it better, and so on, until the
shards 0 to n - 1 hold what was asked for. n is a function of the seed and of the rows asked for
alone, whatever the number of workers, and however often the production was interrupted.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from sigma68.errors import SimulationError
from sigma68.tasks.higgs.simulate.shards import ShardAbout

__all__ = ["DEFAULT_MIXTURE", "Goal", "Hours", "Ledger", "Rows", "ShardCount", "shared"]

DEFAULT_MIXTURE: Final[Mapping[str, float]] = {
    "ztautau": 0.65,
    "htautau": 0.20,
    "ttbar": 0.12,
    "diboson": 0.03,
}
"""Shares of the rows. For a given computing time the error of a sum of weighted backgrounds is
smallest with rows in proportion to (expected events) x sqrt(rows per second) where the
measurement is decided; signal gets more than that, to train on."""

_MOST_GROWTH: Final = 10
_MOST_EMPTY: Final = 64

Job = tuple[str, int]
"""(process, shard number)."""


@dataclass
class Ledger:
    """Shards that are finished and those that are being made."""

    done: dict[str, dict[int, ShardAbout]] = field(default_factory=dict)
    under_way: set[Job] = field(default_factory=set)

    def add(self, about: ShardAbout) -> None:
        """Count a shard as finished."""
        self.done.setdefault(about.process, {})[about.number] = about
        self.under_way.discard((about.process, about.number))

    def first_free(self, process: str, below: int | None = None) -> int | None:
        """The lowest number that nobody has begun; None if there is none `below`."""
        finished = self.done.get(process, {})
        number = 0
        while number in finished or (process, number) in self.under_way:
            number += 1
        return number if below is None or number < below else None

    def rows(self, process: str) -> int:
        """Rows of the finished shards of a process."""
        return sum(about.rows for about in self.done.get(process, {}).values())

    def begun(self, process: str) -> int:
        """How many of its shards are finished or under way."""
        return len(self.done.get(process, {})) + sum(p == process for p, _ in self.under_way)


class Goal(Protocol):
    """What a production works towards."""

    @property
    def processes(self) -> tuple[str, ...]:
        """The processes that shards are made of."""
        ...

    def following(self, ledger: Ledger) -> Job | None:
        """The shard to be begun next; None if there is nothing to begin at present."""
        ...

    def fraction(self, ledger: Ledger) -> float:
        """How much of the goal is reached, from 0 to 1."""
        ...


@dataclass(frozen=True)
class ShardCount:
    """The shards 0 to n - 1 of each process: exactly what an earlier production made."""

    counts: Mapping[str, int]

    @property
    def processes(self) -> tuple[str, ...]:
        return tuple(self.counts)

    def following(self, ledger: Ledger) -> Job | None:
        return _least_advanced(ledger, self.counts)

    def fraction(self, ledger: Ledger) -> float:
        total = sum(self.counts.values())
        done = sum(_prefix(ledger, p, n) for p, n in self.counts.items())
        return done / total if total else 1.0


@dataclass(frozen=True)
class Rows:
    """As many shards as give each process its number of rows."""

    rows: Mapping[str, int]

    @property
    def processes(self) -> tuple[str, ...]:
        return tuple(self.rows)

    def following(self, ledger: Ledger) -> Job | None:
        return _least_advanced(ledger, {p: shards_for(ledger, p, n) for p, n in self.rows.items()})

    def fraction(self, ledger: Ledger) -> float:
        """Of the work: a process counts by the seconds that its rows take."""
        done = total = 0.0
        for process, wanted in self.rows.items():
            needed = shards_for(ledger, process, wanted)
            have = _prefix(ledger, process, needed)
            finished = ledger.done.get(process, {}).values()
            rows = sum(about.rows for about in finished)
            if finished and rows and rows < wanted:
                needed = max(needed, math.ceil(wanted * len(finished) / rows))
            seconds = sum(a.seconds for a in finished) / len(finished) if finished else 1.0
            done += have * seconds
            total += needed * seconds
        return done / total if total else 1.0


class Hours:
    """Shards are begun until the time is up; rows are shared out by `mixture`."""

    def __init__(
        self,
        hours: float,
        mixture: Mapping[str, float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.mixture = mixture
        self._seconds = 3600 * hours
        self._clock = clock
        self._began = clock()

    @property
    def processes(self) -> tuple[str, ...]:
        return tuple(self.mixture)

    def following(self, ledger: Ledger) -> Job | None:
        if self.fraction(ledger) >= 1.0:
            return None

        def advance(process: str) -> float:
            finished, begun = len(ledger.done.get(process, {})), ledger.begun(process)
            if not finished:
                return math.inf if begun else 0.0  # until the first is there, one is enough
            # What is under way will be like what is finished.
            per_shard = max(ledger.rows(process) / finished, 1.0)
            return per_shard * begun / self.mixture[process]

        process = min(self.mixture, key=advance)
        number = ledger.first_free(process)
        return None if number is None else (process, number)

    def fraction(self, ledger: Ledger) -> float:
        return min(1.0, (self._clock() - self._began) / self._seconds)


def shards_for(ledger: Ledger, process: str, rows: int) -> int:
    """How many shards (0 to n - 1) it takes to have `rows`, as far as can be said by now.

    If they are all finished, they hold that many.

    Raises
    ------
    SimulationError
        If many shards have not a single row.
    """
    finished = ledger.done.get(process, {})
    n = 1 if rows > 0 else 0
    while all(number in finished for number in range(n)):
        have = sum(finished[number].rows for number in range(n))
        if have >= rows:
            return n
        if have == 0 and n >= _MOST_EMPTY:
            raise SimulationError(
                f"none of {n} shards of {process} has a row: ask for more --hard-events per shard"
            )
        wanted = math.ceil(rows * n / have) if have else n * _MOST_GROWTH
        n = min(max(n + 1, wanted), n * _MOST_GROWTH)
    return n


def shared(total: int, mixture: Mapping[str, float]) -> dict[str, int]:
    """`total` rows shared out by a mixture, rounded up."""
    whole = sum(mixture.values())
    return {process: math.ceil(total * share / whole) for process, share in mixture.items()}


def _prefix(ledger: Ledger, process: str, n: int) -> int:
    """How many of the shards 0 to n - 1 are finished."""
    finished = ledger.done.get(process, {})
    return sum(number in finished for number in range(n))


def _least_advanced(ledger: Ledger, needed: Mapping[str, int]) -> Job | None:
    """The next shard of the process that has begun the smallest part of what it needs."""
    free = {p: ledger.first_free(p, n) for p, n in needed.items()}
    open_ = [p for p, number in free.items() if number is not None]
    if not open_:
        return None
    process = min(open_, key=lambda p: (free[p] or 0) / needed[p])
    number = free[process]
    return None if number is None else (process, number)
