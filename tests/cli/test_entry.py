"""`sigma68 entry`: words and exit codes."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sigma68.cli.entry import app

runner = CliRunner()


def test_new_then_check(tmp_path: Path) -> None:
    result = runner.invoke(app, ["new", "mine", "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    folder = tmp_path / "mine"
    assert f"sigma68 entry check {folder} --task gaussian" in result.output
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as archive:
        archive.write(folder / "model.py", "model.py")
    result = runner.invoke(
        app, ["check", str(tmp_path / "mine.zip"), "--task=gaussian", "--toys=2"]
    )
    assert result.exit_code == 0, result.output
    assert f"{tmp_path / 'mine.zip'} will run." in result.output
    assert "ok       repeatable" in result.output


def test_a_bad_entry_ends_with_2_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text("class Model:\n    def fit(self) pass\n")
    result = runner.invoke(app, ["check", str(tmp_path), "--task", "gaussian"])
    assert result.exit_code == 2
    assert "ERROR" in result.output
    assert "model.py, line 2, is not valid Python" in result.output
    assert "will not run: 1 error above" in result.output


@pytest.mark.parametrize("arguments", [["check"], ["new"], ["check", "x", "--toys", "many"]])
def test_wrong_usage(arguments: list[str]) -> None:
    assert runner.invoke(app, arguments).exit_code == 2
