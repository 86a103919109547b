"""The final: each team's chosen or best entry, all on the same toys, none of it seen too early."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from sigma68.challenge.store.tables import Phase, Submission

__all__ = ["candidates", "start", "start_due"]


def candidates(session: Session, final: Phase) -> Sequence[Submission]:
    """What each team goes into `final` with: its choice, else its best ranked submission.

    Raises
    ------
    ConflictError
        If the phase is no final, or draws from none.
    """
    raise NotImplementedError


def start(session: Session, final: Phase, now: datetime) -> bool:
    """Queue the final if it is time: it has opened, and all that it draws from is judged.

    True if it was started by this call. Calling it again does nothing.
    """
    raise NotImplementedError


def start_due(session: Session, now: datetime) -> Sequence[Phase]:
    """Start every final whose time has come; those that were."""
    raise NotImplementedError
