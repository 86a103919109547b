"""Signed cookies: who somebody is, what a form must bring back, what to say on the next page."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

__all__ = ["Ticket", "Tickets"]


@dataclass(frozen=True)
class Ticket:
    """A visit: its random name, the user it belongs to (None before sign-in), and their stamp.

    The stamp is drawn from what a user signs in with, so that a new password ends all visits.
    """

    visit: str
    user: int | None = None
    stamp: str = ""

    @classmethod
    def fresh(cls, user: int | None = None, stamp: str = "") -> Ticket:
        """A ticket with a name of its own: a new one at every sign-in."""
        return cls(secrets.token_urlsafe(18), user, stamp)


class Tickets:
    """Writes and reads cookies that nobody else can make."""

    def __init__(self, secret: bytes, seconds: int) -> None:
        self._secret = secret
        self._lasts = timedelta(seconds=seconds)

    def seal(self, purpose: str, content: Any, now: datetime) -> str:
        """`content` (JSON) as text for a cookie of `purpose`, signed, with the time it was made."""
        sealed = self._serializer(purpose).dumps([int(now.timestamp()), content])
        return str(sealed)

    def open(self, purpose: str, text: str, now: datetime, lasts: timedelta | None = None) -> Any:
        """What `seal` was given; None if it was not ours, for another purpose, or is too old."""
        from itsdangerous import BadData

        try:
            made, content = self._serializer(purpose).loads(text)
        except (BadData, ValueError, TypeError):
            return None
        age = now.timestamp() - made
        return content if -60 <= age <= (lasts or self._lasts).total_seconds() else None

    def write(self, ticket: Ticket, now: datetime) -> str:
        """The cookie of a visit."""
        return self.seal("visit", [ticket.visit, ticket.user, ticket.stamp], now)

    def read(self, text: str | None, now: datetime) -> Ticket | None:
        """The visit of a cookie, or None if there is none that holds."""
        content = self.open("visit", text, now) if text else None
        return Ticket(*content) if content else None

    def form_token(self, ticket: Ticket) -> str:
        """What every form of a visit must bring back, so that no other site can send one.

        Masked anew each time: a compressed page must not tell by its length what is in it.
        """
        known = bytes.fromhex(self._mac("form", f"{ticket.visit}:{ticket.user}"))
        mask = secrets.token_bytes(len(known))
        return (mask + _xor(mask, known)).hex()

    def is_form_token(self, ticket: Ticket, token: str) -> bool:
        """Whether `token` is the visit's own."""
        known = bytes.fromhex(self._mac("form", f"{ticket.visit}:{ticket.user}"))
        try:
            given = bytes.fromhex(token)
        except ValueError:
            return False
        if len(given) != 2 * len(known):
            return False
        return hmac.compare_digest(_xor(given[: len(known)], given[len(known) :]), known)

    def stamp(self, *what: str | None) -> str:
        """A short keyed digest of what a user signs in with."""
        return self._mac("stamp", "\0".join(part or "" for part in what))[:22]

    def _mac(self, purpose: str, text: str) -> str:
        key = hashlib.blake2b(self._secret, digest_size=32, person=b"sigma68-web").digest()
        return hmac.new(key, f"{purpose}:{text}".encode(), "sha256").hexdigest()

    def _serializer(self, purpose: str) -> Any:
        from itsdangerous import URLSafeSerializer

        return URLSafeSerializer(
            self._secret,
            salt=f"sigma68.{purpose}",
            signer_kwargs={"digest_method": hashlib.sha256, "key_derivation": "hmac"},
        )


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))
