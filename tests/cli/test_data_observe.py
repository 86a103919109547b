"""`sigma68 data observe` from outside."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from sigma68.cli.app import app

RUN = ("data", "observe", "--task", "lensing", "--data", "embedded:20x5", "--others", "10")


def test_one_map_as_figures(tmp_path: Path) -> None:
    out = tmp_path / "map"
    result = CliRunner().invoke(app, [*RUN, "--set", "S8=0.8", "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "S8 = 0.8: image, summaries in" in result.output
    names = {path.name for path in out.iterdir()}
    assert names == {"image.pdf", "image.png", "summaries.pdf", "summaries.png"}
    first = (out / "summaries.png").read_bytes()
    CliRunner().invoke(app, [*RUN, "--set", "S8=0.8", "--out", str(out)])
    assert (out / "summaries.png").read_bytes() == first


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--set", "S8"), "write NAME=VALUE"),
        (("--set", "S8=2"), "S8 goes from 0.68 to 0.96"),
        (("--set", "mu=1"), "there is no 'mu', choose from Omega_m, S8"),
        (("--task", "gaussian"), "shows no images"),
    ],
)
def test_bad_input_is_one_sentence(words: tuple[str, str], said: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, [*RUN, *words, "--out", str(tmp_path / "map")])
    assert result.exit_code == 2
    assert said in " ".join(result.output.split())
