"""Names for events, and what is said where these are missing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sigma68.errors import DataError
from sigma68.tasks.higgs import embedded, public
from sigma68.tasks.higgs.sources import DEFAULT, NAMES, located


def test_a_path_is_left_alone() -> None:
    for path in ("events.parquet", "/tmp/embedded", "public.parquet"):
        assert located(path) == located(Path(path)) == Path(path)


def test_the_events_of_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "PATH", tmp_path / "e.parquet")
    assert DEFAULT in NAMES
    with pytest.raises(DataError, match=r"e\.parquet\): install sigma68 again"):
        located("embedded")
    embedded.PATH.touch()
    monkeypatch.chdir(tmp_path)
    Path("embedded").mkdir()
    assert located("embedded") == located(Path("embedded")) == embedded.PATH


def test_the_public_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(public, "located", lambda: None)
    with pytest.raises(DataError, match="sigma68 data fetch higgs"):
        located("public")
    monkeypatch.setattr(public, "located", lambda: tmp_path / "p.parquet")
    assert located("public") == tmp_path / "p.parquet"


def test_a_pipe_is_not_awaited(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "events.parquet")
    with pytest.raises(DataError, match="is a pipe"):
        located(tmp_path / "events.parquet")
