"""The JSON objects of the API, as its documentation shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "AllowanceOut",
    "Announcement",
    "Answer",
    "AuditLine",
    "Challenge",
    "ChallengeChange",
    "FactSheet",
    "LeaderboardOut",
    "LogLine",
    "Mark",
    "Me",
    "NewChallenge",
    "ObservationsOut",
    "PageText",
    "PhaseIn",
    "PhaseOut",
    "Post",
    "Question",
    "ResultOut",
    "Row",
    "SubmissionOut",
    "TeamOut",
    "TokenOut",
    "UserOut",
]


class _Out(BaseModel):
    """What is read from a row."""

    model_config = ConfigDict(from_attributes=True)


class _In(BaseModel):
    """What is sent; a field that is not known is refused."""

    model_config = ConfigDict(extra="forbid")


class Me(_Out):
    id: int
    name: str
    pseudonym: str
    email: str
    role: str


class TokenOut(_Out):
    id: int
    name: str
    created: datetime
    last_used: datetime | None
    expires: datetime | None


class ObservationsOut(_Out):
    """What a phase gives away, where results are handed in."""

    name: str
    n_observations: int
    n_bytes: int
    sha256: str


class PhaseOut(_Out):
    """A phase; its seed is never shown."""

    id: int
    name: str
    kind: Literal["public", "final"]
    opens: datetime
    closes: datetime
    sets: int
    toys: int
    nuisances: list[str]
    per_day: int
    total: int
    updates: str
    hidden: bool
    draws_from: int | None
    parts: int
    observations: ObservationsOut | None


class PhaseIn(_In):
    name: str
    kind: Literal["public", "final"] = "public"
    opens: datetime
    closes: datetime
    sets: int = Field(10, ge=1, le=100_000)
    toys: int = Field(100, ge=1, le=100_000)
    nuisances: list[str] = []
    per_day: int = Field(5, ge=1)
    total: int = Field(100, ge=1)
    updates: Literal["at once", "daily"] = "at once"
    hidden: bool = False
    draws_from: int | None = None
    parts: int = Field(1, ge=1, le=10_000)


class PageText(_Out):
    slug: str
    title: str
    text: str


class Challenge(_Out):
    slug: str
    title: str
    summary: str
    task: str
    takes: Literal["code", "results"]
    predict_seconds: float
    fit_seconds: float
    memory_bytes: int
    max_processes: int
    disk_bytes: int
    visible: bool
    phases: list[PhaseOut]
    pages: list[PageText]


class NewChallenge(_In):
    slug: str
    title: str
    task: str = "higgs"
    takes: Literal["code", "results"] = "code"
    source: str | None = None


class ChallengeChange(_In):
    """What is left out stays as it is."""

    title: str | None = None
    summary: str | None = None
    source: str | None = None
    visible: bool | None = None
    predict_seconds: float | None = Field(None, ge=0.1, le=86_400)
    fit_seconds: float | None = Field(None, ge=1, le=2_592_000)
    memory_bytes: int | None = Field(None, ge=64 << 20)
    disk_bytes: int | None = Field(None, ge=1 << 20)
    max_processes: int | None = Field(None, ge=8, le=100_000)
    replay: int | None = Field(None, ge=0, le=10_000)


class ResultOut(_Out):
    score: float | None
    score_low: float | None
    score_high: float | None
    width: float | None
    coverage: float | None
    coverage_low: float | None
    coverage_high: float | None
    ranked: bool
    n_toys: int
    n_failed: int
    cpu_seconds: float
    energy_joules: float | None
    energy_known: str
    flags: list[str]
    failures: dict[str, Any]


class SubmissionOut(BaseModel):
    """A submission; `result` is null until it may be seen, `hidden` then says when."""

    id: int
    challenge: str
    phase: int
    team: str
    name: str
    sha256: str
    status: Literal["queued", "running", "finished", "failed", "cancelled"]
    created: datetime
    started: datetime | None
    ended: datetime | None
    done: int
    total: int
    ahead: int
    counts: bool
    reason: str | None
    hidden: str | None
    result: ResultOut | None
    address: str


class LogLine(_Out):
    id: int
    at: datetime
    text: str


class FactSheet(BaseModel):
    model_config = ConfigDict(from_attributes=True, extra="forbid")

    method: str = ""
    code_url: str = ""
    licence: str = ""


class Row(_Out):
    """A place on a leaderboard; rows with the same `rank` are tied."""

    rank: int | None
    team: str
    submission_id: int
    score: float | None
    score_low: float | None
    score_high: float | None
    width: float | None
    coverage: float | None
    coverage_low: float | None
    coverage_high: float | None
    n_toys: int
    n_failed: int
    cpu_seconds: float
    energy_joules: float | None
    energy_known: str
    flags: list[str]
    n_submissions: int
    submitted: datetime


class LeaderboardOut(_Out):
    """A leaderboard; `hidden` says why it is empty for this caller, if it is."""

    rows: list[Row]
    hidden: str | None
    indicative: bool
    as_of: datetime
    notes: list[str]


class TeamOut(BaseModel):
    name: str
    pseudonym: str
    anonymous: bool
    invite_code: str
    members: list[str]


class AllowanceOut(_Out):
    """`reason` says why nothing may be handed in now; null if something may."""

    today: int
    in_all: int
    next_day: datetime
    reason: str | None


class Post(_In):
    """A title in a line and a text in Markdown."""

    title: str
    text: str


class Announcement(_Out):
    id: int
    title: str
    text: str
    created: datetime


class Answer(BaseModel):
    id: int
    author: str | None
    text: str
    created: datetime
    hidden: bool


class Question(BaseModel):
    id: int
    author: str | None
    title: str
    text: str
    created: datetime
    hidden: bool
    answers: list[Answer]


class Mark(BaseModel):
    model_config = ConfigDict(from_attributes=True, extra="forbid")

    novel: int | None = Field(None, ge=0, le=10)
    practical: int | None = Field(None, ge=0, le=10)
    frugal: int | None = Field(None, ge=0, le=10)
    notes: str = ""


class UserOut(_Out):
    id: int
    name: str
    pseudonym: str
    email: str
    role: str
    disabled: bool
    created: datetime


class AuditLine(BaseModel):
    at: datetime
    user: str | None
    action: str
    subject: str
    detail: dict[str, Any]
