"""A folder of shards: begun, gone on with, extended, and never mixed."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from sigma68.errors import DataError, OutputError, SettingsError
from sigma68.tasks.higgs.simulate import shards
from sigma68.tasks.higgs.simulate.plan import Rows, ShardCount
from sigma68.tasks.higgs.simulate.production import (
    FILE_NAME,
    HARD_EVENTS,
    Advance,
    Common,
    simulate,
)
from tests.tasks.higgs.simulate.made_blocks import MADE

COMMON = Common(seed=5, hard_events=200, generator=MADE)
COUNT = ShardCount({"ttbar": 2, "htautau": 1})


def contents(out: Path) -> dict[str, Any]:
    return {path.name: pq.read_table(path) for path in sorted((out / "shards").iterdir())}


def test_shards_are_made_and_told_of(here: Any, tmp_path: Path) -> None:
    told: list[Advance] = []
    ledger = simulate(COMMON, COUNT, tmp_path / "out", maker=here, progress=told.append)
    out = tmp_path / "out"
    assert sorted(contents(out)) == [
        *("htautau-000000.parquet", "ttbar-000000.parquet", "ttbar-000001.parquet"),
    ]
    assert [advance.shards for advance in told] == [0, 1, 2, 3]
    last = told[-1]
    assert (
        last.rows == last.made_rows == sum(a.rows for o in ledger.done.values() for a in o.values())
    )
    assert last.hard_events == last.made_hard == 600
    assert (told[0].fraction, last.fraction, last.seconds_left) == (0.0, 1.0, 0.0)
    assert told[0].seconds_left is None
    assert json.loads((out / FILE_NAME).read_text())["seed"] == 5


def test_a_shard_that_is_there_is_not_made_again(here: Any, tmp_path: Path) -> None:
    simulate(COMMON, COUNT, tmp_path, maker=here)
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "shards").iterdir()}
    told: list[Advance] = []
    simulate(COMMON, COUNT, tmp_path, maker=here, progress=told.append)
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert [(a.shards, a.made_rows, a.fraction) for a in told] == [(3, 0, 1.0)]


def test_interrupted_and_extended_it_is_the_same_sample(
    here: Any, interrupted: Callable[[int], Any], tmp_path: Path
) -> None:
    goal = Rows({"ttbar": 500, "ztautau": 300})
    for after in (0, 2, 3):
        with pytest.raises(KeyboardInterrupt):
            simulate(COMMON, goal, tmp_path / "in-pieces", maker=interrupted(after))
    assert len(contents(tmp_path / "in-pieces")) == 5
    simulate(COMMON, Rows({"ttbar": 100}), tmp_path / "in-pieces", maker=here)
    simulate(COMMON, goal, tmp_path / "in-pieces", maker=here)
    simulate(COMMON, goal, tmp_path / "at-once", maker=here)
    assert contents(tmp_path / "in-pieces") == contents(tmp_path / "at-once")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seed": 6}, "holds shards with seed=5, not 6"),
        ({"hard_events": 300}, "holds shards with hard_events=200, not 300"),
        ({"enrich": False}, "holds shards with enrich=True, not False"),
    ],
)
def test_other_settings_are_refused(
    change: dict[str, Any], said: str, here: Any, tmp_path: Path
) -> None:
    simulate(COMMON, COUNT, tmp_path, maker=here)
    before = contents(tmp_path)
    with pytest.raises(SettingsError, match=said):
        simulate(replace(COMMON, **change), COUNT, tmp_path, maker=here)
    assert contents(tmp_path) == before
    simulate(COMMON, COUNT, tmp_path, maker=here)


def test_a_folder_without_shards_binds_nobody(
    here: Any, interrupted: Callable[[int], Any], tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        simulate(COMMON, COUNT, tmp_path, maker=interrupted(0))
    simulate(replace(COMMON, seed=6), COUNT, tmp_path, maker=here)
    assert json.loads((tmp_path / FILE_NAME).read_text())["seed"] == 6


def test_shards_of_other_software_are_not_gone_on_with(
    here: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulate(COMMON, COUNT, tmp_path, maker=here)
    monkeypatch.setattr(shards, "__version__", "99.0")
    with pytest.raises(SettingsError, match=r"has sigma68 0.*and this is 99\.0"):
        simulate(COMMON, COUNT, tmp_path, maker=here)


def test_what_does_not_belong_there_is_said(here: Any, tmp_path: Path) -> None:
    simulate(COMMON, COUNT, tmp_path, maker=here)
    folder = tmp_path / "shards"
    (folder / "ttbar-000001.parquet").rename(folder / "ttbar-000007.parquet")
    with pytest.raises(DataError, match=r"000007\.parquet is shard 1 of ttbar with seed 5"):
        simulate(COMMON, COUNT, tmp_path, maker=here)
    (folder / "ttbar-000007.parquet").write_bytes(b"half a file")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        simulate(COMMON, COUNT, tmp_path, maker=here)
    (folder / "ttbar-000007.parquet").unlink()
    for content in ("{}", "[" * 200_000, '{"seed": NaN}'):
        (tmp_path / FILE_NAME).write_text(content)
        with pytest.raises(SettingsError, match=r"simulation\.json cannot be read"):
            simulate(COMMON, COUNT, tmp_path, maker=here)


def test_two_programs_do_not_share_a_folder(here: Any, tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(OutputError, match="another program is simulating into"):
            simulate(COMMON, COUNT, tmp_path, maker=here)
    assert not (tmp_path / "shards").exists()


def test_what_a_kill_left_half_written_is_removed(here: Any, tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    folder.mkdir()
    for name in (".ttbar-000000.parquet.partial", "ttbar-000001.parquet.part"):
        (folder / name).write_bytes(b"half")
    simulate(COMMON, COUNT, tmp_path, maker=here)
    assert len(list(folder.iterdir())) == 3


def test_settings_that_cannot_be() -> None:
    assert Common(0).hard_events == HARD_EVENTS
    for wrong in ({"seed": -1}, {"seed": 0, "hard_events": 0}):
        with pytest.raises(SettingsError, match="must be 0 or more"):
            Common(**wrong)
    with pytest.raises(SettingsError, match="workers must be 1 or more"):
        simulate(COMMON, COUNT, Path("nowhere"), workers=0)
    assert not Path("nowhere").exists()
