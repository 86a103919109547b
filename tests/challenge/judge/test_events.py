"""Events are read once for judging after judging, and again when they are others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sigma68.challenge.judge.events import Events
from sigma68.challenge.judge.judge import judge
from sigma68.challenge.judge.plan import Candidate, Plan
from sigma68.tasks.gaussian.task import Gaussian
from tests.challenge.conftest import GOOD, WriteEntry

PLAN = Plan("gaussian", sets=1, toys=2, seed=2**255, replay=0, isolate="trusted")


class Counting:
    """A task that says what it is asked to open."""

    def __init__(self) -> None:
        self.opened: list[str | None] = []

    def open(self, source: str | None = None, *, split_seed: int = 0) -> Any:
        self.opened.append(source)
        return Gaussian().open()


def test_the_same_events_are_opened_once(tmp_path: Path) -> None:
    task, events = Counting(), Events()
    first = events.pools(task, PLAN)  # type: ignore[arg-type]
    other_toys = replace(PLAN, seed=3, sets=7, toys=9, nuisances=())
    assert events.pools(task, other_toys) is first  # type: ignore[arg-type]
    assert task.opened == [None]
    source = tmp_path / "events"
    source.mkdir()
    (source / "a.parquet").write_bytes(b"one")
    there = replace(PLAN, data=str(source))
    changes = [
        lambda: there,
        lambda: replace(there, split_seed=1),
        lambda: replace(there, pool="final"),
        lambda: (source / "a.parquet").write_bytes(b"other") and replace(there, pool="final"),
        lambda: (source / "b.parquet").write_bytes(b"more") and replace(there, pool="final"),
    ]
    for count, change in enumerate(changes, start=2):
        plan = change()
        assert isinstance(plan, Plan)
        found = events.pools(task, plan)  # type: ignore[arg-type]
        assert events.pools(task, plan) is found  # type: ignore[arg-type]
        assert len(task.opened) == count


def test_a_file_that_cannot_be_opened_is_not_remembered() -> None:
    class Broken(Counting):
        def open(self, source: str | None = None, *, split_seed: int = 0) -> Any:
            super().open(source)
            if len(self.opened) == 1:
                raise OSError("it is away")
            return Gaussian().open()

    task, events = Broken(), Events()
    with pytest.raises(OSError, match="away"):
        events.pools(task, PLAN)  # type: ignore[arg-type]
    assert events.pools(task, PLAN) is events.pools(task, PLAN)  # type: ignore[arg-type]
    assert len(task.opened) == 2


def test_verdicts_are_the_same_on_events_that_were_kept(
    write_entry: WriteEntry, tmp_path: Path
) -> None:
    entry, events = Candidate("one", write_entry(GOOD)), Events()
    scores = [
        judge([entry], PLAN, folder=tmp_path / name, events=kept)[0].score
        for name, kept in (("alone", None), ("first", events), ("second", events))
    ]
    assert scores[0] is not None
    assert scores[0] == scores[1] == scores[2]
