"""`data sample`, `data export`, and the events of the package under their name, from outside."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from sigma68.cli import app
from sigma68.cli.run import _recorded
from sigma68.tasks.gaussian.task import Gaussian
from sigma68.tasks.higgs import embedded
from sigma68.tasks.higgs.embedded.pack import pack
from sigma68.tasks.higgs.schema import DERIVED, FEATURES
from sigma68.tasks.higgs.task import Higgs
from tests.tasks.higgs.pools import made_pool


def sigma68(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], prog_name="sigma68")


def sentence(result: Result) -> str:
    assert result.exit_code == 2, result.output
    assert result.stderr.count("\n") == 1, result.stderr
    return result.stderr


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_pool(tmp_path_factory.mktemp("pool") / "pool.parquet")


@pytest.fixture
def shipped(pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for the events of the package, in a folder that nobody may write to."""
    folder = tmp_path / "package"
    folder.mkdir()
    pack(pool, folder / "events.parquet")
    folder.chmod(0o555)
    monkeypatch.setattr(embedded, "PATH", folder / "events.parquet")
    monkeypatch.setenv("SIGMA68_CACHE", str(tmp_path / "cache"))
    return folder / "events.parquet"


def test_sample_writes_a_piece_and_says_what_was_taken(pool: Path, tmp_path: Path) -> None:
    out = tmp_path / "piece.parquet"
    result = sigma68("data", "sample", pool, out, "--rows", 2000, "--seed", 4)
    assert result.exit_code == 0, result.output
    assert f"{out}: 2,000 events of 20,000" in result.stdout
    assert "below thresholds" in result.stdout
    assert " of " in result.stdout.splitlines()[-2]
    assert len(pd.read_parquet(out)) == 2000
    assert "exists" in sentence(sigma68("data", "sample", pool, out, "--rows", 100))
    again = sigma68(*("data", "sample", pool, out, "--rows", 100, "--strata", "process", "--force"))
    assert again.exit_code == 0
    assert len(pd.read_parquet(out)) == 100


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--rows", "30000"), "to 20,000"),
        (("--rows", "100", "--strata", "color"), "'color'"),
        (("--rows", "100", "--strata", ","), "made of nothing"),
    ],
)
def test_what_cannot_be_sampled_is_said(
    words: tuple[str, ...], said: str, pool: Path, tmp_path: Path
) -> None:
    assert said in sentence(sigma68("data", "sample", pool, tmp_path / "s.parquet", *words))
    assert list(tmp_path.iterdir()) == []


def test_export_writes_the_events_of_the_package(shipped: Path, pool: Path, tmp_path: Path) -> None:
    out = tmp_path / "plain.parquet"
    result = sigma68("data", "export", "embedded", out)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{out}: 20,000 events\n"
    by = ["decay", *FEATURES[:16]]
    before, after = (
        pd.read_parquet(p).sort_values(by, ignore_index=True).drop(columns="hard_event")
        for p in (pool, out)
    )
    assert list(after.columns) == list(before.columns)
    pd.testing.assert_frame_equal(after, before, check_exact=True)
    assert (after.dtypes[list(DERIVED)] == np.float32).all()
    # A plain file is exported as it is.
    sigma68("data", "export", out, tmp_path / "again.parquet")
    assert pd.read_parquet(tmp_path / "again.parquet").equals(pd.read_parquet(out))
    assert "exists" in sentence(sigma68("data", "export", "embedded", out))
    assert "the input itself" in sentence(sigma68("data", "export", out, out, "--force"))


def test_a_sum_that_metadata_promise_is_exported(pool: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "pool.parquet").write_bytes(pool.read_bytes())
    (tmp_path / "in" / "pool_metadata.json").write_text('{"sum_weights": 5e5}')
    assert sigma68("data", "export", tmp_path / "in", tmp_path / "o.parquet").exit_code == 0
    total = pd.read_parquet(tmp_path / "o.parquet").weights.to_numpy(float).sum()
    assert total == pytest.approx(5e5, rel=1e-6)


def test_every_verb_knows_the_events_of_the_package(shipped: Path, tmp_path: Path) -> None:
    described = sigma68("data", "describe", "embedded")
    assert described.exit_code == 0, described.output
    assert "embedded: 20,000 rows" in described.stdout
    for words in (
        ("bias", "embedded", tmp_path / "b.parquet", "--tes", "1.02"),
        ("toys", "--data", "embedded", "--out", tmp_path / "toys"),
        ("data", "sample", "embedded", tmp_path / "s.parquet", "--rows", "500"),
    ):
        result = sigma68(*words)
        assert result.exit_code == 0, result.output
    assert len(pd.read_parquet(tmp_path / "s.parquet")) == 500
    assert (tmp_path / "toys" / "toy_0.parquet").exists()
    assert sorted(p.name for p in shipped.parent.iterdir()) == ["events.parquet"]


def test_without_the_events_of_the_package_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "PATH", tmp_path / "events.parquet")
    said = sentence(sigma68("run", "counting", "--data", "embedded", "--out", tmp_path / "run"))
    assert "install sigma68 again" in said
    assert "--data PATH" in said


def test_a_name_is_not_taken_for_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("embedded", "emulated:7", "exact", "events.parquet"):
        (tmp_path / name).mkdir()
    assert _recorded("embedded", Higgs()) == "embedded"
    assert _recorded("emulated:7", Higgs()) == "emulated:7:5M"
    assert _recorded("exact", Gaussian()) == "exact"
    assert _recorded("exact", Higgs()) == str(tmp_path / "exact")
    assert _recorded("events.parquet", Higgs()) == str(tmp_path / "events.parquet")
    assert _recorded("nowhere.parquet", Higgs()) == "nowhere.parquet"


def test_a_run_writes_down_what_a_default_stands_for() -> None:
    assert _recorded(None, Higgs()) == _recorded("emulated", Higgs()) == "emulated:1:5M"
    assert _recorded(None, Gaussian()) == "exact"


@pytest.mark.parametrize("verb", ["sample", "export"])
def test_help_teaches_with_an_example(verb: str) -> None:
    result = sigma68("data", verb, "--help")
    assert result.exit_code == 0
    assert result.stdout.count(f"sigma68 data {verb}") >= 2
