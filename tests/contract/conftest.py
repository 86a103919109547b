"""Opens every task once, and trains every method once, for the contract suite."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sigma68.protocols import Method, Pools, Task
from tests.contract.cases import Case, build_method, build_task


def made_higgs_events(folder: Path) -> str:
    """Stand-in events: a task that reads files needs some."""
    from benchmarks.events import made_events

    path = folder / "made.parquet"
    made_events(20_000, seed=68).to_parquet(path)
    return str(path)


STAND_INS: dict[str, Callable[[Path], str]] = {
    "higgs": made_higgs_events,
    "lensing": lambda _: "embedded:20x3",
    "lensing_strange": lambda _: "embedded:20x5",
}
"""Makers of a small data source, by task; tasks with a quick default source need none."""


SMALL_NETWORK: dict[str, Any] = {
    "block": 8,
    "channels": [4, 4],
    "units": 8,
    "drawings": 1,
    "passes": 1,
}

QUICKLY: dict[str, dict[str, Any]] = {
    "nsbi": {
        "passes": 2,
        "units": 16,
        "cells": 12,
        "points": 3,
        "refined": 0.05,
        "refined_units": 16,
        "refined_passes": 1,
        "refined_copies": 1,
    },
    "gollum": {
        "profiled": [],
        "passes": 1,
        "units": 8,
        "hidden_layers": 1,
        "max_train_rows": 20_000,
        "min_events": 60,
    },
    "power_spectrum": {"degree": 2, "covariance_degree": 0},
    "spectrum_chi2": {"degree": 2, "covariance_degree": 0},
    "one_point_chi2": {"degree": 2, "covariance_degree": 0},
    "summary_chi2": {**SMALL_NETWORK, "degree": 1, "covariance_degree": 0},
    "autoencoder": {"widths": [8, 2, 8], "pieces": 4, "passes": 1},
    "cnn": SMALL_NETWORK,
    "cnn_posterior": {**SMALL_NETWORK, "degree": 1, "covariance_degree": 0},
    "neural_posterior": {**SMALL_NETWORK, "degree": 2},
}
"""Settings of methods whose own would train for minutes: how well they learn is tested elsewhere."""


class House:
    """Tasks, pools and trained methods, made when first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._sources: dict[str, str | None] = {}
        self._pools: dict[tuple[str, int], Pools] = {}
        self._methods: dict[Case, Method] = {}

    def source(self, name: str) -> str | None:
        """The task's default source (None), or a stand-in for its data."""
        if name not in self._sources:
            task = build_task(name)
            if task.default_source is None and name not in STAND_INS:
                raise LookupError(
                    f"task {name} has no data of its own: add a maker of stand-in events to "
                    "STAND_INS in tests/contract/conftest.py"
                )
            maker = STAND_INS.get(name)
            self._sources[name] = None if maker is None else maker(self.folder)
        return self._sources[name]

    def open(self, name: str, split_seed: int = 0) -> tuple[Task, Pools]:
        task = build_task(name)
        key = (name, split_seed)
        if key not in self._pools:
            self._pools[key] = task.open(self.source(name), split_seed=split_seed)
        return task, self._pools[key]

    def untrained(self, case: Case) -> Method:
        task, _ = self.open(case.task)
        return build_method(case.method)(task, **QUICKLY.get(case.method, {}))

    def trained(self, case: Case) -> Method:
        if case not in self._methods:
            _, pools = self.open(case.task)
            method = self.untrained(case)
            method.fit(pools.train, pools.calibration)
            self._methods[case] = method
        return self._methods[case]


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    return House(tmp_path_factory.mktemp("contract"))
