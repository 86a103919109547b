"""Somebody's entry in a run: its misbehaviour costs toys, never the run."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from sigma68.errors import EntryError, SettingsError
from sigma68.protocols import Task
from sigma68.run.evaluate import evaluate
from sigma68.run.results import read_toys
from sigma68.run.settings import RunSettings
from tests.challenge.conftest import GOOD
from tests.requirements_of_machine import need
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


def test_a_sandbox_changes_no_answer(task: Task, tmp_path: Path) -> None:
    need("bwrap")
    (tmp_path / "entry").mkdir()
    (tmp_path / "entry" / "model.py").write_text(GOOD)
    settings = settings_of(tmp_path / "entry", toys=2)
    tables = [
        read_toys(evaluate(settings, tmp_path / f"run-{sandbox}", sandbox=sandbox))
        for sandbox in (False, True)
    ]
    free, shut_in = (table.drop(columns="seconds") for table in tables)
    pd.testing.assert_frame_equal(free, shut_in)
    assert set(free["status"]) == {"ok"}


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


def test_an_entry_meets_toys_in_an_order_that_tells_nothing(
    entry: Path, task: Task, tmp_path: Path
) -> None:
    note = tmp_path / "sizes"
    model = MODEL.replace(
        "if n % 6 == 0", f"open({str(note)!r}, 'a').write(f'{{n}} ')\n        if n % 6 == 0"
    )
    (entry / "model.py").write_text(model.replace("n % 6", "6"))
    settings = settings_of(entry, sets=3, toys=4)
    toys = read_toys(evaluate(settings, tmp_path / "run"))
    sizes = n_events(task, settings)
    assert list(toys["mu_hat"]) == [n / 2000 for n in sizes]
    met = [int(n) for n in note.read_text().split()]
    assert sorted(met) == sorted(sizes)
    sets = [sizes.index(n) // 4 for n in met]
    assert len(set(sizes)) == 12
    assert len(set(sets[:4])) > 1
    assert sets != sorted(sets)


PROBE = """
import gc, json, os, sys
from pathlib import Path

def read(path):
    try:
        return Path(path).read_bytes().decode(errors="replace")
    except OSError:
        return ""

def files(folder):
    return [str(p) + read(p) for p in Path(folder).rglob("*") if p.is_file()]

class Model:
    def __init__(self, **offered):
        self.offered = offered

    def fit(self):
        pass

    def predict(self, test_set):
        me = Path("/proc/self")
        seen = [read(me / name) for name in ("environ", "cmdline", "maps", "mountinfo", "status")]
        seen += [os.readlink(path) for path in (me / "fd").iterdir() if path.is_symlink()]
        seen += sys.argv + sys.orig_argv + sys.path + list(sys.modules)
        seen += files(".") + files(os.environ["HOME"]) + files(os.environ["TMPDIR"])
        held = set()
        for one in gc.get_objects():
            if type(one) in (dict, list, tuple):
                values = list(one.values()) if type(one) is dict else one
                held.update(str(v) for v in values if type(v) in (str, bytes, int, float))
        seen += [text for text in held if len(text) < 1000]
        frame = sys._getframe()
        while frame is not None:
            seen += [frame.f_code.co_filename, str({k: v for k, v in frame.f_locals.items() if k not in ("seen", "held", "values")})]
            frame = frame.f_back
        with open(NOTE, "a") as note:
            note.write(json.dumps(seen) + "\\n")
        return {"p16": 0.5, "p84": 1.5}
"""


def test_a_run_gives_nothing_away(
    entry: Path, task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an entry can see of itself names neither truths, seed, data nor the run's folder."""
    note = tmp_path / "seen" / "note.jsonl"
    note.parent.mkdir()
    model = PROBE.replace("NOTE", repr(str(note)))
    monkeypatch.setenv("SIGMA68_CACHE", str(tmp_path / "cache-of-the-run"))
    (entry / "model.py").write_text(model)
    settings = settings_of(
        entry, seed=987654321, toys=2, split_seed=123454321, nuisances=("shift", "bkg_scale")
    )
    out = evaluate(settings, tmp_path / "folder-of-the-run")
    toys = read_toys(out)
    assert list(toys["status"]) == ["ok", "ok"]
    lines = note.read_text().splitlines()
    assert len(lines) == 2
    truths = toys[["mu", *(n.name for n in task.nuisances)]].to_numpy().ravel()
    secrets = [repr(float(value)) for value in truths]
    secrets += ["987654321", "123454321", "folder-of-the-run", "cache-of-the-run", str(entry)]
    for line in lines:
        assert "sigma68.challenge.entry_child" in line  # it does see what it is
        assert not [secret for secret in secrets if secret in line]


def test_an_entry_that_cannot_be_used(entry: Path, tmp_path: Path) -> None:
    (entry / "model.py").write_text("import nothing_of_that_name")
    with pytest.raises(EntryError, match="nothing_of_that_name"):
        evaluate(settings_of(entry), tmp_path / "run")
    with pytest.raises(EntryError, match="there is no entry"):
        evaluate(settings_of(tmp_path / "nowhere"), tmp_path / "another")
