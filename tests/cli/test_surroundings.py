"""The command where terminals, locales, streams and signals are not what one expects."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from sigma68.cli import app

COMMAND = [sys.executable, "-c", "from sigma68.cli import main; main()"]
EXACT = ["run", "exact", "--task", "gaussian", "--workers", "1", "--out"]


def started(*words: str | Path, **changes: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | changes,
        text=True,
    )


@pytest.mark.parametrize("closed", [(1,), (2,), (0, 1, 2)])
def test_closed_streams_cost_nothing(closed: tuple[int, ...], tmp_path: Path) -> None:
    words = [*COMMAND, *EXACT, str(tmp_path / "run"), "--sets", "1", "--toys", "2"]
    closing = " ".join(f"{number}>&-" for number in closed)
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closing}', "sh", *words], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(pd.read_parquet(tmp_path / "run" / "toys.parquet")) == 2


def test_a_terminal_without_plus_minus_gets_the_rest(tmp_path: Path) -> None:
    run = started(*EXACT, tmp_path / "r", "--sets", "1", "--toys", "2", PYTHONIOENCODING="ascii")
    out, error = run.communicate()
    assert run.returncode == 0, error
    assert "coverage" in out
    assert " ? " in out  # in place of the sign


def test_a_name_that_is_not_utf8_is_said() -> None:
    run = started("data", "describe", os.fsdecode(b"caf\xe9.parquet"))
    out, error = run.communicate()
    assert (run.returncode, out) == (2, "")
    assert error.startswith(r"sigma68: 'caf\udce9.parquet' is not UTF-8: rename the file")
    assert error.count("\n") == 1


@pytest.mark.parametrize("wish", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_end_it_cleans_up(wish: signal.Signals, tmp_path: Path) -> None:
    out, scratch = tmp_path / "run", tmp_path / "scratch"
    scratch.mkdir()
    run = started(*EXACT, out, "--sets", "2", "--toys", "1000", TMPDIR=str(scratch))
    deadline = time.monotonic() + 60
    while not list(out.glob("shards/set-0/toy-*.json")) and time.monotonic() < deadline:
        time.sleep(0.01)
    run.send_signal(wish)
    _, error = run.communicate()
    assert run.returncode == 130
    assert error == "sigma68: stopped; run the same command again to go on\n"
    assert not (out / "toys.parquet").exists()
    assert list(out.rglob("*.part")) == list(scratch.iterdir()) == []


def test_no_workers_is_no_number_of_workers(tmp_path: Path) -> None:
    words = [*EXACT, str(tmp_path / "run"), "--workers", "0"]
    result = CliRunner().invoke(app, words, prog_name="sigma68")
    assert result.exit_code == 2
    assert result.stderr == "sigma68: workers must be 1 or more, not 0\n"


def test_an_entry_is_not_checked_with_a_negative_seed(tmp_path: Path) -> None:
    words = ["entry", "check", str(tmp_path), "--task", "gaussian", "--seed", "-1"]
    result = CliRunner().invoke(app, words, prog_name="sigma68")
    assert result.exit_code == 2
    assert "'--seed'" in result.stderr
