"""The worker processes of a run: kept busy, watched, replaced when they die, ended at the end."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import sigma68.errors as errors
from sigma68.errors import ProtocolError, Sigma68Error
from sigma68.run.frames import read_frame, write_frame
from sigma68.run.results import result_from_json
from sigma68.types import Status, ToyResult, Truth

__all__ = ["Lost", "Team", "finished_toys", "threads_per_worker"]

_FRAME_SECONDS = 60.0  # a frame once begun comes quickly, or something is very wrong
_GRACE = 1.0  # beyond the time limit, before a worker is killed
_MOST_TRIES = 2
_MOST_FALSE_STARTS = 3
_TAIL = 4096

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
class _Member:
    """One worker process and what it is doing."""

    process: subprocess.Popen[bytes]
    state: Literal["starting", "idle", "drawing", "predicting"] = "starting"
    job: Job | None = None
    since: float = field(default_factory=time.monotonic)
    tail: bytearray = field(default_factory=bytearray)
    streams: set[int] = field(default_factory=set)


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
        self._log = log
        self._environment = _environment(threads_per_worker(size), scratch)
        self._members: list[_Member] = []
        self._selector = selectors.DefaultSelector()
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
            for key, _ in self._selector.select(self._patience()):
                self._hear(key.data, key.fd)
            self._stop_the_late()
            while self._finished:
                unfinished -= 1
                yield self._finished.popleft()

    def close(self) -> None:
        """End all workers and their children, at once."""
        for member in self._members:
            _hang_up(member)
        until = time.monotonic() + _GRACE
        for member in self._members:
            _await_end(member.process.pid, until - time.monotonic())
        for member in list(self._members):
            self._bury(member)
        self._selector.close()

    def __enter__(self) -> Team:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _fill(self) -> None:
        """Nobody idle while there is work, and as many workers as there is work for."""
        for member in self._members:
            if member.state == "idle" and self._queue:
                self._give(member)
        busy = sum(member.job is not None for member in self._members)
        while len(self._members) < min(self._size, busy + len(self._queue)):
            self._hire()

    def _hire(self) -> None:
        process = subprocess.Popen(
            [sys.executable, "-m", "sigma68.run.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=self._environment,
            start_new_session=True,  # a Ctrl-C at the terminal is for the main process alone
        )
        member = _Member(process)
        self._members.append(member)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                self._selector.register(stream, selectors.EVENT_READ, member)
                member.streams.add(stream.fileno())
        self._send(member, self._start)

    def _send(self, member: _Member, header: Mapping[str, Any]) -> None:
        if member.process.stdin is None:
            return
        # Who is gone is noticed when its stdout ends.
        with contextlib.suppress(BrokenPipeError):
            write_frame(member.process.stdin, header, timeout=_FRAME_SECONDS)

    def _give(self, member: _Member) -> None:
        """The next job for a worker that has none."""
        member.state, member.since = "idle", time.monotonic()
        if self._queue:
            member.job = self._queue.popleft()
            member.state = "drawing"
            self._send(member, {"kind": "toy", "set": member.job[0], "toy": member.job[1]})

    def _hear(self, member: _Member, descriptor: int) -> None:
        if member not in self._members:
            return  # lost while an earlier event of the same round was handled
        if member.process.stderr is not None and descriptor == member.process.stderr.fileno():
            self._hear_words(member, descriptor)
            return
        try:
            frame = read_frame(descriptor, _FRAME_SECONDS)
        except (ProtocolError, TimeoutError) as error:
            self._lose(member, "crashed", f"the worker broke the protocol: {error}")
            return
        if frame is None:
            self._lose(member, "crashed", "")
            return
        self._answer(member, frame[0])

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

    def _hear_words(self, member: _Member, descriptor: int) -> None:
        words = os.read(descriptor, 1 << 16)
        if not words:
            self._selector.unregister(descriptor)
            member.streams.discard(descriptor)
            return
        member.tail += words
        del member.tail[:-_TAIL]
        self._log(words)

    def _patience(self) -> float | None:
        """Until the first time limit runs out; None without one."""
        late = [m.since + self._limit + _GRACE for m in self._members if m.state == "predicting"]
        return max(0.0, min(late) - time.monotonic()) if late else None

    def _stop_the_late(self) -> None:
        now = time.monotonic()
        for member in list(self._members):
            if member.state == "predicting" and now > member.since + self._limit + _GRACE:
                took = f"predict took longer than {self._limit:g} s and was stopped"
                self._lose(member, "timeout", took)

    def _lose(self, member: _Member, status: Status, message: str) -> None:
        """A worker is gone, or has to go; its toy is tried once more unless it took too long."""
        if member.process.stderr is not None and member.process.stderr.fileno() in member.streams:
            os.set_blocking(member.process.stderr.fileno(), False)
            with contextlib.suppress(BlockingIOError):
                self._hear_words(member, member.process.stderr.fileno())
        if not message:  # it ended by itself: let it say how
            _await_end(member.process.pid, _GRACE)
        code = self._bury(member)
        reason = message or f"the worker {_ending(code)}{_last_line(member.tail)}"
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

    def _bury(self, member: _Member) -> int:
        """Kill a worker and everything in its process group; its exit status."""
        for descriptor in member.streams:
            self._selector.unregister(descriptor)
        member.streams.clear()
        _hang_up(member)
        # Before it is reaped: so long its number cannot be another's.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(member.process.pid, signal.SIGKILL)
        code = member.process.wait()
        for stream in (member.process.stdout, member.process.stderr):
            if stream is not None:
                stream.close()
        self._members.remove(member)
        return code


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


def _hang_up(member: _Member) -> None:
    if member.process.stdin is not None and not member.process.stdin.closed:
        with contextlib.suppress(BrokenPipeError):
            member.process.stdin.close()


def _await_end(pid: int, seconds: float) -> None:
    """Wait until a child has ended, without reaping it; at most `seconds`."""
    until = time.monotonic() + seconds
    options = os.WEXITED | os.WNOWAIT | os.WNOHANG
    while os.waitid(os.P_PID, pid, options) is None and time.monotonic() < until:
        time.sleep(0.005)


def _ending(code: int) -> str:
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with status {code}"


def _last_line(tail: bytes | bytearray) -> str:
    lines = tail.decode(errors="replace").strip().splitlines()
    return f": {lines[-1].strip()}" if lines else ""


def _raised(name: str, message: str) -> Exception:
    """The error that a worker met, in this process."""
    cls = getattr(errors, name, None) if name else None
    if isinstance(cls, type) and issubclass(cls, Sigma68Error):
        return cls(message)
    return Sigma68Error(message) if name else RuntimeError(f"in a worker:\n{message}")
