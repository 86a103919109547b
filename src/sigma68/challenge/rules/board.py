"""Announcements and the question board of a challenge."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload, selectinload

from sigma68.challenge.rules.accounts import require_organiser
from sigma68.challenge.rules.audit import record
from sigma68.challenge.rules.refusals import NotFoundError, QuotaError
from sigma68.challenge.rules.texts import line, paragraphs
from sigma68.challenge.store.tables import Announcement, Answer, Challenge, Question, User

__all__ = [
    "announce",
    "announcements",
    "answer",
    "ask",
    "hide_answer",
    "hide_question",
    "question",
    "questions",
    "withdraw",
]

MOST_A_DAY = 50
"""How many questions and answers one person may write in 24 hours."""


def announce(
    session: Session, challenge: Challenge, title: str, text: str, *, by: User, now: datetime
) -> Announcement:
    """Tell everybody something, in Markdown.

    Raises
    ------
    ForbiddenError
        If `by` is no organiser.
    RefusedError
        If title or text cannot be taken.
    """
    require_organiser(by)
    made = Announcement(
        challenge_id=challenge.id,
        author_id=by.id,
        title=line(title, "a title", most=200),
        text=paragraphs(text, "an announcement"),
        created=now,
    )
    session.add(made)
    session.flush()
    record(session, by, "announce", f"announcement:{made.id}", now)
    return made


def withdraw(session: Session, announcement_id: int, *, by: User, now: datetime) -> None:
    """Take an announcement off.

    Raises
    ------
    ForbiddenError
        If `by` is no organiser.
    NotFoundError
        If there is none.
    """
    require_organiser(by)
    found = session.get(Announcement, announcement_id)
    if found is None:
        raise NotFoundError(f"there is no announcement {announcement_id}")
    record(session, by, "withdraw", f"announcement:{found.id}", now, title=found.title)
    session.delete(found)
    session.flush()


def announcements(session: Session, challenge_id: int) -> Sequence[Announcement]:
    """All announcements, newest first, with their authors loaded."""
    return session.scalars(
        select(Announcement)
        .where(Announcement.challenge_id == challenge_id)
        .options(joinedload(Announcement.author))
        .order_by(Announcement.id.desc())
    ).all()


def ask(
    session: Session, challenge: Challenge, title: str, text: str, *, by: User, now: datetime
) -> Question:
    """Put a question on the board.

    Raises
    ------
    RefusedError
        If title or text cannot be taken.
    QuotaError
        If `by` wrote too much within a day.
    """
    _refuse_flood(session, by, now)
    made = Question(
        challenge_id=challenge.id,
        author_id=by.id,
        title=line(title, "a title", most=200),
        text=paragraphs(text, "a question", most=10_000),
        created=now,
        answers=[],
    )
    session.add(made)
    session.flush()
    return made


def answer(session: Session, question: Question, text: str, *, by: User, now: datetime) -> Answer:
    """Answer a question.

    Raises
    ------
    RefusedError
        If the text cannot be taken.
    QuotaError
        If `by` wrote too much within a day.
    """
    _refuse_flood(session, by, now)
    made = Answer(
        question_id=question.id,
        author_id=by.id,
        text=paragraphs(text, "an answer", most=10_000),
        created=now,
    )
    session.add(made)
    session.flush()
    return made


def questions(session: Session, challenge_id: int, viewer: User | None) -> Sequence[Question]:
    """The board, newest question first, with authors and answers; hidden ones for organisers.

    Of an answer look at `hidden` before showing it to somebody else.
    """
    query = (
        select(Question)
        .where(Question.challenge_id == challenge_id)
        .options(
            joinedload(Question.author),
            selectinload(Question.answers).joinedload(Answer.author),
        )
        .order_by(Question.id.desc())
    )
    if viewer is None or viewer.role != "organiser":
        query = query.where(Question.hidden.is_(False))
    return session.scalars(query).all()


def question(session: Session, question_id: int, viewer: User | None) -> Question:
    """A question that `viewer` may see.

    Raises
    ------
    NotFoundError
        If there is none.
    """
    found = session.get(Question, question_id)
    if found is None or (found.hidden and (viewer is None or viewer.role != "organiser")):
        raise NotFoundError(f"there is no question {question_id}")
    return found


def hide_question(
    session: Session, question: Question, hidden: bool, *, by: User, now: datetime
) -> None:
    """Take a question off the board, or put it back.

    Raises
    ------
    ForbiddenError
        If `by` is no organiser.
    """
    require_organiser(by)
    question.hidden = hidden
    record(session, by, "hide" if hidden else "show", f"question:{question.id}", now)
    session.flush()


def hide_answer(session: Session, answer_id: int, hidden: bool, *, by: User, now: datetime) -> None:
    """Take an answer off the board, or put it back.

    Raises
    ------
    ForbiddenError
        If `by` is no organiser.
    NotFoundError
        If there is none.
    """
    require_organiser(by)
    found = session.get(Answer, answer_id)
    if found is None:
        raise NotFoundError(f"there is no answer {answer_id}")
    found.hidden = hidden
    record(session, by, "hide" if hidden else "show", f"answer:{found.id}", now)
    session.flush()


def _refuse_flood(session: Session, by: User, now: datetime) -> None:
    since = now - timedelta(days=1)
    written = sum(
        session.scalar(
            select(func.count())
            .select_from(table)
            .where(table.author_id == by.id, table.created > since)
        )
        or 0
        for table in (Question, Answer)
    )
    if written >= MOST_A_DAY and by.role != "organiser":
        raise QuotaError(f"you wrote {written} questions and answers within a day: wait a while")
