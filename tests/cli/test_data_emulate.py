"""`data emulate`, and emulated events under their name, from outside."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from sigma68.cli import app, console
from sigma68.cli.run import _recorded
from sigma68.run.settings import check_same, read_settings
from sigma68.tasks.higgs.emulate import emulator
from sigma68.tasks.higgs.task import Higgs
from tests.tasks.higgs.emulate.small import small_weights


def sigma68(*words: str | Path | int) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], prog_name="sigma68")


def sentence(result: Result) -> str:
    assert result.exit_code == 2, result.output
    assert result.stderr.count("\n") == 1, result.stderr
    assert result.stdout == ""
    return result.stderr


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Small weights in the place of the package's, and a cache of the test's own."""
    monkeypatch.setenv("SIGMA68_CACHE", str(tmp_path / "cache"))
    path = small_weights(tmp_path / "weights.npz")
    monkeypatch.setattr(emulator, "WEIGHTS", path)
    return path


def test_it_writes_events_and_says_which(small: Path, tmp_path: Path) -> None:
    out = tmp_path / "events.parquet"
    result = sigma68("data", "emulate", "--rows", "40k", "--seed", 7, "--out", out)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"{out}: 40,000 events\n")
    assert result.stdout.count(" 26.28 ") == 4  # the weight of all events
    frame = pd.read_parquet(out)
    assert len(frame) == 40_000
    described = sigma68("data", "describe", out)
    assert described.exit_code == 0, described.output
    assert (
        "40,000 rows\nemulated events in natural proportion: seed 7, weights " in described.stdout
    )
    assert "exists" in sentence(sigma68("data", "emulate", "--rows", "10k", "--out", out))
    again = sigma68("data", "emulate", "--rows", "4k", "--out", out, "--seed", 7, "--force")
    assert again.exit_code == 0
    assert np.array_equal(pd.read_parquet(out)["PRI_met"], frame["PRI_met"].head(4_000))


def test_weights_mixture_and_workers(small: Path, tmp_path: Path) -> None:
    other = small_weights(tmp_path / "other.npz", 1)
    words = ("data", "emulate", "--rows", "5000", "--mixture", "ttbar=1, htautau=3")
    for n in (1, 2):
        out = tmp_path / f"{n}.parquet"
        result = sigma68(*words, "--out", out, "--weights", other, "--workers", n)
        assert result.exit_code == 0, result.output
    assert (tmp_path / "1.parquet").read_bytes() == (tmp_path / "2.parquet").read_bytes()
    assert sigma68(*words, "--out", tmp_path / "3.parquet").exit_code == 0
    one, three = (pd.read_parquet(tmp_path / f"{n}.parquet") for n in (1, 3))
    assert set(one["detailed_labels"]) == {"htautau", "ttbar"}
    assert np.array_equal(one["detailed_labels"], three["detailed_labels"])
    assert not np.array_equal(one["PRI_met"], three["PRI_met"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("--rows", "many"),
            "--rows must be a number such as 200000, 200k, 20M or 1e6, not 'many'",
        ),
        (("--rows", "0"), "--rows must be a whole number from 1"),
        (("--rows", "10"), "htautau would get"),
        (("--rows", "1e15"), "room for"),
        (("--rows", "10k", "--mixture", "photon=1"), "there is no process 'photon'"),
        (("--rows", "10k", "--mixture", "ttbar=lots"), "NAME=NUMBER"),
        (("--rows", "10k", "--mixture", "ttbar=0"), "must be a positive number"),
        (("--rows", "10k", "--mixture", "ttbar=1,ttbar=2"), "names ttbar twice"),
        (("--rows", "10k", "--weights", "{tmp}/none.npz"), "none.npz cannot be read"),
        (("--rows", "10k", "--weights", "{tmp}/damaged.npz"), "holds no emulator's weights"),
        (("--rows", "10k", "--out", "{tmp}/none/e.parquet"), "choose a folder that exists"),
        (("--rows", "10k", "--out", "{tmp}"), "is a folder"),
    ],
)
def test_bad_input_is_one_sentence(
    words: tuple[str, ...], said: str, small: Path, tmp_path: Path
) -> None:
    (tmp_path / "damaged.npz").write_bytes(small.read_bytes()[:-100])
    before = sorted(tmp_path.iterdir())
    given = [word.format(tmp=tmp_path) for word in words]
    out = () if "--out" in given else ("--out", tmp_path / "e.parquet")
    assert said in sentence(sigma68("data", "emulate", *given, *out))
    assert sorted(tmp_path.iterdir()) == before


