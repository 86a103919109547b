"""A job's heartbeat: a thread that says how far it is, and learns when it is not ours any more."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Self

from sigma68.challenge.queue import jobs
from sigma68.challenge.queue.jobs import LEASE, Lease

if TYPE_CHECKING:
    from sigma68.challenge.store.stores import Store

__all__ = ["Pulse"]

_STEP = 0.5
_MOST_WAITING = 64 << 10


class Pulse:
    """Beats while its block runs: at once when there is news, else three times in a lease.

    `is_lost` says that the job is held by somebody else, cancelled or ended: stop working on it.
    """

    def __init__(
        self,
        store: Store,
        held: Lease,
        clock: Callable[[], datetime],
        *,
        duration: timedelta = LEASE,
        step: float = _STEP,
    ) -> None:
        self._store, self._held, self._clock = store, held, clock
        self._duration, self._step = duration, step
        self._lock = threading.Lock()
        self._done = 0
        self._told = 0
        self._texts: dict[int, str] = {}
        self._last = clock()
        self._lost = threading.Event()
        self._over = threading.Event()
        self._beating = threading.Lock()
        self._thread = threading.Thread(target=self._beat_on, daemon=True, name="heartbeat")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    @property
    def is_lost(self) -> bool:
        """Whether the job is not ours any more."""
        return self._lost.is_set()

    def progress(self, done: int) -> None:
        """So many toys are done."""
        with self._lock:
            self._done = done

    def log(self, submission_id: int, text: str) -> None:
        """Something for the author of a submission to read."""
        with self._lock:
            waiting = self._texts.get(submission_id, "")
            self._texts[submission_id] = (waiting + text.rstrip("\n") + "\n")[:_MOST_WAITING]

    def flush(self) -> None:
        """Write what is to be read of the job now, before it ends.

        Raises
        ------
        sqlalchemy.exc.OperationalError
            If the database cannot be reached.
        """
        self._beat(at_once=True)

    def _beat_on(self) -> None:
        from sqlalchemy.exc import OperationalError

        while not self._over.wait(self._step):
            try:
                self._beat()
            except OperationalError:
                # The database may be back before the lease is over; after that it is not ours.
                if self._clock() - self._last > self._duration:
                    self._lost.set()
            if self.is_lost:
                return

    def _beat(self, *, at_once: bool = False) -> None:
        with self._beating:
            now = self._clock()
            with self._lock:
                done, texts = self._done, dict(self._texts)
            is_news = done != self._told or bool(texts) or at_once
            if self.is_lost or (not is_news and now - self._last < self._duration / 3):
                return
            with self._store.write() as session:
                if not jobs.heartbeat(session, self._held, now, done=done, duration=self._duration):
                    self._lost.set()
                    return
                for submission_id, text in texts.items():
                    jobs.add_log(session, submission_id, text, now)
            self._last, self._told = now, done
            self._forget(texts)

    def _forget(self, written: dict[int, str]) -> None:
        with self._lock:
            for submission_id, text in written.items():
                rest = self._texts.pop(submission_id)[len(text) :]
                if rest:
                    self._texts[submission_id] = rest
