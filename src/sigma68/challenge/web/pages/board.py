"""The question board, and announcements as organisers make them."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response

from sigma68.challenge.rules import board
from sigma68.challenge.rules.refusals import NotFoundError, RefusedError
from sigma68.challenge.store.tables import Challenge
from sigma68.challenge.web.forms import ChangeDep, PostedDep
from sigma68.challenge.web.pages.challenge import show_announcements
from sigma68.challenge.web.pages.frame import challenge_page
from sigma68.challenge.web.visits import Visit, VisitDep

__all__ = ["router"]

router = APIRouter(prefix="/c/{slug}")


@router.get("/questions")
def questions(slug: str, visit: VisitDep) -> Response:
    """All questions with their answers."""
    return _questions(visit, visit.challenge(slug))


def _questions(
    visit: Visit,
    challenge: Challenge,
    *,
    status: int = 200,
    error: str | None = None,
    title: str = "",
    text: str = "",
) -> Response:
    return challenge_page(
        visit,
        challenge,
        "/questions",
        "questions.html",
        status,
        questions=board.questions(visit.session, challenge.id, visit.user),
        error=error,
        title=title,
        text=text,
    )


@router.post("/questions")
def ask(slug: str, visit: ChangeDep, posted: PostedDep) -> Response:
    """Put a question on the board."""
    challenge, user = visit.challenge(slug), visit.signed_in()
    title, text = posted.text("title"), posted.text("text")
    try:
        visit.limit("post")
        made = board.ask(visit.session, challenge, title, text, by=user, now=visit.now)
    except RefusedError as error:
        return _questions(
            visit.again(), challenge, status=error.status, error=str(error), title=title, text=text
        )
    return visit.go(f"/c/{slug}/questions/{made.id}", "Your question is on the board.")


@router.get("/questions/{question_id}")
def question(slug: str, question_id: int, visit: VisitDep) -> Response:
    """One question with its answers."""
    return _question(visit, visit.challenge(slug), question_id)


def _question(
    visit: Visit,
    challenge: Challenge,
    question_id: int,
    *,
    status: int = 200,
    error: str | None = None,
    text: str = "",
) -> Response:
    found = board.question(visit.session, question_id, visit.user)
    if found.challenge_id != challenge.id:
        raise NotFoundError(f"there is no question {question_id}")
    return challenge_page(
        visit,
        challenge,
        "/questions",
        "question.html",
        status,
        question=found,
        answers=[one for one in found.answers if visit.is_organiser or not one.hidden],
        error=error,
        text=text,
    )


@router.post("/questions/{question_id}/answer")
def answer(slug: str, question_id: int, visit: ChangeDep, posted: PostedDep) -> Response:
    """Answer a question."""
    challenge, user, text = visit.challenge(slug), visit.signed_in(), posted.text("text")
    try:
        visit.limit("post")
        found = board.question(visit.session, question_id, user)
        if found.challenge_id != challenge.id:
            raise NotFoundError(f"there is no question {question_id}")
        made = board.answer(visit.session, found, text, by=user, now=visit.now)
    except NotFoundError:
        raise
    except RefusedError as error:
        return _question(
            visit.again(), challenge, question_id, status=error.status, error=str(error), text=text
        )
    return visit.go(f"/c/{slug}/questions/{question_id}#answer-{made.id}")


@router.post("/questions/{question_id}/hide")
def hide_question(slug: str, question_id: int, visit: ChangeDep, posted: PostedDep) -> Response:
    """Take a question off the board, or put it back."""
    found = board.question(visit.session, question_id, visit.organiser())
    hidden = posted.flag("hidden")
    board.hide_question(visit.session, found, hidden, by=visit.organiser(), now=visit.now)
    return visit.go(f"/c/{slug}/questions", "It is off the board." if hidden else "It is back.")


@router.post("/answers/{answer_id}/hide")
def hide_answer(slug: str, answer_id: int, visit: ChangeDep, posted: PostedDep) -> Response:
    """Take an answer off the board, or put it back."""
    hidden = posted.flag("hidden")
    board.hide_answer(visit.session, answer_id, hidden, by=visit.organiser(), now=visit.now)
    return visit.go(f"/c/{slug}/questions", "It is off the board." if hidden else "It is back.")


@router.post("/announcements")
def announce(slug: str, visit: ChangeDep, posted: PostedDep) -> Response:
    """Tell everybody something."""
    challenge, user = visit.challenge(slug), visit.organiser()
    title, text = posted.text("title"), posted.text("text")
    try:
        board.announce(visit.session, challenge, title, text, by=user, now=visit.now)
    except RefusedError as error:
        return show_announcements(
            visit.again(), challenge, status=error.status, error=str(error), title=title, text=text
        )
    return visit.go(f"/c/{slug}/announcements", "It is announced.")


@router.post("/announcements/{announcement_id}/withdraw")
def withdraw(slug: str, announcement_id: int, visit: ChangeDep, posted: PostedDep) -> Response:
    """Take an announcement off."""
    board.withdraw(visit.session, announcement_id, by=visit.organiser(), now=visit.now)
    return visit.go(f"/c/{slug}/announcements", "It is withdrawn.")
