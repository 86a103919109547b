"""Users, the audit log and the queue, for organisers."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Body, Query
from pydantic import BaseModel

from sigma68.challenge.queue.overview import overview
from sigma68.challenge.rules import accounts, audit
from sigma68.challenge.rules.refusals import NotFoundError
from sigma68.challenge.store.tables import User
from sigma68.challenge.web.api.caller import Caller, CallerDep, ChangerDep
from sigma68.challenge.web.api.models import AuditLine, UserOut

__all__ = ["router"]

router = APIRouter(tags=["for organisers"])

_Limit = Annotated[int, Query(ge=1, le=1000)]
_Offset = Annotated[int, Query(ge=0, le=1 << 40)]


class QueueOut(BaseModel):
    queued: int
    running: int


@router.get("/queue")
def queue(caller: CallerDep) -> QueueOut:
    """How many jobs wait and run."""
    caller.organiser()
    found = overview(caller.session)
    return QueueOut(queued=found.queued, running=len(found.running))


@router.get("/users")
def users(caller: CallerDep, limit: _Limit = 200, offset: _Offset = 0) -> list[UserOut]:
    """All users by number."""
    caller.organiser()
    found = accounts.listing(caller.session, limit=limit, offset=offset)
    return [UserOut.model_validate(one) for one in found]


@router.patch("/users/{user_id}")
def change(
    caller: ChangerDep,
    user_id: int,
    role: Annotated[Literal["participant", "organiser", "juror"] | None, Body()] = None,
    disabled: Annotated[bool | None, Body()] = None,
) -> UserOut:
    """Give somebody a role, shut them out, or let them in again."""
    by, found = caller.organiser(), _user(caller, user_id)
    if role is not None and role != found.role:
        accounts.set_role(caller.session, found, role, by, caller.now)
    if disabled is not None and disabled != found.disabled:
        accounts.set_disabled(caller.session, found, disabled, by, caller.now)
    caller.session.commit()
    return UserOut.model_validate(found)


def _user(caller: Caller, user_id: int) -> User:
    found = caller.session.get(User, user_id) if 0 < user_id < 1 << 62 else None
    if found is None:
        raise NotFoundError(f"there is no user {user_id}")
    return found


@router.get("/audit")
def audit_log(caller: CallerDep, limit: _Limit = 200, offset: _Offset = 0) -> list[AuditLine]:
    """Who did what, newest first."""
    caller.organiser()
    return [
        AuditLine(
            at=line.at,
            user=line.user.name if line.user else None,
            action=line.action,
            subject=line.subject,
            detail=line.detail,
        )
        for line in audit.audit_log(caller.session, limit=limit, offset=offset)
    ]
