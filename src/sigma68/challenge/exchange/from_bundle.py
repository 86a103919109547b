"""A bundle of Codabench's as a challenge of ours.

Its pages, dates, limits and logo are taken over. Its programs are never run: entries are judged
by ours, on the task that is named, or that the bundle tells. What no column holds is kept with the
challenge as it was.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from sigma68.challenge.exchange.bundle import BundleChallenge, BundlePhase
from sigma68.challenge.exchange.bundle_read import OpenBundle, open_bundle, picture_kind
from sigma68.challenge.exchange.fields import Fields
from sigma68.challenge.exchange.html_text import html_to_markdown
from sigma68.challenge.exchange.origins import Asked, asked_by, task_with
from sigma68.challenge.exchange.phase_settings import PhaseSettings
from sigma68.challenge.rules import challenges
from sigma68.challenge.rules import phases as phase_rules
from sigma68.challenge.rules.accounts import find, require_organiser
from sigma68.challenge.store.tables import Challenge, Phase, User
from sigma68.errors import ExchangeError
from sigma68.printable import printable

if TYPE_CHECKING:
    from sigma68.challenge.store.stores import Store

__all__ = ["ImportedBundle", "import_bundle"]

_ENDLESS: Final = timedelta(days=3650)
_NO_LIMIT: Final = 1_000_000
_LONGEST_SLUG: Final = 64
_SOURCE: Final = re.compile(r"[a-z]+(:[A-Za-z0-9]{1,20}){0,4}")
_LIMITS: Final = ("memory_bytes", "max_processes", "disk_bytes", "replay")
_NOT_KEPT: Final = ("title", "description", "phases", "pages", "terms", "image")


@dataclass(frozen=True)
class ImportedBundle:
    """The challenge that was made: its name in addresses, and sentences for its organiser."""

    slug: str
    notes: tuple[str, ...]


def import_bundle(
    store: Store,
    path: Path,
    now: datetime,
    *,
    by: str | None = None,
    slug: str | None = None,
    task: str | None = None,
    source: str | None = None,
) -> ImportedBundle:
    """Make a challenge of the bundle at `path`, a folder or zip; nobody but organisers sees it yet.

    Parameters
    ----------
    by:
        The name of the organiser whose challenge it is; the first one if left out.
    slug:
        Its name in addresses; made from the title if left out.
    task, source:
        What is measured, and where its events are from; what the bundle tells if left out.

    Raises
    ------
    ExchangeError
        If the bundle is not safe, does not fit together, or does not tell its task.
    RefusedError
        If the rules refuse what it says.
    OutputError
        If the store cannot be written.
    """
    with TemporaryDirectory(prefix="sigma68-bundle-") as scratch:
        bundle = open_bundle(path, Path(scratch))
        described = bundle.challenge
        asked = {one.index: asked_by(one, bundle.root, Path(scratch)) for one in described.tasks}
        making = _Making(bundle, asked, list(bundle.notes), now)
        logo = _store_logo(store, bundle)
        with store.write() as session:
            organiser = _organiser(session, by)
            settings = making.settings(task, source)
            wanted = slug or _free_slug(session, making.slug())
            made = challenges.create(
                session, wanted, _line(described.title, 200), by=organiser, now=now, **settings
            )
            if logo is not None:
                challenges.edit(session, made, {"logo": logo}, by=organiser, now=now)
            making.pages(session, made, organiser)
            making.phases(session, made, organiser)
        return ImportedBundle(wanted, tuple(making.notes))


class _Making:
    """A challenge in the making: what the bundle says, and what is to be said of it."""

    def __init__(
        self, bundle: OpenBundle, asked: dict[int, Asked], notes: list[str], now: datetime
    ) -> None:
        self.bundle = bundle
        self.described: BundleChallenge = bundle.challenge
        self.asked = asked
        self.notes = notes
        self.now = now
        self.task = ""

    def slug(self) -> str:
        """The name in addresses that the challenge had, or one made from its title."""
        had = self._own("slug")
        name = had if isinstance(had, str) else self.described.title
        made = _slug(name)
        return made if len(made) > 1 else "challenge"

    def settings(self, task: str | None, source: str | None) -> dict[str, Any]:
        """What `challenges.create` is told; task and source are the bundle's unless given."""
        own = next((one.settings for one in self.asked.values() if one.settings), None)
        told = [name for one in self.asked.values() for name in one.nuisances or ()]
        self.task = task or (own.task if own else None) or task_with(told) or ""
        if not self.task:
            raise ExchangeError(
                "the bundle does not tell which task it is about: name one (see: sigma68 tasks)"
            )
        settings: dict[str, Any] = {
            "task": self.task,
            "source": source or self._source(own),
            "summary": self.described.description[:2000],
            "visible": False,
            "bundle": _kept(self.described),
        }
        if own is not None:
            settings |= {"epsilon": own.epsilon, "predict_seconds": own.predict_seconds}
            settings["fit_seconds"] = own.fit_seconds
            server = Fields(own.server, "settings.json: server")
            settings |= {n: server.whole(n, most=2**50) for n in _LIMITS if server.has(n)}
        elif any(one.index in self.asked for one in self.described.tasks):
            self.notes.append(
                "the bundle's own programs are not run: entries are judged by sigma68 on the task "
                f"{self.task!r}"
            )
        return settings

    def _source(self, own: PhaseSettings | None) -> str | None:
        """Where the bundle has its events from, if that is a name and no place on this machine."""
        if own is None or own.source is None:
            return None
        if _SOURCE.fullmatch(own.source) and not Path(own.source).exists():
            return own.source
        self.notes.append(
            f"the bundle has its events from {printable(own.source, 80)!r}, which is no name of a "
            "source: the task's own are taken"
        )
        return None

    def pages(self, session: Session, made: Challenge, by: User) -> None:
        """All pages, and the terms where they are not one of them."""
        given = list(self.described.pages)
        terms = self.described.terms
        if terms is not None and terms.content not in [page.content for page in given]:
            given.append(terms)
        taken: set[str] = set()
        for page in given:
            slug = _distinct(_slug(page.title) or "page", taken)
            taken.add(slug)
            text = html_to_markdown(page.content) if page.is_html else page.content
            title = _line(page.title, 200) or "Page"
            challenges.set_page(session, made, slug, title, text, by=by, now=self.now)

    def phases(self, session: Session, made: Challenge, by: User) -> None:
        """The phases in order; one that takes over submissions is a final, if it can be."""
        names: set[str] = set()
        before: Phase | None = None
        given = self.described.phases
        for i, phase in enumerate(given):
            following = self._opens(given[i + 1]) if i + 1 < len(given) else None
            settings = self._phase(phase, following, before)
            settings = replace(settings, name=_distinct(settings.name, names))
            names.add(settings.name)
            added = phase_rules.add(session, made, settings, by=by, now=self.now)
            before = added if added.kind == "public" else before

    def _phase(
        self, phase: BundlePhase, following: datetime | None, before: Phase | None
    ) -> phase_rules.PhaseSettings:
        asked = self.asked[phase.tasks[0]]
        if len(phase.tasks) > 1:
            self.notes.append(f"the phase {phase.name!r} has several tasks: the first one is taken")
        own = asked.settings
        server = self._server(phase)
        kind = self._kind(phase, server, before)
        return phase_rules.PhaseSettings(
            name=_line(phase.name, 60) or f"Phase {phase.index + 1}",
            opens=self._opens(phase),
            closes=self._closes(phase, following, server),
            kind=kind,
            sets=(own.sets if own else asked.sets) or 10,
            toys=(own.toys if own else asked.toys) or 100,
            nuisances=self._nuisances(phase, asked),
            per_day=self._limit(phase, phase.max_submissions_per_day, server, "per_day"),
            total=self._limit(phase, phase.max_submissions, server, "total"),
            updates="daily" if server.text("updates", "") == "daily" else "at once",
            hidden=server.flag("hidden", phase.hide_score_output),
            draws_from=before.id if kind == "final" and before is not None else None,
            parts=server.whole("parts", 1, least=1),
        )

    def _server(self, phase: BundlePhase) -> Fields:
        """What a server of ours said of the phase; empty if none did."""
        own = self.asked[phase.tasks[0]].settings
        return Fields(own.server if own else {}, f"the phase {phase.name!r}: server")

    def _opens(self, phase: BundlePhase) -> datetime:
        return _nearly(phase.start, self._server(phase).moment("opens"))

    def _kind(
        self, phase: BundlePhase, server: Fields, before: Phase | None
    ) -> Literal["public", "final"]:
        wanted = server.text("kind", "final" if phase.auto_migrate_to_this_phase else "public")
        if wanted != "final":
            return "public"
        if before is None:
            self.notes.append(
                f"the phase {phase.name!r} is no final here: no public phase is before it"
            )
            return "public"
        return "final"

    def _closes(self, phase: BundlePhase, following: datetime | None, server: Fields) -> datetime:
        if phase.end is None:
            self.notes.append(f"the phase {phase.name!r} has no end: it closes after ten years")
            return phase.start + _ENDLESS
        closes = _nearly(phase.end, server.moment("closes"))
        return closes if following is None else min(closes, following)

    def _limit(self, phase: BundlePhase, said: int | None, server: Fields, name: str) -> int:
        had = server.whole(name, 0)
        if had and phase.max_submissions == 1 and phase.auto_migrate_to_this_phase:
            return had
        if said is None:
            self.notes.append(f"the phase {phase.name!r} has no limit {name}: it is {_NO_LIMIT:,}")
        return said or _NO_LIMIT

    def _nuisances(self, phase: BundlePhase, asked: Asked) -> tuple[str, ...]:
        from sigma68.discover import load_task

        known = [nuisance.name for nuisance in load_task(self.task).nuisances]
        told = asked.settings.nuisances if asked.settings else asked.nuisances
        if told is None:
            self.notes.append(
                f"the phase {phase.name!r} does not tell what varies: all nuisances do, in sets "
                "and toys of the usual numbers"
            )
            return tuple(known)
        unknown = sorted(set(told) - set(known))
        if unknown:
            self.notes.append(
                f"the phase {phase.name!r} varies {unknown[0]!r}, which {self.task} has not got"
            )
        return tuple(name for name in known if name in told)

    def _own(self, name: str) -> Any:
        """A setting of the server that the bundle is from, if that was one of ours."""
        return next(
            (one.settings.server.get(name) for one in self.asked.values() if one.settings), None
        )


