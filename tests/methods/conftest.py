"""The gaussian task, its pools, and the two methods trained on them once."""

from __future__ import annotations

import pytest

from sigma68.methods.bdt import Bdt
from sigma68.methods.counting import Counting
from sigma68.protocols import Pools
from sigma68.tasks.gaussian.task import Gaussian


@pytest.fixture(scope="session")
def task() -> Gaussian:
    return Gaussian()


@pytest.fixture(scope="session")
def pools(task: Gaussian) -> Pools:
    return task.open()


@pytest.fixture(scope="session")
def counting(task: Gaussian, pools: Pools) -> Counting:
    method = Counting(task)
    method.fit(pools.train, pools.calibration)
    return method


@pytest.fixture(scope="session")
def bdt(task: Gaussian, pools: Pools) -> Bdt:
    method = Bdt(task, threads=1)
    method.fit(pools.train, pools.calibration)
    return method
