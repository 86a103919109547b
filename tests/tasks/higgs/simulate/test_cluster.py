"""Shards from a cluster: a stand-in for Dask that runs everything here, or loses it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, NamedTuple

import pyarrow.parquet as pq
import pytest

from sigma68.errors import MissingExtraError, OutputError, SettingsError, SimulationError
from sigma68.tasks.higgs.simulate import cluster
from sigma68.tasks.higgs.simulate.plan import ShardCount
from sigma68.tasks.higgs.simulate.production import Common, simulate
from tests.tasks.higgs.simulate.made_blocks import HERE, MADE

COMMON = Common(seed=5, hard_events=200, generator=MADE)
COUNT = ShardCount({"ttbar": 3, "htautau": 2})


class Future:
    """What was submitted; run when it is asked for."""

    def __init__(self, function: Callable[[Any], Any], argument: Any) -> None:
        self.function, self.argument = function, argument

    def result(self) -> Any:
        return self.function(self.argument)


class Client:
    """A scheduler with two workers of one thread, the second of which comes late."""

    threads: ClassVar[dict[str, int]] = {"one": 1}
    submitted: ClassVar[list[dict[str, Any]]] = []
    most = 0

    def __init__(self, address: str, timeout: float) -> None:
        if address == "nowhere":
            raise OSError("Timed out trying to connect")
        self.closed = False

    def nthreads(self) -> dict[str, int]:
        return self.threads

    def wait_for_workers(self, n: int, timeout: float) -> None:
        raise TimeoutError

    def submit(self, function: Any, argument: Any, *, pure: bool, retries: int) -> Future:
        assert (pure, retries) == (False, 2)
        self.submitted.append(argument)
        return Future(function, argument)

    def close(self) -> None:
        self.closed = True


class Waited(NamedTuple):
    done: set[Future]
    not_done: set[Future]


def wait(futures: list[Future], return_when: str) -> Waited:
    assert return_when == "FIRST_COMPLETED"
    Client.threads = {"one": 1, "two": 1}
    Client.most = max(Client.most, len(futures))
    return Waited({futures[-1]}, set(futures[:-1]))


@pytest.fixture(autouse=True)
def dask(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    module = ModuleType("distributed")
    module.Client, module.wait = Client, wait  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "distributed", module)
    monkeypatch.setattr(Client, "threads", {"one": 1})
    monkeypatch.setattr(Client, "submitted", [])
    monkeypatch.setattr(Client, "most", 0)
    return


def on_dask(folder: Path, log: Callable[[bytes], None]) -> cluster.Cluster:
    return cluster.Cluster("tcp://here:8786", folder)


def contents(out: Path) -> dict[str, Any]:
    return {path.name: pq.read_table(path) for path in sorted((out / "shards").iterdir())}


def test_a_cluster_makes_the_same_shards(here: Any, tmp_path: Path) -> None:
    simulate(COMMON, COUNT, tmp_path / "dask", maker=on_dask)
    simulate(COMMON, COUNT, tmp_path / "here", maker=here)
    assert contents(tmp_path / "dask") == contents(tmp_path / "here")
    assert len(Client.submitted) == 5
    assert Client.most == 2  # as many as there are threads, also those that come later


def test_dask_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingExtraError, match=r"--dask needs distributed.*sigma68\[dask\]"):
        simulate(COMMON, COUNT, tmp_path, maker=on_dask)


def test_a_scheduler_that_does_not_answer_is_said(tmp_path: Path) -> None:
    with pytest.raises(SimulationError, match="no Dask scheduler answers at nowhere"):
        cluster.Cluster("nowhere", tmp_path)


def test_a_cluster_without_workers_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Client, "threads", {})
    with pytest.raises(SimulationError, match="no Dask worker has come within 120 s"):
        simulate(COMMON, COUNT, tmp_path, maker=on_dask)


def test_what_fails_there_is_told_with_its_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raising = replace(COMMON, generator=f"{HERE}:RaisingGenerator")
    with pytest.raises(SimulationError, match=r"ttbar-000000\.parquet .*no phase space is left"):
        simulate(raising, COUNT, tmp_path, maker=on_dask)

    def fails(spec: Any) -> None:
        raise OutputError("no room there: make some")

    monkeypatch.setattr(cluster, "shard_bytes", fails)
    with pytest.raises(OutputError, match="no room there"):
        simulate(COMMON, COUNT, tmp_path, maker=on_dask)
    assert contents(tmp_path) == {}


def test_a_worker_of_another_version_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = cluster.shard_bytes

    def older(spec: Any) -> Any:
        about, content = true(spec)
        return {**about, "versions": {**about["versions"], "sigma68": "0.0.1"}}, content

    monkeypatch.setattr(cluster, "shard_bytes", older)
    with pytest.raises(
        SettingsError, match=r"a worker that made ttbar-000000\.parquet has sigma68"
    ):
        simulate(COMMON, COUNT, tmp_path, maker=on_dask)
    assert contents(tmp_path) == {}
