"""Names for events, and what is said where these are missing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sigma68.errors import DataError, SettingsError
from sigma68.tasks.higgs import embedded, public
from sigma68.tasks.higgs.dataset import open_parquet
from sigma68.tasks.higgs.emulate import emulator
from sigma68.tasks.higgs.sources import DEFAULT, NAMES, located, spelled
from tests.tasks.higgs.emulate.small import small_weights


def test_a_path_is_left_alone() -> None:
    for path in ("events.parquet", "/tmp/embedded", "public.parquet"):
        assert located(path) == located(Path(path)) == Path(path)


def test_the_events_of_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "PATH", tmp_path / "e.parquet")
    with pytest.raises(DataError, match=r"e\.parquet\): install sigma68 again"):
        located("embedded")
    embedded.PATH.touch()
    monkeypatch.chdir(tmp_path)
    Path("embedded").mkdir()
    assert located("embedded") == located(Path("embedded")) == embedded.PATH


def test_names_have_one_spelling() -> None:
    assert DEFAULT in NAMES
    assert [spelled(name) for name in NAMES] == ["emulated:1:5M", "embedded", "public"]
    assert spelled("emulated:3:2e6") == "emulated:3:2M"
    assert spelled("events.parquet") is None
    with pytest.raises(DataError, match="SEED"):
        spelled("emulated:seven")


def test_emulated_events_become_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGMA68_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(emulator, "WEIGHTS", small_weights(tmp_path / "w.npz"))
    seen: list[float] = []
    path = located("emulated:2:3k", lambda what, fraction: seen.append(fraction))
    assert seen[-1] == 1.0
    assert open_parquet("emulated:2:3000").path == path == located(Path("emulated:2:3k"))
    assert open_parquet("emulated:2:3000").n_rows == 3_000
    with pytest.raises(SettingsError, match=r"diboson would get 0\.3"):
        located("emulated:2:10")


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
