"""What people hand in and what becomes of it: entries, submissions, jobs, results."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from sigma68.challenge.store.base import Base
from sigma68.challenge.store.contest import Phase
from sigma68.challenge.store.people import Team, User

__all__ = [
    "AuditLine",
    "Choice",
    "Entry",
    "FactSheet",
    "FailedUpload",
    "Job",
    "JobStatus",
    "JuryMark",
    "LogLine",
    "Piece",
    "Result",
    "Submission",
    "SubmissionStatus",
]

SubmissionStatus = Literal["queued", "running", "finished", "failed", "cancelled"]
JobStatus = Literal["queued", "running", "finished", "failed", "cancelled"]
_STATUSES = "status IN ('queued', 'running', 'finished', 'failed', 'cancelled')"


class Entry(Base):
    """An uploaded zip: `file` is its key in the store of files, `sha256` that of the zip."""

    __tablename__ = "entries"

    id: Mapped[int] = mapped_column(primary_key=True)
    team_id: Mapped[int] = mapped_column(ForeignKey("teams.id", ondelete="CASCADE"), index=True)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    name: Mapped[str] = mapped_column(String(200))
    file: Mapped[str] = mapped_column(String(255), unique=True)
    sha256: Mapped[str] = mapped_column(String(64))
    fingerprint: Mapped[str] = mapped_column(String(64))
    n_files: Mapped[int]
    n_bytes: Mapped[int] = mapped_column(BigInteger)
    created: Mapped[datetime]


class Submission(Base):
    """An entry in a phase, and how far it is.

    `key` is a random name that never changes; toys are drawn from it. `counts` says whether it
    counts towards the limits (a refunded one does not). `done` of `total` toys are judged.
    `reason` is a sentence for the author of a failed one. In a final, `source_id` is the
    submission of the public phase that it was taken from.
    """

    __tablename__ = "submissions"
    __table_args__ = (
        UniqueConstraint("phase_id", "source_id"),
        CheckConstraint(_STATUSES, name="status"),
        Index("ix_submissions_board", "phase_id", "team_id", "created"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(32), unique=True)
    phase_id: Mapped[int] = mapped_column(ForeignKey("phases.id", ondelete="CASCADE"))
    team_id: Mapped[int] = mapped_column(ForeignKey("teams.id", ondelete="CASCADE"))
    entry_id: Mapped[int] = mapped_column(ForeignKey("entries.id"))
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    source_id: Mapped[int | None] = mapped_column(ForeignKey("submissions.id"))
    status: Mapped[str] = mapped_column(String(16), default="queued")
    counts: Mapped[bool] = mapped_column(default=True)
    created: Mapped[datetime]
    started: Mapped[datetime | None]
    ended: Mapped[datetime | None]
    done: Mapped[int] = mapped_column(default=0)
    total: Mapped[int] = mapped_column(default=0)
    reason: Mapped[str | None] = mapped_column(Text)

    phase: Mapped[Phase] = relationship()
    team: Mapped[Team] = relationship()
    entry: Mapped[Entry] = relationship()
    user: Mapped[User | None] = relationship()
    result: Mapped[Result | None] = relationship(back_populates="submission")
    fact_sheet: Mapped[FactSheet | None] = relationship()


class Result(Base):
    """What a submission reached; there is at most one, and it never changes.

    `score_low` and `score_high` bound the central 68.27% of its bootstrap over sets. `ranked` is
    False for one with too many failures. `document` is its score.json. `toys` is the key of the
    table of toys, with truth, for organisers alone; `sha256` is that of its file. `sums` holds
    what a ranking needs, float64 of shape (3, n_sets): the widths' sum, the number covered and
    the number of toys of each set; of results, the
    scores on resampled observations, which are drawn alike for all.
    `energy_known` says where `energy_joules` is from: "measured" or "estimated".
    """

    __tablename__ = "results"

    submission_id: Mapped[int] = mapped_column(
        ForeignKey("submissions.id", ondelete="CASCADE"), primary_key=True
    )
    created: Mapped[datetime]
    score: Mapped[float | None]
    score_low: Mapped[float | None]
    score_high: Mapped[float | None]
    width: Mapped[float | None]
    coverage: Mapped[float | None]
    coverage_low: Mapped[float | None]
    coverage_high: Mapped[float | None]
    rescaled_width: Mapped[float | None]
    ranked: Mapped[bool]
    n_toys: Mapped[int]
    n_failed: Mapped[int]
    cpu_seconds: Mapped[float]
    energy_joules: Mapped[float | None]
    energy_known: Mapped[str] = mapped_column(String(16), default="")
    flags: Mapped[list[str]] = mapped_column(default=list)
    failures: Mapped[dict[str, Any]] = mapped_column(default=dict)
    toys: Mapped[str] = mapped_column(String(255), unique=True)
    sha256: Mapped[str] = mapped_column(String(64))
    document: Mapped[dict[str, Any]] = mapped_column(default=dict, deferred=True)
    sums: Mapped[bytes] = mapped_column(LargeBinary, default=b"", deferred=True)

    submission: Mapped[Submission] = relationship(back_populates="result")


class Choice(Base):
    """The submission that a team takes from a phase into the final; else it is their best."""

    __tablename__ = "choices"
    __table_args__ = (UniqueConstraint("team_id", "phase_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    team_id: Mapped[int] = mapped_column(ForeignKey("teams.id", ondelete="CASCADE"))
    phase_id: Mapped[int] = mapped_column(ForeignKey("phases.id", ondelete="CASCADE"))
    submission_id: Mapped[int] = mapped_column(ForeignKey("submissions.id", ondelete="CASCADE"))
    chosen: Mapped[datetime]


class FactSheet(Base):
    """How a submission works, where its code is, and under which licence."""

    __tablename__ = "fact_sheets"

    submission_id: Mapped[int] = mapped_column(
        ForeignKey("submissions.id", ondelete="CASCADE"), primary_key=True
    )
    method: Mapped[str] = mapped_column(Text, default="")
    code_url: Mapped[str] = mapped_column(String(1024), default="")
    licence: Mapped[str] = mapped_column(String(64), default="")
    updated: Mapped[datetime]


class JuryMark(Base):
    """What one juror says of one submission: 0 to 10 for each quality, or nothing yet."""

    __tablename__ = "jury_marks"
    __table_args__ = (UniqueConstraint("submission_id", "juror_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    submission_id: Mapped[int] = mapped_column(ForeignKey("submissions.id", ondelete="CASCADE"))
    juror_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    novel: Mapped[int | None]
    practical: Mapped[int | None]
    frugal: Mapped[int | None]
    notes: Mapped[str] = mapped_column(Text, default="")
    updated: Mapped[datetime]

    juror: Mapped[User] = relationship()


class Job(Base):
    """A piece of work: "judge" one submission, a range of sets of a "final", or "merge" a final.

    `key` says what the work is, so that nothing is asked for twice. A running job is held by the
    worker `holder` under the random name `lease` until `expires`. `attempts` counts the leases
    that were given; `not_before` is when the next may be.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint(_STATUSES, name="status"),
        CheckConstraint("kind IN ('judge', 'final', 'merge')", name="kind"),
        Index("ix_jobs_queue", "status", "priority", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(128), unique=True)
    kind: Mapped[str] = mapped_column(String(16))
    phase_id: Mapped[int] = mapped_column(ForeignKey("phases.id", ondelete="CASCADE"))
    submission_id: Mapped[int | None] = mapped_column(
        ForeignKey("submissions.id", ondelete="CASCADE"), index=True
    )
    first_set: Mapped[int] = mapped_column(default=0)
    n_sets: Mapped[int] = mapped_column(default=0)
    status: Mapped[str] = mapped_column(String(16), default="queued")
    priority: Mapped[int] = mapped_column(default=0)
    created: Mapped[datetime]
    not_before: Mapped[datetime]
    started: Mapped[datetime | None]
    ended: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(default=0)
    holder: Mapped[str | None] = mapped_column(String(128))
    lease: Mapped[str | None] = mapped_column(String(32))
    expires: Mapped[datetime | None]
    done: Mapped[int] = mapped_column(default=0)
    total: Mapped[int] = mapped_column(default=0)
    reason: Mapped[str | None] = mapped_column(Text)


