"""Runs of the task `lensing` from outside: on public files, and compared with each other."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from sigma68.run.evaluate import evaluate
from sigma68.run.models import train_into
from sigma68.run.settings import RunSettings
from sigma68.score.files import score_folder
from sigma68.tasks.lensing.official import LABEL_FILE
from sigma68.tasks.lensing.task import Lensing
from tests.cli.test_verbs import sentence, sigma68
from tests.tasks.lensing.official_files import write_official

SPECTRUM = {"degree": 1, "covariance_degree": 0}
CNN = {
    "block": 16,
    "channels": [4],
    "units": 8,
    "hidden_layers": 1,
    "passes": 2,
    "batch": 20,
    "drawings": 1,
}


def run(method: str, data: str | Path, model: Path, out: Path, sets: int, toys: int) -> None:
    """Run and score as `sigma68 run` does, without the report, which takes its time."""
    settings = RunSettings(
        task="lensing",
        method=method,
        data=str(data),
        sets=sets,
        toys=toys,
        seed=1,
        nuisances=tuple(n.name for n in Lensing.nuisances),
        model=str(model),
        predict_seconds=60,
    )
    score_folder(evaluate(settings, out))


def test_runs_of_two_methods_are_compared(tmp_path: Path) -> None:
    source, task = "embedded:20x2", Lensing()
    pools = task.open(source)
    for name, settings in (("power_spectrum", SPECTRUM), ("cnn", CNN)):
        model = tmp_path / f"{name}-model"
        train_into(model, name, task, pools, settings=settings)
        run(name, source, model, tmp_path / name, sets=4, toys=1)
    words = ("compare", tmp_path / "power_spectrum", tmp_path / "cnn", "--sets-drawn", "3")
    result = sigma68(*words, "--out", tmp_path / "ranking")
    assert result.exit_code == 0, result.output
    assert "4 sets are few for a bootstrap" in " ".join(result.stderr.split())
    assert "Resampling 3 of 4 sets" in " ".join(result.stdout.split())
    ranking = json.loads((tmp_path / "ranking" / "comparison.json").read_text())
    assert ranking["headline"] == "challenge_score"
    assert ranking["paired"]
    stated = [f"{e['score']:.3f} ± {e['score_error']:.3f}" for e in ranking["entries"]]
    assert all(words in result.stdout for words in stated)
    scores = {e["name"]: e["score"] for e in ranking["entries"]}
    for name in scores:
        document = json.loads((tmp_path / name / "score.json").read_text())
        assert scores[name] == pytest.approx(document["challenge_score"])


def test_public_files_are_trained_on_and_run_on(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    folder = write_official(tmp_path / "files")
    task = Lensing()
    model, out = tmp_path / "model", tmp_path / "run"
    train_into(model, "power_spectrum", task, task.open(str(folder)), settings=SPECTRUM)
    run("power_spectrum", folder, model, out, sets=3, toys=2)
    toys = pd.read_parquet(out / "toys.parquet")
    assert len(toys) == 6
    held = task.open(str(folder)).scoring
    truths = [held.held_truth(1, s, t) for s in range(3) for t in range(2)]  # type: ignore[attr-defined]
    assert toys["S8"].to_list() == [t.parameters["S8"] for t in truths]
    assert toys["f0"].to_list() == [t.nuisances["f0"] for t in truths]
    assert (toys["status"] == "ok").all()
    assert (toys["S8_hat"] - toys["S8"]).abs().max() < 0.15


def test_what_public_files_cannot_give_is_said_before_anything_is_trained(tmp_path: Path) -> None:
    words = ("run", "power_spectrum", "--task", "lensing", "--data", write_official(tmp_path))
    more = ("--workers", "1", "--out", tmp_path / "run")
    said = sentence(sigma68(*words, *more, "--sets", "2", "--toys", "1", "--nuisances", "none"))
    assert "give --nuisances all" in said
    said = sentence(sigma68(*words, *more, "--sets", "2", "--toys", "9"))
    assert "give --toys 2 or fewer" in said
    (tmp_path / LABEL_FILE).write_bytes(b"\x93NUMPY")
    assert f"{LABEL_FILE} is no NumPy file" in sentence(sigma68(*words, *more))
