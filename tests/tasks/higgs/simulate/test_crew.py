"""Worker processes: the same shards from any number of them, however they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from sigma68.errors import OutputError, SimulationError
from sigma68.tasks.higgs.simulate import crew
from sigma68.tasks.higgs.simulate.plan import ShardCount
from sigma68.tasks.higgs.simulate.production import LOG, Common, simulate
from sigma68.tasks.higgs.simulate.shards import ShardSpec
from tests.tasks.higgs.simulate.made_blocks import HERE, MADE, ROOT

COUNT = ShardCount({"ttbar": 2, "htautau": 2})

pytestmark = pytest.mark.usefixtures("found_by_workers")


def common(generator: str = MADE) -> Common:
    return Common(seed=5, hard_events=200, generator=generator)


def contents(out: Path) -> dict[str, Any]:
    return {path.name: pq.read_table(path) for path in sorted((out / "shards").iterdir())}


@pytest.fixture
def marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "marks"
    folder.mkdir()
    monkeypatch.setenv("MADE_MARKS", str(folder))
    return folder


def test_a_worker_that_dies_is_replaced_and_its_shard_made_again(
    marks: Path, here: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MADE_DEATHS", "1")
    simulate(common(f"{HERE}:DyingGenerator"), COUNT, tmp_path / "crew", workers=2)
    assert len(list(marks.iterdir())) == 1
    simulate(common(), COUNT, tmp_path / "here", maker=here)
    assert contents(tmp_path / "crew") == contents(tmp_path / "here")


def test_a_shard_that_costs_too_many_workers_is_named_and_the_rest_is_kept(
    marks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert crew.MOST_TRIES == 3
    monkeypatch.setattr(crew, "MOST_TRIES", 2)
    monkeypatch.setenv("MADE_DEATHS", "99")
    out = tmp_path / "out"
    goal = ShardCount({"htautau": 1, "ttbar": 1})
    said = r"ttbar-000000\.parquet was tried 2 times .* was killed by SIGKILL"
    with pytest.raises(SimulationError, match=said):
        simulate(common(f"{HERE}:DyingGenerator"), goal, out, workers=1)
    assert len(list(marks.iterdir())) == 2
    assert list(contents(out)) == ["htautau-000000.parquet"]


def test_what_a_generator_raises_is_told_with_its_shard(tmp_path: Path) -> None:
    goal = ShardCount({"ttbar": 1})
    said = r"ttbar-000000\.parquet cannot be made \(ValueError: no phase space is left\)"
    with pytest.raises(SimulationError, match=said):
        simulate(common(f"{HERE}:RaisingGenerator"), goal, tmp_path)
    assert "Traceback" in (tmp_path / LOG).read_text()
    assert contents(tmp_path) == {}


def test_what_a_worker_says_is_raised_here() -> None:
    spec = ShardSpec("ttbar", 1, 0, 10)
    error = crew._raised(spec, "OutputError", "x cannot be written (No space left): make room")
    assert isinstance(error, OutputError)
    assert str(error) == "x cannot be written (No space left): make room"
    for name in ("", "Path", "nothing"):
        assert type(crew._raised(spec, name, "KeyError: 5")) is SimulationError


def started(out: Path) -> subprocess.Popen[bytes]:
    """A production of its own whose shards take a while."""
    code = (
        "from pathlib import Path\n"
        "from sigma68.tasks.higgs.simulate.plan import ShardCount\n"
        "from sigma68.tasks.higgs.simulate.production import Common, simulate\n"
        f"common = Common(5, 200, generator={HERE + ':SlowGenerator'!r})\n"
        f"simulate(common, ShardCount({{'ttbar': 50}}), Path({str(out)!r}), workers=2)\n"
    )
    return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.PIPE)


def children(pid: int) -> list[int]:
    return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_until(what: Any, seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_ended_at_any_moment_it_keeps_what_is_finished(how: int, here: Any, tmp_path: Path) -> None:
    run = started(tmp_path)
    wait_until(lambda: len(list(tmp_path.glob("shards/*.parquet"))) >= 2)
    workers = children(run.pid)
    assert len(workers) == 2
    run.send_signal(how)
    run.communicate()
    wait_until(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))
    left = {path.name for path in (tmp_path / "shards").iterdir()}
    kept = {name for name in left if not name.startswith(".")}
    assert 2 <= len(kept) < 50
    if how == signal.SIGINT:
        assert left == kept  # there was time to clean up
    slow = Common(5, 200, generator=f"{HERE}:SlowGenerator")
    found = simulate(slow, ShardCount({}), tmp_path, maker=here)
    assert {about.file_name for about in found.done["ttbar"].values()} == kept
    assert set(contents(tmp_path)) == kept


def test_a_worker_that_comes_up_but_takes_forever_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew, "_SECONDS_PER_HARD_EVENT", 0.0)
    monkeypatch.setattr(crew, "_SHORTEST_SECONDS", 0.1)
    monkeypatch.setattr(crew, "MOST_TRIES", 1)
    goal = ShardCount({"ttbar": 1})
    with pytest.raises(SimulationError, match="took a hundred times longer than usual"):
        simulate(common(f"{HERE}:SlowGenerator"), goal, tmp_path)


def test_no_worker_comes_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(SimulationError, match=r"no worker comes up .* ended with status 1"):
        simulate(common(), ShardCount({"ttbar": 1}), tmp_path)


def test_workers_have_one_thread_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_NUM_THREADS", "8")
    assert crew._environment()["NUMBA_NUM_THREADS"] == "1"
    assert crew._environment()["PATH"] == os.environ["PATH"]
    assert ShardSpec("ttbar", 1, 0, 10).generator.endswith("generator:Generator")
