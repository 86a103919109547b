"""A small training file, a toy, and entries written from a few lines."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sigma68.challenge.entries import EntryProcess, export_train, open_entry
from sigma68.seeds import stream
from sigma68.tasks.gaussian.task import Gaussian
from sigma68.types import Labelled, Observation, Truth

GOOD = """
import numpy as np

class Model:
    def __init__(self, get_train_set=None, systematics=None):
        self.get_train_set = get_train_set

    def fit(self):
        self.n = float(self.get_train_set()["weights"].sum())

    def predict(self, test_set):
        mu = len(test_set["data"]) / self.n
        return {"mu_hat": mu, "delta_mu_hat": 0.1, "p16": mu - 0.1, "p84": mu + 0.1}
"""

WriteEntry = Callable[..., Path]
RunEntry = Callable[..., EntryProcess]


@pytest.fixture(scope="session")
def task() -> Gaussian:
    return Gaussian()


@pytest.fixture(scope="session")
def events(task: Gaussian) -> Labelled:
    return task.open().train.labelled(max_rows=3000)


@pytest.fixture(scope="session")
def train(events: Labelled, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_train(events, tmp_path_factory.mktemp("train") / "train.arrow")


@pytest.fixture(scope="session")
def toy(task: Gaussian) -> Observation:
    truth = Truth({"mu": 1.2345678}, {"shift": 0.7654321, "bkg_scale": 1.0123456})
    return task.pseudo_experiment(task.open().scoring, truth, stream("gaussian", "test", 987654321))


@pytest.fixture
def write_entry(tmp_path: Path) -> WriteEntry:
    """Writes files (source by name; `model` for model.py) into a folder, and returns it."""

    def write(model: str | None = GOOD, folder: str = "entry", **files: str) -> Path:
        home = tmp_path / folder
        home.mkdir(parents=True, exist_ok=True)
        if model is not None:
            files["model.py"] = model
        for name, text in files.items():
            path = home / name.replace("__slash__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text))
        return home

    return write


@pytest.fixture
def run_entry(task: Gaussian, train: Path, tmp_path: Path) -> Iterator[RunEntry]:
    """Opens an entry, starts and fits it; closed when the test ends."""
    running: list[EntryProcess] = []

    def run(path: Path, *, ready: bool = True, **limits: float) -> EntryProcess:
        opened = open_entry(path, tmp_path / "work")
        process = EntryProcess(opened, task, train, **{"predict_seconds": 20.0, **limits})
        running.append(process)
        if ready:
            process.start()
            process.fit()
        return process

    yield run
    for process in running:
        process.close()
