"""`sigma68 run --calibrate`: from the command line to the report, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_verbs import sentence, sigma68

RUN = ("run", "counting", "--task", "gaussian", "--sets", 2, "--toys", 5, "--workers", 1)


def test_a_calibrated_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGMA68_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "run"
    result = sigma68(
        *(str(w) for w in RUN), "--calibrate", "100", "--calibration", "neyman", "--edges", "clip",
        "--out", out,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    settings = json.loads((out / "settings.json").read_text())["calibration"]
    assert settings["kind"] == "neyman"
    assert settings["at_edges"] == "clip"
    page = (out / "report.html").read_text()
    assert "Neyman construction about the method" in page
    assert (out / "calibration.json").is_file()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--calibrate", "150"), "multiple of 100 toys, not 150"),
        (("--calibrate", "200", "--calibration", "guess"), "'scale' or 'neyman', not 'guess'"),
        (("--calibrate", "200", "--edges", "wrap"), "'extend' or 'clip', not 'wrap'"),
        (("--calibration", "neyman"), "give --calibrate TOYS too"),
        (("--edges", "clip"), "give --calibrate TOYS too"),
    ],
)
def test_what_is_refused(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    result = sigma68(*(str(w) for w in RUN), *words, "--out", tmp_path / "run")
    assert said in sentence(result)
    assert not (tmp_path / "run").exists()
