"""A control group (cgroup v2) for each sandbox, where this process may make one.

The kernel then holds the limits itself, over what nobody can read from outside as well: buffers
of sockets and pipes, page tables. It is a second line: the watcher of `running` stands before it
and says in words what was too much.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from sigma68.challenge.sandbox.limits import Limits

__all__ = ["Group", "make_group"]

_ROOT = Path("/sys/fs/cgroup")
_NEEDED = {"memory", "pids"}
_BESIDES = 16  # bubblewrap's own processes


class Group:
    """One control group, made by `make_group`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def attach(self, pid: int) -> None:
        """Put a process, and whatever it starts from now on, into the group.

        Raises
        ------
        OSError
            If the system does not let us.
        """
        (self.folder / "cgroup.procs").write_text(str(pid), encoding="ascii")

    @property
    def cpu_seconds(self) -> float:
        """CPU time of all processes that ever were in it, in s; 0 where it is not counted."""
        return _field(self.folder / "cpu.stat", "usage_usec") / 1e6

    @property
    def ran_out_of_memory(self) -> bool:
        """Whether the kernel has killed something in it for memory."""
        return _field(self.folder / "memory.events", "oom_kill") > 0

    def close(self) -> None:
        """Kill what is left in it, and remove it."""
        with contextlib.suppress(OSError):  # older kernels have no such file
            (self.folder / "cgroup.kill").write_text("1", encoding="ascii")
        with contextlib.suppress(OSError):  # what still ends keeps it; it costs nothing
            self.folder.rmdir()


def make_group(limits: Limits, root: Path = _ROOT) -> Group | None:
    """A group with the limits; None where this process may not make one."""
    for parent in _parents(root):
        try:
            enabled = set((parent / "cgroup.subtree_control").read_text("ascii").split())
            if not enabled >= _NEEDED:
                continue
            folder = Path(tempfile.mkdtemp(prefix="sigma68-", dir=parent))
        except OSError:
            continue
        group = Group(folder)
        try:
            _limit(folder, limits)
            return group
        except OSError:
            group.close()
    return None


def _limit(folder: Path, limits: Limits) -> None:
    # Its files lie in memory too, on two disks with limits of their own.
    values = {
        "memory.max": limits.memory_bytes + 2 * limits.disk_bytes,
        "memory.oom.group": 1,
        "pids.max": limits.max_processes + _BESIDES,
    }
    for name, value in values.items():
        (folder / name).write_text(str(value), encoding="ascii")
    swap = folder / "memory.swap.max"
    if swap.exists():
        swap.write_text("0", encoding="ascii")


def _parents(root: Path) -> list[Path]:
    """Where a group of ours may be: below our own, or beside it."""
    if not (root / "cgroup.controllers").exists():
        return []
    for line in Path("/proc/self/cgroup").read_text("utf-8").splitlines():
        if line.startswith("0::/"):
            own = root / line.removeprefix("0::/")
            found = [own, own.parent] if own != root else [own]
            return [p for p in found if p.is_dir() and os.access(p, os.W_OK)]
    return []


def _field(path: Path, name: str) -> int:
    try:
        lines = path.read_text("ascii").splitlines()
    except OSError:
        return 0
    for line in lines:
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    return 0
