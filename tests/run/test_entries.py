"""Somebody's entry in a run: its misbehaviour costs toys, never the run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sigma68.errors import EntryError, SettingsError
from sigma68.protocols import Task
from sigma68.run.evaluate import evaluate
from sigma68.run.results import read_toys
from sigma68.run.settings import RunSettings
from tests.run.test_evaluate import n_events

MODEL = """
import os, time

class Model:
    def __init__(self, get_train_set=None, systematics=None):
        self.get_train_set = get_train_set

    def fit(self):
        self.rows = len(self.get_train_set())

    def predict(self, test_set):
        n = len(test_set["data"])
        if n % 6 == 0:
            time.sleep(600)
        if n % 6 == 1:
            os._exit(3)
        if n % 6 == 2:
            raise ValueError("no idea")
        if n % 6 == 3:
            return {"mu_hat": 1.0, "delta_mu_hat": 0.1, "p16": float("nan"), "p84": 1.0}
        return {"mu_hat": n / 2000, "delta_mu_hat": self.rows, "p16": 0.5, "p84": 1.5}
"""
STATUS = {0: "timeout", 1: "crashed", 2: "failed", 3: "invalid", 4: "ok", 5: "ok"}


@pytest.fixture
def entry(tmp_path: Path) -> Path:
    folder = tmp_path / "entry"
    folder.mkdir()
    (folder / "model.py").write_text(MODEL)
    return folder


def settings_of(entry: Path, **changes: object) -> RunSettings:
    given = {"sets": 1, "toys": 7, "seed": 43, "predict_seconds": 5.0, "entry": str(entry)}
    return RunSettings("gaussian", **(given | changes))  # type: ignore[arg-type]


def test_every_kind_of_end(entry: Path, task: Task, tmp_path: Path) -> None:
    settings = settings_of(entry)
    numbers = n_events(task, settings)
    expected = [STATUS[n % 6] for n in numbers]
    assert set(expected) == set(STATUS.values())
    out = evaluate(settings, tmp_path / "run", workers=2)
    toys = read_toys(out)
    assert list(toys["status"]) == expected
    good = toys[toys["status"] == "ok"]
    assert list(good["mu_hat"]) == [n / 2000 for n in numbers if n % 6 > 3]
    provenance = json.loads((out / "provenance.json").read_text())
    assert provenance["entry_fingerprint"]


def test_a_changed_entry_is_not_continued(entry: Path, tmp_path: Path) -> None:
    (entry / "model.py").write_text(MODEL.replace("n % 6", "6"))
    evaluate(settings_of(entry, toys=2), tmp_path / "run")
    (entry / "model.py").write_text(MODEL)
    with pytest.raises(SettingsError, match="made from another version of the entry"):
        evaluate(settings_of(entry), tmp_path / "run")


def test_an_entry_that_cannot_be_used(entry: Path, tmp_path: Path) -> None:
    (entry / "model.py").write_text("import nothing_of_that_name")
    with pytest.raises(EntryError, match="nothing_of_that_name"):
        evaluate(settings_of(entry), tmp_path / "run")
    with pytest.raises(EntryError, match="there is no entry"):
        evaluate(settings_of(tmp_path / "nowhere"), tmp_path / "another")
