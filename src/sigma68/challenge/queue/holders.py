"""Who holds a job, by a name that tells those on the same machine whether it still lives.

A worker that was killed is then missed at once by the next one beside it, not when its lease runs
out. Processes are told apart by number and time of start, machines and containers by boot and
process namespace; of a worker elsewhere nothing is known. Reference: proc(5).
"""

from __future__ import annotations

import hashlib
import os
import secrets
import socket
from functools import cache
from pathlib import Path

__all__ = ["holder_name", "is_dead"]

_PROC = Path("/proc")


def holder_name() -> str:
    """A new name for a worker in this process: host, process, place, time of start, chance."""
    start = _start_of(os.getpid()) or ""
    parts = (socket.gethostname()[:64], os.getpid(), _place(), start, secrets.token_hex(3))
    return ":".join(str(part) for part in parts)


def is_dead(holder: str) -> bool:
    """Whether `holder` was a process of this very machine and is none any more.

    False where that cannot be known: it may live elsewhere.
    """
    parts = holder.split(":")
    if len(parts) != 5 or not parts[1].isdecimal() or not parts[3]:
        return False
    _, number, place, start, _ = parts
    return bool(place) and place == _place() and _start_of(int(number)) != start


@cache
def _place() -> str:
    """A word for this machine since it was started, and for the processes seen from here."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii")
        seen = (_PROC / "self/ns/pid").readlink()
    except OSError:
        return ""  # no such thing here: leases run out
    return hashlib.blake2b(f"{boot}{seen}".encode(), digest_size=4).hexdigest()


def _start_of(number: int) -> str | None:
    """When a process began, in ticks since boot; None if there is none, or only its remains."""
    try:
        stat = (_PROC / str(number) / "stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # After the name, which may hold anything: state is the third field, the start the 22nd.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]
