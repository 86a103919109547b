"""The worker processes of a run: kept busy, watched, replaced when they die, ended at the end."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import sigma68.errors as errors
from sigma68.errors import Sigma68Error
from sigma68.run.children import Child, Children
from sigma68.run.results import result_from_json
from sigma68.types import Status, ToyResult, Truth

__all__ = ["Lost", "Team", "finished_toys", "threads_per_worker"]

_GRACE = 1.0  # beyond the time limit, and at the end, before a worker is killed
_MOST_TRIES = 2
_MOST_FALSE_STARTS = 3

Job = tuple[int, int]
"""(set, toy)."""


@dataclass(frozen=True)
class Lost:
    """A toy whose worker was lost: what became of it, but not its truth, which the worker knew."""

    set: int
    toy: int
    status: Status
    seconds: float
    message: str

    def result(self, truth: Truth) -> ToyResult:
        """The toy as it is recorded."""
        return ToyResult(
            self.set, self.toy, truth, None, self.status, self.seconds, message=self.message
        )


def threads_per_worker(workers: int) -> int:
    """The cores this process may use, shared out."""
    return max(1, len(os.sched_getaffinity(0)) // workers)


@dataclass(eq=False)
class _Member(Child):
    """One worker process and what it is doing."""

    state: Literal["starting", "idle", "drawing", "predicting"] = "starting"
    job: Job | None = None
    since: float = field(default_factory=time.monotonic)


class Team:
    """`size` workers, all begun with the same frame `start`.

    `predict_seconds` is how long a worker may take over one prediction before it is killed.
    `log` takes what the workers print; their temporary files go to `scratch`.
    """

    def __init__(
        self,
        start: Mapping[str, Any],
        size: int,
        predict_seconds: float,
        log: Callable[[bytes], None],
        scratch: Path,
    ) -> None:
        self._start = start
        self._size = size
        self._limit = predict_seconds
        self._environment = _environment(threads_per_worker(size), scratch)
        self._children: Children[_Member] = Children(log)
        self._queue: deque[Job] = deque()
        self._tries: dict[Job, int] = {}
        self._finished: deque[ToyResult | Lost] = deque()
        self._false_starts = 0

    def run(self, jobs: Iterable[Job]) -> Iterator[ToyResult | Lost]:
        """Each job's result once, in the order in which they are finished.

        Raises
        ------
        Sigma68Error
            If a worker says that the run cannot go on, or no worker comes up.
        """
        self._queue = deque(jobs)
        unfinished = len(self._queue)
        while unfinished:
            self._fill()
            for member, said in self._children.heard(self._patience()):
                if isinstance(said, str):
                    self._lose(member, "crashed", said)
                else:
                    self._answer(member, said)
            self._stop_the_late()
            while self._finished:
                unfinished -= 1
                yield self._finished.popleft()

    def close(self) -> None:
        """End all workers and their children, at once."""
        self._children.close(_GRACE)

    def __enter__(self) -> Team:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _fill(self) -> None:
        """Nobody idle while there is work, and as many workers as there is work for."""
        for member in self._children.members:
            if member.state == "idle" and self._queue:
                self._give(member)
        busy = sum(member.job is not None for member in self._children.members)
        while len(self._children.members) < min(self._size, busy + len(self._queue)):
            self._hire()

    def _hire(self) -> None:
        member = self._children.begin("sigma68.run.worker", self._environment, _Member)
        member.send(self._start)

    def _give(self, member: _Member) -> None:
        """The next job for a worker that has none."""
        member.state, member.since = "idle", time.monotonic()
        if self._queue:
            member.job = self._queue.popleft()
            member.state = "drawing"
            member.send({"kind": "toy", "set": member.job[0], "toy": member.job[1]})

    def _answer(self, member: _Member, header: dict[str, Any]) -> None:
        kind = header.get("kind")
        if kind == "ready" and member.state == "starting":
            self._false_starts = 0
            self._give(member)
        elif kind == "predicting" and member.state == "drawing":
            member.state, member.since = "predicting", time.monotonic()
        elif kind == "result" and member.job is not None:
            try:
                result = result_from_json(header)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                self._lose(member, "crashed", f"the worker's answer is malformed: {error!r}")
                return
            if (result.set, result.toy) != member.job:
                self._lose(member, "crashed", "the worker answered for another toy")
                return
            member.job = None
            self._finished.append(result)
            self._give(member)
        elif kind == "error":
            raise _raised(str(header.get("error")), str(header.get("message")))
        else:
            self._lose(member, "crashed", f"the worker sent {kind!r} out of turn")

    def _patience(self) -> float | None:
        """Until the first time limit runs out; None without one."""
        late = [
            m.since + self._limit + _GRACE
            for m in self._children.members
            if m.state == "predicting"
        ]
        return max(0.0, min(late) - time.monotonic()) if late else None

    def _stop_the_late(self) -> None:
        now = time.monotonic()
        for member in list(self._children.members):
            if member.state == "predicting" and now > member.since + self._limit + _GRACE:
                took = f"predict took longer than {self._limit:g} s and was stopped"
                self._lose(member, "timeout", took)

    def _lose(self, member: _Member, status: Status, message: str) -> None:
        """A worker is gone, or has to go; its toy is tried once more unless it took too long."""
        reason = self._children.dismiss(member, message)
        if member.state == "starting":
            self._false_starts += 1
            if self._false_starts >= _MOST_FALSE_STARTS:
                raise Sigma68Error(
                    f"no worker comes up ({reason}): see workers.log in the output folder"
                )
        if member.job is None:
            return
        job, seconds = member.job, time.monotonic() - member.since
        self._tries[job] = self._tries.get(job, 0) + 1
        if status == "crashed" and self._tries[job] < _MOST_TRIES:
            self._queue.appendleft(job)
        else:
            self._finished.append(Lost(*job, status, seconds, reason))


def finished_toys(
    team: Team, jobs: Iterable[Job], truth: Callable[[int, int], Truth]
) -> Iterator[ToyResult]:
    """Each job's toy once, as it is finished; `truth` is for those whose worker was lost."""
    for result in team.run(jobs):
        if isinstance(result, Lost):
            yield result.result(truth(result.set, result.toy))
        else:
            yield result


def _environment(threads: int, scratch: Path) -> dict[str, str]:
    return {
        **os.environ,
        "TMPDIR": str(scratch),
        "NUMBA_NUM_THREADS": str(threads),
        "OMP_NUM_THREADS": str(threads),
        # BLAS sums in another order with other numbers of threads; results must not depend on it.
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }


def _raised(name: str, message: str) -> Exception:
    """The error that a worker met, in this process."""
    cls = getattr(errors, name, None) if name else None
    if isinstance(cls, type) and issubclass(cls, Sigma68Error):
        return cls(message)
    return Sigma68Error(message) if name else RuntimeError(f"in a worker:\n{message}")