def _organiser(session: Session, name: str | None) -> User:
    """The organiser of that name, or the first there is."""
    if name is None:
        first = select(User).where(User.role == "organiser", User.disabled.is_(False))
        found = session.scalar(first.order_by(User.id).limit(1))
        if found is None:
            raise ExchangeError("there is no organiser here yet: make somebody one first")
        return found
    named = find(session, name)
    if named is None:
        raise ExchangeError(f"there is no user {name!r} here: name an organiser")
    require_organiser(named)
    return named


def _store_logo(store: Store, bundle: OpenBundle) -> str | None:
    """The key of the logo in the store; the same picture has the same."""
    if bundle.challenge.image is None:
        return None
    path = bundle.root.folder / bundle.challenge.image
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    key = f"logos/{digest[:32]}.{picture_kind(path)}"
    store.files.put(key, path)
    return key


def _kept(described: BundleChallenge) -> dict[str, Any]:
    """What the bundle says beyond the challenge's columns, as JSON holds it."""
    kept = {name: value for name, value in asdict(described).items() if name not in _NOT_KEPT}
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in kept.items()
    }


def _free_slug(session: Session, slug: str) -> str:
    return _distinct(slug, set(session.scalars(select(Challenge.slug))))


def _distinct(name: str, taken: Sequence[str] | set[str]) -> str:
    """The name, with a number after it where it is taken."""
    number, made = 1, name
    while made in taken:
        number += 1
        made = f"{name[: _LONGEST_SLUG - 5]}-{number}"
    return made


def _slug(title: str) -> str:
    """A title as it may stand in an address; empty if nothing of it can."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower())[: _LONGEST_SLUG - 4].strip("-")


def _line(text: str, most: int) -> str:
    return " ".join(text.split())[:most].strip()


def _nearly(said: datetime, exact: datetime | None) -> datetime:
    """The exact time where the bundle means it, but for the two seconds that its format can cost."""
    return exact if exact is not None and abs(exact - said) < timedelta(seconds=2) else said
