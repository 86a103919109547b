"""SIGKILL of a whole server, in the middle of uploads and of runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.challenge_server import killed_servers


def test_nothing_is_lost_with_a_server_that_is_killed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    right = killed_servers(tmp_path, 1, 2, 1, seed=1, longest=1.5, most=2)
    said = capsys.readouterr().out
    assert right, said
    assert " 0 uploads acknowledged" not in said
