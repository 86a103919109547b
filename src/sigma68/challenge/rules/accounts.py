"""Who somebody is: accounts, passwords, identities of an OpenID provider.

Passwords are hashed with argon2id. Wrong passwords slow an account down, from the fifth on by twice as long each time.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, get_args

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from sigma68.challenge.rules.audit import record
from sigma68.challenge.rules.names import new_pseudonym
from sigma68.challenge.rules.refusals import (
    ConflictError,
    ForbiddenError,
    RefusedError,
    SignInError,
)
from sigma68.challenge.rules.texts import line, login_of
from sigma68.challenge.store.tables import Credential, Identity, Role, User

if TYPE_CHECKING:
    from argon2 import PasswordHasher

__all__ = [
    "Hashed",
    "by_identity",
    "create",
    "create_for_identity",
    "end_sessions",
    "find",
    "has_password",
    "hashed",
    "listing",
    "require_organiser",
    "session_epoch",
    "set_disabled",
    "set_password",
    "set_pseudonym",
    "set_role",
    "sign_in",
]

FREE_TRIES = 5
_LONGEST_WAIT = timedelta(minutes=15)
_LEAST_PASSWORD, _MOST_PASSWORD = 10, 1000


@dataclass(frozen=True)
class Hashed:
    """A password that can be taken, as it is kept."""

    text: str


def hashed(password: str) -> Hashed:
    """The password's hash, which takes long on purpose: to be made before a transaction begins.

    Raises
    ------
    RefusedError
        If the password cannot be taken.
    """
    if not _LEAST_PASSWORD <= len(password) <= _MOST_PASSWORD:
        raise RefusedError(
            f"a password must have {_LEAST_PASSWORD} to {_MOST_PASSWORD:,} characters, not "
            f"{len(password)}"
        )
    return Hashed(_hasher().hash(password))


def create(
    session: Session,
    name: str,
    password: str | Hashed,
    now: datetime,
    *,
    email: str = "",
    role: Role = "participant",
) -> User:
    """A new user with a random pseudonym.

    A password that is not hashed yet is hashed here, while others wait for the database.

    Raises
    ------
    RefusedError
        If the name, the address or the password cannot be taken.
    ConflictError
        If the name is taken.
    """
    kept = password if isinstance(password, Hashed) else hashed(password)
    user = _new_user(session, name, now, email=email, role=role)
    session.add(Credential(user_id=user.id, password_hash=kept.text))
    session.flush()
    return user


def sign_in(session: Session, name: str, password: str, now: datetime) -> User | None:
    """The user, or None if name and password do not belong together.

    A wrong password is counted: commit the session in both cases. Takes as long for a name that
    there is not.

    Raises
    ------
    SignInError
        If there were too many wrong passwords; it says when to try again.
    """
    user = session.scalar(select(User).where(User.login == login_of(name)))
    credential = (
        None
        if user is None
        else session.scalar(
            select(Credential).where(Credential.user_id == user.id).with_for_update()
        )
    )
    if user is None or credential is None or credential.password_hash is None:
        _is_right(_hash_of_nobody(), password)
        return None
    _refuse_if_too_often(credential, now)
    if not _is_right(credential.password_hash, password) or user.disabled:
        credential.failures += 1
        credential.last_failure = now
        session.flush()
        return None
    credential.failures = 0
    credential.last_failure = None
    if _hasher().check_needs_rehash(credential.password_hash):
        credential.password_hash = _hasher().hash(password)
    session.flush()
    return user


def set_password(session: Session, user: User, password: str | Hashed) -> None:
    """A new password; all of the user's sessions end.

    One that is not hashed yet is hashed here, while others wait for the database.

    Raises
    ------
    RefusedError
        If the password cannot be taken.
    """
    kept = password if isinstance(password, Hashed) else hashed(password)
    credential = _credential(session, user)
    credential.password_hash = kept.text
    credential.failures = 0
    end_sessions(session, user)


def has_password(session: Session, user: User) -> bool:
    """Whether the user can sign in with a password; one known by a provider alone cannot."""
    found = session.get(Credential, user.id)
    return found is not None and found.password_hash is not None


def session_epoch(session: Session, user_id: int) -> int:
    """The number that a session must carry to be one of this user's still."""
    found = session.get(Credential, user_id)
    return 0 if found is None else found.session_epoch


def end_sessions(session: Session, user: User) -> None:
    """Make all sessions that carry the present `session_epoch` void."""
    _credential(session, user).session_epoch += 1
    session.flush()


def find(session: Session, name: str) -> User | None:
    """The user who signs in with `name`."""
    return session.scalar(select(User).where(User.login == login_of(name)))


def listing(session: Session, *, limit: int = 500, offset: int = 0) -> Sequence[User]:
    """All users by id."""
    return session.scalars(select(User).order_by(User.id).limit(limit).offset(offset)).all()


def set_pseudonym(session: Session, user: User, pseudonym: str) -> None:
    """The name that others see.

    Raises
    ------
    RefusedError
        If it cannot be taken.
    ConflictError
        If somebody has it.
    """
    wanted = line(pseudonym, "a pseudonym", least=2)
    other = session.scalar(
        select(User.id).where(func.lower(User.pseudonym) == wanted.lower(), User.id != user.id)
    )
    if other is not None:
        raise ConflictError(f"the pseudonym {wanted!r} is taken: choose another")
    user.pseudonym = wanted
    session.flush()


