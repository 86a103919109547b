"""What a process and all its descendants use: CPU time, memory, number of processes and threads.

Read from /proc. Memory is what is theirs alone: anonymous and shared pages, swapped ones included,
not files that are mapped, which the system may drop at any time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Usage", "UsageMeter", "can_follow", "descendants", "memory_exactly"]

_TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")
_KIB = 1024


@dataclass(frozen=True)
class Usage:
    """One look: CPU seconds, bytes, processes with their threads counted one by one.

    Bytes shared between processes are counted in each of them (see `memory_exactly`).
    """

    cpu_seconds: float
    memory_bytes: int
    tasks: int


class UsageMeter:
    """Looks at a tree of processes again and again, and keeps what those that ended have used.

    A process that ends leaves its CPU time to the parent that waits for it. Where no parent waits,
    the sum falls between two looks: what it falls by is kept.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._last = 0.0
        self._lost = 0.0

    @property
    def cpu_seconds(self) -> float:
        """CPU time up to the last look, in s."""
        return self._last + self._lost

    def at_least(self, seconds: float) -> None:
        """Note what somebody who sees more has counted."""
        self._lost += max(seconds - self.cpu_seconds, 0.0)

    def look(self) -> Usage:
        """What the tree uses now; zeros once it is gone."""
        cpu, memory, tasks = 0.0, 0, 0
        for pid in descendants(self.pid):
            try:
                seconds, threads = _times(pid)
                memory += _memory(pid)
            except (OSError, ValueError, IndexError):  # it has ended meanwhile
                continue
            cpu += seconds
            tasks += threads
        if cpu < self._last:
            self._lost += self._last - cpu
        self._last = cpu
        return Usage(self.cpu_seconds, memory, tasks)


def can_follow() -> bool:
    """Whether this kernel lists the children of a process (CONFIG_PROC_CHILDREN)."""
    return Path(f"/proc/self/task/{os.getpid()}/children").exists()


def descendants(pid: int) -> Iterator[int]:
    """`pid` and all processes below it, as far as they can be seen this instant."""
    pending = [pid]
    seen = set()
    while pending:
        one = pending.pop()
        if one in seen:
            continue
        seen.add(one)
        yield one
        try:
            threads = os.listdir(f"/proc/{one}/task")  # noqa: PTH208
        except OSError:
            continue
        for thread in threads:
            try:
                with open(f"/proc/{one}/task/{thread}/children", "rb") as file:  # noqa: PTH123
                    pending += map(int, file.read().split())
            except OSError:
                continue


def memory_exactly(pid: int) -> int:
    """Bytes of `pid` and all below it, with shared pages shared out (PSS); slower.

    A process whose pages cannot be read counts with all that it has.
    """
    total = 0
    for one in descendants(pid):
        try:
            total += _fields(f"/proc/{one}/smaps_rollup", (b"Pss_Anon", b"Pss_Shmem", b"SwapPss"))
        except OSError:
            try:
                total += _memory(one)
            except OSError:
                continue
    return total


def _times(pid: int) -> tuple[float, int]:
    """CPU seconds of a process and of those it waited for, and its number of threads."""
    with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 (read many times a second)
        # The name, in brackets, may hold anything.
        fields = file.read().rpartition(b")")[2].split()
    return sum(map(int, fields[11:15])) * _TICK_S, int(fields[17])


def _memory(pid: int) -> int:
    return _fields(f"/proc/{pid}/status", (b"RssAnon", b"RssShmem", b"VmSwap"))


def _fields(path: str, names: tuple[bytes, ...]) -> int:
    """The sum of fields given in kB, in bytes."""
    total = 0
    with open(path, "rb") as file:  # noqa: PTH123
        for line in file:
            name, _, value = line.partition(b":")
            if name in names:
                total += int(value.split()[0])
    return total * _KIB
