"""Settings: what is refused at once, and what comes back from disk."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from sigma68.errors import SettingsError
from sigma68.run.settings import RunSettings, check_same, read_settings

SETTINGS = RunSettings(
    "gaussian",
    "counting",
    data="exact",
    nuisances=("shift",),
    seed=2**200,
    method_settings={"max_train_rows": 10},
    epsilon=0.001,
)


def test_round_trip(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text(json.dumps(SETTINGS.to_json()))
    assert read_settings(tmp_path) == SETTINGS


def test_none_where_nothing_was_begun(tmp_path: Path) -> None:
    assert read_settings(tmp_path) is None
    assert read_settings(tmp_path / "nowhere") is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"task": "gaussian"}', '{"task": "g", "method": "m", "new": 1}', "\0"]
)
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "settings.json").write_text(text)
    with pytest.raises(SettingsError, match=r"settings\.json is not the settings of a run"):
        read_settings(tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"method": None}, "a method or an entry"),
        ({"entry": "entry.zip"}, "not both"),
        ({"entry": "entry.zip", "method": None}, "an entry trains itself"),
        ({"sets": 0}, "sets must be 1 or more, not 0"),
        ({"toys": -1}, "toys must be 1 or more, not -1"),
        ({"sets": 10**11}, "more than 10,000,000 toys: ask for fewer"),
        ({"seed": -1}, "seed must be 0 or more"),
        ({"split_seed": -1}, "split_seed must be 0 or more"),
        ({"predict_seconds": 0.0}, "predict_seconds must be a positive"),
        ({"predict_seconds": float("nan")}, "predict_seconds must be a positive"),
        ({"fit_seconds": float("inf")}, "fit_seconds must be a positive"),
        ({"epsilon": -0.1}, "epsilon must be a positive number"),
        ({"epsilon": 0.0}, "epsilon must be a positive number"),
        ({"pool": "mine"}, "pool must be"),
    ],
)
def test_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        replace(SETTINGS, **change)  # type: ignore[arg-type]


def test_same_place_by_another_path(tmp_path: Path) -> None:
    one = replace(SETTINGS, data=str(tmp_path / "events"))
    other = replace(SETTINGS, data=str(tmp_path / "below" / ".." / "events"))
    check_same(one, other, tmp_path)
    with pytest.raises(SettingsError, match="data="):
        check_same(one, replace(SETTINGS, data=str(tmp_path / "others")), tmp_path)
    with pytest.raises(SettingsError, match="data="):
        check_same(one, replace(SETTINGS, data=None), tmp_path)


def test_subject_and_number() -> None:
    assert SETTINGS.subject == "counting"
    assert RunSettings("gaussian", entry="somewhere/best.zip").subject == "best.zip"
    assert SETTINGS.n_toys == 1000
