"""The events that toys are drawn from, kept between the judgings of one process.

A worker judges entry after entry on the same events, and reading them may take longer than judging.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from sigma68.challenge.judge.plan import Plan
from sigma68.protocols import Pools, Task

__all__ = ["Events"]


class Events:
    """The pools that were opened last; opened again where a plan needs others, or a file changed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._key: tuple[Any, ...] | None = None
        self._pools: Pools | None = None

    def pools(self, task: Task, plan: Plan) -> Pools:
        """The pools of a plan, prepared for training and for its toys.

        Raises
        ------
        DataError
            If the source is not what the task needs.
        """
        key = (plan.task, plan.data, plan.split_seed, plan.pool, _state(plan.data))
        with self._lock:
            if self._pools is None or self._key != key:
                self._key = self._pools = None  # before others are opened: both may be large
                pools = task.open(plan.data, split_seed=plan.split_seed)
                pools.prepare("train", plan.pool)
                self._key, self._pools = key, pools
            return self._pools


def _state(source: str | None) -> tuple[tuple[str, int, int], ...]:
    """What changes when the files of a source do; empty where it is no path."""
    if source is None or not Path(source).exists():
        return ()
    place = Path(source)
    files = sorted(place.rglob("*")) if place.is_dir() else [place]
    stats = ((str(path), path.stat()) for path in files)
    return tuple((name, stat.st_mtime_ns, stat.st_size) for name, stat in stats)
