"""Trained models: trained once, known again, refused where they do not belong."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pandas.testing import assert_frame_equal

from sigma68.errors import ModelMismatchError, OutputError, SettingsError
from sigma68.methods.counting import Counting
from sigma68.protocols import Pools, Task
from sigma68.run import models as module
from sigma68.run.evaluate import evaluate
from sigma68.run.models import ensure_trained, load_model, model_cache, settings_in_run, trained
from sigma68.types import Observation
from tests.run.conftest import settings_of, table

SETTINGS = {"max_train_rows": 2000}


@pytest.fixture(scope="module")
def pools(task: Task) -> Pools:
    return task.open()


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One entry for each time the method is fitted."""
    seen: list[str] = []
    fit = Counting.fit

    def noted(self: Counting, *args: Any) -> None:
        seen.append("fit")
        fit(self, *args)

    monkeypatch.setattr(Counting, "fit", noted)
    return seen


@pytest.fixture
def home(task: Task, pools: Pools, tmp_path: Path) -> Path:
    return ensure_trained("counting", task, pools, folder=tmp_path, settings=SETTINGS)


def events() -> Observation:
    return Observation(("x", "y"), np.random.default_rng(2).normal(size=(2, 2200)))


def test_trained_once(task: Task, pools: Pools, tmp_path: Path, fits: list[str]) -> None:
    one = trained("counting", task, pools, folder=tmp_path, settings=SETTINGS)
    two = trained("counting", task, pools, folder=tmp_path, settings=SETTINGS)
    assert fits == ["fit"]
    assert one.predict(events()) == two.predict(events())
    trained("counting", task, pools, folder=tmp_path, settings=SETTINGS, retrain=True)
    assert fits == ["fit", "fit"]
    assert [p.suffix for p in tmp_path.glob("gaussian/counting/*")] == [""]


def test_other_settings_data_or_source_are_other_models(
    task: Task, pools: Pools, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def place(pools: Pools = pools, **settings: object) -> Path:
        return ensure_trained("counting", task, pools, folder=tmp_path, settings=settings)

    places = {home, place(max_train_rows=1000), place(task.open(split_seed=3), **SETTINGS)}
    monkeypatch.setattr(module.inspect, "getsourcefile", lambda _: __file__)
    assert len(places | {place(**SETTINGS)}) == 4


def test_what_a_model_says_of_itself(home: Path, pools: Pools) -> None:
    about = json.loads((home / "model.json").read_text())
    assert about["task"] == "gaussian"
    assert about["method"] == "counting"
    assert about["fingerprint"] == pools.fingerprint
    assert {"python", "numpy", "sigma68"} <= set(about["versions"])


def test_a_model_of_other_data_is_refused(task: Task, pools: Pools, home: Path) -> None:
    with pytest.raises(ModelMismatchError, match="trained for the data and split"):
        load_model(home, task, replace(pools, fingerprint="another"))


def test_a_model_of_another_task_is_refused(task: Task, pools: Pools, home: Path) -> None:
    path = home / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"task": "higgs"}))
    with pytest.raises(ModelMismatchError, match="trained for the task 'higgs', not 'gaussian'"):
        load_model(home, task, pools)


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"task": "gaussian"}'])
def test_a_damaged_description_is_refused(
    task: Task, pools: Pools, home: Path, damage: str
) -> None:
    (home / "model.json").write_text(damage)
    with pytest.raises(ModelMismatchError, match=r"damaged .* --retrain"):
        load_model(home, task, pools)


@pytest.mark.parametrize("damage", [None, b"", b"{}", b"\0\0"])
def test_a_damaged_model_is_refused_and_trained_again(
    task: Task, pools: Pools, home: Path, tmp_path: Path, damage: bytes | None
) -> None:
    good = load_model(home, task, pools).predict(events())
    for path in home.iterdir():
        if path.name != "model.json":
            path.unlink() if damage is None else path.write_bytes(damage)
    with pytest.raises(ModelMismatchError, match=r"damaged \(.*\): train it again with --retrain"):
        load_model(home, task, pools)
    again = trained("counting", task, pools, folder=tmp_path, settings=SETTINGS, retrain=True)
    assert again.predict(events()) == good


def test_a_folder_without_a_model(task: Task, pools: Pools, tmp_path: Path) -> None:
    with pytest.raises(ModelMismatchError, match="holds no trained model"):
        load_model(tmp_path, task, pools)


def test_what_a_method_cannot_do(task: Task, pools: Pools, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no setting 'depth'; its settings: nuisances, max"):
        trained("counting", task, pools, folder=tmp_path, settings={"depth": 3})

    class TwoParameters:
        name = "pair"
        answer = "estimates"
        parameters = task.parameters * 2

    with pytest.raises(SettingsError, match="cannot do the task 'pair': measures one signal"):
        trained("counting", TwoParameters(), pools, folder=tmp_path)  # type: ignore[arg-type]


def test_a_full_disk_leaves_no_model(
    task: Task, pools: Pools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OutputError, match="No space left"):
            trained("counting", task, pools, folder=tmp_path, settings=SETTINGS)
    assert list((tmp_path / "gaussian" / "counting").iterdir()) == []
    trained("counting", task, pools, folder=tmp_path, settings=SETTINGS)


def test_a_checkpoint_that_stays_is_said(
    task: Task, pools: Pools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(place: Path, *args: Any, **kwargs: Any) -> None:
        if Path(place).name.endswith(".checkpoint"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        remove(place, *args, **kwargs)

    out, remove = tmp_path / "model", shutil.rmtree
    (tmp_path / "model.checkpoint").mkdir()
    monkeypatch.setattr(shutil, "rmtree", refused)
    with pytest.raises(OutputError, match=r"model\.checkpoint.*remove this checkpoint by hand"):
        module.train_into(out, "counting", task, pools, settings=SETTINGS)
    monkeypatch.undo()
    # The model is there all the same.
    assert not module.train_into(out, "counting", task, pools, settings=SETTINGS)


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SIGMA68_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert model_cache() == tmp_path / "home/.cache/sigma68/models"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert model_cache() == tmp_path / "xdg/sigma68/models"
    monkeypatch.setenv("SIGMA68_CACHE", str(tmp_path / "own"))
    assert model_cache() == tmp_path / "own/models"


def test_a_run_with_a_given_model(
    unbroken: Path, models: Path, tmp_path: Path, run: Callable[..., Path]
) -> None:
    (home,) = models.glob("gaussian/counting/*")
    moved = shutil.copytree(home, tmp_path / "moved")
    given = evaluate(settings_of(model=str(moved)), tmp_path / "given", models=tmp_path / "none")
    assert_frame_equal(table(given), table(unbroken), check_exact=True)
    assert not (tmp_path / "none").exists()


def test_a_run_is_not_continued_with_another_model(
    run: Callable[..., Path], tmp_path: Path
) -> None:
    folder = run(sets=1)
    with pytest.raises(SettingsError, match="train again in another output folder"):
        evaluate(settings_of(), folder, retrain=True, models=tmp_path / "models")
    path = folder / "provenance.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model_key": "another"}))
    with pytest.raises(SettingsError, match="made from another trained model"):
        run()


def test_a_run_tells_a_method_which_nuisances_vary() -> None:
    assert settings_in_run("exact", {}, ("shift",)) == {"profiled": ["shift"]}
    assert settings_in_run("exact", {"profiled": []}, ("shift",)) == {"profiled": []}
    assert settings_in_run("counting", {}, ("shift",)) == {}
