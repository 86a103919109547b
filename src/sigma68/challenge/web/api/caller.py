"""A program that calls: the token it brings, and the session its call runs in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy.orm import Session

from sigma68.challenge.rules import tokens
from sigma68.challenge.rules.refusals import SignInError
from sigma68.challenge.web.asking import Asking, house_of

__all__ = ["Caller", "CallerDep", "ChangerDep"]

_SCHEME = HTTPBearer(auto_error=False, description="A token from the page of your account.")
_Given = Annotated[HTTPAuthorizationCredentials | None, Depends(_SCHEME)]


class Caller(Asking):
    """One call; cookies mean nothing here, so that no other site can have a browser make it."""

    _token = ""

    def identify(self, given: HTTPAuthorizationCredentials | None) -> None:
        """Find out whose token it is; a call without one is a stranger's.

        Raises
        ------
        SignInError
            If it is nobody's.
        TooOftenError
            If this address brought too many wrong ones.
        """
        if given is None:
            return
        self.house.limiter.check("token", self.address, self.now)
        self._token = given.credentials
        self.user = tokens.by_token(self.session, self._token, self.now)
        if self.user is None:
            self.house.limiter.count("token", self.address, self.now)
            raise SignInError(
                "this token is not valid, or not any more: make another on the page of your account"
            )

    def note_use(self, session: Session) -> None:
        """Have the tokens' owner see, in a session that writes, that this one was used."""
        tokens.by_token(session, self._token, self.now)


def _caller(request: Request, given: _Given) -> Iterator[Caller]:
    house = house_of(request)
    with house.store.read() as session:
        caller = Caller(house, request, session)
        caller.identify(given)
        yield caller


def _changer(request: Request, given: _Given) -> Iterator[Caller]:
    house = house_of(request)
    with Session(house.store.engine, expire_on_commit=False) as session:
        caller = Caller(house, request, session)
        caller.identify(given)
        yield caller


CallerDep = Annotated[Caller, Depends(_caller)]
"""A call that changes nothing."""

ChangerDep = Annotated[Caller, Depends(_changer)]
"""A call that changes something, and commits it itself."""
