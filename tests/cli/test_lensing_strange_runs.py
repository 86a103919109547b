"""Runs of the task `lensing_strange` from outside: numbers, page and figures."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from sigma68.run.models import train_into
from sigma68.tasks.lensing_strange.families import FAMILIES
from sigma68.tasks.lensing_strange.scores import score_strange
from sigma68.tasks.lensing_strange.task import LensingStrange
from tests.cli.test_verbs import sentence, sigma68

SOURCE = "embedded:20x2"


def test_a_run_is_scored_and_reported(tmp_path: Path) -> None:
    task, model, out = LensingStrange(), tmp_path / "model", tmp_path / "run"
    simple = {"degree": 1, "covariance_degree": 0}
    train_into(model, "spectrum_chi2", task, task.open(SOURCE), settings=simple)
    words = ("run", "spectrum_chi2", "--task", task.name, "--data", SOURCE, "--model", model)
    how_many = ("--sets", "24", "--toys", "1", "--nuisances", "all", "--seed", "1")
    result = sigma68(*words, *how_many, "--out", out)
    assert result.exit_code == 0, result.output
    assert "strangeness_score" in result.stdout
    document = json.loads((out / "score.json").read_text())
    toys = pd.read_parquet(out / "toys.parquet")
    assert toys["score"].notna().all()
    assert document["strangeness_score"] == pytest.approx(score_strange(toys).value)
    assert document["n_strange"] == (toys["family"] > 1).sum() > 0
    page = (out / "report.html").read_text()
    assert "stress tests, not physics" in page
    assert all(f"<dt>{family.name.capitalize()}</dt>" in page for family in FAMILIES)
    for name in ("roc", "parts", "strangeness"):
        assert (out / "figures" / f"{name}.svg").is_file()
    again = sigma68("score", out)
    assert again.exit_code == 0, again.output


def test_public_files_are_refused_in_a_sentence(tmp_path: Path) -> None:
    words = ("run", "spectrum_chi2", "--task", "lensing_strange", "--data", tmp_path)
    said = sentence(sigma68(*words, "--out", tmp_path / "run"))
    assert "which of them are strange" in said
