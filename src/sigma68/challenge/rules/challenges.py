"""Challenges with their pages and phases: made and edited by organisers, read by all."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from sigma68.challenge.rules.accounts import require_organiser
from sigma68.challenge.rules.audit import record
from sigma68.challenge.rules.refusals import ConflictError, NotFoundError, RefusedError
from sigma68.challenge.rules.texts import line, paragraphs
from sigma68.challenge.store.tables import Challenge, Page, Phase, PhaseSecret, Submission, User

__all__ = [
    "PhaseSettings",
    "add_phase",
    "by_slug",
    "create",
    "delete_phase",
    "edit",
    "edit_phase",
    "listing",
    "page",
    "phase",
    "phase_state",
    "secret_seed",
    "set_page",
]

State = Literal["before", "open", "closed"]
_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,62}[a-z0-9]")
_LIMITS = (
    *("predict_seconds", "fit_seconds", "memory_bytes", "max_processes", "disk_bytes"),
    *("replay", "epsilon"),
)
_TEXTS = ("title", "summary", "source", "visible", "logo", "bundle")


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


def create(
    session: Session,
    slug: str,
    title: str,
    task: str,
    now: datetime,
    *,
    by: User,
    source: str | None = None,
    **settings: Any,
) -> Challenge:
    """A new challenge without phases; `settings` are those that `edit` takes.

    Raises
    ------
    ForbiddenError
        If `by` is no organiser.
    SettingsError
        If there is no such task.
    RefusedError
        If something is not what it must be.
    ConflictError
        If the slug (the name in addresses) is taken.
    """
    from sigma68.discover import load_task

    require_organiser(by)
    if not _SLUG.fullmatch(slug):
        raise RefusedError(f"{slug!r} cannot stand in an address: use small letters, digits and -")
    if session.scalar(select(Challenge.id).where(Challenge.slug == slug)) is not None:
        raise ConflictError(f"there is a challenge {slug!r} already: choose another name")
    load_task(task)
    challenge = Challenge(
        slug=slug,
        title=line(title, "a title", most=200),
        task=task,
        source=source,
        created=now,
        phases=[],
        pages=[],
    )
    session.add(challenge)
    session.flush()
    edit(session, challenge, settings, by=by, now=now)
    return challenge


def edit(
    session: Session, challenge: Challenge, changes: Mapping[str, Any], *, by: User, now: datetime
) -> None:
    """Change titles, texts and limits of a challenge.

    Raises
    ------
    ForbiddenError
        If `by` is no organiser.
    RefusedError
        If a name or a value is not what it must be.
    """
    require_organiser(by)
    for name, value in changes.items():
        setattr(challenge, name, _checked(name, value))
    if changes:
        record(session, by, "edit_challenge", f"challenge:{challenge.id}", now, fields=[*changes])
    session.flush()


def set_page(
    session: Session,
    challenge: Challenge,
    slug: str,
    title: str,
    text: str,
    *,
    by: User,
    now: datetime,
    position: int | None = None,
) -> Page:
    """Write a page of Markdown, a new one or over the one called so.

    Raises
    ------
    ForbiddenError
        If `by` is no organiser.
    RefusedError
        If something is not what it must be.
    """
    require_organiser(by)
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,63}", slug):
        raise RefusedError(f"{slug!r} cannot stand in an address: use small letters, digits and -")
    found = page(session, challenge, slug)
    if found is None:
        found = Page(challenge_id=challenge.id, slug=slug, position=len(challenge.pages))
        challenge.pages.append(found)
    found.title = line(title, "a title", most=200)
    found.text = paragraphs(text, "a page", most=200_000, least=0)
    if position is not None:
        found.position = position
    record(session, by, "edit_page", f"challenge:{challenge.id}", now, page=slug)
    session.flush()
    return found


def page(session: Session, challenge: Challenge, slug: str) -> Page | None:
    """A page by its name in addresses."""
    return session.scalar(select(Page).where(Page.challenge_id == challenge.id, Page.slug == slug))


def listing(session: Session, *, hidden: bool = False) -> Sequence[Challenge]:
    """All challenges, newest first, with phases and pages; `hidden` adds those not shown yet."""
    query = (
        select(Challenge)
        .options(selectinload(Challenge.phases), selectinload(Challenge.pages))
        .order_by(Challenge.id.desc())
    )
    return session.scalars(query if hidden else query.where(Challenge.visible.is_(True))).all()


def by_slug(session: Session, slug: str, viewer: User | None = None) -> Challenge:
    """A challenge by its name in addresses, with phases and pages.

    Raises
    ------
    NotFoundError
        If there is none, or it is not shown yet and `viewer` is no organiser.
    """
    found = session.scalar(
        select(Challenge)
        .where(Challenge.slug == slug)
        .options(selectinload(Challenge.phases), selectinload(Challenge.pages))
    )
    if found is None or not (found.visible or (viewer is not None and viewer.role == "organiser")):
        raise NotFoundError(f"there is no challenge {slug!r}")
    return found


def phase(session: Session, phase_id: int) -> Phase:
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


def phase_state(phase: Phase, now: datetime) -> State:
    """Whether the phase has yet to open, is open, or has closed; its end is not part of it."""
    if now < phase.opens:
        return "before"
    return "open" if now < phase.closes else "closed"


def add_phase(
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
    _check_phase(session, challenge, settings, None)
    made = Phase(challenge_id=challenge.id, position=len(challenge.phases), **_columns(settings))
    challenge.phases.append(made)
    session.flush()
    session.add(PhaseSecret(phase_id=made.id, seed=secrets.token_hex(32)))
    record(session, by, "add_phase", f"phase:{made.id}", now, name=made.name)
    session.flush()
    return made


def edit_phase(
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
        If kind, sets, toys, nuisances, parts or origin are to change and it has submissions.
    """
    require_organiser(by)
    challenge = phase.challenge
    _check_phase(session, challenge, settings, phase)
    columns = _columns(settings)
    changed = sorted(name for name, value in columns.items() if getattr(phase, name) != value)
    fixed = {"kind", "sets", "toys", "nuisances", "draws_from", "parts"} & set(changed)
    used = select(Submission.id).where(Submission.phase_id == phase.id).limit(1)
    if fixed and session.scalar(used) is not None:
        raise ConflictError(
            f"{', '.join(sorted(fixed))} cannot change any more, since entries were judged by it: "
            "add another phase"
        )
    for name in changed:
        setattr(phase, name, columns[name])
    phase.version += 1
    record(session, by, "edit_phase", f"phase:{phase.id}", now, fields=changed)
    session.flush()


def delete_phase(session: Session, phase: Phase, *, by: User, now: datetime) -> None:
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


def _columns(settings: PhaseSettings) -> dict[str, Any]:
    columns = dict(vars(settings))
    columns["nuisances"] = list(settings.nuisances)
    columns["name"] = line(settings.name, "a phase's name")
    return columns


def _checked(name: str, value: Any) -> Any:
    """A value of `edit`, or a refusal."""
    if name in _LIMITS:
        if name == "epsilon" and value is None:
            return None
        least = 0 if name == "replay" else 1e-9
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= least:
            raise RefusedError(f"{name} must be a positive number, not {value!r}")
        return value
    if name not in _TEXTS:
        raise RefusedError(
            f"a challenge has no setting {name!r}: choose one of {', '.join(_TEXTS + _LIMITS)}"
        )
    if name == "title":
        return line(value, "a title", most=200)
    if name == "summary":
        return paragraphs(value, "a summary", most=2000, least=0)
    return value


def _check_phase(
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
