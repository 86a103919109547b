"""The worker processes of a production: kept busy, watched, replaced when they die."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sigma68.errors as errors
from sigma68.errors import Sigma68Error, SimulationError
from sigma68.run.children import Child, Children
from sigma68.tasks.higgs.simulate.shards import GO_ON, ShardAbout, ShardSpec

__all__ = ["MOST_TRIES", "Crew"]

MOST_TRIES = 3
"""How often a shard whose worker dies is tried."""

_WORKER = "sigma68.tasks.higgs.simulate.worker"
_START_SECONDS = 300.0  # imports and compilation on a busy machine
_SECONDS_PER_HARD_EVENT = 0.5  # a hundred times what one takes
_SHORTEST_SECONDS = 60.0


@dataclass(eq=False)
class _Member(Child):
    """One worker process and what it is doing."""

    ready: bool = False
    spec: ShardSpec | None = None
    until: float = field(default_factory=lambda: time.monotonic() + _START_SECONDS)


class Crew:
    """`size` local processes that write shards to `folder`; `log` takes what they print."""

    def __init__(self, size: int, folder: Path, log: Callable[[bytes], None]) -> None:
        self.size = size
        self._folder = folder
        self._children: Children[_Member] = Children(log)
        self._again: deque[ShardSpec] = deque()
        self._tries: dict[ShardSpec, int] = {}
        self._made: deque[ShardAbout] = deque()
        self._false_starts = 0

    def run(self, following: Callable[[], ShardSpec | None]) -> Iterator[ShardAbout]:
        """Make what `following` asks for, in the order in which shards are finished.

        `following` is asked whenever a worker is free, and again once something is finished if
        it had nothing; with nothing asked for and nothing under way, this ends.

        Raises
        ------
        Sigma68Error
            If a shard cannot be made, or its worker died three times, or no worker comes up.
        """
        while True:
            self._fill(following)
            if not any(member.spec for member in self._children.members):
                return
            for member, said in self._children.heard(self._patience()):
                if isinstance(said, str):
                    self._lose(member, said)
                else:
                    self._answer(member, said)
            self._stop_the_late()
            while self._made:
                yield self._made.popleft()

    def close(self) -> None:
        """End all workers at once; what they were making is dropped."""
        self._children.close()

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _fill(self, following: Callable[[], ShardSpec | None]) -> None:
        """Nobody idle while there is work, and as many workers as there is work for."""
        for member in self._children.members:
            if member.spec is None and not self._give(member, following):
                return
        while len(self._children.members) < self.size:
            spec = self._next(following)
            if spec is None:
                return
            self._children.begin(_WORKER, _environment(), _Member).spec = spec

    def _next(self, following: Callable[[], ShardSpec | None]) -> ShardSpec | None:
        return self._again.popleft() if self._again else following()

    def _give(self, member: _Member, following: Callable[[], ShardSpec | None]) -> bool:
        member.spec = self._next(following)
        if member.spec is None:
            return False
        if member.ready:
            self._send(member)
        return True

    def _send(self, member: _Member) -> None:
        spec = member.spec
        if spec is None:
            return
        limit = _SHORTEST_SECONDS + _SECONDS_PER_HARD_EVENT * spec.hard_events
        member.until = time.monotonic() + limit
        path = str(self._folder / spec.file_name)
        member.send({"kind": "shard", "spec": spec.to_json(), "path": path})

    def _answer(self, member: _Member, header: Mapping[str, Any]) -> None:
        kind = header.get("kind")
        if kind == "ready" and not member.ready:
            member.ready, self._false_starts = True, 0
            self._send(member)
        elif kind == "made" and member.spec is not None:
            try:
                about = ShardAbout.from_json(header["about"])
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                self._lose(member, f"the worker's answer is malformed: {error!r}")
                return
            if about.file_name != member.spec.file_name:
                self._lose(member, "the worker answered for another shard")
                return
            self._made.append(about)
            member.spec = None
        elif kind == "error" and member.spec is not None:
            raise _raised(member.spec, str(header.get("error")), str(header.get("message")))
        else:
            self._lose(member, f"the worker sent {kind!r} out of turn")

    def _patience(self) -> float:
        """Until the first time limit runs out."""
        first = min(member.until for member in self._children.members if member.spec)
        return max(0.0, first - time.monotonic())

    def _stop_the_late(self) -> None:
        now = time.monotonic()
        for member in list(self._children.members):
            if member.spec and now > member.until:
                self._lose(member, "the worker took a hundred times longer than usual")

    def _lose(self, member: _Member, reason: str) -> None:
        """A worker is gone, or has to go; its shard is tried again by another."""
        reason = self._children.dismiss(member, reason)
        if not member.ready:
            self._false_starts += 1
            if self._false_starts >= MOST_TRIES:
                raise SimulationError(
                    f"no worker comes up ({reason}): see workers.log in the output folder"
                )
        spec = member.spec
        if spec is None:
            return
        self._again.append(spec)
        if member.ready:
            self._tries[spec] = self._tries.get(spec, 0) + 1
        if self._tries.get(spec, 0) >= MOST_TRIES:
            raise SimulationError(
                f"the shard {spec.file_name} was tried {MOST_TRIES} times and each time its "
                f"worker was lost, last because {reason}: see workers.log in the output folder; "
                f"{GO_ON}"
            )


def _environment() -> dict[str, str]:
    """One thread per worker: there is one worker per core."""
    names = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return {**os.environ, **dict.fromkeys(names, "1")}


def _raised(spec: ShardSpec, name: str, message: str) -> Exception:
    """The error that a worker met, in this process."""
    cls = getattr(errors, name, None) if name else None
    if isinstance(cls, type) and issubclass(cls, Sigma68Error):
        return cls(message)
    return SimulationError(
        f"the shard {spec.file_name} cannot be made ({message}): see workers.log in the output "
        f"folder; {GO_ON}"
    )
