"""`sigma68 simulate` and `sigma68 data merge` from outside."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from sigma68.cli import app, simulation_bar
from sigma68.cli.simulate import _goal
from sigma68.errors import SettingsError
from sigma68.tasks.higgs.simulate.plan import DEFAULT_MIXTURE, Hours, Rows, ShardCount
from sigma68.tasks.higgs.simulate.production import Advance
from sigma68.tasks.higgs.simulate.streams import CROSS_SECTION_FB

needs_pythia = pytest.mark.skipif(
    importlib.util.find_spec("pythia8mc") is None, reason="Pythia is not installed"
)


def sigma68(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], prog_name="sigma68")


def test_how_much_is_said_in_one_of_three_ways() -> None:
    rows = _goal(None, "1000", None, None, None)
    assert isinstance(rows, Rows)
    assert rows.rows == {name: round(1000 * share) for name, share in DEFAULT_MIXTURE.items()}
    rows = _goal("ttbar, ztautau", "1000", None, None, "ttbar=1,ztautau=3")
    assert isinstance(rows, Rows)
    assert rows.rows == {"ttbar": 250, "ztautau": 750}
    rows = _goal(None, "htautau=5,ttbar=7", None, None, None)
    assert isinstance(rows, Rows)
    assert rows.rows == {"htautau": 5, "ttbar": 7}
    count = _goal("htautau", None, None, "3", None)
    assert isinstance(count, ShardCount)
    assert count.counts == {"htautau": 3}
    count = _goal(None, None, None, "htautau=3,diboson=1", None)
    assert isinstance(count, ShardCount)
    assert count.counts == {"htautau": 3, "diboson": 1}
    hours = _goal(None, None, 2.5, None, "diboson=1,ttbar=2")
    assert isinstance(hours, Hours)
    assert hours.mixture == {"diboson": 1.0, "ttbar": 2.0}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "one of --events, --hours and --shards"),
        ("--events 10 --hours 1", "one of --events, --hours and --shards"),
        ("--events 0", "--events must be 1 or more"),
        ("--events many", "'many'"),
        ("--events 1e5", "--events needs a number or NAME=NUMBER,..., not '1e5'"),
        ("--events ttbar=x", "--events needs a number or NAME=NUMBER,..., not 'ttbar=x'"),
        ("--events ttbar=1,ttbar=2", "--events names ttbar twice"),
        ("--process ttbar --events ztautau=2", "ztautau which --process leaves out"),
        ("--process zee --events 5", "no process 'zee': choose from htautau, ztautau, ttbar"),
        ("--shards 0", "--shards must be 1 or more"),
        ("--hours 0", "--hours must be a positive number"),
        ("--hours nan", "--hours must be a positive number"),
        ("--events ttbar=2 --mixture ttbar=1", "leave it out here"),
        ("--shards 2 --mixture ttbar=1", "leave it out here"),
        ("--events 9 --mixture ttbar=-1", "must be positive numbers"),
        ("--process ttbar,ztautau --events 9 --mixture ttbar=1", "no share for ztautau"),
        ("--events 9 --workers 0", "workers must be 1 or more"),
        ("--events 9 --workers 2 --dask tcp://x:1", "leave out --workers"),
    ],
)
def test_what_cannot_be_simulated_is_one_sentence(words: str, said: str, tmp_path: Path) -> None:
    result = sigma68("simulate", *words.split(), "--out", tmp_path / "out")
    assert result.exit_code == 2, result.output
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("sigma68: ")
    assert not (tmp_path / "out").exists()


def test_merging_what_is_no_folder_of_shards_is_one_sentence(tmp_path: Path) -> None:
    result = sigma68("data", "merge", tmp_path, "--out", tmp_path / "pool.parquet")
    assert result.exit_code == 2
    assert result.stderr == (
        f"sigma68: {tmp_path} holds no shards: give a folder that sigma68 simulate wrote to\n"
    )
    (tmp_path / "pool.parquet").touch()
    result = sigma68("data", "merge", tmp_path, "--out", tmp_path / "pool.parquet")
    assert "--force to overwrite" in result.stderr


@needs_pythia
def test_from_collisions_to_one_file(tmp_path: Path) -> None:
    words = ("simulate", "--process", "ztautau", "--seed", "3", "--hard-events", "60")
    out, pool = tmp_path / "out", tmp_path / "pool.parquet"
    result = sigma68(*words, "--events", "100", "--workers", "1", "--out", out)
    assert result.exit_code == 0, result.output
    (line,) = (text for text in result.stdout.splitlines() if text.split()[:1] == ["ztautau"])
    rows = int(line.split()[2].replace(",", ""))
    assert rows >= 100
    result = sigma68("data", "merge", out, "--out", pool, "--shuffle", "--seed", "2")
    assert result.exit_code == 0, result.output
    assert f"{pool}: {rows:,} events" in result.stdout
    frame = pd.read_parquet(pool)
    assert len(frame) == rows
    assert set(frame["process_code"]) == {221}
    about = json.loads(pq.read_metadata(pool).metadata[b"sigma68"])
    code = about["codes"]["221"]
    assert code["cross_section_fb"] == CROSS_SECTION_FB[221]
    assert code["tries"] > 100
    # A few hundred collisions of a million: the right order of magnitude is what can be asked.
    assert 2e5 < frame["weights"].sum() < 5e6
    assert np.isfinite(frame.select_dtypes("number")).all().all()
    assert frame.groupby("hard_event")["decay"].nunique().max() > 1
    again = sigma68(*words, "--events", "100", "--workers", "1", "--out", out)
    assert again.exit_code == 0
    other = sigma68(*words[:3], "--seed", "4", "--events", "100", "--out", out)
    assert other.exit_code == 2
    assert "holds shards with seed=3, not 4" in other.stderr


def test_progress_is_told_in_words() -> None:
    advance = Advance(10, 5000, 50_000, 4000, 40_000, 20.0, 0.25, 3725.0)
    words = simulation_bar._words(advance)
    assert words == "5,000 events, 200 events/s, 2e+03 hard events/s, 1:02:05 left"


def test_a_mixture_must_be_of_known_processes() -> None:
    with pytest.raises(SettingsError, match="no process 'zee'"):
        _goal(None, "5", None, None, "zee=1")
