"""`sigma68 train`: what is kept, when it is trained again, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sigma68.cli import app

COMMAND = ("train", "counting", "--task", "gaussian")


def sigma68(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], prog_name="sigma68")


def test_a_model_is_kept_and_can_be_run(tmp_path: Path) -> None:
    model = tmp_path / "model"
    first = sigma68(*COMMAND, "--out", model)
    assert first.exit_code == 0, first.output
    assert "trained model" in first.stdout
    again = sigma68(*COMMAND, "--out", model)
    assert "this model is there already" in again.stdout
    out = tmp_path / "run"
    ran = sigma68(
        "run", "counting", "--task", "gaussian", "--model", model, "--sets", 1, "--toys", 2,
        "--workers", 1, "--out", out,
    )  # fmt: skip
    assert ran.exit_code == 0, ran.output
    assert (out / "score.json").is_file()
    assert not list(tmp_path.glob("*.checkpoint"))


def test_another_model_does_not_replace_it_unasked(tmp_path: Path) -> None:
    model = tmp_path / "model"
    sigma68(*COMMAND, "--out", model)
    other = sigma68(*COMMAND, "--split-seed", 3, "--nuisances", "none", "--out", model)
    assert other.exit_code == 2
    assert "give another folder" in other.output or "was trained" in other.output
    assert sigma68(*COMMAND, "--retrain", "--out", model).exit_code == 0


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--set", "seed"), "is not NAME=VALUE"),
        (("--set", "a=1", "--set", "a=2"), "gives a twice"),
        (("--set", "colour=red"), "has no setting 'colour'"),
    ],
)
def test_bad_settings_say_so(tmp_path: Path, words: tuple[str, ...], reason: str) -> None:
    result = sigma68(*COMMAND, *words, "--out", tmp_path / "model")
    assert result.exit_code == 2
    assert reason in result.output
    assert not (tmp_path / "model").exists()


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    result = sigma68(*COMMAND, "--out", tmp_path)
    assert result.exit_code == 2
    assert "is no trained model" in result.output
    assert (tmp_path / "mine.txt").read_text() == "mine"
