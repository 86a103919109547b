"""Who takes part: users, what they sign in with, teams and their members."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from sqlalchemy import CheckConstraint, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from sigma68.challenge.store.base import Base

__all__ = ["Credential", "Identity", "Membership", "Role", "Team", "Token", "User"]

Role = Literal["participant", "organiser", "juror"]


class User(Base):
    """A person. `name` is what they sign in with; others see `pseudonym` alone.

    `login` is `name` as it is compared: normalised, in lower case.
    """

    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint("role IN ('participant', 'organiser', 'juror')", name="role"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64))
    login: Mapped[str] = mapped_column(String(64), unique=True)
    email: Mapped[str] = mapped_column(String(254), default="")
    pseudonym: Mapped[str] = mapped_column(String(64), unique=True)
    role: Mapped[str] = mapped_column(String(16), default="participant")
    created: Mapped[datetime]
    disabled: Mapped[bool] = mapped_column(default=False)


class Credential(Base):
    """What a user signs in with: an argon2 hash, and how often it went wrong. Never exported.

    `session_epoch` counts up whenever all of a user's sessions are to end.
    """

    __tablename__ = "credentials"

    user_id: Mapped[int] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    password_hash: Mapped[str | None] = mapped_column(String(256))
    failures: Mapped[int] = mapped_column(default=0)
    last_failure: Mapped[datetime | None]
    session_epoch: Mapped[int] = mapped_column(default=0)


class Identity(Base):
    """A user as an OpenID provider knows them."""

    __tablename__ = "identities"
    __table_args__ = (UniqueConstraint("issuer", "subject"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    issuer: Mapped[str] = mapped_column(String(255))
    subject: Mapped[str] = mapped_column(String(255))


class Token(Base):
    """A key to the API, of which only the hash is kept (SHA-256 in hex). Never exported."""

    __tablename__ = "tokens"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(64))
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    created: Mapped[datetime]
    last_used: Mapped[datetime | None]
    expires: Mapped[datetime | None]


class Team(Base):
    """A team in one challenge; an `anonymous` one is shown by its pseudonym."""

    __tablename__ = "teams"
    __table_args__ = (
        UniqueConstraint("challenge_id", "name"),
        UniqueConstraint("challenge_id", "pseudonym"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    challenge_id: Mapped[int] = mapped_column(ForeignKey("challenges.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(64))
    pseudonym: Mapped[str] = mapped_column(String(64))
    anonymous: Mapped[bool] = mapped_column(default=False)
    invite_code: Mapped[str] = mapped_column(String(64), unique=True)
    created: Mapped[datetime]

    members: Mapped[list[Membership]] = relationship(
        back_populates="team", order_by="Membership.id"
    )

    @property
    def public_name(self) -> str:
        """What everybody may see."""
        return self.pseudonym if self.anonymous else self.name


class Membership(Base):
    """Who is in which team: at most one team per user and challenge."""

    __tablename__ = "memberships"
    __table_args__ = (UniqueConstraint("user_id", "challenge_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    challenge_id: Mapped[int] = mapped_column(ForeignKey("challenges.id", ondelete="CASCADE"))
    team_id: Mapped[int] = mapped_column(ForeignKey("teams.id", ondelete="CASCADE"), index=True)
    joined: Mapped[datetime]

    team: Mapped[Team] = relationship(back_populates="members")
    user: Mapped[User] = relationship()
