"""Challenges as organisers make them: texts, limits, phases."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from sigma68.challenge.rules import challenges, finals, phases
from sigma68.challenge.rules.refusals import NotFoundError, RefusedError
from sigma68.challenge.store.tables import Challenge, Phase
from sigma68.challenge.web.forms import ChangeDep, Posted, PostedDep
from sigma68.challenge.web.pages.challenge import task_of
from sigma68.challenge.web.pages.frame import OWN_PAGES
from sigma68.challenge.web.visits import Visit, VisitDep
from sigma68.errors import SettingsError

__all__ = ["router"]

router = APIRouter(prefix="/admin/challenges")

_MIB = 1 << 20
_NEW = ("slug", "title", "task", "takes", "source")


@router.get("/new")
def new_page(visit: VisitDep) -> Response:
    """The form for a new challenge."""
    return _new_page(visit)


def _new_page(visit: Visit, status: int = 200, error: str | None = None, **typed: str) -> Response:
    from sigma68.discover import task_names

    visit.organiser()
    fields = {"slug": "", "title": "", "task": "higgs", "takes": "code", "source": ""} | typed
    return visit.page(
        "new_challenge.html",
        status,
        tasks=[(name, name) for name in task_names()],
        error=error,
        **fields,
    )


@router.post("/new")
def new(visit: ChangeDep, posted: PostedDep) -> Response:
    """A new challenge, which nobody but organisers sees until it is made public."""
    typed = {name: posted.text(name).strip() for name in _NEW}
    try:
        made = challenges.create(
            visit.session,
            typed["slug"],
            typed["title"],
            typed["task"],
            visit.now,
            by=visit.organiser(),
            source=typed["source"] or None,
            takes="results" if typed["takes"] == "results" else "code",
            visible=False,
        )
    except (RefusedError, SettingsError) as error:
        return _new_page(visit.again(), 422, str(error), **typed)
    return visit.go(f"/admin/challenges/{made.slug}", "It is made; nobody else sees it yet.")


@router.get("/{slug}")
def edit_page(slug: str, visit: VisitDep) -> Response:
    """Texts, limits and phases of a challenge."""
    return _edit_page(visit, slug)


def _edit_page(visit: Visit, slug: str, status: int = 200, error: str | None = None) -> Response:
    visit.organiser()
    challenge = visit.challenge(slug)
    texts = {page.slug: page for page in challenge.pages}
    return visit.page(
        "edit_challenge.html",
        status,
        edited=challenge,
        own=[(name, texts.get(name)) for name in OWN_PAGES],
        further=[page for page in challenge.pages if page.slug not in OWN_PAGES],
        mib=_MIB,
        error=error,
    )


@router.post("/{slug}")
def edit(slug: str, visit: ChangeDep, posted: PostedDep) -> Response:
    """Keep the title, the summary and the limits."""
    by, challenge = visit.organiser(), visit.challenge(slug)
    try:
        changes: dict[str, Any] = {
            "title": posted.text("title"),
            "summary": posted.text("summary"),
            "source": posted.text("source").strip() or None,
            "visible": posted.flag("visible"),
        }
        if challenge.takes == "code":
            changes |= _limits(posted)
        challenges.edit(visit.session, challenge, changes, by=by, now=visit.now)
    except RefusedError as error:
        return _edit_page(visit.again(), slug, error.status, str(error))
    return visit.go(f"/admin/challenges/{slug}", "Kept.")


def _limits(posted: Posted) -> dict[str, Any]:
    """What an entry may use, as the form says."""
    return {
        "predict_seconds": posted.number("predict_seconds", "predict", least=0.1, most=86400),
        "fit_seconds": posted.number("fit_seconds", "fit", least=1, most=30 * 86400),
        "memory_bytes": _MIB * posted.whole("memory_mib", "the memory", least=64, most=1 << 24),
        "disk_bytes": _MIB * posted.whole("disk_mib", "the disk space", least=1, most=1 << 24),
        "max_processes": posted.whole("max_processes", "processes", least=8, most=100_000),
        "replay": posted.whole("replay", "replayed toys", most=10_000),
    }


@router.post("/{slug}/pages")
def set_page(slug: str, visit: ChangeDep, posted: PostedDep) -> Response:
    """Keep a text."""
    by, challenge = visit.organiser(), visit.challenge(slug)
    name = posted.text("name").strip()
    title = posted.text("title") or name.replace("-", " ").capitalize()
    try:
        challenges.set_page(
            visit.session, challenge, name, title, posted.text("text"), by=by, now=visit.now
        )
    except RefusedError as error:
        return _edit_page(visit.again(), slug, error.status, str(error))
    return visit.go(f"/admin/challenges/{slug}#pages", "The text is kept.")


@router.get("/{slug}/phases/new")
def new_phase_page(slug: str, visit: VisitDep) -> Response:
    """The form for a new phase, filled with what the papers have."""
    challenge = visit.challenge(slug)
    every = [one.name for one in task_of(challenge.task).nuisances]
    start = visit.now.replace(minute=0, second=0, microsecond=0)
    blank = Phase(
        name="Public phase",
        kind="public",
        opens=start,
        closes=start + timedelta(days=90),
        sets=10,
        toys=100,
        nuisances=every,
        per_day=5,
        total=100,
        updates="at once",
        hidden=False,
        draws_from=None,
        parts=1,
    )
    if challenge.takes == "results":
        blank.sets, blank.toys, blank.name = 1000, 1, _phase_name(challenge)
        return _phase_page(visit, challenge, blank)
    public = next((one for one in challenge.phases if one.kind == "public"), None)
    if public is not None:
        blank.name, blank.kind, blank.hidden = "Final phase", "final", True
        blank.sets, blank.draws_from = 1000, public.id
        blank.opens, blank.closes = public.closes, public.closes + timedelta(days=14)
    return _phase_page(visit, challenge, blank)


def _phase_name(challenge: Challenge) -> str:
    """A name that no phase has yet."""
    return f"Phase {len(challenge.phases) + 1}" if challenge.phases else "Public phase"


@router.get("/{slug}/phases/{phase_id}")
def phase_page(slug: str, phase_id: int, visit: VisitDep) -> Response:
    """The form to change a phase."""
    challenge, phase = _found(visit, slug, phase_id)
    return _phase_page(visit, challenge, phase)


def _found(visit: Visit, slug: str, phase_id: int) -> tuple[Challenge, Phase]:
    visit.organiser()
    challenge = visit.challenge(slug)
    phase = phases.find(visit.session, phase_id)
    if phase.challenge_id != challenge.id:
        raise NotFoundError(f"{challenge.title} has no phase {phase_id}")
    return challenge, phase


def _phase_page(
    visit: Visit, challenge: Challenge, phase: Any, status: int = 200, error: str | None = None
) -> Response:
    visit.organiser()
    return visit.page(
        "phase.html",
        status,
        edited=challenge,
        phase=phase,
        nuisances=[one.name for one in task_of(challenge.task).nuisances],
        origins=[(one.id, one.name) for one in challenge.phases if one.kind == "public"],
        candidates=(
            finals.candidates(visit.session, phase) if phase.kind == "final" and phase.id else []
        ),
        error=error,
    )


def _settings(posted: Posted) -> phases.PhaseSettings:
    """What the form says."""
    is_final = posted.text("kind") == "final"
    return phases.PhaseSettings(
        name=posted.text("name"),
        kind="final" if is_final else "public",
        opens=posted.time("opens", "the opening"),
        closes=posted.time("closes", "the end"),
        sets=posted.whole("sets", "sets", least=1, most=100_000),
        toys=posted.whole("toys", "toys", least=1, most=100_000),
        nuisances=tuple(posted.all("nuisances")),
        per_day=posted.whole("per_day", "submissions a day", least=1, most=100_000),
        total=posted.whole("total", "submissions in all", least=1, most=1_000_000),
        updates="daily" if posted.text("updates") == "daily" else "at once",
        hidden=posted.flag("hidden"),
        parts=posted.whole("parts", "jobs", least=1, most=10_000),
    )


def _with_origin(settings: phases.PhaseSettings, posted: Posted) -> phases.PhaseSettings:
    if settings.kind != "final":
        return settings
    return replace(settings, draws_from=posted.whole("draws_from", "the phase drawn from"))


@router.post("/{slug}/phases/new")
def new_phase(slug: str, visit: ChangeDep, posted: PostedDep) -> Response:
    """Add a phase."""
    by, challenge = visit.organiser(), visit.challenge(slug)
    try:
        settings = _with_origin(_settings(posted), posted)
        phases.add(visit.session, challenge, settings, by=by, now=visit.now)
    except RefusedError as error:
        visit.again()
        return visit.go(f"/admin/challenges/{slug}/phases/new", str(error), "bad")
    return visit.go(f"/admin/challenges/{slug}#phases", f"{settings.name} is added.")


@router.post("/{slug}/phases/{phase_id}")
def edit_phase(slug: str, phase_id: int, visit: ChangeDep, posted: PostedDep) -> Response:
    """Change a phase, or remove one that is empty."""
    challenge, phase = _found(visit, slug, phase_id)
    by, name = visit.organiser(), phase.name
    try:
        if posted.flag("delete"):
            phases.delete(visit.session, phase, by=by, now=visit.now)
            return visit.go(f"/admin/challenges/{slug}#phases", f"{name} is removed.")
        settings = _with_origin(_settings(posted), posted)
        phases.edit(visit.session, phase, settings, by=by, now=visit.now)
    except RefusedError as error:
        visit.again()
        return _phase_page(visit, challenge, phase, error.status, str(error))
    return visit.go(f"/admin/challenges/{slug}#phases", f"{settings.name} is changed.")
