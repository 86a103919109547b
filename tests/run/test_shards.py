"""Finished toys on disk: every instant at which writing can stop, and every way it can fail."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pandas.testing import assert_frame_equal

from sigma68.errors import DataError, OutputError
from sigma68.protocols import Task
from sigma68.run.results import read_toys
from sigma68.run.shards import Shards
from sigma68.types import Interval, Prediction, ToyResult, Truth

SETS, TOYS = 2, 3
JOBS = [(s, t) for s in range(SETS) for t in range(TOYS)]


class Killed(BaseException):
    """As far as the code can tell, the process ends here."""


def result(set: int, toy: int) -> ToyResult:
    truth = Truth({"mu": 1.0 + set}, {"shift": 0.1 * toy, "bkg_scale": 1.0})
    if (set, toy) == (1, 1):
        return ToyResult(set, toy, truth, None, "failed", 0.5, "no minimum")
    interval = Interval(1.0 + toy / 3, 0.1, 0.9, 1.1)
    return ToyResult(set, toy, truth, Prediction.interval("mu", interval), "ok", 0.25)


def test_what_a_failed_toy_says_can_always_be_kept(task: Task, tmp_path: Path) -> None:
    words = "\udc80 \x1b[2J \x00 \u202e two\nlines \u2603" + "x" * 100_000
    shards = Shards(tmp_path, task)
    for job in JOBS:
        shards.add(dataclasses.replace(result(*job), status="failed", message=words))
    shards.finish(SETS, TOYS)
    lines = (tmp_path / "failures.jsonl").read_text().splitlines()
    assert len(lines) == len(JOBS)
    message = json.loads(lines[0])["message"]
    assert message.startswith("   [2J     two\nlines \u2603xxx")
    assert message.replace("\n", "").isprintable()
    assert len(message) == 2000


def run(out: Path, task: Task, jobs: list[tuple[int, int]] = JOBS) -> None:
    """What a run does with its shards; goes on where they are."""
    shards = Shards(out, task)
    for job in jobs:
        if job not in shards.done:
            shards.add(result(*job))
            shards.merge(job[0], TOYS)
    shards.finish(SETS, TOYS)


@pytest.fixture
def whole(tmp_path: Path, task: Task) -> Path:
    run(tmp_path / "whole", task)
    return tmp_path / "whole"


class Trap:
    """Lets the first `after` calls of file operations through, then raises, before or after one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: BaseException, late: bool) -> None:
        self.calls = 0
        self.after: int | None = None
        self.error = error
        self.late = late
        for module, name in (
            (os, "replace"),
            (os, "fsync"),
            (shutil, "rmtree"),
            (Path, "write_text"),
            (Path, "mkdir"),
            (pq, "write_table"),
        ):
            monkeypatch.setattr(module, name, self._trapped(getattr(module, name)))

    def _trapped(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def trapped(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            caught = self.after is not None and self.calls == self.after
            if caught and not self.late:
                raise self.error
            value = function(*args, **kwargs)
            if caught:
                raise self.error
            return value

        return trapped


def interrupted_everywhere(
    trap: Trap, tmp_path: Path, task: Task, expected: Path, kind: type[BaseException]
) -> int:
    """Stop a run at its first, second, ... file operation; each time finish it and compare."""
    want = read_toys(expected)
    for step in range(1, 1000):
        out = tmp_path / f"stopped-{step}"
        trap.calls, trap.after = 0, step
        try:
            run(out, task)
        except kind:
            trap.after = None
        else:
            return step - 1
        if (out / "toys.parquet").exists():
            assert_frame_equal(read_toys(out), want, check_exact=True)
        run(out, task)
        assert_frame_equal(read_toys(out), want, check_exact=True)
        assert (out / "failures.jsonl").read_text() == (expected / "failures.jsonl").read_text()
        assert sorted(p.name for p in out.rglob("*")) == sorted(p.name for p in expected.rglob("*"))
    raise AssertionError("the run never got through")


@pytest.mark.parametrize("late", [False, True])
def test_killed_at_any_step(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, task: Task, whole: Path, late: bool
) -> None:
    steps = interrupted_everywhere(Trap(monkeypatch, Killed(), late), tmp_path, task, whole, Killed)
    assert steps > 20


@pytest.mark.parametrize("late", [False, True])
def test_full_disk_at_any_step(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, task: Task, whole: Path, late: bool
) -> None:
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    steps = interrupted_everywhere(
        Trap(monkeypatch, error, late), tmp_path, task, whole, OutputError
    )
    assert steps > 20


def test_full_disk_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, task: Task
) -> None:
    shards = Shards(tmp_path, task)
    trap = Trap(monkeypatch, OSError(errno.ENOSPC, "No space left on device"), late=True)
    trap.after = 2  # the text is written, in part perhaps; no room for the rest
    with pytest.raises(OutputError, match=r"toy-0\.json cannot be written \(No space left"):
        shards.add(result(0, 0))
    assert shards.done == set()
    assert not list(tmp_path.rglob("toy-*"))


def test_order_of_arrival_does_not_matter(tmp_path: Path, task: Task, whole: Path) -> None:
    jobs = JOBS.copy()
    random.Random(3).shuffle(jobs)
    run(tmp_path / "shuffled", task, jobs)
    assert_frame_equal(read_toys(tmp_path / "shuffled"), read_toys(whole), check_exact=True)
    ours, theirs = (
        (folder / "failures.jsonl").read_text() for folder in (tmp_path / "shuffled", whole)
    )
    assert ours == theirs


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"\0" * 200,
        b'{"set": 0, "toy": 1',
        b"[]",
        b'{"set": 0}',
        "changed",
    ],
)
def test_a_damaged_toy_is_run_again(
    tmp_path: Path, task: Task, whole: Path, damage: bytes | str
) -> None:
    shards = Shards(tmp_path / "run", task)
    shards.add(result(0, 1))
    path = tmp_path / "run/shards/set-0/toy-1.json"
    if isinstance(damage, str):  # another toy's content under this name
        path.write_text(json.dumps(json.loads(path.read_text()) | {"toy": 2}))
    else:
        path.write_bytes(damage)
    again = Shards(tmp_path / "run", task)
    assert again.done == set()
    assert not path.exists()
    run(tmp_path / "run", task)
    assert_frame_equal(read_toys(tmp_path / "run"), read_toys(whole), check_exact=True)


