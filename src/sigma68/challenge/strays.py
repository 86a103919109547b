"""Ending processes that an entry has started and that left its process group."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

__all__ = ["end_strays"]

_ROUNDS = 20


def end_strays(private: Path) -> None:
    """Kill every process of an entry whose home is `private`/home, but not this one.

    They are known by the home in the environment they were started with, or by a working folder
    below `private`. Only a process that has changed both goes unseen; a sandbox holds those.
    """
    home = f"HOME={private / 'home'}".encode()
    for _ in range(_ROUNDS):
        found = [pid for pid in _others() if _belongs(pid, home, private)]
        if not found:
            return
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.01)  # they may have started others meanwhile: look again


def _others() -> list[int]:
    names = (path.name for path in Path("/proc").iterdir())
    return [int(name) for name in names if name.isdecimal() and int(name) != os.getpid()]


def _belongs(pid: int, home: bytes, private: Path) -> bool:
    process = Path("/proc") / str(pid)
    try:
        if home in (process / "environ").read_bytes().split(b"\0"):
            return True
        return (process / "cwd").readlink().is_relative_to(private)
    except OSError:  # it has ended, or is another user's
        return False
