"""Making the shipped file from a pool, and its Croissant metadata."""

from __future__ import annotations

import hashlib
import json
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from sigma68.errors import DataError, SettingsError
from sigma68.tasks.higgs import embedded
from sigma68.tasks.higgs.contents import take_contents
from sigma68.tasks.higgs.dataset import open_parquet
from sigma68.tasks.higgs.embedded.croissant import RECORDS, croissant
from sigma68.tasks.higgs.embedded.make import app, make
from sigma68.tasks.higgs.embedded.pack import pack
from sigma68.tasks.higgs.history import KEY, read_history
from sigma68.tasks.higgs.schema import PROCESSES
from tests.tasks.higgs.pools import made_pool

HISTORY: dict[str, Any] = {
    "kind": "simulation",
    "commands": ["sigma68 simulate --seed 1 --out shards-1", "sigma68 data merge shards-1"],
    "versions": {"pythia8mc": ["8.317.2"], "numpy": ["2.1", "2.2"]},
    "codes": {"221": {"tries": 1000}},
}
WHEN = date(2025, 3, 1)


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pool") / "pool.parquet"
    return made_pool(path, metadata={KEY: json.dumps(HISTORY)})


@pytest.fixture(scope="module")
def made(pool: Path) -> tuple[Path, dict[str, Any]]:
    folder = pool.parent / "package"
    return folder, make(pool, folder, rows=5000, seed=2, published=WHEN)


def test_it_makes_a_representative_piece(pool: Path, made: tuple[Path, dict[str, Any]]) -> None:
    folder, report = made
    assert sorted(p.name for p in folder.iterdir()) == ["croissant.json", "events.parquet"]
    file = open_parquet(folder / "events.parquet")
    assert file.is_compact
    assert file.n_rows == 5000
    whole, part = take_contents(open_parquet(pool)), take_contents(file)
    np.testing.assert_allclose(part.sumw, whole.sumw, rtol=1e-6)
    assert report["bytes"] == (folder / "events.parquet").stat().st_size
    own = report["file"]["mT<70, VBFJet"]["htautau"]
    assert own["rows"] == part.rows[0, PROCESSES.index("htautau")]
    assert own["effective"] == pytest.approx(part.effective[0, 0])
    of_pool = report["pool"]["mT<70, VBFJet"]["htautau"]
    assert own["effective"] < of_pool["effective"] == pytest.approx(whole.effective[0, 0])
    assert json.loads(json.dumps(report)) == report


def test_it_says_how_it_was_made(made: tuple[Path, dict[str, Any]]) -> None:
    history = read_history(made[0] / "events.parquet")
    assert history is not None
    assert history["of"] == HISTORY
    assert history["commands"] == [
        *HISTORY["commands"],
        "python -m sigma68.tasks.higgs.embedded.make pool.parquet --rows 5000 --seed 2",
    ]
    told = json.loads((made[0] / "croissant.json").read_text())["rai:dataCollection"]
    assert all(command in told for command in history["commands"])
    assert "numpy 2.1 and 2.2, pythia8mc 8.317.2" in told


