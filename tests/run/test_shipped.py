"""Models that come with the package: used where everything agrees, and whole."""

from __future__ import annotations

import hashlib
import inspect
import json
from pathlib import Path
from typing import Any

import pytest

from sigma68.discover import load_task, method_class
from sigma68.errors import ModelMismatchError, SettingsError
from sigma68.files import write_json
from sigma68.protocols import Task
from sigma68.run import shipped as module
from sigma68.run.models import ensure_trained, load_model
from sigma68.run.shipped import MADE, SHIPPED, ship, shipped_model

SETTINGS = {"max_train_rows": 2000}
FOLDERS = sorted(path.parent for path in SHIPPED.rglob("model.json"))


def about(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    return document


@pytest.fixture
def home(task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model that comes with a package, with an empty cache beside."""
    made = ensure_trained("counting", task, task.open(), folder=tmp_path / "m", settings=SETTINGS)
    monkeypatch.setattr(module, "SHIPPED", tmp_path / "shipped")
    return ship(made, "sigma68 train counting", into=tmp_path / "shipped")


def test_what_comes_with_the_package_is_not_trained(task: Task, home: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    found = ensure_trained("counting", task, task.open(), folder=cache, settings=SETTINGS)
    assert found == home
    assert not cache.exists()
    load_model(found, task, task.open())


def test_other_settings_or_data_are_trained(task: Task, home: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    for split_seed, settings in ((0, {"max_train_rows": 1000}), (1, SETTINGS)):
        pools = task.open(split_seed=split_seed)
        assert ensure_trained("counting", task, pools, folder=cache, settings=settings) != home


def test_who_asks_for_it_trains_again(task: Task, home: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    again = ensure_trained(
        "counting", task, task.open(), folder=cache, settings=SETTINGS, retrain=True
    )
    assert again.is_relative_to(cache)


def test_a_method_that_was_edited_has_no_model(home: Path) -> None:
    same = about(home)
    assert shipped_model(same) == home
    assert shipped_model({**same, "source": "edited"}) is None
    assert shipped_model({**same, "method": "other"}) is None


def test_it_says_how_it_was_made(home: Path) -> None:
    made = json.loads((home / MADE).read_text(encoding="utf-8"))
    assert made["command"] == "sigma68 train counting"
    assert made["fingerprint"] == about(home)["fingerprint"]
    assert made["settings"] == SETTINGS


def test_what_is_no_model_or_too_large_is_not_shipped(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ModelMismatchError):
        ship(tmp_path, "command")
    monkeypatch.setattr(module, "_LARGEST", 10)
    with pytest.raises(SettingsError, match="bytes"):
        ship(home, "command", into=tmp_path / "other")


def test_a_damaged_description_is_an_error(home: Path) -> None:
    same = about(home)
    (home / "model.json").write_text("[]")
    with pytest.raises(ModelMismatchError):
        shipped_model(same)
    write_json(home / "model.json", same)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda f: f"{f.parent.name}-{f.name}")
def test_shipped_models_are_those_of_the_methods_as_they_are(folder: Path) -> None:
    told = about(folder)
    assert (told["task"], told["method"]) == (folder.parent.name, folder.name)
    task = load_task(told["task"])
    # A method that is edited needs its model trained and shipped again.
    cls = method_class(told["method"])
    file = inspect.getsourcefile(cls)
    assert file is not None
    source = Path(file).read_bytes()
    assert told["source"] == hashlib.blake2b(source, digest_size=16).hexdigest()
    pools = task.open()
    assert told["fingerprint"] == pools.fingerprint
    load_model(folder, task, pools)
    assert sum(path.stat().st_size for path in folder.iterdir()) < 2_000_000
