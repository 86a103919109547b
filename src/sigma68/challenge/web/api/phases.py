"""Challenges and phases, as organisers make and change them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body

from sigma68.challenge.rules import challenges, phases
from sigma68.challenge.rules.refusals import RefusedError
from sigma68.challenge.web.api.caller import ChangerDep
from sigma68.challenge.web.api.challenges import phase_in
from sigma68.challenge.web.api.models import (
    Challenge,
    ChallengeChange,
    NewChallenge,
    PageText,
    PhaseIn,
    PhaseOut,
)

__all__ = ["router"]

router = APIRouter(prefix="/challenges", tags=["for organisers"])


@router.post("", status_code=201)
def create(caller: ChangerDep, new: NewChallenge) -> Challenge:
    """A new challenge, not public yet."""
    made = challenges.create(
        caller.session,
        new.slug,
        new.title,
        new.task,
        caller.now,
        by=caller.organiser(),
        source=new.source,
        takes=new.takes,
        visible=False,
    )
    caller.session.commit()
    return Challenge.model_validate(made)


@router.patch("/{slug}")
def edit(caller: ChangerDep, slug: str, change: ChallengeChange) -> Challenge:
    """Change title, summary and limits."""
    by, challenge = caller.organiser(), caller.challenge(slug)
    fields: dict[str, Any] = change.model_dump(exclude_unset=True)
    missing = [name for name, value in fields.items() if value is None and name != "source"]
    if missing:
        raise RefusedError(f"{missing[0]} must not be null: leave it out to keep it")
    challenges.edit(caller.session, challenge, fields, by=by, now=caller.now)
    caller.session.commit()
    return Challenge.model_validate(challenge)


@router.put("/{slug}/pages/{name}")
def set_page(
    caller: ChangerDep,
    slug: str,
    name: str,
    title: Annotated[str, Body()],
    text: Annotated[str, Body(description="Markdown.")],
) -> PageText:
    """Write a text: overview, data, rules, or a page of its own."""
    by, challenge = caller.organiser(), caller.challenge(slug)
    made = challenges.set_page(caller.session, challenge, name, title, text, by=by, now=caller.now)
    caller.session.commit()
    return PageText.model_validate(made)


def _settings(given: PhaseIn) -> phases.PhaseSettings:
    fields = given.model_dump()
    return phases.PhaseSettings(**fields | {"nuisances": tuple(given.nuisances)})


@router.post("/{slug}/phases", status_code=201)
def add_phase(caller: ChangerDep, slug: str, phase: PhaseIn) -> PhaseOut:
    """Add a phase, with a secret seed that nobody is told."""
    by, challenge = caller.organiser(), caller.challenge(slug)
    made = phases.add(caller.session, challenge, _settings(phase), by=by, now=caller.now)
    caller.session.commit()
    return PhaseOut.model_validate(made)


@router.put("/{slug}/phases/{phase_id}")
def edit_phase(caller: ChangerDep, slug: str, phase_id: int, phase: PhaseIn) -> PhaseOut:
    """Change a phase."""
    by, found = caller.organiser(), phase_in(caller, slug, phase_id)
    phases.edit(caller.session, found, _settings(phase), by=by, now=caller.now)
    caller.session.commit()
    return PhaseOut.model_validate(found)


@router.delete("/{slug}/phases/{phase_id}", status_code=204)
def delete_phase(caller: ChangerDep, slug: str, phase_id: int) -> None:
    """Remove a phase that nothing was handed in to."""
    by, found = caller.organiser(), phase_in(caller, slug, phase_id)
    phases.delete(caller.session, found, by=by, now=caller.now)
    caller.session.commit()
