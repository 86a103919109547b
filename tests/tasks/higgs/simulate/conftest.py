"""What makes shards in tests: this process, or workers that find the tests' generators."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

import pytest

from sigma68.tasks.higgs.simulate.making import make_shard
from sigma68.tasks.higgs.simulate.shards import ShardAbout, ShardSpec
from tests.tasks.higgs.simulate.made_blocks import ROOT


class Here:
    """Makes shards in this process; `stop_after` so many it is interrupted."""

    def __init__(self, folder: Path, stop_after: int | None = None) -> None:
        self.folder = folder
        self.left = stop_after

    def run(self, following: Callable[[], ShardSpec | None]) -> Iterator[ShardAbout]:
        while spec := following():
            if self.left == 0:
                raise KeyboardInterrupt
            yield make_shard(spec, self.folder / spec.file_name)
            if self.left is not None:
                self.left -= 1

    def __enter__(self) -> Here:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass


@pytest.fixture
def here() -> Callable[[Path, Callable[[bytes], None]], Here]:
    return lambda folder, log: Here(folder)


@pytest.fixture
def interrupted() -> Callable[[int], Callable[[Path, Callable[[bytes], None]], Here]]:
    return lambda after: lambda folder, log: Here(folder, after)


@pytest.fixture
def found_by_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.fixture
def small_disk() -> Iterator[None]:
    """No file may be longer than 20,000 bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