def set_role(session: Session, user: User, role: Role, by: User, now: datetime) -> None:
    """Make somebody an organiser, a juror or a participant.

    Raises
    ------
    ForbiddenError
        If `by` is no organiser.
    ConflictError
        If nobody would be left to organise.
    """
    require_organiser(by)
    if role not in get_args(Role):
        raise RefusedError(f"there is no role {role!r}: choose one of {', '.join(get_args(Role))}")
    if user.role == "organiser" and role != "organiser":
        _refuse_last_organiser(session, user)
    record(session, by, "set_role", f"user:{user.id}", now, old=user.role, new=role)
    user.role = role
    session.flush()


def set_disabled(session: Session, user: User, disabled: bool, by: User, now: datetime) -> None:
    """Shut somebody out, or let them in again; shutting out ends sessions and tokens.

    Raises
    ------
    ForbiddenError
        If `by` is no organiser.
    ConflictError
        If nobody would be left to organise.
    """
    require_organiser(by)
    if disabled and user.role == "organiser":
        _refuse_last_organiser(session, user)
    user.disabled = disabled
    if disabled:
        end_sessions(session, user)
    record(session, by, "disable" if disabled else "enable", f"user:{user.id}", now)
    session.flush()


def by_identity(session: Session, issuer: str, subject: str) -> User | None:
    """The user whom an OpenID provider knows as `subject`; None for nobody or one shut out."""
    user = session.scalar(
        select(User)
        .join(Identity, Identity.user_id == User.id)
        .where(Identity.issuer == issuer, Identity.subject == subject)
    )
    return None if user is None or user.disabled else user


def create_for_identity(
    session: Session, issuer: str, subject: str, name: str, now: datetime, *, email: str = ""
) -> User:
    """A new user without a password, known by an OpenID provider; a taken name gets a number.

    Raises
    ------
    RefusedError
        If the name or the address cannot be taken.
    ConflictError
        If the identity has a user already.
    """
    known = session.scalar(
        select(Identity.id).where(Identity.issuer == issuer, Identity.subject == subject)
    )
    if known is not None:
        raise ConflictError("this identity has an account already: sign in with it")
    wanted, number = line(name, "a name", most=56, least=2), 1
    while find(session, wanted if number == 1 else f"{wanted}-{number}") is not None:
        number += 1
    user = _new_user(session, wanted if number == 1 else f"{wanted}-{number}", now, email=email)
    session.add(Credential(user_id=user.id))
    session.add(Identity(user_id=user.id, issuer=issuer, subject=subject))
    session.flush()
    return user


def require_organiser(user: User) -> None:
    """Raise unless `user` is an organiser.

    Raises
    ------
    ForbiddenError
        If `user` is none.
    """
    if user.role != "organiser":
        raise ForbiddenError("only organisers may do this")


def _new_user(
    session: Session, name: str, now: datetime, *, email: str, role: Role = "participant"
) -> User:
    clean = line(name, "a name", least=2)
    if find(session, clean) is not None:
        raise ConflictError(f"the name {clean!r} is taken: choose another")
    address = line(email, "an e-mail address", most=254, least=0)
    if address and (address.count("@") != 1 or " " in address or "." not in address.split("@")[1]):
        raise RefusedError(f"{address!r} is no e-mail address: give one such as ann@example.org")
    user = User(
        name=clean,
        login=login_of(clean),
        email=address,
        pseudonym=new_pseudonym(session, User.pseudonym),
        role=role,
        created=now,
    )
    session.add(user)
    session.flush()
    return user


def _refuse_last_organiser(session: Session, user: User) -> None:
    others = session.scalar(
        select(func.count())
        .select_from(User)
        .where(User.role == "organiser", User.disabled.is_(False), User.id != user.id)
    )
    if not others:
        raise ConflictError("this is the last organiser: make somebody else one first")


def _credential(session: Session, user: User) -> Credential:
    found = session.get(Credential, user.id)
    if found is None:
        found = Credential(user_id=user.id, session_epoch=0, failures=0)
        session.add(found)
        session.flush()
    return found


def _refuse_if_too_often(credential: Credential, now: datetime) -> None:
    beyond = credential.failures - FREE_TRIES
    if beyond < 0 or credential.last_failure is None:
        return
    wait = min(timedelta(seconds=2.0 ** min(beyond, 20)), _LONGEST_WAIT)
    left = credential.last_failure + wait - now
    if left > timedelta(0):
        seconds = int(left.total_seconds()) + 1
        raise SignInError(f"too many wrong passwords: try again in {seconds} s")


@cache
def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher

    return PasswordHasher()


@cache
def _hash_of_nobody() -> str:
    return _hasher().hash(secrets.token_urlsafe(16))


def _is_right(kept: str, password: str) -> bool:
    from argon2.exceptions import Argon2Error, InvalidHashError

    try:
        return _hasher().verify(kept, password)
    except (Argon2Error, InvalidHashError):
        return False
