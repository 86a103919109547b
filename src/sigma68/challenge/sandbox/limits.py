"""What one entry's processes may use together."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Limits"]


@dataclass(frozen=True)
class Limits:
    """Memory and disk in bytes; processes count with their threads; `files` by number.

    `disk_bytes` holds for its home and, apart, for /dev/shm. Both live in memory: files are not
    part of its `memory_bytes`, but take memory of the machine.
    """

    memory_bytes: int = 8 << 30
    max_processes: int = 256
    disk_bytes: int = 1 << 30
    max_files: int = 50_000

    @property
    def memory_words(self) -> str:
        """The limit of memory, for an author."""
        return _words(self.memory_bytes)

    @property
    def disk_words(self) -> str:
        """The limit of disk, for an author."""
        return _words(self.disk_bytes)


def _words(n: int) -> str:
    return f"{n / (1 << 30):.3g} GiB" if n >= 1 << 30 else f"{n / (1 << 20):.3g} MiB"
