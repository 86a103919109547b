"""`sigma68 entry`: words and exit codes."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sigma68.cli.entry import app
from sigma68.errors import IsolationError
from tests.requirements_of_machine import need

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


def test_check_in_a_sandbox(tmp_path: Path) -> None:
    need("bwrap")
    runner.invoke(app, ["new", "mine", "--out", str(tmp_path)])
    model = tmp_path / "mine" / "model.py"
    lines = "import os\nassert os.getuid() != 0 and not os.path.exists('/etc/passwd')\n"
    model.write_text(lines + model.read_text().replace("from __future__ import annotations\n", ""))
    arguments = ["check", str(model.parent), "--task=gaussian", "--toys=1", "--sandbox"]
    result = runner.invoke(app, arguments)
    assert result.exit_code == 0, result.output


def test_a_sandbox_that_cannot_be_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sigma68.challenge.sandbox.probe.probe", lambda: "it has no walls")
    result = runner.invoke(app, ["check", str(tmp_path), "--task=gaussian", "--sandbox"])
    assert isinstance(result.exception, IsolationError)
    assert "it has no walls" in str(result.exception)


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
