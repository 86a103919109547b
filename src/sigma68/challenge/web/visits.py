"""One request to a page: who asks, in which session of the database, and how it is answered."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlsplit

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy.orm import Session

from sigma68.challenge.rules import accounts
from sigma68.challenge.store.tables import User
from sigma68.challenge.web.asking import Asking, house_of
from sigma68.challenge.web.house import House
from sigma68.challenge.web.tickets import Ticket

__all__ = ["NeedsSignInError", "Visit", "VisitDep", "local_path"]

_NOTE = timedelta(minutes=5)


class NeedsSignInError(Exception):
    """The page is for people who have signed in."""


class Visit(Asking):
    """What a page needs to know, and what it answers with.

    `session` is open until the answer has been sent; that of a form keeps what `go` commits.
    """

    def __init__(self, house: House, request: Request, session: Session) -> None:
        super().__init__(house, request, session)
        self._given = house.tickets.read(request.cookies.get(house.cookie), self.now)
        self.ticket = self._given or Ticket.fresh()
        self.user = self._user()

    def _user(self) -> User | None:
        if self.ticket.user is None:
            return None
        user = self.session.get(User, self.ticket.user)
        if user is None or user.disabled or self.ticket.stamp != self._stamp(user):
            self.ticket = Ticket.fresh()
            return None
        return user

    def _stamp(self, user: User) -> str:
        return self.house.tickets.stamp(
            str(user.id), str(accounts.session_epoch(self.session, user.id))
        )

    def signed_in(self) -> User:
        """The user.

        Raises
        ------
        NeedsSignInError
            If nobody has signed in: they are sent to do so.
        """
        if self.user is None:
            raise NeedsSignInError
        return self.user

    def page(self, template: str, status: int = 200, **context: Any) -> HTMLResponse:
        """The template, filled in; a visit without a cookie gets one if the page has a form."""
        asked = False

        def form_token() -> str:
            nonlocal asked
            asked = True
            return self.house.tickets.form_token(self.ticket)

        note = self.request.cookies.get("note")
        told = self.house.tickets.open("note", note, self.now, _NOTE) if note else None
        html = self.house.render(
            template,
            {
                "user": self.user,
                "is_organiser": self.is_organiser,
                "is_juror": self.is_juror,
                "now": self.now,
                "note": {"kind": told[0], "text": told[1]} if told else None,
                "form_token": form_token,
                **context,
            },
        )
        response = HTMLResponse(html, status)
        if note:
            response.delete_cookie("note", httponly=True, samesite="lax")
        if asked and self._given != self.ticket:
            self.set_ticket(response)
        return response

    def again(self) -> Visit:
        """The same visit with all changes taken back, to show a form again with what was wrong."""
        self.session.rollback()
        return self

    def go(
        self, path: str, note: str | None = None, kind: Literal["good", "bad"] = "good"
    ) -> RedirectResponse:
        """Commit, then send the visitor to `path`, where `note` is shown once."""
        self.session.commit()
        response = RedirectResponse(path, 303)
        if note is not None:
            sealed = self.house.tickets.seal("note", [kind, note[:600]], self.now)
            self.set_cookie(response, "note", sealed, _NOTE)
        return response

    def enter(self, user: User, path: str, note: str | None = None) -> RedirectResponse:
        """Sign `user` in under a new ticket, so that one from before is worth nothing."""
        self.ticket = Ticket.fresh(user.id, self._stamp(user))
        response = self.go(path, note)
        self.set_ticket(response)
        return response

    def leave(self, path: str) -> RedirectResponse:
        """Sign out."""
        response = RedirectResponse(path, 303)
        response.delete_cookie(self.house.cookie, secure=self._https, httponly=True, samesite="lax")
        return response

    def set_ticket(self, response: Response) -> None:
        """Give the visitor the cookie of this visit."""
        lasts = timedelta(seconds=self.house.settings.session_seconds)
        sealed = self.house.tickets.write(self.ticket, self.now)
        self.set_cookie(response, self.house.cookie, sealed, lasts)

    @property
    def _https(self) -> bool:
        return self.house.settings.is_https

    def set_cookie(self, response: Response, name: str, value: str, lasts: timedelta) -> None:
        """A cookie that scripts cannot read and other sites cannot send with a form."""
        response.set_cookie(
            name,
            value,
            max_age=int(lasts.total_seconds()),
            httponly=True,
            samesite="lax",
            secure=self._https,
        )


def _visit(request: Request) -> Iterator[Visit]:
    house = house_of(request)
    with house.store.read() as session:
        yield Visit(house, request, session)


VisitDep = Annotated[Visit, Depends(_visit)]
"""A visit that changes nothing."""


def local_path(path: str) -> str:
    """`path` if it leads to a page of this server, else "/": nobody is sent elsewhere."""
    parts = urlsplit(path)
    is_ours = path.startswith("/") and not path.startswith(("//", "/\\")) and "\\" not in path
    if not is_ours or parts.scheme or parts.netloc or not path.isprintable():
        return "/"
    return quote(path, safe="/?&=%#-_.~")
