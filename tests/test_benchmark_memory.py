"""The benchmark of memory still runs, counts every row, and ends badly over its limit."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks import memory


@pytest.fixture
def events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SIGMA68_CACHE", str(tmp_path))
    monkeypatch.setattr(memory, "GROUP", 3_000)
    memory.write_events(tmp_path / "events.parquet", 8_000)
    return tmp_path / "events.parquet"


@pytest.mark.parametrize(("limit_mb", "under"), [(1e6, True), (1.0, False)])
def test_it_measures_every_step(
    events: Path, limit_mb: float, under: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert memory.measure(events, limit_mb) is under
    shown = capsys.readouterr().out
    for step in ("stream", "split", "open, first", "data describe", "toy, third", "labelled"):
        assert f"| {step}" in shown or f"| sigma68 {step}" in shown
    assert "8,000 rows" in shown
    assert ("OVER the limit" in shown) is not under


def test_a_disk_that_is_too_small_is_said_first() -> None:
    with pytest.raises(SystemExit, match=r"has room for .* GB, but"):
        memory.check_disk(None, 10**15)
