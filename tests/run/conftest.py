"""Runs of the gaussian task, and a package outside sigma68 that brings methods that misbehave."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from sigma68.discover import load_task
from sigma68.protocols import Task
from sigma68.run.evaluate import evaluate
from sigma68.run.results import read_toys
from sigma68.run.settings import RunSettings

METHODS = ("raising", "hanging", "dying", "talking", "odd", "exhausting", "sized")


@pytest.fixture(scope="session")
def task() -> Task:
    return load_task("gaussian")


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One model cache for all runs, so that each method is trained once."""
    return tmp_path_factory.mktemp("models")


def settings_of(method: str = "counting", **changes: object) -> RunSettings:
    given: dict[str, object] = {
        "task": "gaussian",
        "method": method,
        "sets": 2,
        "toys": 6,
        "seed": 5,
        "nuisances": ("shift", "bkg_scale"),
    }
    return RunSettings(**(given | changes))  # type: ignore[arg-type]


def table(folder: Path) -> pd.DataFrame:
    """The toys without the one column that may differ between runs."""
    return read_toys(folder).drop(columns="seconds")


@pytest.fixture(scope="session")
def unbroken(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Path:
    """A run that nothing disturbed, with one worker."""
    return evaluate(settings_of(), tmp_path_factory.mktemp("unbroken") / "run", models=models)


@pytest.fixture(scope="session")
def _plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as an installer would leave it: a module, and metadata with entry points."""
    site = tmp_path_factory.mktemp("site")
    shutil.copy(Path(__file__).parent / "trouble_methods.py", site)
    info = site / "trouble_methods-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: trouble_methods\nVersion: 1.0\n")
    points = "".join(f"{name} = trouble_methods:{name.capitalize()}\n" for name in METHODS)
    (info / "entry_points.txt").write_text(f"[sigma68.methods]\n{points}")
    return site


@pytest.fixture
def trouble(_plugin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The methods of `trouble_methods`, found as any installed package's methods are."""
    monkeypatch.syspath_prepend(str(_plugin))
    monkeypatch.setenv("PYTHONPATH", str(_plugin))


@pytest.fixture
def run(tmp_path: Path, models: Path) -> Callable[..., Path]:
    """Run a method in a fresh folder."""

    def go(method: str = "counting", *, workers: int = 1, **changes: object) -> Path:
        return evaluate(
            settings_of(method, **changes), tmp_path / "run", workers=workers, models=models
        )

    return go
