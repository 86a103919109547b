"""Users as organisers see them: roles, and who is shut out."""

from __future__ import annotations

import secrets
from typing import Annotated, get_args

from fastapi import APIRouter, Query
from fastapi.responses import Response

from sigma68.challenge.rules import accounts
from sigma68.challenge.rules.refusals import NotFoundError, RefusedError
from sigma68.challenge.store.tables import Role, User
from sigma68.challenge.web.forms import ChangeDep, PostedDep
from sigma68.challenge.web.opening import SignIn
from sigma68.challenge.web.visits import Visit, VisitDep

__all__ = ["router"]

router = APIRouter(prefix="/admin/users")

_USERS = 200


@router.get("")
def users(visit: VisitDep, page: Annotated[int, Query(ge=1, le=100_000)] = 1) -> Response:
    """All users."""
    return _users(visit, page=page)


def _users(
    visit: Visit,
    *,
    page: int = 1,
    status: int = 200,
    error: str | None = None,
    fresh: SignIn | None = None,
) -> Response:
    visit.organiser()
    found = accounts.listing(visit.session, limit=_USERS + 1, offset=(page - 1) * _USERS)
    return visit.page(
        "users.html",
        status,
        users=found[:_USERS],
        page=page,
        more=len(found) > _USERS,
        roles=get_args(Role),
        error=error,
        fresh=fresh,
    )


@router.post("/new")
def make(visit: ChangeDep, posted: PostedDep) -> Response:
    """An account for somebody, with a password that is shown once."""
    visit.organiser()
    password = secrets.token_urlsafe(12)
    try:
        made = accounts.create(visit.session, posted.text("name"), password, visit.now)
    except RefusedError as error:
        return _users(visit.again(), status=error.status, error=str(error))
    visit.session.commit()
    return _users(visit, fresh=SignIn(made.name, password))


@router.post("/{user_id}")
def change(user_id: int, visit: ChangeDep, posted: PostedDep) -> Response:
    """Give somebody a role, shut them out, or let them in again."""
    by = visit.organiser()
    found = visit.session.get(User, user_id)
    if found is None:
        raise NotFoundError(f"there is no user {user_id}")
    try:
        role = posted.text("role")
        if role and role != found.role:
            accounts.set_role(visit.session, found, _role(role), by, visit.now)
        disabled = posted.text("disabled")
        if disabled and (disabled == "yes") != found.disabled:
            accounts.set_disabled(visit.session, found, disabled == "yes", by, visit.now)
    except RefusedError as error:
        return _users(visit.again(), status=error.status, error=str(error))
    return visit.go("/admin/users", f"{found.name} is changed.")


def _role(text: str) -> Role:
    for role in get_args(Role):
        if role == text:
            known: Role = role
            return known
    raise RefusedError(f"there is no role {text!r}")
