"""Who did what, when: one line for everything that changes another's standing or the rules."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from sigma68.challenge.store.tables import AuditLine, User

__all__ = ["audit_log", "record"]


def record(
    session: Session, by: User | None, action: str, subject: str, now: datetime, **detail: Any
) -> None:
    """Write down that `by` (None for the server itself) did `action` to `subject`.

    `subject` is a kind and a number such as "submission:12"; `detail` must be JSON and holds no
    secret.
    """
    line = AuditLine(
        at=now, user_id=None if by is None else by.id, action=action, subject=subject, detail=detail
    )
    session.add(line)


def audit_log(session: Session, *, limit: int = 200, offset: int = 0) -> Sequence[AuditLine]:
    """What was done, newest first, with who did it loaded."""
    return session.scalars(
        select(AuditLine)
        .options(joinedload(AuditLine.user))
        .order_by(AuditLine.id.desc())
        .limit(limit)
        .offset(offset)
    ).all()
