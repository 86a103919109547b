"""The task as a whole: what it declares, and that its toys are functions of their stream."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from benchmarks.events import made_events

from sigma68.errors import DataError, NuisanceError
from sigma68.protocols import Pool, Pools, Task
from sigma68.seeds import Stream, stream
from sigma68.tasks.higgs import embedded
from sigma68.tasks.higgs.embedded.pack import pack
from sigma68.tasks.higgs.schema import FEATURES
from sigma68.tasks.higgs.split import ROLES
from sigma68.tasks.higgs.task import Higgs
from sigma68.types import Truth


@pytest.fixture(scope="module")
def task() -> Higgs:
    return Higgs()


@pytest.fixture(scope="module")
def pools(task: Higgs, tmp_path_factory: pytest.TempPathFactory) -> Pools:
    folder = tmp_path_factory.mktemp("data")
    made_events(20_000, seed=1).to_parquet(folder / "events.parquet")
    return task.open(str(folder))


def toy_stream(toy: int = 0) -> Stream:
    return stream("higgs", "pseudo-experiment", 1, 0, toy)


def test_it_keeps_the_contracts(task: Higgs, pools: Pools) -> None:
    assert isinstance(task, Task)
    assert isinstance(pools.train, Pool)
    assert tuple(feature.name for feature in task.features) == FEATURES


def test_without_a_source_it_opens_emulated_events(
    task: Higgs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert task.default_source == "emulated" in task.sources
    monkeypatch.setenv("SIGMA68_CACHE", str(tmp_path / "cache"))
    assert task.open().fingerprint == task.open("emulated:1:5M").fingerprint
    assert task.open().final.n_rows == 5_000_000
    assert not (tmp_path / "cache").exists()  # nothing is made before it is needed
    assert task.spelled("emulated") == task.spelled("emulated:1") == "emulated:1:5M"
    assert (task.spelled("public"), task.spelled("emulated.parquet")) == ("public", None)


def test_it_opens_the_events_of_the_package(
    task: Higgs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "PATH", tmp_path / "events.parquet")
    with pytest.raises(DataError, match=r"install sigma68 again.*--data PATH"):
        task.open("embedded")
    made_events(20_000, seed=1).to_parquet(tmp_path / "made.parquet")
    pack(tmp_path / "made.parquet", embedded.PATH)
    pools = task.open("embedded")
    # A compact file holds the same events in another order: others are in each pool.
    assert task.open(str(tmp_path / "made.parquet")).fingerprint != pools.fingerprint
    assert sum(pools[role].n_rows for role in ROLES) == 20_000


def test_the_split_seed_reaches_the_pools(task: Higgs, tmp_path: Path) -> None:
    made_events(20_000, seed=1).to_parquet(tmp_path / "events.parquet")
    one, same, two = (task.open(str(tmp_path), split_seed=s) for s in (0, 0, 1))
    assert one.fingerprint == same.fingerprint != two.fingerprint


def test_a_toy_is_a_function_of_its_stream(task: Higgs, pools: Pools) -> None:
    truth = Truth({"mu": 1.5}, {"tes": 1.02, "soft_met": 1.0})
    first = task.pseudo_experiment(pools.scoring, truth, toy_stream())
    again = task.pseudo_experiment(pools.scoring, truth, toy_stream())
    other = task.pseudo_experiment(pools.scoring, truth, toy_stream(1))
    assert np.array_equal(first.values, again.values)
    assert first.names == FEATURES
    assert first.values.shape != other.values.shape or not np.array_equal(
        first.values, other.values
    )


def test_the_number_of_events_is_what_truth_and_pool_expect(task: Higgs, pools: Pools) -> None:
    nuisances = {"ttbar_scale": 1.2, "bkg_scale": 0.99, "tes": 0.95}
    truth = Truth({"mu": 3.0}, nuisances)
    events = pools.scoring.labelled(nuisances)
    expected = events.weights @ np.where(events.labels == 1, 3.0, 1.0)
    drawn = task.pseudo_experiment(pools.scoring, truth, toy_stream()).n_events
    assert abs(drawn - expected) < 4 * np.sqrt(expected)


def test_a_truth_out_of_range_and_a_foreign_pool_are_refused(task: Higgs, pools: Pools) -> None:
    with pytest.raises(NuisanceError, match="jes = 2"):
        task.pseudo_experiment(pools.scoring, Truth({"mu": 1.0}, {"jes": 2.0}), toy_stream())

    class Foreign:
        role, fingerprint, n_rows = "train", "x", 0

    with pytest.raises(TypeError, match="not from Foreign"):
        task.pseudo_experiment(Foreign(), Truth({"mu": 1.0}), toy_stream())  # type: ignore[arg-type]
