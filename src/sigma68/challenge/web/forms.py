"""What a form brings: read once, and only if it was sent from a page of ours to this visitor."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.orm import Session
from starlette.datastructures import FormData, UploadFile

from sigma68.challenge.rules.refusals import ForbiddenError, RefusedError
from sigma68.challenge.web.asking import house_of
from sigma68.challenge.web.tickets import Ticket
from sigma68.challenge.web.visits import Visit, VisitDep

__all__ = ["ChangeDep", "Posted", "PostedDep", "UploadDep"]


class Posted:
    """The fields of a form; what is missing or wrong is refused with a sentence."""

    def __init__(self, data: FormData) -> None:
        self._data = data

    def text(self, name: str, default: str = "") -> str:
        """A field as it was typed."""
        value = self._data.get(name, default)
        return value if isinstance(value, str) else default

    def flag(self, name: str) -> bool:
        """Whether a box is ticked."""
        return self._data.get(name) == "yes"

    def all(self, name: str) -> list[str]:
        """All values of a field, for a group of boxes."""
        return [value for value in self._data.getlist(name) if isinstance(value, str)]

    def file(self, name: str) -> UploadFile:
        """An uploaded file.

        Raises
        ------
        RefusedError
            If none was chosen.
        """
        value = self._data.get(name)
        if not isinstance(value, UploadFile) or not value.filename:
            raise RefusedError("choose a file first")
        return value

    def whole(self, name: str, what: str, *, least: int = 0, most: int = 10**12) -> int:
        """A whole number between `least` and `most`.

        Raises
        ------
        RefusedError
            If it is none.
        """
        text = self.text(name).strip().replace(",", "")
        if not (text.isascii() and text.isdigit() and len(text) < 19):
            raise RefusedError(f"{what} must be a whole number, not {text!r}")
        if not least <= int(text) <= most:
            raise RefusedError(f"{what} must lie between {least:,} and {most:,}, not at {text}")
        return int(text)

    def number(self, name: str, what: str, *, least: float, most: float) -> float:
        """A number between `least` and `most`.

        Raises
        ------
        RefusedError
            If it is none.
        """
        text = self.text(name).strip()
        try:
            value = float(text)
        except ValueError:
            raise RefusedError(f"{what} must be a number, not {text!r}") from None
        if not least <= value <= most:
            raise RefusedError(f"{what} must lie between {least:g} and {most:g}, not at {text}")
        return value

    def time(self, name: str, what: str) -> datetime:
        """A date and time, taken as UTC.

        Raises
        ------
        RefusedError
            If it is none.
        """
        text = self.text(name).strip()
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            raise RefusedError(
                f"{what} must be a time such as 2030-06-01T12:00 (UTC), not {text!r}"
            ) from None
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


async def _posted(request: Request) -> AsyncIterator[Posted]:
    """The form, if it brings the visitor's own token.

    Raises
    ------
    ForbiddenError
        If it was sent from elsewhere, or is too old.
    """
    house = house_of(request)
    expired = ForbiddenError("this form has expired: go back, reload the page and try again")
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise ForbiddenError("this form was sent from another site")
    ticket: Ticket | None = house.tickets.read(request.cookies.get(house.cookie), house.clock())
    if ticket is None:
        raise expired
    data = await request.form(max_files=1, max_fields=200, max_part_size=1 << 20)
    try:
        token = data.get("form_token")
        if not isinstance(token, str) or not house.tickets.is_form_token(ticket, token):
            raise expired
        yield Posted(data)
    finally:
        await data.close()


PostedDep = Annotated[Posted, Depends(_posted)]


def _sender(visit: VisitDep) -> None:
    """Whoever sends a file, known and counted before any of it is read."""
    visit.signed_in()
    visit.limit("upload")
    # A slow sender must not hold a state of the database.
    visit.session.rollback()


async def _uploaded(
    request: Request, _: Annotated[None, Depends(_sender)]
) -> AsyncIterator[Posted]:
    async with asynccontextmanager(_posted)(request) as posted:
        yield posted


UploadDep = Annotated[Posted, Depends(_uploaded)]
"""A form with a file, from somebody who has signed in and not sent too many.

Raises
------
NeedsSignInError, TooOftenError
    If not.
"""


def _change(request: Request, _: PostedDep) -> Iterator[Visit]:
    # After the form has come: a slow sender must not hold the database.
    house = house_of(request)
    with Session(house.store.engine, expire_on_commit=False) as session:
        yield Visit(house, request, session)


ChangeDep = Annotated[Visit, Depends(_change)]
"""The visit of somebody who sent a form, whose changes are kept by `Visit.go`."""
