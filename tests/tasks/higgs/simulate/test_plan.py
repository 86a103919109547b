"""Which shard is next: never by what is in one, and the same set whoever makes them."""

from __future__ import annotations

import itertools
import random

import pytest

from sigma68.errors import SimulationError
from sigma68.tasks.higgs.simulate.plan import (
    DEFAULT_MIXTURE,
    Goal,
    Hours,
    Ledger,
    Rows,
    ShardCount,
    shards_for,
    shared,
)
from sigma68.tasks.higgs.simulate.shards import ShardAbout


def about(process: str, number: int, rows: int, seconds: float = 20.0) -> ShardAbout:
    return ShardAbout(process, 1, number, 5000, True, 0, None, 10.0, {}, rows, 1.0, seconds, {})


def rows_of(process: str, number: int, mean: int = 500) -> int:
    """A fixed, scattered number of rows for each shard."""
    return random.Random(f"{process} {number}").randint(mean * 9 // 10, mean * 11 // 10)


def worked(goal: Goal, workers: int, ledger: Ledger | None = None, seed: int = 0) -> Ledger:
    """`workers` at once, whose shards are finished in random order."""
    ledger = ledger or Ledger()
    dice = random.Random(seed)
    while True:
        while len(ledger.under_way) < workers and (job := goal.following(ledger)):
            assert job not in ledger.under_way
            assert job[1] not in ledger.done.get(job[0], {})
            ledger.under_way.add(job)
        if not ledger.under_way:
            return ledger
        process, number = dice.choice(sorted(ledger.under_way))
        ledger.add(about(process, number, rows_of(process, number)))


def made(ledger: Ledger) -> dict[str, list[int]]:
    return {process: sorted(own) for process, own in sorted(ledger.done.items())}


def test_shard_counts_are_made_as_they_are_asked_for() -> None:
    goal = ShardCount({"ttbar": 3, "ztautau": 7})
    ledger = worked(goal, 2)
    assert made(ledger) == {"ttbar": [0, 1, 2], "ztautau": list(range(7))}
    assert goal.fraction(ledger) == 1.0
    assert goal.fraction(Ledger()) == 0.0
    assert goal.processes == ("ttbar", "ztautau")


@pytest.mark.parametrize("wanted", [1, 499, 12_345, 100_000])
def test_rows_give_the_same_shards_however_many_work(wanted: int) -> None:
    goal = Rows({"ztautau": wanted, "htautau": wanted // 2 + 1})
    ledger = worked(goal, 1)
    sets = [made(worked(goal, workers, seed=workers)) for workers in (2, 5, 16)]
    assert sets == [made(ledger)] * 3
    for process, rows in goal.rows.items():
        assert rows <= ledger.rows(process) < rows * 1.05 + 1100
        assert sorted(ledger.done[process]) == list(range(len(ledger.done[process])))
    assert goal.fraction(ledger) == 1.0


def test_interrupted_and_extended_it_ends_with_the_same_shards() -> None:
    small, large = Rows({"ttbar": 5_000}), Rows({"ttbar": 20_000})
    partly = Ledger()
    for number in (0, 2, 3):  # number 1 was being made when it was killed
        partly.add(about("ttbar", number, rows_of("ttbar", number)))
    assert made(worked(small, 3, partly)) == made(worked(small, 1))
    assert made(worked(large, 2, worked(small, 2))) == made(worked(large, 1))
    finished = worked(large, 1)
    assert small.following(finished) is None
    assert small.fraction(finished) == 1.0


def test_the_first_shard_says_little_and_so_decides_little() -> None:
    ledger = Ledger()
    assert shards_for(ledger, "ttbar", 100_000) == 1
    ledger.add(about("ttbar", 0, 1))
    assert shards_for(ledger, "ttbar", 100_000) == 10
    for number in range(1, 10):
        ledger.add(about("ttbar", number, 500))
    assert shards_for(ledger, "ttbar", 100_000) == 100
    assert shards_for(ledger, "ttbar", 0) == 0


def test_a_process_without_rows_is_given_up() -> None:
    ledger = Ledger()
    for number in range(200):
        ledger.add(about("diboson", number, 0))
    with pytest.raises(SimulationError, match="none of 100 shards of diboson has a row"):
        shards_for(ledger, "diboson", 10)


def test_the_least_advanced_process_is_next() -> None:
    goal = ShardCount({"ztautau": 10, "ttbar": 2})
    ledger = Ledger()
    order = []
    while job := goal.following(ledger):
        ledger.under_way.add(job)
        order.append(job[0])
    assert order.count("ttbar") == 2
    assert order.index("ttbar") == 1
    assert 5 <= 11 - order[::-1].index("ttbar") <= 7


def test_the_fraction_grows_with_the_work() -> None:
    goal = Rows({"ztautau": 10_000, "ttbar": 2_000})
    ledger, seen = Ledger(), [goal.fraction(Ledger())]
    while job := goal.following(ledger):
        ledger.add(about(*job, rows_of(*job), seconds=60.0 if job[0] == "ttbar" else 20.0))
        seen.append(goal.fraction(ledger))
    assert seen[0] == 0.0
    assert seen[-1] == 1.0
    assert all(0 <= fraction <= 1 for fraction in seen)
    # From the second shard of each on it is known what is still to come.
    assert all(b > a for a, b in itertools.pairwise(seen))


def test_hours_share_out_rows_and_end_in_time() -> None:
    now = 0.0
    goal = Hours(2.0, {"ztautau": 0.75, "htautau": 0.20, "ttbar": 0.05}, clock=lambda: now)
    ledger = Ledger()
    while job := goal.following(ledger):
        rows = {"ztautau": 600, "htautau": 1200, "ttbar": 70}[job[0]]
        ledger.add(about(*job, rows))
        now += 20.0
    assert now == 7200.0
    assert goal.fraction(ledger) == 1.0
    total = sum(ledger.rows(process) for process in goal.processes)
    for process, share in goal.mixture.items():
        assert ledger.rows(process) / total == pytest.approx(share, abs=0.01)
        assert sorted(ledger.done[process]) == list(range(len(ledger.done[process])))


def test_hours_begin_with_one_of_each_and_starve_nobody() -> None:
    goal = Hours(1.0, {"ztautau": 0.9, "htautau": 0.08, "diboson": 0.02}, clock=lambda: 0.0)
    ledger, order = Ledger(), []
    for _ in range(3):
        job = goal.following(ledger)
        assert job is not None
        ledger.under_way.add(job)
        order.append(job[0])
    assert sorted(order) == ["diboson", "htautau", "ztautau"]
    for _ in range(200):
        job = goal.following(ledger)
        assert job is not None
        ledger.add(about(*job, 0 if job[0] == "diboson" else 500))
    assert ledger.rows("ztautau") > 5 * ledger.rows("htautau")


def test_rows_are_shared_out_by_the_mixture() -> None:
    assert shared(1000, {"ztautau": 3.0, "ttbar": 1.0}) == {"ztautau": 750, "ttbar": 250}
    assert shared(10, {"ztautau": 1.0, "ttbar": 2.0}) == {"ztautau": 4, "ttbar": 7}
    assert sum(DEFAULT_MIXTURE.values()) == pytest.approx(1.0)
