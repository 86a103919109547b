"""Real runs, really killed: what is on disk afterwards, who still lives, and how they go on."""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from pandas.testing import assert_frame_equal

from sigma68.errors import OutputError
from sigma68.run.evaluate import evaluate
from sigma68.run.progress import RunProgress
from tests.run.conftest import settings_of, table

pytestmark = pytest.mark.usefixtures("trouble")

TOYS = 12
SLOW = {"method_settings": {"pause": 0.05}, "sets": 3, "toys": TOYS}
PROGRAM = """
import json, sys
from pathlib import Path
from sigma68.run.evaluate import evaluate
from sigma68.run.settings import RunSettings

settings, out, models, workers = sys.argv[1:]
evaluate(RunSettings.from_json(json.loads(settings)), Path(out), models=Path(models),
         workers=int(workers))
"""


@pytest.fixture
def begin(models: Path) -> Iterator[Callable[[Path, int], subprocess.Popen[bytes]]]:
    """Begin a slow run in a process of its own."""
    begun: list[subprocess.Popen[bytes]] = []

    def go(out: Path, workers: int) -> subprocess.Popen[bytes]:
        settings = json.dumps(settings_of("sized", **SLOW).to_json())
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, settings, str(out), str(models), str(workers)],
            stderr=subprocess.DEVNULL,
        )
        begun.append(process)
        return process

    yield go
    for process in begun:
        process.kill()
        process.wait()


@pytest.fixture
def expected(tmp_path: Path, models: Path) -> Path:
    """The same run, undisturbed."""
    settings = settings_of("sized", **SLOW)
    return evaluate(settings, tmp_path / "expected", models=models, workers=2)


def finished(out: Path) -> int:
    """Toys that are on disk, whatever instant the run is in."""
    merged = [int(path.stem.removeprefix("set-")) for path in out.glob("shards/set-*.parquet")]
    single = list(out.glob("shards/set-*/toy-*.json"))
    loose = [path for path in single if int(path.parent.name.removeprefix("set-")) not in merged]
    return TOYS * len(merged) + len(loose)


def children_at_work(
    process: subprocess.Popen[bytes], out: Path, already: int = 0
) -> list[psutil.Process]:
    """The run's workers, once more toys than `already` are finished."""
    deadline = time.monotonic() + 60
    while finished(out) <= already:
        assert process.poll() is None, "the run ended before it was interrupted"
        assert time.monotonic() < deadline, "the run does not begin"
        time.sleep(0.005)
    return psutil.Process(process.pid).children(recursive=True)


def assert_gone(children: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(children, timeout=60)
    assert not alive


def test_killed_again_and_again(
    begin: Callable[[Path, int], subprocess.Popen[bytes]],
    tmp_path: Path,
    models: Path,
    expected: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "run"
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setattr(tempfile, "tempdir", None)  # read TMPDIR again
    chance = random.Random(68)
    for workers in (2, 1, 3):
        already = finished(out)
        process = begin(out, workers)
        children = children_at_work(process, out, already)
        assert children
        time.sleep(chance.uniform(0.0, 0.05))
        process.kill()
        process.wait()
        assert not (out / "toys.parquet").exists()
        assert_gone(children)
        assert len(list(scratch.iterdir())) == 1  # left behind, and removed by the next sitting
    evaluate(settings_of("sized", **SLOW), out, workers=2, models=models)
    assert not list(scratch.iterdir())
    assert_frame_equal(table(out), table(expected), check_exact=True)


def test_interrupted_from_the_keyboard(
    begin: Callable[[Path, int], subprocess.Popen[bytes]],
    tmp_path: Path,
    models: Path,
    expected: Path,
) -> None:
    out = tmp_path / "run"
    process = begin(out, 2)
    children = children_at_work(process, out)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == -signal.SIGINT
    assert_gone(children)
    done = finished(out)
    seen: list[RunProgress] = []
    evaluate(settings_of("sized", **SLOW), out, models=models, progress=seen.append)
    begun = next(p for p in seen if p.stage == "toys")
    assert begun.done >= done > 0  # what was finished is not run again
    assert_frame_equal(table(out), table(expected), check_exact=True)


def test_workers_are_killed_with_a_toy_in_hand(
    begin: Callable[[Path, int], subprocess.Popen[bytes]], tmp_path: Path, expected: Path
) -> None:
    """One worker of two is killed from outside: its toy is run by another."""
    out = tmp_path / "run"
    process = begin(out, 2)
    children_at_work(process, out)[0].kill()
    assert process.wait(60) == 0
    assert_frame_equal(table(out), table(expected), check_exact=True)


def test_full_disk_in_the_middle(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, models: Path, expected: Path
) -> None:
    settings, out = settings_of("sized", **SLOW), tmp_path / "run"
    before = set(psutil.Process().children())
    replace = os.replace

    def full(source: str | Path, target: str | Path, **options: object) -> None:
        if "toy-3" in str(target):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(OutputError, match=r"toy-3\.json cannot be written \(No space left"):
            evaluate(settings, out, models=models, workers=2)
    assert set(psutil.Process().children()) == before
    assert not (out / "toys.parquet").exists()
    assert not list(out.rglob("*.part"))
    evaluate(settings, out, models=models)
    assert_frame_equal(table(out), table(expected), check_exact=True)
