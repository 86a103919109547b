"""All tables of the challenge, under one roof.

`people.py` holds who takes part, `contest.py` what is asked of them, `work.py` what they hand in
and what becomes of it.
"""

from __future__ import annotations

from sigma68.challenge.store.base import Base, UtcTime
from sigma68.challenge.store.contest import (
    Announcement,
    Answer,
    Challenge,
    Observations,
    ObservationTruths,
    Page,
    Phase,
    PhaseKind,
    PhaseSecret,
    Question,
    Takes,
    Updates,
)
from sigma68.challenge.store.people import (
    Credential,
    Identity,
    Membership,
    Role,
    Team,
    Token,
    User,
)
from sigma68.challenge.store.work import (
    AuditLine,
    Choice,
    Entry,
    FactSheet,
    FailedUpload,
    Job,
    JobStatus,
    JuryMark,
    LogLine,
    Piece,
    Result,
    Submission,
    SubmissionStatus,
)

__all__ = [
    "Announcement",
    "Answer",
    "AuditLine",
    "Base",
    "Challenge",
    "Choice",
    "Credential",
    "Entry",
    "FactSheet",
    "FailedUpload",
    "Identity",
    "Job",
    "JobStatus",
    "JuryMark",
    "LogLine",
    "Membership",
    "ObservationTruths",
    "Observations",
    "Page",
    "Phase",
    "PhaseKind",
    "PhaseSecret",
    "Piece",
    "Question",
    "Result",
    "Role",
    "Submission",
    "SubmissionStatus",
    "Takes",
    "Team",
    "Token",
    "Updates",
    "User",
    "UtcTime",
]
