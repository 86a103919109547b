"""Do an entry's answers depend on what it was asked before? A sample is asked again.

In a fresh process the first toy is one that was the first of a process before: two processes
that know nothing are asked the same. If these answers differ, the entry learns or answers by
chance. If they agree and later ones do not, it is memory between toys, or their order.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from sigma68.protocols import Task
from sigma68.seeds import stream
from sigma68.types import Interval

__all__ = ["Key", "choose", "flags_of", "judging_order", "same"]

Key = tuple[int, int]
"""(set, toy)."""

_TOLERANCE = 1e-3


def judging_order(task: Task, seed: int, sets: int, toys: int) -> list[Key]:
    """All toys in the order in which they are asked: it tells nothing of which share a truth."""
    keys = [(s, t) for s in range(sets) for t in range(toys)]
    stream(task.name, "judging order", seed).generator().shuffle(keys)
    return keys


def choose(
    task: Task,
    seed: int,
    order: Sequence[Key],
    answered: Collection[Key],
    firsts: Collection[Key],
    count: int,
) -> list[Key]:
    """Which toys are asked again, in which order: at most `count`, one of `firsts` at the front.

    The others are chosen at random among those answered, and asked in the opposite of the judging
    `order`: who counts its toys is then at another number.
    """
    sample = [key for key in order if key in answered]
    stream(task.name, "replay", seed).generator().shuffle(sample)
    front = [key for key in sample if key in firsts][:1]
    chosen = {*(front + [key for key in sample if key not in front])[:count]}
    return front[:count] + [key for key in reversed(order) if key in chosen - {*front}]


def same(one: Interval, other: Interval) -> bool:
    """Whether two intervals agree but for rounding: to a thousandth of their width."""
    allowed = _TOLERANCE * max(one.upper - one.lower, other.upper - other.lower)
    floor = 1e-9 * max(1.0, abs(one.lower), abs(one.upper))
    allowed = max(allowed, floor)
    return abs(one.lower - other.lower) <= allowed and abs(one.upper - other.upper) <= allowed


def flags_of(
    before: Mapping[Key, Interval], again: Mapping[Key, Interval], firsts: Collection[Key]
) -> tuple[str, ...]:
    """The flags that follow from the answers; toys that one of the two lacks say nothing.

    `again` is in the order in which it was asked.
    """
    differ = [key for key in again if key in before and not same(before[key], again[key])]
    if not differ:
        return ()
    begun_alike = next(iter(again)) in firsts
    if begun_alike and differ[0] == next(iter(again)):
        return ("not_repeatable",)
    return ("order_dependent",)
