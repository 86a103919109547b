"""An unprivileged user for each sandbox, so that limits by user are limits of one entry.

Linux counts the processes of a user over the whole machine: two entries under one user would
take them from each other. A user number is held by a socket with a name in the kernel, which
vanishes with whoever holds it.
"""

from __future__ import annotations

import contextlib
import random
import socket
from pathlib import Path
from types import TracebackType

from sigma68.errors import IsolationError

__all__ = ["ClaimedUser", "claim_user"]

_RANGES = ((2_000_000_000, 60_000), (40_000, 20_000))
"""Numbers that systems leave free; the second where a container has only 65,536 of them."""
_TRIES = 1000


class ClaimedUser:
    """A user and group number that no other sandbox has, until it is closed."""

    def __init__(self, number: int, mark: socket.socket) -> None:
        self.number = number
        self._mark = mark

    def close(self) -> None:
        """Give the number back."""
        self._mark.close()

    def __enter__(self) -> ClaimedUser:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def claim_user() -> ClaimedUser:
    """A number of the first range that this machine, or its container, has.

    Raises
    ------
    IsolationError
        If there is none.
    """
    # Where to begin looking is no part of any result.
    chance = random.SystemRandom()
    for first, count in _RANGES:
        if not _is_mapped(first, count):
            continue
        begin = chance.randrange(count)
        for i in range(_TRIES):
            number = first + (begin + i) % count
            mark = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            with contextlib.suppress(OSError):
                mark.bind(f"\0sigma68-user-{number}")
                return ClaimedUser(number, mark)
            mark.close()
    raise IsolationError(
        "there is no free user number to run an entry under: give the container a range of user "
        "numbers, or end what holds them"
    )


def _is_mapped(first: int, count: int) -> bool:
    """Whether user and group numbers from `first` on exist in this user namespace."""
    return all(
        any(
            inside <= first and first + count <= inside + length
            for inside, _, length in (
                map(int, line.split()) for line in Path(path).read_text("ascii").splitlines()
            )
        )
        for path in ("/proc/self/uid_map", "/proc/self/gid_map")
    )
