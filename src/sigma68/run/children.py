"""Worker processes of this one, which talk in frames: begun, heard, and ended with all they began.

What they are asked, and what becomes of the work of one that is lost, is the affair of who employs
them: `run.team` for pseudo-experiments, `tasks.higgs.simulate.crew` for simulated events.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from sigma68.errors import ProtocolError
from sigma68.run.frames import read_frame, write_frame

__all__ = ["Child", "Children"]

_FRAME_SECONDS = 60.0  # a frame once begun comes quickly, or something is very wrong
_GRACE = 1.0  # for one that was asked to end, or has, before it is killed
_TAIL = 4096


@dataclass(eq=False)
class Child:
    """One worker process: the end of what it printed, and the streams that are listened to."""

    process: subprocess.Popen[bytes]
    tail: bytearray = field(default_factory=bytearray)
    streams: set[int] = field(default_factory=set)

    def send(self, header: Mapping[str, Any]) -> None:
        """Write it a frame. Who is gone is noticed when its stdout ends."""
        if self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                write_frame(self.process.stdin, header, timeout=_FRAME_SECONDS)

    def hang_up(self) -> None:
        """Say that nothing more will be asked."""
        if self.process.stdin is not None and not self.process.stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()

    def await_end(self, seconds: float) -> None:
        """Wait until it has ended, without reaping it; at most so long."""
        until = time.monotonic() + seconds
        options = os.WEXITED | os.WNOWAIT | os.WNOHANG
        while os.waitid(os.P_PID, self.process.pid, options) is None and time.monotonic() < until:
            time.sleep(0.005)


C = TypeVar("C", bound=Child)


class Children(Generic[C]):
    """The workers that there are, `members`; `log` takes what they print."""

    def __init__(self, log: Callable[[bytes], None]) -> None:
        self.members: list[C] = []
        self._log = log
        self._selector = selectors.DefaultSelector()

    def begin(
        self,
        module: str,
        environment: Mapping[str, str],
        member: Callable[[subprocess.Popen[bytes]], C],
    ) -> C:
        """One worker more, that runs a module of this package; `member` makes it of its process."""
        process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=environment,
            start_new_session=True,  # a Ctrl-C at the terminal is for the main process alone
        )
        begun = member(process)
        self.members.append(begun)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                self._selector.register(stream, selectors.EVENT_READ, begun)
                begun.streams.add(stream.fileno())
        return begun

    def heard(self, seconds: float | None) -> Iterator[tuple[C, dict[str, Any] | str]]:
        """What workers say within so long, once one does: a frame's header.

        Instead of one, what is wrong with a worker that is gone or makes no sense, "" where it has
        ended by itself: it is to be dismissed.
        """
        for key, _ in self._selector.select(seconds):
            member: C = key.data
            if member not in self.members:
                continue  # lost while an earlier event of the same round was handled
            if member.process.stderr is not None and key.fd == member.process.stderr.fileno():
                self._hear_words(member)
                continue
            try:
                frame = read_frame(key.fd, _FRAME_SECONDS)
            except (ProtocolError, TimeoutError) as error:
                yield member, f"the worker broke the protocol: {error}"
                continue
            yield member, "" if frame is None else frame[0]

    def dismiss(self, member: C, reason: str) -> str:
        """End a worker that is lost; why, in its own last words where `reason` is empty."""
        stderr = member.process.stderr
        if stderr is not None and stderr.fileno() in member.streams:
            os.set_blocking(stderr.fileno(), False)
            with contextlib.suppress(BlockingIOError):
                self._hear_words(member)
        if not reason:  # it ended by itself: let it say how
            member.await_end(_GRACE)
        code = self._bury(member)
        return reason or f"the worker {_ending(code)}{_last_line(member.tail)}"

    def close(self, grace: float = 0.0) -> None:
        """End all workers and their children; they may take so many seconds to end themselves."""
        for member in self.members:
            member.hang_up()
        until = time.monotonic() + grace
        for member in self.members:
            member.await_end(until - time.monotonic())
        for member in list(self.members):
            self._bury(member)
        self._selector.close()

    def _hear_words(self, member: C) -> None:
        """What a worker prints; nothing where it has closed its stderr."""
        stderr = member.process.stderr
        if stderr is None:
            return
        words = os.read(stderr.fileno(), 1 << 16)
        if not words:
            self._selector.unregister(stderr.fileno())
            member.streams.discard(stderr.fileno())
            return
        member.tail += words
        del member.tail[:-_TAIL]
        self._log(words)

    def _bury(self, member: C) -> int:
        """Kill a worker and everything in its process group; its exit status."""
        for descriptor in member.streams:
            self._selector.unregister(descriptor)
        member.streams.clear()
        member.hang_up()
        # Before it is reaped: so long its number cannot be another's.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(member.process.pid, signal.SIGKILL)
        code = member.process.wait()
        for stream in (member.process.stdout, member.process.stderr):
            if stream is not None:
                stream.close()
        self.members.remove(member)
        return code


def _ending(code: int) -> str:
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with status {code}"


def _last_line(tail: bytes | bytearray) -> str:
    lines = tail.decode(errors="replace").strip().splitlines()
    return f": {lines[-1].strip()}" if lines else ""
