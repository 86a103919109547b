"""Phases of a challenge: when they open and close, what is drawn in them, and from which secret.

A phase lasts from `opens` up to, and without, `closes`; all times are UTC.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from sigma68.challenge.rules.accounts import require_organiser
from sigma68.challenge.rules.audit import record
from sigma68.challenge.rules.refusals import ConflictError, NotFoundError, RefusedError
from sigma68.challenge.rules.texts import line
from sigma68.challenge.store.tables import Challenge, Phase, PhaseSecret, Submission, User

__all__ = [
    "FEWEST_OBSERVATIONS",
    "PhaseSettings",
    "State",
    "add",
    "board_changed",
    "delete",
    "edit",
    "find",
    "secret_seed",
    "state",
]

State = Literal["before", "open", "closed"]

FEWEST_OBSERVATIONS = 20
"""How many a phase that takes results must give away: its scores are resampled."""


@dataclass(frozen=True)
class PhaseSettings:
    """What an organiser says of a phase; see `store.contest.Phase`. Times are aware.

    The defaults are the papers' public phase; their final is `PhaseSettings.final(...)`.
    """

    name: str
    opens: datetime
    closes: datetime
    kind: Literal["public", "final"] = "public"
    sets: int = 10
    toys: int = 100
    nuisances: tuple[str, ...] = ()
    per_day: int = 5
    total: int = 100
    updates: Literal["at once", "daily"] = "at once"
    hidden: bool = False
    draws_from: int | None = None
    parts: int = 1

    @classmethod
    def final(
        cls,
        name: str,
        opens: datetime,
        closes: datetime,
        draws_from: int,
        *,
        nuisances: tuple[str, ...] = (),
        sets: int = 1000,
        toys: int = 100,
        parts: int = 1,
    ) -> PhaseSettings:
        """A final: 1000 x 100 common toys, scores hidden until it closes."""
        return cls(
            name=name,
            opens=opens,
            closes=closes,
            kind="final",
            sets=sets,
            toys=toys,
            nuisances=nuisances,
            hidden=True,
            draws_from=draws_from,
            parts=parts,
        )


def find(session: Session, phase_id: int) -> Phase:
    """A phase by its number.

    Raises
    ------
    NotFoundError
        If there is none.
    """
    found = session.get(Phase, phase_id)
    if found is None:
        raise NotFoundError(f"there is no phase {phase_id}")
    return found


def state(phase: Phase, now: datetime) -> State:
    """Whether the phase has yet to open, is open, or has closed; its end is not part of it."""
    if now < phase.opens:
        return "before"
    return "open" if now < phase.closes else "closed"


def board_changed(session: Session, phase_id: int) -> None:
    """Say that what a phase's leaderboard shows has changed.

    In SQL, not by reading and writing: two at once are two changes on every database.
    """
    session.flush()
    session.execute(
        update(Phase)
        .where(Phase.id == phase_id)
        .values(version=Phase.version + 1)
        .execution_options(synchronize_session="fetch")
    )


def add(
    session: Session, challenge: Challenge, settings: PhaseSettings, *, by: User, now: datetime
) -> Phase:
    """A new phase with a secret seed of its own.

    Raises
    ------
    ForbiddenError
        If `by` is no organiser.
    RefusedError
        If a setting is not what it must be.
    """
    require_organiser(by)
    _check(session, challenge, settings, None)
    made = Phase(challenge_id=challenge.id, position=len(challenge.phases), **_columns(settings))
    challenge.phases.append(made)
    session.flush()
    session.add(PhaseSecret(phase_id=made.id, seed=secrets.token_hex(32)))
    record(session, by, "add_phase", f"phase:{made.id}", now, name=made.name)
    session.flush()
    return made


def edit(
    session: Session, phase: Phase, settings: PhaseSettings, *, by: User, now: datetime
) -> None:
    """Change a phase. What its toys are made of stays once something was handed in.

    Raises
    ------
    ForbiddenError
        If `by` is no organiser.
    RefusedError
        If a setting is not what it must be.
    ConflictError
        If kind, sets, toys, nuisances, parts or origin are to change and it has submissions, or
        observations that are given away.
    """
    require_organiser(by)
    challenge = phase.challenge
    _check(session, challenge, settings, phase)
    columns = _columns(settings)
    changed = sorted(name for name, value in columns.items() if getattr(phase, name) != value)
    fixed = {"kind", "sets", "toys", "nuisances", "draws_from", "parts"} & set(changed)
    used = select(Submission.id).where(Submission.phase_id == phase.id).limit(1)
    if fixed and phase.observations is not None:
        raise ConflictError(
            f"{', '.join(sorted(fixed))} cannot change any more, since its observations were made "
            "by it: add another phase"
        )
    if fixed and session.scalar(used) is not None:
        raise ConflictError(
            f"{', '.join(sorted(fixed))} cannot change any more, since entries were judged by it: "
            "add another phase"
        )
    for name in changed:
        setattr(phase, name, columns[name])
    board_changed(session, phase.id)
    record(session, by, "edit_phase", f"phase:{phase.id}", now, fields=changed)
    session.flush()


def delete(session: Session, phase: Phase, *, by: User, now: datetime) -> None:
    """Remove a phase that nothing was handed in to.

    Raises
    ------
    ForbiddenError
        If `by` is no organiser.
    ConflictError
        If it has submissions.
    """
    require_organiser(by)
    used = select(Submission.id).where(Submission.phase_id == phase.id).limit(1)
    if session.scalar(used) is not None:
        raise ConflictError("the phase has submissions: close it instead")
    record(session, by, "delete_phase", f"phase:{phase.id}", now, name=phase.name)
    phase.challenge.phases.remove(phase)
    session.flush()


def secret_seed(session: Session, phase: Phase) -> int:
    """The phase's 256 secret bits, for drawing toys and nothing else.

    Raises
    ------
    NotFoundError
        If it has none: it was imported without.
    """
    found = session.get(PhaseSecret, phase.id)
    if found is None:
        raise NotFoundError(
            f"the phase {phase.name!r} has no seed (it was imported without): add a new phase"
        )
    return int(found.seed, 16)


def _check_for_results(settings: PhaseSettings) -> None:
    """Every observation is a set of its own: several of one truth would tell of each other."""
    if settings.kind != "public":
        raise RefusedError(
            "nothing can be run again on other observations where results are handed in: add a "
            "phase that teams hand in to, with scores hidden until it closes"
        )
    if settings.toys != 1:
        raise RefusedError(
            "where results are handed in, every observation has a truth of its own: give their "
            "number as sets, and 1 toy per set"
        )
    if settings.sets < FEWEST_OBSERVATIONS:
        raise RefusedError(
            f"{settings.sets} observations are too few for a score with an error: give at least "
            f"{FEWEST_OBSERVATIONS}"
        )


def _columns(settings: PhaseSettings) -> dict[str, Any]:
    columns = dict(vars(settings))
    columns["nuisances"] = list(settings.nuisances)
    columns["name"] = line(settings.name, "a phase's name")
    return columns


def _check(
    session: Session, challenge: Challenge, settings: PhaseSettings, present: Phase | None
) -> None:
    from sigma68.discover import load_task

    for name in ("sets", "toys", "per_day", "total", "parts"):
        if getattr(settings, name) < 1:
            raise RefusedError(f"{name} must be 1 or more, not {getattr(settings, name)}")
    for moment in (settings.opens, settings.closes):
        if moment.tzinfo is None:
            raise RefusedError(f"the time {moment} has no zone: give it in UTC")
    if settings.closes <= settings.opens:
        raise RefusedError("a phase must close after it opens")
    if settings.parts > settings.sets:
        raise RefusedError(f"{settings.sets} sets cannot be cut into {settings.parts} parts")
    if challenge.takes == "results":
        _check_for_results(settings)
    known = [nuisance.name for nuisance in load_task(challenge.task).nuisances]
    strange = sorted(set(settings.nuisances) - set(known))
    if strange:
        raise RefusedError(
            f"{challenge.task} has no nuisance {strange[0]!r}: choose from "
            f"{', '.join(known) or 'none'}"
        )
    clash = session.scalar(
        select(Phase.id).where(Phase.challenge_id == challenge.id, Phase.name == settings.name)
    )
    if clash is not None and (present is None or clash != present.id):
        raise ConflictError(f"there is a phase {settings.name!r} already: choose another name")
    if settings.kind == "final":
        origin = None if settings.draws_from is None else session.get(Phase, settings.draws_from)
        if origin is None or origin.challenge_id != challenge.id or origin.kind != "public":
            raise RefusedError("a final draws from a public phase of its challenge: name one")
        if settings.opens < origin.closes:
            raise RefusedError(
                f"a final opens when {origin.name!r} has closed ({origin.closes:%Y-%m-%d %H:%M} "
                "UTC), not before"
            )
    elif settings.draws_from is not None:
        raise RefusedError("only a final draws from another phase")
