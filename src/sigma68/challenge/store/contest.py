"""What is asked of people: challenges, their pages and phases, announcements, questions."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from sigma68.challenge.store.base import Base
from sigma68.challenge.store.people import User

__all__ = [
    "Announcement",
    "Answer",
    "Challenge",
    "ObservationTruths",
    "Observations",
    "Page",
    "Phase",
    "PhaseKind",
    "PhaseSecret",
    "Question",
    "Takes",
    "Updates",
]

PhaseKind = Literal["public", "final"]
Updates = Literal["at once", "daily"]
Takes = Literal["code", "results"]

GIB = 1 << 30


class Challenge(Base):
    """A measurement that is open to entries, and the limits they run within.

    `takes` says what is handed in: "code" that runs here on toys of its own, or "results", answers
    to observations that are given away. `source` is what the task opens, None for its default. `bundle` keeps what another
    platform's bundle said and no column here holds. `logo` is a key of the store of files.
    """

    __tablename__ = "challenges"

    id: Mapped[int] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(String(64), unique=True)
    title: Mapped[str] = mapped_column(String(200))
    summary: Mapped[str] = mapped_column(Text, default="")
    task: Mapped[str] = mapped_column(String(64))
    takes: Mapped[str] = mapped_column(String(16), default="code", server_default="code")
    source: Mapped[str | None] = mapped_column(String(1024))
    epsilon: Mapped[float | None]
    predict_seconds: Mapped[float] = mapped_column(default=20.0)
    fit_seconds: Mapped[float] = mapped_column(default=3600.0)
    memory_bytes: Mapped[int] = mapped_column(BigInteger, default=8 * GIB)
    max_processes: Mapped[int] = mapped_column(default=256)
    disk_bytes: Mapped[int] = mapped_column(BigInteger, default=GIB)
    replay: Mapped[int] = mapped_column(default=10)
    logo: Mapped[str | None] = mapped_column(String(255))
    bundle: Mapped[dict[str, Any]] = mapped_column(default=dict)
    visible: Mapped[bool] = mapped_column(default=True)
    created: Mapped[datetime]

    phases: Mapped[list[Phase]] = relationship(
        back_populates="challenge", order_by="Phase.position", cascade="all, delete-orphan"
    )
    pages: Mapped[list[Page]] = relationship(order_by="Page.position", cascade="all, delete-orphan")


class Page(Base):
    """A text of a challenge (overview, data, rules ...), in Markdown as its author wrote it."""

    __tablename__ = "pages"
    __table_args__ = (UniqueConstraint("challenge_id", "slug"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    challenge_id: Mapped[int] = mapped_column(ForeignKey("challenges.id", ondelete="CASCADE"))
    slug: Mapped[str] = mapped_column(String(64))
    title: Mapped[str] = mapped_column(String(200))
    text: Mapped[str] = mapped_column(Text)
    position: Mapped[int] = mapped_column(default=0)


class Phase(Base):
    """A stretch of time, from `opens` up to and without `closes`, with rules of its own.

    `nuisances` are the names of those that vary. In a "public" phase teams submit, `per_day` a
    day and `total` in all, and every submission gets toys of its own. A "final" one takes one
    entry per team from the phase `draws_from`, all on common toys, in `parts` jobs over ranges of
    sets; `started` says when it did. `hidden` keeps scores from all but organisers until
    the phase has closed; those of a final are kept in any case. `version` counts up with everything that a leaderboard shows.
    """

    __tablename__ = "phases"
    __table_args__ = (
        UniqueConstraint("challenge_id", "name"),
        CheckConstraint("kind IN ('public', 'final')", name="kind"),
        CheckConstraint("updates IN ('at once', 'daily')", name="updates"),
        CheckConstraint("closes > opens", name="times"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    challenge_id: Mapped[int] = mapped_column(ForeignKey("challenges.id", ondelete="CASCADE"))
    position: Mapped[int] = mapped_column(default=0)
    name: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(16))
    opens: Mapped[datetime]
    closes: Mapped[datetime]
    sets: Mapped[int]
    toys: Mapped[int]
    nuisances: Mapped[list[str]] = mapped_column(default=list)
    per_day: Mapped[int] = mapped_column(default=5)
    total: Mapped[int] = mapped_column(default=100)
    updates: Mapped[str] = mapped_column(String(16), default="at once")
    hidden: Mapped[bool] = mapped_column(default=False)
    draws_from: Mapped[int | None] = mapped_column(ForeignKey("phases.id", ondelete="SET NULL"))
    parts: Mapped[int] = mapped_column(default=1)
    started: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(default=0)

    challenge: Mapped[Challenge] = relationship(back_populates="phases")
    observations: Mapped[Observations | None] = relationship(
        cascade="all, delete-orphan", passive_deletes=True
    )


class PhaseSecret(Base):
    """The seed of a phase: 256 secret bits in hex.

    In a table of its own, so that no page or export of phases can hold it by mistake.
    """

    __tablename__ = "phase_secrets"

    phase_id: Mapped[int] = mapped_column(
        ForeignKey("phases.id", ondelete="CASCADE"), primary_key=True
    )
    seed: Mapped[str] = mapped_column(String(64))


class Observations(Base):
    """What a phase that takes results gives away: one file of observations, without their truths.

    `name` is what who downloads it calls it, `file` its key in the store of files, `sha256` that of
    the file.
    """

    __tablename__ = "observations"

    phase_id: Mapped[int] = mapped_column(
        ForeignKey("phases.id", ondelete="CASCADE"), primary_key=True
    )
    name: Mapped[str] = mapped_column(String(64))
    file: Mapped[str] = mapped_column(String(255), unique=True)
    sha256: Mapped[str] = mapped_column(String(64))
    n_bytes: Mapped[int] = mapped_column(BigInteger)
    n_observations: Mapped[int]
    made: Mapped[datetime]


class ObservationTruths(Base):
    """The truths of a phase's observations: `file` is their key in the store of files.

    In a table of its own, which no export holds: the phase's seed gives them again.
    """

    __tablename__ = "observation_truths"

    phase_id: Mapped[int] = mapped_column(
        ForeignKey("observations.phase_id", ondelete="CASCADE"), primary_key=True
    )
    file: Mapped[str] = mapped_column(String(255), unique=True)
    sha256: Mapped[str] = mapped_column(String(64))


class Announcement(Base):
    """What an organiser tells everybody, in Markdown."""

    __tablename__ = "announcements"

    id: Mapped[int] = mapped_column(primary_key=True)
    challenge_id: Mapped[int] = mapped_column(
        ForeignKey("challenges.id", ondelete="CASCADE"), index=True
    )
    author_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    title: Mapped[str] = mapped_column(String(200))
    text: Mapped[str] = mapped_column(Text)
    created: Mapped[datetime]

    author: Mapped[User | None] = relationship()


class Question(Base):
    """A question on the board of a challenge, in Markdown; organisers can take it off."""

    __tablename__ = "questions"

    id: Mapped[int] = mapped_column(primary_key=True)
    challenge_id: Mapped[int] = mapped_column(
        ForeignKey("challenges.id", ondelete="CASCADE"), index=True
    )
    author_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    title: Mapped[str] = mapped_column(String(200))
    text: Mapped[str] = mapped_column(Text)
    created: Mapped[datetime]
    hidden: Mapped[bool] = mapped_column(default=False)

    author: Mapped[User | None] = relationship()
    answers: Mapped[list[Answer]] = relationship(order_by="Answer.id", cascade="all, delete-orphan")


class Answer(Base):
    """An answer to a question."""

    __tablename__ = "answers"

    id: Mapped[int] = mapped_column(primary_key=True)
    question_id: Mapped[int] = mapped_column(
        ForeignKey("questions.id", ondelete="CASCADE"), index=True
    )
    author_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    text: Mapped[str] = mapped_column(Text)
    created: Mapped[datetime]
    hidden: Mapped[bool] = mapped_column(default=False)

    author: Mapped[User | None] = relationship()
