"""`sigma68 serve` as a program: what it prints first, what it keeps, how it ends."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from typer.testing import CliRunner

from sigma68.cli import app

COMMAND = [sys.executable, "-c", "from sigma68.cli import main; main()", "serve"]


@contextmanager
def running(folder: Path, *words: str) -> Iterator[list[str]]:
    """The server; the lines it prints until it is open, the rest when it has ended."""
    given = [*COMMAND, str(folder), "--port", "0", "--workers", "0", *words]
    server = subprocess.Popen(
        given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    lines: list[str] = []
    assert server.stdout is not None
    for line in server.stdout:
        lines.append(line.strip())
        if line.startswith("open: "):
            break
    try:
        yield lines
    finally:
        server.send_signal(signal.SIGTERM)
        _, error = server.communicate(timeout=20)
        lines.append(error)
        assert server.returncode == 130, error


def test_a_server_begins_and_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "challenge"
    with running(folder) as lines:
        address = re.search(r"open: (http://127\.0\.0\.1:\d+)/", "\n".join(lines))
        sign_in = re.search(r"name (\S+), password (\S+)", "\n".join(lines))
        assert address, lines
        assert sign_in, lines
        at = address[1]
        titles = {one["title"] for one in httpx.get(f"{at}/api/v1/challenges").json()}
        assert titles == {"HiggsML Uncertainty Challenge", "HiggsML without Systematics"}
        given = {"name": sign_in[1], "password": sign_in[2]}
        token = httpx.post(f"{at}/api/v1/tokens", json=given).json()["token"]
        me = httpx.get(f"{at}/api/v1/me", headers={"authorization": f"Bearer {token}"})
        assert me.json()["role"] == "organiser"
        assert httpx.get(f"{at}/health").text == "ok\n"
        assert "server" not in httpx.get(at).headers
        phases = httpx.get(f"{at}/api/v1/challenges/higgs-uncertainty").json()["phases"]
        assert [(one["sets"], one["toys"]) for one in phases] == [(10, 100), (1000, 100)]
    assert "stopped" in lines[-1]
    assert "Traceback" not in lines[-1]
    with running(folder) as lines:
        assert len(lines) == 1, "there is an organiser already"


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        words = ["--port", str(held.getsockname()[1]), "--workers", "0"]
        done = CliRunner().invoke(app, ["serve", str(tmp_path / "challenge"), *words])
    assert done.exit_code == 2
    assert "something else listens there" in done.stderr
    assert not (tmp_path / "challenge").exists()
