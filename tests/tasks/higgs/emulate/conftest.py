"""The small emulator, alone and in the place of the one that comes with the package."""

from __future__ import annotations

from pathlib import Path

import pytest

from sigma68.tasks.higgs.emulate import emulator as module
from sigma68.tasks.higgs.emulate.emulator import Emulator
from tests.tasks.higgs.emulate.small import small_emulator, small_weights


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Emulator:
    return small_emulator(tmp_path_factory.mktemp("emulator"))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, empty."""
    monkeypatch.setenv("SIGMA68_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def shipped(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Small weights in the place of those that come with the package."""
    path = small_weights(tmp_path / "shipped.npz")
    monkeypatch.setattr(module, "WEIGHTS", path)
    return path
