"""Accounts and tokens."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Body
from pydantic import BaseModel, Field

from sigma68.challenge.rules import accounts, tokens
from sigma68.challenge.rules.refusals import ForbiddenError, RefusedError, SignInError
from sigma68.challenge.store.tables import User
from sigma68.challenge.web.api.caller import Caller, CallerDep, ChangerDep
from sigma68.challenge.web.api.models import Me, TokenOut

__all__ = ["router"]

router = APIRouter(tags=["accounts"])


class NewAccount(BaseModel):
    """Somebody who registers."""

    name: str
    password: str
    email: str = ""


class Credentials(BaseModel):
    """Name and password, in exchange for a token."""

    name: str
    password: str
    token_name: str = "a program"  # noqa: S105 (what the token is called)
    days: int = Field(180, ge=1, le=3660)


class NewToken(TokenOut):
    """A token, whose text is shown this once."""

    token: str


@router.post("/accounts", status_code=201)
def register(caller: ChangerDep, account: NewAccount) -> Me:
    """Register."""
    if not caller.house.settings.registration:
        raise ForbiddenError("nobody can register here: ask the organisers for an account")
    caller.house.limiter.count("register", caller.address, caller.now)
    password = _hashed(caller, account.password)
    made = accounts.create(caller.session, account.name, password, caller.now, email=account.email)
    caller.session.commit()
    return Me.model_validate(made)


@router.get("/me")
def me(caller: CallerDep) -> Me:
    """Who one is."""
    return Me.model_validate(caller.signed_in())


@router.put("/me/pseudonym")
def set_pseudonym(caller: ChangerDep, pseudonym: Annotated[str, Body(embed=True)]) -> Me:
    """The name that others see."""
    user = caller.signed_in()
    accounts.set_pseudonym(caller.session, user, pseudonym)
    caller.session.commit()
    return Me.model_validate(user)


@router.put("/me/password", status_code=204)
def set_password(
    caller: ChangerDep,
    password: Annotated[str, Body()],
    old: Annotated[str, Body(description="The present one.")] = "",
) -> None:
    """Another password; all browsers are signed out, tokens stay."""
    user = caller.signed_in()
    if not accounts.has_password(caller.session, user):
        # A token that got lost must not become a second way to sign in.
        raise ForbiddenError(
            "this account has no password, and a token cannot give it one: sign in by your "
            "provider and set it on the page of your account"
        )
    _sign_in(caller, user.name, old)
    accounts.set_password(caller.session, user, _hashed(caller, password))
    caller.session.commit()


@router.post("/tokens", status_code=201)
def sign_in(caller: ChangerDep, given: Credentials) -> NewToken:
    """A token for a name and its password."""
    user = _sign_in(caller, given.name, given.password)
    made, text = tokens.new_token(
        caller.session, user, given.token_name, caller.now, lifetime=timedelta(days=given.days)
    )
    caller.session.commit()
    return NewToken(token=text, **TokenOut.model_validate(made).model_dump())


def _hashed(caller: Caller, password: str) -> accounts.Hashed:
    """The password's hash; nobody waits for the database meanwhile."""
    caller.session.commit()
    return accounts.hashed(password)


def _sign_in(caller: Caller, name: str, password: str) -> User:
    """The user, wrong passwords counted as on the page.

    Raises
    ------
    RefusedError
        If the password is wrong, or was too often.
    """
    caller.house.limiter.check("password", caller.address, caller.now)
    caller.house.limiter.count("sign-in", caller.address, caller.now)
    user = accounts.sign_in(caller.session, name, password, caller.now)
    if user is None:
        caller.session.commit()
        caller.house.limiter.count("password", caller.address, caller.now)
        raise SignInError("name and password do not belong together")
    return user


@router.get("/tokens")
def list_tokens(caller: CallerDep) -> list[TokenOut]:
    """One's tokens, newest first, without their texts."""
    found = tokens.tokens_of(caller.session, caller.signed_in())
    return [TokenOut.model_validate(one) for one in found]


@router.delete("/tokens/{token_id}", status_code=204)
def revoke(caller: ChangerDep, token_id: int) -> None:
    """Make a token void."""
    if not 0 < token_id < 1 << 62:
        raise RefusedError("there is no such token")
    tokens.revoke_token(caller.session, caller.signed_in(), token_id)
    caller.session.commit()
