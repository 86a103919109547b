"""`sigma68 data fetch` from outside: what it prints, how it ends, and what can be opened then."""

from __future__ import annotations

import hashlib
import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sigma68 import download
from sigma68.cli import app
from sigma68.cli.data_fetch import numbers
from sigma68.download import Patience
from sigma68.meter import HowFar
from tests.file_server import Served, serving
from tests.tasks.higgs.archives import STEM, public_zip


def sigma68(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], prog_name="sigma68")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SIGMA68_CACHE", str(tmp_path / "home"))
    return tmp_path / "home" / "data"


@pytest.fixture
def served() -> Iterator[Served]:
    with serving(Served(public_zip())) as served:
        yield served


@pytest.fixture
def words(served: Served, tmp_path: Path) -> list[str]:
    sha256 = hashlib.sha256(served.content).hexdigest()
    command = ["data", "fetch", "higgs", "--url", served.url, "--sha256", sha256]
    return [*command, "--to", str(tmp_path / "there")]


def test_help_teaches_with_an_example() -> None:
    text = " ".join(sigma68("data", "fetch", "--help").stdout.split())
    assert "For example" in text
    assert text.count("sigma68 data fetch") >= 2


def test_the_list_says_what_there_is_and_what_is_here(
    words: list[str], served: Served, home: Path, tmp_path: Path
) -> None:
    shown = sigma68("data", "fetch", "--list").stdout
    assert "220,099,101" in shown
    assert "doi:10.5281/zenodo.15131565" in shown
    assert f"higgs is not here; it would go to {home / 'higgs'}" in shown
    served.statuses = [404]
    assert sigma68(*words).exit_code == 2
    shown = sigma68("data", "fetch", "--list").stdout
    assert f"higgs in {tmp_path / 'there'}: begun, 0.00 GB of the archive are here" in shown
    assert sigma68(*words).exit_code == 0
    shown = sigma68("data", "fetch", "--list").stdout
    assert f"higgs in {tmp_path / 'there'}: complete, 6,000 events, of another archive" in shown


def test_it_fetches_and_what_it_fetched_opens(words: list[str], tmp_path: Path) -> None:
    result = sigma68(*words)
    assert result.exit_code == 0, result.output
    path = tmp_path / "there" / f"{STEM}.parquet"
    assert result.stdout.splitlines() == [
        f"{path}: open it with --data public",
        "CC BY 4.0; when you use it, cite doi:10.5281/zenodo.15131565",
    ]
    assert "higgs: downloading" in result.stderr
    assert "higgs: unpacking" in result.stderr
    assert "higgs: checking and laying out the events" in result.stderr
    for source in (path.parent, "public"):
        described = sigma68("data", "describe", source)
        assert f"{source}: 6,000 rows" in described.stdout


def test_before_it_is_fetched_public_says_how_to_get_it() -> None:
    result = sigma68("data", "describe", "public")
    assert result.exit_code == 2
    assert "sigma68 data fetch higgs" in result.stderr


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("", "say what to fetch; there is: higgs"),
        ("lensing", "there is no data set 'lensing' to fetch; there is: higgs"),
        ("higgs --sha256 ab", "--sha256 goes with --url"),
        ("higgs --url https://a.org/x --sha256 ab", "is no SHA-256"),
        ("higgs --url http://a.org/x", "plain http"),
        ("higgs --url a.org/x", "is not a web address"),
        ("higgs --to {tmp}/file", "{tmp}/file cannot be written"),
        ("higgs --to {tmp}", "holds other files (file)"),
    ],
)
def test_bad_input_is_one_sentence(given: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    result = sigma68("data", "fetch", *given.format(tmp=tmp_path).split())
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert said.format(tmp=tmp_path) in result.stderr


def test_a_source_that_does_not_come_back_is_left_with_the_command_to_go_on(
    words: list[str], served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient = Patience(tries=3, first_wait_s=0.001, longest_wait_s=0.001)
    monkeypatch.setattr(download, "Patience", lambda: impatient)
    served.cuts = [200_000, 0, 0]
    result = sigma68(*words, "--keep-zip")
    assert result.exit_code == 2
    assert "warning: the connection ended too early: trying again in 0 s" in result.stderr
    said = re.search(r"0\.2 MB here: go on with: sigma68 (.*)$", result.stderr.strip())
    assert said is not None
    again = sigma68(*said[1].split())
    assert again.exit_code == 0, again.output
    assert served.ranges_asked[-1] == "bytes=200000-"


def test_stopped_it_goes_on(words: list[str], served: Served, tmp_path: Path) -> None:
    served.cuts, served.gate = [200_000], threading.Event()
    command = [sys.executable, "-c", "from sigma68.cli import main; main()", *words]
    with subprocess.Popen(command, stdout=-1, stderr=-1, text=True) as child:
        part = tmp_path / "there" / f"{STEM}.zip.download"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if part.exists() and part.stat().st_size > 100_000:
                break
            time.sleep(0.01)
        child.send_signal(signal.SIGTERM)  # which ends a command as Ctrl-C does
        error = child.communicate(timeout=30)[1]
    assert child.returncode == 130
    assert error.splitlines()[-1] == "sigma68: stopped; run the same command again to go on"
    served.gate.set()
    assert sigma68(*words).exit_code == 0
    assert re.fullmatch(r"bytes=1\d{5}-", served.ranges_asked[-1])


def test_on_a_terminal_there_is_a_bar(words: list[str]) -> None:
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "100"}
    command = [sys.executable, "-c", "from sigma68.cli import main; main()", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=environment) as child:
        os.close(theirs)
        shown = b""
        while select.select([ours], [], [], 300)[0]:  # kernels may have to be compiled
            try:
                piece = os.read(ours, 10_000)
            except OSError:  # the other end is closed
                break
            shown += piece
        assert child.wait(300) == 0
    os.close(ours)
    assert b"\x1b[?25l" in shown  # the cursor is hidden behind a bar that moves
    assert b"higgs: checking and laying out" in shown


def test_numbers_of_a_bar() -> None:
    assert numbers(HowFar("x", 5 * 10**9, 16 * 10**9, 10.5e6)) == (
        "5.00 of 16.00 GB, 10.5 MB/s, 0:17:28 left"
    )
    assert numbers(HowFar("x", 5 * 10**9, None, 0.0)) == "5.00 GB"
    assert numbers(HowFar("x", 0, None, 0.0)) == ""
