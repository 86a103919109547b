"""`sigma68 fit`: what is fitted, what is written, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from sigma68.cli import app

COMMAND = ["fit", "bdt_profile", "--task", "gaussian", "--gof-toys", "0"]


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The method is trained once for all tests here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIGMA68_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def sigma68(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], prog_name="sigma68")


def fitted(out: Path, *words: str | Path) -> dict[str, Any]:
    result = sigma68(*COMMAND, *words, "--out", out)
    assert result.exit_code == 0, result.output
    assert f"report: {out / 'fit.html'}" in result.stdout
    document: dict[str, Any] = json.loads((out / "fit.json").read_text())
    return document


def test_an_asimov_data_set_gives_back_what_it_was_made_with(tmp_path: Path) -> None:
    document = fitted(tmp_path, "--asimov", "--mu", "1.5")
    assert document["fit"]["best"] == pytest.approx([1.5, 0, 0], abs=1e-5)
    assert document["lower"] < 1.5 < document["upper"]
    assert document["goodness"]["probability"] == pytest.approx(1)
    assert set(document["components"]) == {"signal", "background"}


def test_a_pseudo_experiment_leaves_a_page_figures_numbers_and_a_workspace(tmp_path: Path) -> None:
    document = fitted(tmp_path, "--set", "shift=2", "--seed", "3", "--gof-toys", "100")
    assert "shift = 2" in document["about"]["Truth"]
    i = document["pulls"]["names"].index("shift")
    assert document["pulls"]["best"][i] > 0.3
    page = (tmp_path / "fit.html").read_text()
    for words in ("The fit describes the counts", "Pulls and impacts", "workspace.json"):
        assert words in page
    assert (tmp_path / "figures" / "scan_mu.pdf").is_file()
    workspace = json.loads((tmp_path / "workspace.json").read_text())
    assert workspace["observations"][0]["data"] == document["bins"]["counts"]
    assert len(document["toys"]["values"]) + document["toys"]["n_failed"] == 100
    assert "(100 toys)" in page


def test_a_file_is_fitted(tmp_path: Path) -> None:
    from sigma68.seeds import stream
    from sigma68.tasks.gaussian.task import Gaussian
    from sigma68.types import Truth

    task = Gaussian()
    seen = task.pseudo_experiment(
        task.open().scoring, Truth({"mu": 2.0}, {}), stream("test", "fit", 0)
    )
    seen.frame().to_parquet(tmp_path / "seen.parquet")
    document = fitted(tmp_path / "out", "--observed", tmp_path / "seen.parquet")
    assert document["about"]["Data"] == "observed events of seen.parquet"
    assert sum(document["bins"]["counts"]) == seen.n_events


def test_a_file_without_the_features_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.parquet"
    pd.DataFrame({"y": [1.0]}).to_parquet(path)
    (tmp_path / "none.parquet").write_text("nothing")
    for name, said in (("other", "lacks the features"), ("none", "cannot be read"), ("no", "no")):
        result = sigma68(*COMMAND, "--observed", tmp_path / f"{name}.parquet", "--out", tmp_path)
        assert result.exit_code == 2
        assert said in result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--set tilt=1", "no nuisance parameter 'tilt' to profile: choose from shift"),
        ("--set shift", "write NAME=VALUE"),
        ("--set shift=much", "write NAME=VALUE"),
        ("--set shift=nan", "lies between -10 and 10"),
        ("--set shift=11", "lies between -10 and 10"),
        ("--nuisances none --set shift=1", "choose from none"),
        ("--observed x.parquet --asimov", "leave out --asimov"),
    ],
)
def test_what_makes_no_sense_is_refused_at_once(tmp_path: Path, words: str, said: str) -> None:
    result = sigma68(*COMMAND, *words.split(), "--out", tmp_path)
    assert result.exit_code == 2
    assert said in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_method_without_a_likelihood_is_refused(tmp_path: Path) -> None:
    result = sigma68("fit", "counting", "--task", "gaussian", "--out", tmp_path)
    assert result.exit_code == 2
    assert "counting fits no likelihood whose" in result.stderr


@pytest.fixture(scope="module")
def unbinned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A quick model of `gollum`."""
    out = tmp_path_factory.mktemp("gollum") / "model"
    quickly = ("passes=3", "response_passes=4", "units=12", "hidden_layers=1", "points=6")
    settings = [word for setting in quickly for word in ("--set", setting)]
    result = sigma68("train", "gollum", "--task", "gaussian", *settings, "--out", out)
    assert result.exit_code == 0, result.output
    return out


def test_a_fit_to_events_shows_features_and_what_was_learned(
    unbinned: Path, tmp_path: Path
) -> None:
    words = ("fit", "gollum", "--task", "gaussian", "--model", unbinned, "--rows", "20000")
    result = sigma68(*words, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert "goodness" not in result.stdout
    document = json.loads((tmp_path / "fit.json").read_text())
    assert [d["feature"] for d in document["distributions"]] == ["x", "y"]
    assert {c["nuisance"] for c in document["closure"]["responses"]} == {"shift"}
    page = (tmp_path / "fit.html").read_text()
    for said in (
        "x after the fit",
        "Closure of what was learned",
        "no goodness of fit",
        "shift = 1",
    ):
        assert said in page
    assert "workspace.json" not in page
    assert not (tmp_path / "workspace.json").exists()
    assert (tmp_path / "figures" / "closure_shares.pdf").is_file()
    result = sigma68(*words, "--asimov", "--mu", "2", "--no-closure", "--out", tmp_path / "asimov")
    assert result.exit_code == 0, result.output
    document = json.loads((tmp_path / "asimov" / "fit.json").read_text())
    assert document["lower"] < 2 < document["upper"]
    assert "closure" not in document
    assert "Closure" not in (tmp_path / "asimov" / "fit.html").read_text()