def test_every_verb_knows_emulated_events(small: Path, tmp_path: Path) -> None:
    described = sigma68("data", "describe", "emulated:3:8k")
    assert described.exit_code == 0, described.output
    assert "emulated:3:8k: 8,000 rows\nemulated events mixed htautau=0.05" in described.stdout
    # Of the four pools it needs no more than their size.
    assert len([p for p in (tmp_path / "cache" / "emulated").iterdir() if p.is_dir()]) == 1
    for words in (
        ("bias", "emulated:3:8k", tmp_path / "b.parquet", "--tes", "1.02"),
        ("toys", "--data", "emulated:3:8k", "--out", tmp_path / "toys", "--pool", "final"),
        ("data", "sample", "emulated:3:8k", tmp_path / "s.parquet", "--rows", "500"),
        ("data", "export", "emulated:3:8000", tmp_path / "e.parquet"),
    ):
        result = sigma68(*words)
        assert result.exit_code == 0, result.output
    assert len(pd.read_parquet(tmp_path / "e.parquet")) == 8_000
    truth = json.loads((tmp_path / "toys" / "truth.json").read_text())
    assert truth["pool"] == "final"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("emulated:abc", "SEED of 'emulated:abc'"),
        ("emulated:-1", "SEED of 'emulated:-1'"),
        ("emulated:1:0", "ROWS of 'emulated:1:0'"),
        ("emulated:1:20", "34 or more"),
        ("emulated:1:1e15", "72,000,000 GB"),
    ],
)
def test_a_wrong_name_is_one_sentence(name: str, said: str, small: Path, tmp_path: Path) -> None:
    words = ("run", "counting", "--data", name, "--out", tmp_path / "run")
    assert said in sentence(sigma68(*words))
    assert said in sentence(sigma68("toys", "--data", name, "--out", tmp_path / "toys"))
    if name != "emulated:1:20":
        assert said in sentence(sigma68("data", "describe", name))


def test_a_run_on_emulated_events_is_known_under_any_spelling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the weights of the package, which is what its workers open."""
    monkeypatch.setenv("SIGMA68_CACHE", str(tmp_path / "cache"))
    stages: list[str] = []
    monkeypatch.setattr(
        console, "run_bar", lambda title: nullcontext(lambda how_far: stages.append(how_far.stage))
    )
    words = ("run", "counting", "--sets", 1, "--toys", 1, "--workers", 1, "--out", tmp_path / "run")
    first = sigma68(*words, "--data", "emulated:3:20k")
    assert first.exit_code == 0, first.output
    settings = read_settings(tmp_path / "run")
    assert settings is not None
    assert settings.data == "emulated:3:20k"
    for what in (
        "training: {} train pool",
        "training: {} calibration pool",
        "events: {} scoring pool",
    ):
        assert what.format("emulating the") in stages
    # The final pool was not needed, and was not made.
    pools = [p for p in (tmp_path / "cache" / "emulated").iterdir() if p.is_dir()]
    assert len(pools) == 3
    other = sentence(sigma68(*words, "--data", "emulated:4:20k"))
    assert "data='emulated:3:20k', not 'emulated:4:20k'" in other
    check_same(settings, replace(settings, data=_recorded("emulated:3:20000", Higgs())), tmp_path)
