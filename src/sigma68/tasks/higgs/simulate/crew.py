"""The worker processes of a production: kept busy, watched, replaced when they die."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sigma68.errors as errors
from sigma68.errors import ProtocolError, Sigma68Error, SimulationError
from sigma68.run.frames import read_frame, write_frame
from sigma68.tasks.higgs.simulate.shards import GO_ON, ShardAbout, ShardSpec

__all__ = ["MOST_TRIES", "Crew"]

MOST_TRIES = 3
"""How often a shard whose worker dies is tried."""

_FRAME_SECONDS = 60.0  # a frame once begun comes quickly, or something is very wrong
_START_SECONDS = 300.0  # imports and compilation on a busy machine
_SECONDS_PER_HARD_EVENT = 0.5  # a hundred times what one takes
_SHORTEST_SECONDS = 60.0
_GRACE = 1.0
_TAIL = 4096


@dataclass(eq=False)
class _Member:
    """One worker process and what it is doing."""

    process: subprocess.Popen[bytes]
    ready: bool = False
    spec: ShardSpec | None = None
    until: float = field(default_factory=lambda: time.monotonic() + _START_SECONDS)
    tail: bytearray = field(default_factory=bytearray)
    streams: set[int] = field(default_factory=set)


class Crew:
    """`size` local processes that write shards to `folder`; `log` takes what they print."""

    def __init__(self, size: int, folder: Path, log: Callable[[bytes], None]) -> None:
        self.size = size
        self._folder = folder
        self._log = log
        self._members: list[_Member] = []
        self._selector = selectors.DefaultSelector()
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
            if not any(member.spec for member in self._members):
                return
            for key, _ in self._selector.select(self._patience()):
                self._hear(key.data, key.fd)
            self._stop_the_late()
            while self._made:
                yield self._made.popleft()

    def close(self) -> None:
        """End all workers at once; what they were making is dropped."""
        for member in self._members:
            _hang_up(member)
        for member in list(self._members):
            self._bury(member)
        self._selector.close()

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _fill(self, following: Callable[[], ShardSpec | None]) -> None:
        """Nobody idle while there is work, and as many workers as there is work for."""
        for member in self._members:
            if member.spec is None and not self._give(member, following):
                return
        while len(self._members) < self.size:
            spec = self._next(following)
            if spec is None:
                return
            self._hire().spec = spec

    def _next(self, following: Callable[[], ShardSpec | None]) -> ShardSpec | None:
        return self._again.popleft() if self._again else following()

    def _give(self, member: _Member, following: Callable[[], ShardSpec | None]) -> bool:
        member.spec = self._next(following)
        if member.spec is None:
            return False
        if member.ready:
            self._send(member)
        return True

    def _hire(self) -> _Member:
        process = subprocess.Popen(
            [sys.executable, "-m", "sigma68.tasks.higgs.simulate.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=_environment(),
            start_new_session=True,  # a Ctrl-C at the terminal is for the main process alone
        )
        member = _Member(process)
        self._members.append(member)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                self._selector.register(stream, selectors.EVENT_READ, member)
                member.streams.add(stream.fileno())
        return member

    def _send(self, member: _Member) -> None:
        spec, stdin = member.spec, member.process.stdin
        if spec is None or stdin is None:
            return
        limit = _SHORTEST_SECONDS + _SECONDS_PER_HARD_EVENT * spec.hard_events
        member.until = time.monotonic() + limit
        path = str(self._folder / spec.file_name)
        # Who is gone is noticed when its stdout ends.
        with contextlib.suppress(BrokenPipeError):
            frame = {"kind": "shard", "spec": spec.to_json(), "path": path}
            write_frame(stdin, frame, timeout=_FRAME_SECONDS)

    def _hear(self, member: _Member, descriptor: int) -> None:
        if member not in self._members:
            return  # lost while an earlier event of the same round was handled
        if member.process.stderr is not None and descriptor == member.process.stderr.fileno():
            self._hear_words(member, descriptor)
            return
        try:
            frame = read_frame(descriptor, _FRAME_SECONDS)
        except (ProtocolError, TimeoutError) as error:
            self._lose(member, f"the worker broke the protocol: {error}")
            return
        if frame is None:
            self._lose(member, "")
            return
        self._answer(member, frame[0])

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

    def _hear_words(self, member: _Member, descriptor: int) -> None:
        words = os.read(descriptor, 1 << 16)
        if not words:
            self._selector.unregister(descriptor)
            member.streams.discard(descriptor)
            return
        member.tail += words
        del member.tail[:-_TAIL]
        self._log(words)

    def _patience(self) -> float:
        """Until the first time limit runs out."""
        first = min(member.until for member in self._members if member.spec)
        return max(0.0, first - time.monotonic())

    def _stop_the_late(self) -> None:
        now = time.monotonic()
        for member in list(self._members):
            if member.spec and now > member.until:
                self._lose(member, "the worker took a hundred times longer than usual")

    def _lose(self, member: _Member, reason: str) -> None:
        """A worker is gone, or has to go; its shard is tried again by another."""
        if member.process.stderr is not None and member.process.stderr.fileno() in member.streams:
            os.set_blocking(member.process.stderr.fileno(), False)
            with contextlib.suppress(BlockingIOError):
                self._hear_words(member, member.process.stderr.fileno())
        if not reason:  # it ended by itself: let it say how
            _await_end(member.process.pid, _GRACE)
        code = self._bury(member)
        reason = reason or f"the worker {_ending(code)}{_last_line(member.tail)}"
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


def _environment() -> dict[str, str]:
    """One thread per worker: there is one worker per core."""
    names = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return {**os.environ, **dict.fromkeys(names, "1")}


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


def _raised(spec: ShardSpec, name: str, message: str) -> Exception:
    """The error that a worker met, in this process."""
    cls = getattr(errors, name, None) if name else None
    if isinstance(cls, type) and issubclass(cls, Sigma68Error):
        return cls(message)
    return SimulationError(
        f"the shard {spec.file_name} cannot be made ({message}): see workers.log in the output "
        f"folder; {GO_ON}"
    )