def test_the_metadata_describe_every_column(made: tuple[Path, dict[str, Any]]) -> None:
    path = made[0] / "events.parquet"
    document = json.loads((made[0] / "croissant.json").read_text())
    file = document["distribution"][0]
    assert file["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert file["contentSize"] == f"{path.stat().st_size} B"
    assert document["license"] == "https://creativecommons.org/licenses/by/4.0/"
    assert document["datePublished"] == "2025-03-01"
    assert document["description"].startswith("5,000 simulated")
    fields = {field["name"]: field for field in document["recordSet"][0]["field"]}
    assert list(fields) == pq.read_schema(path).names
    for name, unit in (("PRI_met", "GeV"), ("PRI_had_phi", "rad"), ("PRI_lep_eta", "")):
        told = f"integer in units of 0.001 {unit}".strip()
        assert told in fields[name]["description"]
    assert "-25000 where undefined" in fields["PRI_jet_leading_pt"]["description"]
    assert "0.001" not in fields["PRI_n_jets"]["description"]


@pytest.mark.filterwarnings("ignore")  # those of the libraries that mlcroissant stands on
def test_mlcroissant_accepts_it_and_reads_the_events(
    made: tuple[Path, dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    dataset = mlcroissant.Dataset(jsonld=str(made[0] / "croissant.json"))
    issues = dataset.metadata.ctx.issues
    assert (issues.errors, issues.warnings) == (set(), set())
    assert caplog.text == ""  # it grumbles there about a context that is not standard
    records = dataset.records(RECORDS)
    first = next(iter(records))
    stored = pq.read_table(made[0] / "events.parquet").slice(0, 1).to_pylist()[0]
    found = {name.removeprefix(f"{RECORDS}/"): value for name, value in first.items()}
    assert found.pop("detailed_labels").decode() == stored.pop("detailed_labels")
    assert found == stored


@pytest.mark.filterwarnings("ignore")
def test_mlcroissant_finds_another_file(made: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    """The hash in the metadata is worth something: other bytes are refused."""
    mlcroissant = pytest.importorskip("mlcroissant")
    for path in made[0].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    with (tmp_path / "events.parquet").open("ab") as stream:
        stream.write(b"x")
    dataset = mlcroissant.Dataset(jsonld=str(tmp_path / "croissant.json"))
    with pytest.raises(Exception, match=r"Download\(events\.parquet\)") as caught:
        next(iter(dataset.records(RECORDS)))
    assert "hash" in str(caught.value.__cause__).lower()


def test_the_same_call_gives_the_same_files(
    pool: Path, made: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    make(pool, tmp_path, rows=5000, seed=2, published=WHEN)
    for path in made[0].iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_what_cannot_be_made_leaves_what_was_there(pool: Path, tmp_path: Path) -> None:
    (tmp_path / "events.parquet").write_text("old")
    with pytest.raises(DataError, match=r"5,000 rows take 0\.\d MB, more than 0.02 MB: ask for"):
        make(pool, tmp_path, rows=5000, seed=2, published=WHEN, limit_bytes=20_000)
    with pytest.raises(SettingsError, match="to 20,000"):
        make(pool, tmp_path, rows=10**6, seed=2, published=WHEN)
    nameless = made_pool(tmp_path / "nameless.parquet", 500)
    with pytest.raises(DataError, match="does not say where its events come from"):
        make(nameless, tmp_path, rows=100, seed=2, published=WHEN)
    frame = pq.read_table(pool)
    wild = frame["PRI_met"].to_numpy().copy()
    wild[1234] = 20_000
    at = frame.schema.get_field_index("PRI_met")
    pq.write_table(frame.set_column(at, "PRI_met", [wild]), tmp_path / "wild.parquet")
    with pytest.raises(DataError, match="PRI_met is 20000 GeV in row 1234 of"):
        make(tmp_path / "wild.parquet", tmp_path, rows=100, seed=2, published=WHEN)
    pack(nameless, tmp_path / "packed.parquet")
    with pytest.raises(DataError, match="does not say where its events come from"):
        croissant(tmp_path / "packed.parquet", published=WHEN)
    assert (tmp_path / "events.parquet").read_text() == "old"
    assert not list(tmp_path.glob(".making*"))


def test_the_command_prints_what_is_in_it(pool: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    words = [str(pool), "--seed", "3", "--out", str(tmp_path / "o"), "--report", str(report)]
    done = CliRunner().invoke(app, [*words, "--rows", "1000", "--published", "2025-03-01"])
    assert done.exit_code == 0, done.output
    assert "1,000 rows" in done.stdout
    assert done.stdout.count("ztautau") == 6
    assert json.loads(report.read_text())["rows"] == 1000
    assert open_parquet(tmp_path / "o" / embedded.PATH.name).n_rows == 1000
    done = CliRunner().invoke(app, [*words, "--rows", "99999999"])
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
