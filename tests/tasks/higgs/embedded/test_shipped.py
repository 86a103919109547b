"""The file that comes with the package."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

import sigma68
from sigma68.tasks.higgs import embedded
from sigma68.tasks.higgs.contents import Contents, take_contents
from sigma68.tasks.higgs.dataset import open_parquet
from sigma68.tasks.higgs.history import read_history
from sigma68.tasks.higgs.regions import PUBLISHED_YIELDS
from sigma68.tasks.higgs.schema import PROCESSES

FOLDER = embedded.PATH.parent


@pytest.fixture(scope="module")
def contents() -> Contents:
    return take_contents(open_parquet("embedded"))


def test_it_is_large_enough_and_small_enough() -> None:
    assert open_parquet("embedded").n_rows >= 500_000
    assert embedded.PATH.stat().st_size <= embedded.LIMIT_BYTES
    assert FOLDER.is_relative_to(Path(sigma68.__file__).parent)


def test_its_metadata_are_of_this_file() -> None:
    document = json.loads((FOLDER / embedded.CROISSANT_FILE).read_text(encoding="utf-8"))
    (file,) = document["distribution"]
    assert file["sha256"] == hashlib.sha256(embedded.PATH.read_bytes()).hexdigest()
    assert file["contentUrl"] == embedded.PATH.name
    history = read_history(embedded.PATH)
    assert history is not None
    assert len(history["commands"]) >= 3  # simulate, merge, make
    assert (FOLDER / "LICENSE").is_file()


@pytest.mark.filterwarnings("ignore")
def test_mlcroissant_accepts_its_metadata() -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    dataset = mlcroissant.Dataset(jsonld=str(FOLDER / embedded.CROISSANT_FILE))
    issues = dataset.metadata.ctx.issues
    assert (issues.errors, issues.warnings) == (set(), set())


def test_its_yields_are_those_of_the_public_data(contents: Contents) -> None:
    """To 5% (diboson 10%) where more than 200 events are expected, and its own 3 sigma."""
    expected, effective = contents.sumw[:-1], np.maximum(contents.effective[:-1], 1)
    for p, process in enumerate(PROCESSES):
        allowed = (0.10 if process == "diboson" else 0.05) + 3 / np.sqrt(effective[:, p])
        off = np.abs(expected[:, p] / PUBLISHED_YIELDS[:, p] - 1)
        large = PUBLISHED_YIELDS[:, p] > 200
        assert (off <= allowed)[large].all(), (process, off)


def test_its_events_are_possible() -> None:
    for batch in open_parquet("embedded").iter_batches():
        columns = dict(zip(batch.names, batch.values, strict=True))
        for name, values in columns.items():
            if name.endswith("_pt") or name == "PRI_met":
                assert values.max() < 6500, name  # GeV: half of the collision's energy
            if name.endswith("_phi"):
                assert np.abs(values[values > -25]).max(initial=0.0) <= 3.142
        assert columns["PRI_lep_pt"].min() > 20 - 1e-3
        assert (batch.weights > 0).all()


def test_the_regions_that_decide_hold_more_than_their_share(contents: Contents) -> None:
    share = contents.rows / contents.rows.sum(axis=0)
    expected = contents.sumw / contents.sumw.sum(axis=0)
    z = PROCESSES.index("ztautau")
    assert share[0, z] > 3 * expected[0, z]
