"""Registering, signing in and out, one's account and its tokens."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from sigma68.challenge.rules import accounts, tokens
from sigma68.challenge.rules.refusals import ForbiddenError, RefusedError
from sigma68.challenge.web.forms import ChangeDep, PostedDep
from sigma68.challenge.web.visits import Visit, VisitDep, local_path

__all__ = ["router"]

router = APIRouter()

_WRONG = "name and password do not belong together: check both, and the keyboard's capitals"


@router.get("/sign-in")
def sign_in_page(visit: VisitDep, next: Annotated[str, Query()] = "/") -> Response:
    """The form to sign in with."""
    if visit.user is not None:
        return visit.go(local_path(next))
    return visit.page("sign_in.html", next=local_path(next), name="", error=None)


@router.post("/sign-in")
def sign_in(visit: ChangeDep, posted: PostedDep) -> Response:
    """Sign in; wrong passwords are counted per account and per address."""
    name, path = posted.text("name"), local_path(posted.text("next", "/"))
    try:
        visit.house.limiter.check("password", visit.address, visit.now)
        visit.house.limiter.count("sign-in", visit.address, visit.now)
        user = accounts.sign_in(visit.session, name, posted.text("password"), visit.now)
    except RefusedError as error:
        visit.again()
        return visit.page("sign_in.html", error.status, next=path, name=name, error=str(error))
    if user is None:
        visit.session.commit()  # the wrong password was counted
        visit.house.limiter.count("password", visit.address, visit.now)
        return visit.page("sign_in.html", 401, next=path, name=name, error=_WRONG)
    return visit.enter(user, path)


@router.post("/sign-out")
def sign_out(visit: ChangeDep, posted: PostedDep) -> Response:
    """Sign out on this device."""
    return visit.leave("/")


@router.get("/register")
def register_page(visit: VisitDep, next: Annotated[str, Query()] = "/") -> Response:
    """The form to register with."""
    _need_registration(visit)
    if visit.user is not None:
        return visit.go("/account")
    return visit.page("register.html", next=local_path(next), name="", email="", error=None)


@router.post("/register")
def register(visit: ChangeDep, posted: PostedDep) -> Response:
    """Make an account and sign it in."""
    _need_registration(visit)
    name, email, path = posted.text("name"), posted.text("email"), posted.text("next", "/")
    try:
        visit.house.limiter.count("register", visit.address, visit.now)
        password = posted.text("password")
        if password != posted.text("again"):
            raise RefusedError("the two passwords differ: type the same one twice")
        # Nobody waits for the database while the password is hashed.
        visit.session.rollback()
        kept = accounts.hashed(password)
        user = accounts.create(visit.session, name, kept, visit.now, email=email)
    except RefusedError as error:
        visit.again()
        return visit.page(
            "register.html",
            error.status,
            next=local_path(path),
            name=name,
            email=email,
            error=str(error),
        )
    return visit.enter(user, local_path(path))


def _need_registration(visit: Visit) -> None:
    if not visit.house.settings.registration:
        raise ForbiddenError("nobody can register here: ask the organisers for an account")


@router.get("/account")
def account_page(visit: VisitDep) -> Response:
    """One's own account."""
    return _account(visit)


def _account(
    visit: Visit, *, error: str | None = None, status: int = 200, secret: str | None = None
) -> Response:
    user = visit.signed_in()
    return visit.page(
        "account.html",
        status,
        tokens=tokens.tokens_of(visit.session, user),
        has_password=accounts.has_password(visit.session, user),
        secret=secret,
        error=error,
    )


@router.post("/account/pseudonym")
def change_pseudonym(visit: ChangeDep, posted: PostedDep) -> Response:
    """The name that others see."""
    try:
        accounts.set_pseudonym(visit.session, visit.signed_in(), posted.text("pseudonym"))
    except RefusedError as error:
        return _account(visit.again(), error=str(error), status=error.status)
    return visit.go("/account", "Others now see your new pseudonym.")


@router.post("/account/password")
def change_password(visit: ChangeDep, posted: PostedDep) -> Response:
    """A new password, which ends all other sessions."""
    user = visit.signed_in()
    try:
        visit.house.limiter.check("password", visit.address, visit.now)
        if posted.text("password") != posted.text("again"):
            raise RefusedError("the two new passwords differ: type the same one twice")
        if accounts.has_password(visit.session, user):
            known = accounts.sign_in(visit.session, user.name, posted.text("old"), visit.now)
            if known is None:
                visit.session.commit()
                visit.house.limiter.count("password", visit.address, visit.now)
                raise RefusedError("that is not your present password")
        # Nobody waits for the database while the password is hashed.
        visit.session.commit()
        kept = accounts.hashed(posted.text("password"))
        accounts.set_password(visit.session, user, kept)
    except RefusedError as error:
        return _account(visit.again(), error=str(error), status=error.status)
    return visit.enter(user, "/account", "Your password is changed; other devices are signed out.")


@router.post("/account/tokens")
def make_token(visit: ChangeDep, posted: PostedDep) -> Response:
    """A token for the API, shown once."""
    user = visit.signed_in()
    try:
        visit.limit("post")
        days = posted.whole("days", "the number of days", least=1, most=3660)
        _, text = tokens.new_token(
            visit.session, user, posted.text("name"), visit.now, lifetime=timedelta(days=days)
        )
    except RefusedError as error:
        return _account(visit.again(), error=str(error), status=error.status)
    visit.session.commit()
    return _account(visit, secret=text)


@router.post("/account/tokens/{token_id}/revoke")
def revoke(token_id: int, visit: ChangeDep, posted: PostedDep) -> Response:
    """Make a token void."""
    tokens.revoke_token(visit.session, visit.signed_in(), token_id)
    return visit.go("/account", "The token is void.")
