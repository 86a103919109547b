"""A pool of given events that remembers what was asked of it."""

from __future__ import annotations

from collections.abc import Mapping

from sigma68.types import Labelled, PoolStatistics


class FixedPool:
    def __init__(self, role: str, events: Labelled) -> None:
        self.role = role
        self.fingerprint = role
        self.n_rows = events.n_events
        self.events = events
        self.asked: list[tuple[dict[str, float], int | None]] = []

    def labelled(
        self, nuisances: Mapping[str, float] | None = None, *, max_rows: int | None = None
    ) -> Labelled:
        self.asked.append((dict(nuisances or {}), max_rows))
        return self.events

    def statistics(self) -> PoolStatistics | None:
        return None
