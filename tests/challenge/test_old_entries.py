"""Entries of the challenge as they were written: old imports, files beside model.py, Higgs events."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import pytest
from benchmarks.events import made_events

import sigma68
from sigma68.challenge.entries import EntryProcess, export_train, open_entry
from sigma68.challenge.old_modules import write_old_modules
from sigma68.challenge.sandbox.box import Box, Sandbox, Trusted
from sigma68.challenge.sandbox.limits import Limits
from sigma68.protocols import Pools
from sigma68.seeds import stream
from sigma68.tasks.higgs.schema import FEATURES
from sigma68.tasks.higgs.task import Higgs
from sigma68.types import Interval, Truth
from tests.requirements_of_machine import need

OLD = """
import os
import numpy as np
from systematics import systematics
from derived_quantities import DER_data
from HiggsML.systematics import systematics as packaged
import HiggsML.derived_quantities
assert packaged is systematics and HiggsML.derived_quantities.DER_data is DER_data

class Model:
    def __init__(self, get_train_set=None, systematics=None):
        self.train = get_train_set(train_size=0.8)
        self.systematics = systematics
        here = os.path.dirname(os.path.abspath(__file__))
        self.cut = float(open(os.path.join(here, "cut.txt")).read())

    def fit(self):
        t = self.train
        events = {
            "data": t.drop(columns=["weights", "labels", "detailed_labels"]),
            "weights": t["weights"], "labels": t["labels"], "detailed_labels": t["detailed_labels"],
        }
        nominal = self.systematics(events)
        self.expected = self.count(nominal)
        up = systematics(events, tes=1.02, jes=0.99, soft_met=1.0, ttbar_scale=1.1, seed=3)
        self.shift = abs(self.count(up) / self.expected - 1)

    def count(self, events):
        return float(events["weights"][events["data"]["DER_mass_vis"] > self.cut].sum())

    def predict(self, test_set):
        frame = test_set["data"]
        assert list(frame.columns) == FEATURES and str(frame.dtypes.iloc[0]) == "float32"
        before = frame["DER_pt_h"].copy()
        assert np.allclose(DER_data(frame)["DER_pt_h"], before, atol=1e-3)
        ratio = self.count(test_set) / self.expected
        return {"mu_hat": ratio, "delta_mu_hat": self.shift, "p16": ratio - 0.1, "p84": ratio + 0.1}
""".replace("FEATURES", repr(list(FEATURES)))


@pytest.fixture(scope="module")
def pools(tmp_path_factory: pytest.TempPathFactory) -> Pools:
    path = tmp_path_factory.mktemp("data") / "events.parquet"
    made_events(20_000, seed=5).to_parquet(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Higgs().open(str(path))


@pytest.fixture(params=["trusted", "sandbox"])
def box(request: pytest.FixtureRequest, tmp_path: Path) -> Box:
    if request.param == "trusted":
        return Trusted()
    need("bwrap")
    code = tmp_path / "code"
    code.mkdir()
    return Sandbox(Limits(), code)


def test_an_old_entry_works_unchanged_on_higgs_events(
    pools: Pools, tmp_path: Path, box: Box
) -> None:
    with zipfile.ZipFile(tmp_path / "old.zip", "w") as archive:
        archive.writestr("submission/model.py", OLD)
        archive.writestr("submission/cut.txt", "50.0")
    task = Higgs()
    entry = open_entry(tmp_path / "old.zip", tmp_path / "work")
    train = export_train(pools.train, tmp_path / "train.arrow")
    truth = Truth({"mu": 1.0}, {n.name: n.off for n in task.nuisances})
    toy = task.pseudo_experiment(pools.scoring, truth, stream("higgs", "test", 1))
    with EntryProcess(entry, task, train, box=box) as process:
        process.start()
        process.fit()
        answer = process.predict(toy)["mu"]
    assert isinstance(answer, Interval)
    # Its templates describe the toys: the same selection, the same expected events.
    assert answer.mu_hat == pytest.approx(1.0, abs=0.05)
    assert 1e-4 < answer.delta_mu_hat < 0.2


# What a fork inherits, spawned processes import anew: model.py, and what it imports.
PARALLEL = """
import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from systematics import systematics

