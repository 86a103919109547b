"""Signing in with an account of elsewhere: away to the provider, and back."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.orm import Session

from sigma68.challenge.rules import accounts
from sigma68.challenge.rules.refusals import ForbiddenError, NotFoundError, RefusedError
from sigma68.challenge.store.tables import User
from sigma68.challenge.web.oidc import OidcError, Person, Provider, Question
from sigma68.challenge.web.visits import Visit, VisitDep, local_path

__all__ = ["router"]

router = APIRouter(prefix="/oidc")

_COOKIE = "oidc"
_LASTS = timedelta(minutes=10)


def _provider(visit: Visit) -> Provider:
    if visit.house.provider is None:
        raise NotFoundError("there is no such page")
    return visit.house.provider


@router.get("/start")
def start(visit: VisitDep, next: Annotated[str, Query()] = "/") -> Response:
    """To the provider, with a question whose answer only this browser can bring back."""
    provider = _provider(visit)
    visit.house.limiter.count("sign-in", visit.address, visit.now)
    question = Question.fresh()
    response = RedirectResponse(provider.address(question), 303)
    sealed = visit.house.tickets.seal(
        _COOKIE,
        [question.state, question.nonce, question.verifier, local_path(next)],
        visit.now,
    )
    visit.set_cookie(response, _COOKIE, sealed, _LASTS)
    return response


@router.get("/back")
def back(visit: VisitDep) -> Response:
    """From the provider: the account of this identity, made if it is new, is signed in."""
    provider = _provider(visit)
    sealed = visit.request.cookies.get(_COOKIE)
    begun = visit.house.tickets.open(_COOKIE, sealed, visit.now, _LASTS) if sealed else None
    if begun is None:
        raise OidcError("this sign-in took too long or was begun elsewhere: begin again")
    *asked, path = begun
    person = provider.person(Question(*asked), dict(visit.request.query_params), visit.now)
    with Session(visit.house.store.engine, expire_on_commit=False) as session:
        visit.session = session
        user = accounts.by_identity(session, person.issuer, person.subject)
        if user is None:
            user = _newcomer(visit, session, person)
        response = visit.enter(user, path)
    response.delete_cookie(_COOKIE, httponly=True, samesite="lax")
    return response


def _newcomer(visit: Visit, session: Session, person: Person) -> User:
    if not visit.house.settings.registration:
        raise ForbiddenError("nobody can register here: ask the organisers for an account")
    visit.house.limiter.count("register", visit.address, visit.now)
    given = (session, person.issuer, person.subject)
    try:
        return accounts.create_for_identity(
            *given, person.name, visit.now, email=person.email or ""
        )
    except RefusedError:
        # Their name there may be none that we take; they can change the pseudonym.
        return accounts.create_for_identity(*given, "member", visit.now)
