"""A process of an entry's that is at work: watched, measured, and ended with all it has started."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable

from sigma68.challenge.sandbox.cgroup import Group
from sigma68.challenge.sandbox.command import disks
from sigma68.challenge.sandbox.limits import Limits
from sigma68.challenge.sandbox.usage import Usage, UsageMeter, memory_exactly

__all__ = ["Running"]

_LOOK_S = 0.05
_LOOK_TRUSTED_S = 0.5
_END_S = 5.0


class Running:
    """An entry's process, looked at 20 times a second until it is ended.

    Parameters
    ----------
    process
        What was started: bubblewrap, or the entry's own process.
    first
        The process at whose end all of a sandbox end; the entry's own process without one.
    limits
        What it may use; None for no limits, CPU time being measured all the same.
    group
        Its control group, if it has one.
    on_end
        Called once when it has ended.

    Raises
    ------
    ProcessLookupError
        If `first` is gone already.
    """

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        first: int,
        *,
        limits: Limits | None = None,
        group: Group | None = None,
        on_end: Callable[[], None] | None = None,
    ) -> None:
        self.process = process
        self.excess = ""
        """What it took too much of, in a sentence for its author, and was ended for."""
        self._first = first
        # Its number may be another's as soon as it has ended; this descriptor stays its own.
        self._handle = os.pidfd_open(first)
        self._limits = limits
        self._group = group
        self._on_end = on_end
        self._meter = UsageMeter(first)
        self._looking = threading.Lock()
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    @property
    def is_sandboxed(self) -> bool:
        """Whether limits are held."""
        return self._limits is not None

    @property
    def cpu_seconds(self) -> float:
        """CPU time of the process and of all it has started, so far, in s."""
        if not self._over.is_set():
            self._look()
        measured = 0.0 if self._group is None else self._group.cpu_seconds
        return max(measured, self._meter.cpu_seconds)

    def exit_words(self) -> str:
        """How it ended, if it ended by itself within a second; empty if it has not."""
        deadline = time.monotonic() + 1.0
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        # Look without reaping: its number must stay taken until the group is killed.
        while (ended := os.waitid(os.P_PID, self.process.pid, options)) is None:
            if time.monotonic() > deadline:
                return self.excess
            time.sleep(0.01)
        if self._group is not None and self._group.ran_out_of_memory and not self.excess:
            self.excess = self._too_much_memory()
        if self.excess:
            return self.excess
        status = ended.si_status
        if ended.si_code == os.CLD_EXITED:
            if not self.is_sandboxed or status <= 128:
                return f"the entry's process ended itself with exit code {status}"
            status -= 128  # so bubblewrap says it
        try:
            name = signal.Signals(status).name
        except ValueError:
            name = f"signal {status}"
        return f"the entry's process was killed by {name}"

    def kill(self) -> None:
        """Kill its first process, with which a sandbox ends; `end` is still to be called."""
        with contextlib.suppress(ProcessLookupError), self._looking:
            if not self._over.is_set():
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)

    def end(self) -> None:
        """Kill it and, in a sandbox, everything it has started; returns when they are gone."""
        if self._over.is_set():
            return
        self._look()
        self._kill()
        self.process.wait()
        with self._looking:
            self._over.set()
        self._watcher.join(timeout=_END_S)
        os.close(self._handle)
        if self._group is not None:
            self._meter.at_least(self._group.cpu_seconds)
            self._group.close()
        if self._on_end is not None:
            self._on_end()

    def _kill(self) -> None:
        if self.is_sandboxed:
            # With its first process a namespace ends, whatever else runs there. Bubblewrap waits
            # for it: when it is gone, everything is.
            self.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(_END_S)
                return
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            self.process.kill()

    def _watch(self) -> None:
        pause = _LOOK_S if self.is_sandboxed else _LOOK_TRUSTED_S
        while not self._over.wait(pause):
            usage = self._look()
            if self._limits is None or self.excess:
                continue
            excess = self._excess(usage, self._limits)
            if excess and not self._over.is_set():
                self.excess = excess
                self.kill()

    def _look(self) -> Usage:
        with self._looking:
            # Bubblewrap has waited for a sandbox's first process: its number may be another's.
            if self._over.is_set() or (self.is_sandboxed and self._has_ended()):
                return Usage(self._meter.cpu_seconds, 0, 0)
            return self._meter.look()

    def _excess(self, usage: Usage, limits: Limits) -> str:
        # One of the tasks is bubblewrap's.
        if usage.tasks - 1 >= limits.max_processes:
            return f"it started {limits.max_processes} processes and threads, more than it may"
        too_much = usage.memory_bytes > limits.memory_bytes
        # Shared pages were counted once for each who shares them: look closely before judging.
        if too_much and memory_exactly(self._first) > limits.memory_bytes:
            return self._too_much_memory()
        if any(_files(self._first, disk) > limits.max_files for disk in disks()):
            return f"it wrote more than {limits.max_files:,} files, the most that it may"
        return ""

    def _too_much_memory(self) -> str:
        assert self._limits is not None  # noqa: S101 (only then is there too much)
        return f"its processes took more than {self._limits.memory_words} of memory together"

    def _has_ended(self) -> bool:
        poll = select.poll()
        poll.register(self._handle, select.POLLIN)
        return bool(poll.poll(0))


def _files(pid: int, place: str) -> int:
    """How many files are on a disk of the sandbox that `pid` began."""
    try:
        disk = os.statvfs(f"/proc/{pid}/root{place}")
    except OSError:  # it is just beginning, or ending
        return 0
    return disk.f_files - disk.f_ffree
