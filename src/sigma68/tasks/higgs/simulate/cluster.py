"""More machines: shards made by the workers of a Dask cluster, written to disk here.

A worker needs sigma68 with the extra `simulate`, of this version, and no shared folder: a shard
travels as the bytes of its file. One thread per worker (`dask worker --nthreads 1`) is best,
since a generator leaves no room for others in its process.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from sigma68.errors import MissingExtraError, Sigma68Error, SimulationError
from sigma68.files import replacing
from sigma68.tasks.higgs.simulate.making import make_shard
from sigma68.tasks.higgs.simulate.shards import (
    GO_ON,
    ShardAbout,
    ShardSpec,
    check_versions,
)

__all__ = ["Cluster"]

_CONNECT_SECONDS: Final = 30
_WORKER_SECONDS: Final = 120
_MOST_TRIES: Final = 3


class Cluster:
    """The workers of the Dask scheduler at `address`; their shards go to `folder`.

    Raises
    ------
    MissingExtraError
        If Dask is not installed.
    SimulationError
        If the scheduler does not answer, or has no workers.
    """

    def __init__(self, address: str, folder: Path) -> None:
        try:
            distributed: Any = import_module("distributed")
        except ImportError as error:
            raise MissingExtraError(
                f"--dask needs {error.name}, which is not installed: pip install 'sigma68[dask]'"
            ) from error
        self._folder = folder
        self._wait = distributed.wait
        try:
            self._client = distributed.Client(address, timeout=_CONNECT_SECONDS)
        except (OSError, ValueError) as error:
            raise SimulationError(
                f"no Dask scheduler answers at {address} ({error}): give the address that "
                "`dask scheduler` prints, like tcp://10.0.0.1:8786"
            ) from error

    def run(self, following: Callable[[], ShardSpec | None]) -> Iterator[ShardAbout]:
        """Make what `following` asks for, in the order in which shards are finished.

        Raises
        ------
        Sigma68Error
            If a shard cannot be made, its workers were lost three times, or a worker has another
            version of sigma68.
        OutputError
            If a shard cannot be written.
        """
        under_way: dict[Any, ShardSpec] = {}
        while True:
            while len(under_way) < self._threads():
                spec = following()
                if spec is None:
                    break
                future = self._client.submit(
                    shard_bytes, spec.to_json(), pure=False, retries=_MOST_TRIES - 1
                )
                under_way[future] = spec
            if not under_way:
                return
            for future in self._wait(list(under_way), return_when="FIRST_COMPLETED").done:
                yield self._finished(future, under_way.pop(future))

    def _threads(self) -> int:
        """How many shards can be made at once; waits for the first worker."""
        threads: int = sum(self._client.nthreads().values())
        if not threads:
            try:
                self._client.wait_for_workers(1, timeout=_WORKER_SECONDS)
            except TimeoutError as error:
                raise SimulationError(
                    f"no Dask worker has come within {_WORKER_SECONDS} s: start some with "
                    "`dask worker ADDRESS --nthreads 1`"
                ) from error
            threads = sum(self._client.nthreads().values())
        return max(1, threads)

    def _finished(self, future: Any, spec: ShardSpec) -> ShardAbout:
        try:
            about_json, content = future.result()
        except Sigma68Error:
            raise
        except Exception as error:
            raise SimulationError(
                f"the shard {spec.file_name} cannot be made on the cluster "
                f"({type(error).__name__}: {error}): see the workers' logs; {GO_ON}"
            ) from error
        about = ShardAbout.from_json(about_json)
        check_versions(about, f"a worker that made {spec.file_name}")
        with replacing(self._folder / spec.file_name) as part:
            part.write_bytes(content)
        return about

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()


def shard_bytes(spec: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """What runs on a worker: the shard of `ShardSpec(**spec)`, what it says, and its file."""
    made = ShardSpec(**spec)
    with tempfile.TemporaryDirectory(prefix="sigma68-shard-") as scratch:
        path = Path(scratch) / made.file_name
        about = make_shard(made, path)
        return about.to_json(), path.read_bytes()