def test_temporary_files_are_never_read(tmp_path: Path, task: Task, whole: Path) -> None:
    out = tmp_path / "run"
    (out / "shards" / "set-0").mkdir(parents=True)
    for place in ("toys.parquet", "shards/set-1.parquet", "shards/set-0/toy-0.json"):
        (out / f"{place}.part").write_bytes(b"half")
    shards = Shards(out, task)
    assert shards.done == set()
    assert not list(out.rglob("*.part"))


def test_a_damaged_set_is_named(whole: Path, task: Task) -> None:
    (whole / "shards/set-1.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"set-1\.parquet cannot be read .* remove it"):
        Shards(whole, task)
    (whole / "shards/set-1.parquet").unlink()
    assert Shards(whole, task).done == {(0, 0), (0, 1), (0, 2)}


def test_a_set_that_was_tampered_with_is_not_merged(whole: Path, task: Task) -> None:
    shutil.copy(whole / "shards/set-0.parquet", whole / "shards/set-1.parquet")
    with pytest.raises(DataError, match="changed from outside"):
        Shards(whole, task).finish(SETS, TOYS)


def test_reading_toys_that_are_not_there(tmp_path: Path, whole: Path) -> None:
    with pytest.raises(DataError, match="no run was made there"):
        read_toys(tmp_path / "nowhere")
    (tmp_path / "settings.json").write_text("{}")
    with pytest.raises(DataError, match="not finished, start it again"):
        read_toys(tmp_path)
    (whole / "toys.parquet").write_bytes(b"no parquet")
    with pytest.raises(DataError, match="cannot be read as a table of toys"):
        read_toys(whole)
