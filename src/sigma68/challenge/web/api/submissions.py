"""Submissions: handed in, watched, described, chosen for the final."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request

from sigma68.challenge.queue.overview import ahead
from sigma68.challenge.rules import jury, submissions, teams, views
from sigma68.challenge.rules.refusals import NotFoundError, RefusedError
from sigma68.challenge.store.tables import Submission
from sigma68.challenge.web.api.caller import Caller, CallerDep, ChangerDep
from sigma68.challenge.web.api.challenges import phase_in
from sigma68.challenge.web.api.models import FactSheet, LogLine, ResultOut, SubmissionOut
from sigma68.challenge.web.pages.submissions import entry_name, open_phases, why_hidden
from sigma68.challenge.web.uploads import file_name

__all__ = ["describe", "router"]

router = APIRouter(tags=["submissions"])


def describe(caller: Caller, found: Submission) -> SubmissionOut:
    """A submission as this caller may see it now."""
    result = views.visible_result(caller.session, found, caller.user, caller.now)
    slug = found.phase.challenge.slug
    judged = found.status == "finished"
    return SubmissionOut(
        id=found.id,
        challenge=slug,
        phase=found.phase_id,
        team=found.team.public_name,
        name=found.entry.name,
        sha256=found.entry.sha256,
        status=found.status,  # type: ignore[arg-type]
        created=found.created,
        started=found.started,
        ended=found.ended,
        done=found.done,
        total=found.total,
        ahead=ahead(caller.session, found) if found.status == "queued" else 0,
        counts=found.counts,
        reason=found.reason,
        hidden=why_hidden(found.phase) if judged and result is None else None,
        result=ResultOut.model_validate(result) if result is not None else None,
        address=f"{caller.house.settings.address}/c/{slug}/submissions/{found.id}",
    )


def _sender(caller: CallerDep) -> Caller:
    """Whoever sends a zip, known before any of it is read."""
    caller.signed_in()
    caller.limit("upload")
    with caller.house.store.write() as session:
        caller.note_use(session)
    # A slow sender must not hold a state of the database; nor is an old one to be written to.
    caller.session.rollback()
    return caller


_Name = Annotated[str, Query(description="What to call the entry.")]


async def _zip(
    request: Request, caller: Annotated[Caller, Depends(_sender)], name: _Name = "entry"
) -> AsyncIterator[Path]:
    """The body as a file."""
    with tempfile.TemporaryDirectory(prefix="sigma68-upload-") as folder:
        path = Path(folder) / file_name(name)
        with path.open("wb") as file:
            async for chunk in request.stream():
                file.write(chunk)
        yield path


_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The zip itself.",
        "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.post("/challenges/{slug}/submissions", status_code=201, openapi_extra=_BODY)
def submit(
    slug: str,
    caller: Annotated[Caller, Depends(_sender)],
    upload: Annotated[Path, Depends(_zip)],
    name: _Name = "entry",
    phase: Annotated[
        int | None, Query(description="The phase; may be left out where one is open.")
    ] = None,
) -> SubmissionOut:
    """Hand in a zip: it is the body."""
    challenge, user = caller.challenge(slug), caller.signed_in()
    if phase is None:
        is_open = open_phases(challenge, caller)
        if len(is_open) != 1:
            names = ", ".join(f"{one.name} ({one.id})" for one in is_open) or "none"
            raise RefusedError(f"say which phase to hand in to; open now: {names}")
        phase = is_open[0].id
    phase_in(caller, slug, phase)
    # When it has come, not when it was begun to be sent: a phase closes in between.
    now = caller.house.clock()
    number = submissions.submit(caller.house.store, phase, user.id, upload, entry_name(name), now)
    with caller.house.store.read() as session:
        caller.session = session
        return describe(caller, views.submission(session, number, user))


@router.get("/challenges/{slug}/submissions")
def own(
    caller: CallerDep,
    slug: str,
    sha256: Annotated[str | None, Query(description="Only those of this very zip.")] = None,
) -> list[SubmissionOut]:
    """All submissions of the caller's team, newest first."""
    challenge = caller.challenge(slug)
    team = teams.team_of(caller.session, challenge.id, caller.signed_in())
    if team is None:
        return []
    found = views.of_team(caller.session, team.id)
    return [describe(caller, one) for one in found if sha256 in (None, one.entry.sha256)]


def _found(caller: Caller, submission_id: int) -> Submission:
    if not 0 < submission_id < 1 << 62:
        raise NotFoundError(f"there is no submission {submission_id}")
    return views.submission(caller.session, submission_id, caller.signed_in())


@router.get("/submissions/{submission_id}")
def one(caller: CallerDep, submission_id: int) -> SubmissionOut:
    """How far a submission is, and what came out."""
    return describe(caller, _found(caller, submission_id))


@router.get("/submissions/{submission_id}/log")
def log(
    caller: CallerDep,
    submission_id: int,
    after: Annotated[int, Query(ge=0, le=1 << 62, description="Only lines beyond this id.")] = 0,
) -> list[LogLine]:
    """The log, in order."""
    found = views.latest_log(caller.session, _found(caller, submission_id).id, after)
    return [LogLine.model_validate(line) for line in found]


@router.get("/submissions/{submission_id}/details")
def details(caller: CallerDep, submission_id: int) -> dict[str, Any]:
    """The whole score.json, with every set, once it may be seen."""
    found = _found(caller, submission_id)
    result = views.visible_result(caller.session, found, caller.user, caller.now)
    if result is None:
        raise NotFoundError("there is no score to be seen yet")
    return dict(result.document)


@router.get("/submissions/{submission_id}/fact-sheet")
def read_fact_sheet(caller: CallerDep, submission_id: int) -> FactSheet:
    """How it works."""
    sheet = _found(caller, submission_id).fact_sheet
    return FactSheet() if sheet is None else FactSheet.model_validate(sheet)


@router.put("/submissions/{submission_id}/fact-sheet")
def write_fact_sheet(caller: ChangerDep, submission_id: int, sheet: FactSheet) -> FactSheet:
    """Say how it works: a text in Markdown, the code's address, its licence."""
    found, user = _found(caller, submission_id), caller.signed_in()
    caller.limit("post")
    jury.set_fact_sheet(caller.session, found, by=user, now=caller.now, **sheet.model_dump())
    caller.session.commit()
    return sheet


@router.post("/submissions/{submission_id}/choose")
def choose(caller: ChangerDep, submission_id: int) -> SubmissionOut:
    """Take it into the final instead of the team's best."""
    found, user = _found(caller, submission_id), caller.signed_in()
    submissions.choose(caller.session, found, user, caller.now)
    caller.session.commit()
    return describe(caller, found)
