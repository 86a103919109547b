"""Challenges with their pages and phases: made and edited by organisers, read by all."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from sigma68.challenge.rules.accounts import require_organiser
from sigma68.challenge.rules.audit import record
from sigma68.challenge.rules.observations import results_task
from sigma68.challenge.rules.refusals import ConflictError, NotFoundError, RefusedError
from sigma68.challenge.rules.texts import line, paragraphs
from sigma68.challenge.store.tables import Challenge, Page, Takes, User

__all__ = [
    "by_slug",
    "create",
    "edit",
    "listing",
    "page",
    "set_page",
]

_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,62}[a-z0-9]")
_LIMITS = (
    *("predict_seconds", "fit_seconds", "memory_bytes", "max_processes", "disk_bytes"),
    *("replay", "epsilon"),
)
_TEXTS = ("title", "summary", "source", "visible", "logo", "bundle")


def create(
    session: Session,
    slug: str,
    title: str,
    task: str,
    now: datetime,
    *,
    by: User,
    source: str | None = None,
    takes: Takes = "code",
    **settings: Any,
) -> Challenge:
    """A new challenge without phases; `settings` are those that `edit` takes.

    `takes` says for good whether code or results are handed in.

    Raises
    ------
    ForbiddenError
        If `by` is no organiser.
    SettingsError
        If there is no such task.
    RefusedError
        If something is not what it must be, or results are nothing that the task takes.
    ConflictError
        If the slug (the name in addresses) is taken.
    """
    from sigma68.discover import load_task

    require_organiser(by)
    if not _SLUG.fullmatch(slug):
        raise RefusedError(f"{slug!r} cannot stand in an address: use small letters, digits and -")
    if session.scalar(select(Challenge.id).where(Challenge.slug == slug)) is not None:
        raise ConflictError(f"there is a challenge {slug!r} already: choose another name")
    if takes == "results":
        results_task(task)
    elif takes == "code":
        load_task(task)
    else:
        raise RefusedError(f"a challenge takes code or results, not {takes!r}")
    challenge = Challenge(
        slug=slug,
        title=line(title, "a title", most=200),
        task=task,
        takes=takes,
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