def count(given):
    events, tes = given
    return float(systematics(events, tes=tes)["weights"].sum())

class Model:
    def __init__(self, get_train_set, systematics):
        self.events = get_train_set(train_size=500)

    def fit(self):
        todo = [(self.events, 0.98 + 0.01 * i) for i in range(4)]
        alone = [count(one) for one in todo]
        for method, count_of in (("fork", 2), ("spawn", 1)):  # each that is spawned imports all
            with multiprocessing.get_context(method).Pool(count_of) as pool:
                assert pool.map(count, todo) == alone, method
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(count, todo * 8)) == alone * 8

    def predict(self, test_set):
        return {"p16": 0.5, "p84": 1.5}
"""


def test_an_entry_may_work_in_parallel(pools: Pools, tmp_path: Path, box: Box) -> None:
    folder = tmp_path / "parallel"
    folder.mkdir()
    (folder / "model.py").write_text(PARALLEL)
    train = export_train(pools.train, tmp_path / "train.arrow")
    entry = open_entry(folder, tmp_path / "work")
    with EntryProcess(entry, Higgs(), train, fit_seconds=120.0, box=box, threads=2) as process:
        process.start()
        process.fit()


def _imported(code: str, *places: Path) -> str:
    """What a fresh interpreter prints that knows this project, and no installed HiggsML."""
    home = Path(sigma68.__file__).parents[1]
    block = "import sys; sys.path[:] = [p for p in sys.path if 'site-packages' not in p]; "
    path = os.pathsep.join(str(place) for place in (*places, home))
    done = subprocess.run(
        [sys.executable, "-P", "-c", block + code],
        env={"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "function"), [("systematics", "systematics"), ("derived_quantities", "DER_data")]
)
def test_the_old_modules_are_there_without_the_peer(
    name: str, function: str, tmp_path: Path
) -> None:
    modules = tmp_path / "modules"
    modules.mkdir()
    (tmp_path / "stand_in.py").write_text(f"def {function}(): pass\n")
    write_old_modules(modules, "stand_in")
    for module in (name, f"HiggsML.{name}"):
        code = f"from {module} import {function}; print({function}.__module__)"
        assert _imported(code, modules, tmp_path) == "stand_in\n"
    assert "ModuleNotFoundError" in _imported("import HiggsML.datasets", modules, tmp_path)


def test_an_installed_package_keeps_its_other_modules(tmp_path: Path) -> None:
    modules = tmp_path / "modules"
    modules.mkdir()
    installed = tmp_path / "installed" / "HiggsML"
    installed.mkdir(parents=True)
    for name in ("__init__", "systematics", "datasets"):
        (installed / f"{name}.py").write_text("systematics = 'theirs'\n")
    (tmp_path / "stand_in.py").write_text("systematics = 'ours'\n")
    write_old_modules(modules, "stand_in")
    code = (
        "from HiggsML import datasets, systematics as s; print(datasets.systematics, s.systematics)"
    )
    assert _imported(code, modules, installed.parent, tmp_path) == "theirs ours\n"


def test_a_module_of_the_entry_itself_comes_first(pools: Pools, tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "systematics.py").write_text("MINE = 1.5")
    (folder / "model.py").write_text(
        "from systematics import MINE\n"
        "class Model:\n"
        "    def __init__(self, systematics): pass\n"
        "    def fit(self): pass\n"
        "    def predict(self, test_set): return {'p16': MINE, 'p84': 2.0}\n"
    )
    task = Higgs()
    train = export_train(pools.train, tmp_path / "train.arrow")
    truth = Truth({"mu": 1.0}, {n.name: n.off for n in task.nuisances})
    toy = task.pseudo_experiment(pools.scoring, truth, stream("higgs", "test", 1))
    with EntryProcess(open_entry(folder, tmp_path / "work"), task, train) as process:
        process.start()
        process.fit()
        answer = process.predict(toy)["mu"]
    assert isinstance(answer, Interval)
    assert answer.lower == 1.5
