"""The benchmark of the challenge's server still runs, and tells a quick board from a slow one."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks import challenge


def test_jobs_of_killed_workers_end_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert challenge.killed_workers(tmp_path, 4, 2, every=0.5, seed=1)
    assert "every job ended exactly once" in capsys.readouterr().out


@pytest.mark.parametrize(("limit_ms", "is_quick"), [(1e6, True), (1e-6, False)])
def test_the_board_is_timed(
    tmp_path: Path, limit_ms: float, is_quick: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert challenge.board_times(tmp_path, 2, 3, 1, 5, limit_ms) is is_quick
    assert ("OVER the limit" in capsys.readouterr().out) is not is_quick
