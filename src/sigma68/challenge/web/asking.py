"""Somebody who asks for something, by a page or by a program, and what they may."""

from __future__ import annotations

from datetime import datetime

from fastapi import Request
from sqlalchemy.orm import Session

from sigma68.challenge.rules import challenges
from sigma68.challenge.rules.refusals import ForbiddenError, SignInError
from sigma68.challenge.store.tables import Challenge, User
from sigma68.challenge.web.house import House

__all__ = ["Asking", "house_of"]


def house_of(request: Request) -> House:
    """The house that the application was built around."""
    house: House = request.app.state.house
    return house


class Asking:
    """One request: who asks (`user`, None for a stranger), when, and in which `session`."""

    user: User | None

    def __init__(self, house: House, request: Request, session: Session) -> None:
        self.house = house
        self.request = request
        self.session = session
        self.now: datetime = house.clock()
        self.user = None

    @property
    def address(self) -> str:
        """Where the request came from, as far as this server knows."""
        return self.request.client.host if self.request.client else "unknown"

    @property
    def is_organiser(self) -> bool:
        return self.user is not None and self.user.role == "organiser"

    @property
    def is_juror(self) -> bool:
        return self.user is not None and self.user.role in ("juror", "organiser")

    def signed_in(self) -> User:
        """The user.

        Raises
        ------
        SignInError
            If nobody has signed in.
        """
        if self.user is None:
            raise SignInError("this needs a token: send the header Authorization: Bearer TOKEN")
        return self.user

    def organiser(self) -> User:
        """The user, who must be an organiser.

        Raises
        ------
        SignInError, ForbiddenError
            If nobody has signed in, or somebody else.
        """
        user = self.signed_in()
        if not self.is_organiser:
            raise ForbiddenError("this is for organisers")
        return user

    def juror(self) -> User:
        """The user, who must be a juror or an organiser.

        Raises
        ------
        SignInError, ForbiddenError
            If nobody has signed in, or somebody else.
        """
        user = self.signed_in()
        if not self.is_juror:
            raise ForbiddenError("this is for the jury")
        return user

    def challenge(self, slug: str) -> Challenge:
        """The challenge called `slug`, if this person may see it.

        Raises
        ------
        NotFoundError
            If not.
        """
        return challenges.by_slug(self.session, slug, self.user)

    def limit(self, name: str) -> None:
        """Count one more use of a limit by this user, or this address before sign-in.

        Raises
        ------
        TooOftenError
            If it is one too many.
        """
        who = f"user:{self.user.id}" if self.user else self.address
        self.house.limiter.count(name, who, self.now)
