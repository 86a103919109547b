"""How often somebody may do something: a window that slides, per visitor or per account."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sigma68.challenge.rules.refusals import RefusedError

__all__ = ["LIMITS", "Limit", "Limiter", "TooOftenError"]


class TooOftenError(RefusedError):
    """Somebody did something more often than is allowed; `seconds` until they may again."""

    status = 429

    def __init__(self, what: str, seconds: int) -> None:
        minutes = math.ceil(seconds / 60)
        wait = f"{seconds} s" if seconds < 90 else f"{minutes} minutes"
        super().__init__(f"too many {what} from here: wait {wait}, then try again")
        self.seconds = seconds


@dataclass(frozen=True)
class Limit:
    """At most `times` of `what` in any `window`."""

    what: str
    times: int
    window: timedelta


LIMITS: Mapping[str, Limit] = {
    "sign-in": Limit("tries to sign in", 20, timedelta(minutes=5)),
    "password": Limit("tries to sign in", 10, timedelta(minutes=15)),
    "register": Limit("registrations", 10, timedelta(hours=1)),
    "upload": Limit("uploads", 30, timedelta(hours=1)),
    "post": Limit("posts", 20, timedelta(minutes=10)),
    "token": Limit("requests with a wrong token", 30, timedelta(minutes=5)),
    "export": Limit("exports", 6, timedelta(hours=1)),
    "download": Limit("downloads", 30, timedelta(hours=1)),
    "join": Limit("tries to join a team", 20, timedelta(hours=1)),
}
"""The limits by name. A key says whose: an address for what needs no account, else a user."""

_MOST_KEYS = 50_000


class Limiter:
    """Counts in the memory of one server process; forgets when it restarts."""

    def __init__(self, limits: Mapping[str, Limit] = LIMITS) -> None:
        self._limits = dict(limits)
        self._seen: dict[tuple[str, str], deque[datetime]] = {}
        self._lock = threading.Lock()

    def count(self, name: str, key: str, now: datetime) -> None:
        """Count one more use of limit `name` by `key`.

        Raises
        ------
        TooOftenError
            If that is one too many; the use is then not counted.
        """
        limit = self._limits[name]
        with self._lock:
            times = self._seen.setdefault((name, key), deque())
            while times and times[0] <= now - limit.window:
                times.popleft()
            if len(times) >= limit.times:
                left = (times[0] + limit.window - now).total_seconds()
                raise TooOftenError(limit.what, max(1, math.ceil(left)))
            times.append(now)
            if len(self._seen) > _MOST_KEYS:
                self._forget(now)

    def check(self, name: str, key: str, now: datetime) -> None:
        """Raise if another use would be one too many, without counting any.

        Raises
        ------
        TooOftenError
            If so.
        """
        limit = self._limits[name]
        with self._lock:
            times = [t for t in self._seen.get((name, key), ()) if t > now - limit.window]
            if len(times) >= limit.times:
                left = (times[0] + limit.window - now).total_seconds()
                raise TooOftenError(limit.what, max(1, math.ceil(left)))

    def clear(self, name: str, key: str) -> None:
        """Forget what `key` did, for somebody who gave the right password."""
        with self._lock:
            self._seen.pop((name, key), None)

    def _forget(self, now: datetime) -> None:
        """Drop what is past its window; memory stays bounded, whatever addresses come."""
        for key, times in list(self._seen.items()):
            if not times or times[-1] <= now - self._limits[key[0]].window:
                del self._seen[key]
