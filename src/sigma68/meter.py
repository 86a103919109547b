"""How far a long piece of work on bytes is: done, of how many, how fast, how long to go."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

__all__ = ["HowFar", "Meter", "Report"]

_INTERVAL_S: Final = 0.1
_WINDOW_S: Final = 10.0


@dataclass(frozen=True)
class HowFar:
    """How far a piece of work is: bytes done of `total` (None if unknown), bytes per second."""

    what: str
    done: int
    total: int | None
    rate: float

    @property
    def seconds_left(self) -> float | None:
        """What the rest will take at this rate; None if nobody knows."""
        if self.total is None or self.rate <= 0:
            return None
        return max(self.total - self.done, 0) / self.rate


Report = Callable[[HowFar], None]


class Meter:
    """Turns a running count of bytes into reports with a rate, ten a second at most.

    The rate is that of the last ten seconds.
    """

    def __init__(self, what: str, total: int | None, report: Report | None) -> None:
        self._what, self._total, self._report = what, total, report
        self._seen: deque[tuple[float, int]] = deque()
        self._last = 0.0

    def __call__(self, done: int) -> None:
        """Say that `done` bytes are done in all."""
        now = time.monotonic()
        finished = done == self._total
        if self._report is None or (now - self._last < _INTERVAL_S and not finished):
            return
        self._last = now
        if self._seen and done < self._seen[-1][1]:  # it began again
            self._seen.clear()
        self._seen.append((now, done))
        while now - self._seen[0][0] > _WINDOW_S and len(self._seen) > 2:
            self._seen.popleft()
        begin, before = self._seen[0]
        rate = (done - before) / (now - begin) if now > begin else 0.0
        self._report(HowFar(self._what, done, self._total, rate))
