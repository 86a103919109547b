"""Calibrated models: toys of their own, kept and continued; known again; a run that uses them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pandas.testing import assert_frame_equal

from sigma68.errors import (
    DataError,
    FitError,
    ModelMismatchError,
    SettingsError,
)
from sigma68.methods.exact import Exact
from sigma68.protocols import Method, Task
from sigma68.run import calibration as module
from sigma68.run.calibrated import Calibrated, calibration_of
from sigma68.run.evaluate import evaluate
from sigma68.run.progress import RunProgress
from sigma68.run.results import read_toys
from sigma68.run.settings import CalibrationSettings, RunSettings
from sigma68.run.truth import draw_calibration_truth, draw_truth
from sigma68.types import Interval, Observation
from tests.run.conftest import settings_of, table

WANTED = CalibrationSettings(toys=100)


def folders(models: Path) -> set[str]:
    return {p.name for p in models.glob("*/counting/*")}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("calibrated-models")


@pytest.fixture(scope="module")
def told() -> list[str]:
    return []


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory, cache: Path, told: list[str]) -> Path:
    """A run of a calibrated method with two workers."""

    def hear(how_far: RunProgress) -> None:
        told.append(how_far.stage)

    out = tmp_path_factory.mktemp("calibrated") / "run"
    settings = settings_of(calibration=WANTED)
    return evaluate(settings, out, workers=2, models=cache, progress=hear)


def test_a_run_corrects_every_interval(
    calibrated: Path, unbroken: Path, task: Task, told: list[str]
) -> None:
    document = json.loads((calibrated / "calibration.json").read_text())
    found = calibration_of(document, task)
    assert found.n_toys == 100
    assert document["nuisances"] == ["shift", "bkg_scale"]
    before, after = read_toys(unbroken), read_toys(calibrated)
    assert_frame_equal(before[["mu", "shift"]], after[["mu", "shift"]])
    answers = (before[name].to_numpy() for name in ("mu_hat", "p16", "p84"))
    mu_hat, lower, upper = found.correction.corrected(*answers)
    np.testing.assert_allclose(after["mu_hat"], mu_hat)
    np.testing.assert_allclose(after["p16"], lower)
    np.testing.assert_allclose(after["p84"], upper)
    # Counting ignores its nuisances, so that its intervals must grow.
    assert (upper - lower).mean() > 1.3 * (before["p84"] - before["p16"]).mean()
    assert "calibration: 100 of 100 toys" in told


def test_toys_are_kept_and_used_again(
    calibrated: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int] = []
    finished = module.finished_toys

    def noted(team: Any, todo: Any, truth: Any) -> Any:
        begun.append(len(todo))
        return finished(team, todo, truth)

    monkeypatch.setattr(module, "finished_toys", noted)
    known = folders(cache)
    assert len(known) == 3  # the trained model, its toys, and what they taught
    same = settings_of(sets=1, toys=1, calibration=WANTED)
    evaluate(same, tmp_path / "same", models=cache)
    assert begun == []
    assert folders(cache) == known
    other = replace(same, calibration=CalibrationSettings(toys=100, kind="neyman", degree=1))
    evaluate(other, tmp_path / "other", models=cache)
    assert begun == []
    assert len(folders(cache)) == 4
    more = replace(same, calibration=CalibrationSettings(toys=200))
    evaluate(more, tmp_path / "more", models=cache)
    assert begun == [100]
    assert len(folders(cache)) == 5
    document = json.loads((tmp_path / "more" / "calibration.json").read_text())
    assert document["calibration"]["n_toys"] == 200
    evaluate(same, tmp_path / "again", models=cache, retrain=True)
    assert begun == [100, 100]


def test_an_interrupted_calibration_goes_on(
    calibrated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was answered before the end is there, and the outcome is the same."""
    models, settings = tmp_path / "models", settings_of(sets=1, toys=1, calibration=WANTED)
    finished = module.finished_toys

    def broken(*given: Any) -> Any:
        for count, result in enumerate(finished(*given)):
            if count == 30:
                raise KeyboardInterrupt
            yield result

    with monkeypatch.context() as patch:
        patch.setattr(module, "finished_toys", broken)
        with pytest.raises(KeyboardInterrupt):
            evaluate(settings, tmp_path / "run", models=models)
    (toys,) = models.glob("*/counting/*-toys")
    assert len(list((toys / "shards" / "set-0").iterdir())) == 30
    begun: list[int] = []

    def noted(team: Any, todo: Any, truth: Any) -> Any:
        begun.append(len(todo))
        return finished(team, todo, truth)

    monkeypatch.setattr(module, "finished_toys", noted)
    evaluate(settings, tmp_path / "run", models=models)
    assert begun == [70]
    one, two = (
        json.loads((p / "calibration.json").read_text()) for p in (tmp_path / "run", calibrated)
    )
    assert one == two