class Piece(Base):
    """What one job of a final found for one submission, until all are merged into a `Result`."""

    __tablename__ = "pieces"
    __table_args__ = (UniqueConstraint("job_id", "submission_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    submission_id: Mapped[int] = mapped_column(ForeignKey("submissions.id", ondelete="CASCADE"))
    toys: Mapped[str | None] = mapped_column(String(255))
    cpu_seconds: Mapped[float]
    energy_joules: Mapped[float | None]
    energy_known: Mapped[str] = mapped_column(String(16), default="")
    flags: Mapped[list[str]] = mapped_column(default=list)
    failures: Mapped[dict[str, Any]] = mapped_column(default=dict)
    reason: Mapped[str | None] = mapped_column(Text)


class LogLine(Base):
    """What happened while a submission was judged, and the last that its entry printed."""

    __tablename__ = "log_lines"

    id: Mapped[int] = mapped_column(primary_key=True)
    submission_id: Mapped[int] = mapped_column(
        ForeignKey("submissions.id", ondelete="CASCADE"), index=True
    )
    at: Mapped[datetime]
    text: Mapped[str] = mapped_column(Text)


class FailedUpload(Base):
    """An upload that was no entry: counted apart from submissions."""

    __tablename__ = "failed_uploads"
    __table_args__ = (Index("ix_failed_uploads_team", "phase_id", "team_id", "at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    phase_id: Mapped[int] = mapped_column(ForeignKey("phases.id", ondelete="CASCADE"))
    team_id: Mapped[int] = mapped_column(ForeignKey("teams.id", ondelete="CASCADE"))
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    name: Mapped[str] = mapped_column(String(200))
    at: Mapped[datetime]
    reason: Mapped[str] = mapped_column(Text)


class AuditLine(Base):
    """Who did what to what: `action` a short verb, `subject` such as "submission:12"."""

    __tablename__ = "audit_lines"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    action: Mapped[str] = mapped_column(String(64))
    subject: Mapped[str] = mapped_column(String(128))
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)

    user: Mapped[User | None] = relationship()
