"""Observations that a phase gives away, for challenges that are answered by results."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from sigma68.challenge.rules.phases import state
from sigma68.challenge.rules.refusals import ConflictError, NotFoundError, RefusedError
from sigma68.challenge.store.tables import Challenge, Observations, Phase, User
from sigma68.protocols import Task
from sigma68.summaries import TakesResults

__all__ = ["given_away", "results_task", "why_none"]


def results_task(name: str) -> tuple[Task, TakesResults]:
    """The task called `name`, as what it is and as one that takes results.

    Raises
    ------
    RefusedError
        If results are nothing that it takes.
    SettingsError
        If there is no such task.
    """
    from sigma68.discover import load_task

    task = load_task(name)
    if not isinstance(task, TakesResults):
        raise RefusedError(
            f"{name} has no results to be handed in, only code: let the challenge take code"
        )
    return task, task


def why_none(challenge: Challenge, phase: Phase) -> str | None:
    """Why nothing can be handed in yet for want of observations; None if nothing is wanting."""
    if challenge.takes != "results" or phase.observations is not None:
        return None
    return f"the observations of {phase.name!r} have not been made yet"


def given_away(session: Session, phase: Phase, viewer: User | None, now: datetime) -> Observations:
    """The observations of a phase, to whom they may be given now.

    Raises
    ------
    NotFoundError
        If the phase has none.
    ConflictError
        If it has not opened and `viewer` is no organiser.
    """
    found = session.get(Observations, phase.id)
    if found is None:
        raise NotFoundError(f"{phase.name!r} has no observations to be given away")
    is_organiser = viewer is not None and viewer.role == "organiser"
    if state(phase, now) == "before" and not is_organiser:
        raise ConflictError(f"{phase.name!r} opens at {phase.opens:%Y-%m-%d %H:%M} UTC")
    return found