def test_toys_are_no_scored_toys_and_each_has_its_own_mu(task: Task) -> None:
    names = [n.name for n in task.nuisances]
    drawn = [draw_calibration_truth(task, 1, 0, toy, names) for toy in range(50)]
    mu = [t.parameters["mu"] for t in drawn]
    assert len(set(mu)) == 50
    assert min(mu) < 0.5
    assert max(mu) > 2.6
    scored = draw_truth(task, 1, 0, 0, names)
    assert scored.parameters != drawn[0].parameters
    assert scored.nuisances != drawn[0].nuisances
    off = draw_calibration_truth(task, 1, 0, 3, ())
    assert off.parameters == drawn[3].parameters
    assert off.nuisances == {n.name: n.off for n in task.nuisances}


def test_a_calibrated_model_can_be_given_and_not_calibrated_again(
    calibrated: Path, cache: Path, tmp_path: Path
) -> None:
    (home,) = (p.parent for p in cache.glob("*/counting/*/calibration.json") if _toys(p) == 100
               and json.loads(p.read_text())["settings"]["kind"] == "scale")  # fmt: skip
    given = evaluate(settings_of(model=str(home)), tmp_path / "given", models=tmp_path)
    assert_frame_equal(table(given), table(calibrated))
    assert (given / "calibration.json").is_file()
    with pytest.raises(SettingsError, match="is calibrated already"):
        evaluate(
            settings_of(model=str(home), calibration=WANTED), tmp_path / "twice", models=tmp_path
        )


def _toys(path: Path) -> int:
    return int(json.loads(path.read_text())["settings"]["toys"])


@pytest.fixture(scope="module")
def method(task: Task) -> Calibrated:
    """A calibrated method made without a run."""
    pools = task.open()
    made = Calibrated(task, Exact(task), WANTED)
    told: list[float] = []
    made.fit(pools.train, pools.calibration, lambda what, fraction: told.append(fraction))
    assert told[-1] == 1.0
    return made


def events(seed: int = 2) -> Observation:
    return Observation(("x", "y"), np.random.default_rng(seed).normal(size=(2, 2200)))


def test_it_is_a_method(method: Calibrated, task: Task, tmp_path: Path) -> None:
    assert isinstance(method, Method)
    method.save(tmp_path)
    again = Calibrated.load(tmp_path, task)
    assert again.predict(events()) == method.predict(events())
    assert again.settings == method.settings
    answer, inner = method.predict(events())["mu"], method.method.predict(events())["mu"]
    assert isinstance(answer, Interval)
    assert isinstance(inner, Interval)
    assert answer.fitted == inner.fitted
    assert answer.lower != inner.lower


def test_what_is_no_calibrated_model_is_refused(
    method: Calibrated, task: Task, tmp_path: Path
) -> None:
    with pytest.raises(FitError, match="not calibrated yet"):
        Calibrated(task, method.method, WANTED).predict(events())
    with pytest.raises(FitError, match="nothing to save"):
        Calibrated(task, method.method, WANTED).save(tmp_path)
    method.save(tmp_path)
    path = tmp_path / "calibration.json"
    document = json.loads(path.read_text())
    for damage, error in (
        ({"task": "another"}, ModelMismatchError),
        ({"settings": {"speed": 3}}, DataError),
        ({"calibration": {}}, DataError),
    ):
        path.write_text(json.dumps(document | damage))
        with pytest.raises(error):
            Calibrated.load(tmp_path, task)


def test_what_the_method_does_not_answer_stays_unanswered(method: Calibrated) -> None:
    with pytest.raises(FitError):
        method.predict(Observation(("x", "y"), np.empty((2, 0))))


def test_a_task_without_an_interval_leaves_nothing_to_calibrate() -> None:
    class Pair:
        answer = "estimates"
        parameters = (1, 2)

    assert Calibrated.skip(Pair()) == "corrects one interval on one parameter"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"toys": 250}, "multiple of 100 toys, not 250: ask for 200"),
        ({"toys": 0}, "not 0: ask for 100"),
        ({"kind": "guess"}, "'scale' or 'neyman', not 'guess'"),
        ({"at_edges": "wrap"}, "'extend' or 'clip', not 'wrap'"),
        ({"kind": "neyman", "degree": 0}, "must be 1 to 4, not 0"),
        ({"degree": 4}, "must be 0 to 3, not 4"),
        ({"seed": -1}, "0 or more, not -1"),
    ],
)
def test_settings_out_of_range(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        CalibrationSettings(**wrong)


def test_settings_survive_json_and_bind_a_run(run: Callable[..., Path], calibrated: Path) -> None:
    settings = settings_of(calibration=WANTED)
    assert RunSettings.from_json(json.loads(json.dumps(settings.to_json()))) == settings
    with pytest.raises(SettingsError, match="holds a run with calibration="):
        evaluate(settings_of(), calibrated)
    with pytest.raises(SettingsError, match="leave 'calibration' out"):
        RunSettings(task="gaussian", entry="entry.zip", calibration=WANTED)


def test_too_many_failures_end_the_run(trouble: None, tmp_path: Path, models: Path) -> None:
    settings = settings_of("raising", sets=1, toys=1, calibration=WANTED)
    with pytest.raises(FitError, match="toys have no interval"):
        evaluate(settings, tmp_path / "run", models=models)
