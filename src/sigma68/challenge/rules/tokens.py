"""Keys to the API: random, of which only the SHA-256 is kept, which is enough for 256 random bits."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from sigma68.challenge.rules.refusals import NotFoundError
from sigma68.challenge.rules.texts import line
from sigma68.challenge.store.tables import Token, User

__all__ = ["by_token", "new_token", "revoke_token", "tokens_of"]

_TOKEN_PREFIX = "s68_"  # noqa: S105 (says what a found token is of)
_USED_STEP = timedelta(minutes=5)


def new_token(
    session: Session, user: User, name: str, now: datetime, *, lifetime: timedelta | None = None
) -> tuple[Token, str]:
    """A key to the API: its row, and the text to show once and never again.

    Raises
    ------
    RefusedError
        If the name cannot be taken.
    """
    text = _TOKEN_PREFIX + secrets.token_urlsafe(32)
    token = Token(
        user_id=user.id,
        name=line(name, "a token's name"),
        digest=_digest(text),
        created=now,
        expires=None if lifetime is None else now + lifetime,
    )
    session.add(token)
    session.flush()
    return token, text


def by_token(session: Session, text: str, now: datetime) -> User | None:
    """Whose token it is; None if it is nobody's, has expired, or its user is shut out.

    In a writing session the time of its use is noted, to five minutes.
    """
    token = session.scalar(select(Token).where(Token.digest == _digest(text)))
    if token is None or (token.expires is not None and token.expires <= now):
        return None
    user = session.get(User, token.user_id)
    if user is None or user.disabled:
        return None
    if token.last_used is None or now - token.last_used >= _USED_STEP:
        token.last_used = now
    return user


def tokens_of(session: Session, user: User) -> Sequence[Token]:
    """A user's tokens, newest first."""
    return session.scalars(
        select(Token).where(Token.user_id == user.id).order_by(Token.id.desc())
    ).all()


def revoke_token(session: Session, user: User, token_id: int) -> None:
    """Make one of the user's tokens void.

    Raises
    ------
    NotFoundError
        If the user has no such token.
    """
    token = session.get(Token, token_id)
    if token is None or token.user_id != user.id:
        raise NotFoundError("you have no such token")
    session.delete(token)
    session.flush()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
