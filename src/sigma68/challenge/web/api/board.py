"""Questions, answers and announcements."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body

from sigma68.challenge.rules import board
from sigma68.challenge.rules.refusals import NotFoundError
from sigma68.challenge.store import tables
from sigma68.challenge.web.api.caller import Caller, CallerDep, ChangerDep
from sigma68.challenge.web.api.models import Announcement, Answer, Post, Question

__all__ = ["router"]

router = APIRouter(prefix="/challenges/{slug}", tags=["board"])


def _question(caller: Caller, found: tables.Question) -> Question:
    return Question(
        id=found.id,
        author=found.author.pseudonym if found.author else None,
        title=found.title,
        text=found.text,
        created=found.created,
        hidden=found.hidden,
        answers=[_answer(one) for one in found.answers if caller.is_organiser or not one.hidden],
    )


def _answer(found: tables.Answer) -> Answer:
    return Answer(
        id=found.id,
        author=found.author.pseudonym if found.author else None,
        text=found.text,
        created=found.created,
        hidden=found.hidden,
    )


def _found(caller: Caller, slug: str, question_id: int) -> tables.Question:
    challenge = caller.challenge(slug)
    found = board.question(caller.session, question_id, caller.user)
    if found.challenge_id != challenge.id:
        raise NotFoundError(f"there is no question {question_id}")
    return found


@router.get("/announcements")
def announcements(caller: CallerDep, slug: str) -> list[Announcement]:
    """What organisers told everybody, newest first."""
    found = board.announcements(caller.session, caller.challenge(slug).id)
    return [Announcement.model_validate(one) for one in found]


@router.post("/announcements", status_code=201)
def announce(caller: ChangerDep, slug: str, post: Post) -> Announcement:
    """Tell everybody something (organisers)."""
    challenge, by = caller.challenge(slug), caller.organiser()
    made = board.announce(caller.session, challenge, post.title, post.text, by=by, now=caller.now)
    caller.session.commit()
    return Announcement.model_validate(made)


@router.delete("/announcements/{announcement_id}", status_code=204)
def withdraw(caller: ChangerDep, slug: str, announcement_id: int) -> None:
    """Take an announcement off (organisers)."""
    caller.challenge(slug)
    board.withdraw(caller.session, announcement_id, by=caller.organiser(), now=caller.now)
    caller.session.commit()


@router.get("/questions")
def questions(caller: CallerDep, slug: str) -> list[Question]:
    """The board, newest question first."""
    found = board.questions(caller.session, caller.challenge(slug).id, caller.user)
    return [_question(caller, one) for one in found]


@router.post("/questions", status_code=201)
def ask(caller: ChangerDep, slug: str, post: Post) -> Question:
    """Put a question on the board."""
    challenge, by = caller.challenge(slug), caller.signed_in()
    caller.limit("post")
    made = board.ask(caller.session, challenge, post.title, post.text, by=by, now=caller.now)
    caller.session.commit()
    return _question(caller, made)


@router.post("/questions/{question_id}/answers", status_code=201)
def answer(
    caller: ChangerDep, slug: str, question_id: int, text: Annotated[str, Body(embed=True)]
) -> Answer:
    """Answer a question."""
    by, found = caller.signed_in(), _found(caller, slug, question_id)
    caller.limit("post")
    made = board.answer(caller.session, found, text, by=by, now=caller.now)
    caller.session.commit()
    return _answer(made)


@router.put("/questions/{question_id}/hidden", status_code=204)
def hide_question(
    caller: ChangerDep, slug: str, question_id: int, hidden: Annotated[bool, Body(embed=True)]
) -> None:
    """Take a question off the board, or put it back (organisers)."""
    by, found = caller.organiser(), _found(caller, slug, question_id)
    board.hide_question(caller.session, found, hidden, by=by, now=caller.now)
    caller.session.commit()


@router.put("/answers/{answer_id}/hidden", status_code=204)
def hide_answer(
    caller: ChangerDep, slug: str, answer_id: int, hidden: Annotated[bool, Body(embed=True)]
) -> None:
    """Take an answer off the board, or put it back (organisers)."""
    caller.challenge(slug)
    board.hide_answer(caller.session, answer_id, hidden, by=caller.organiser(), now=caller.now)
    caller.session.commit()
