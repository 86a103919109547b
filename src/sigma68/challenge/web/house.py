"""What all requests share: settings, the store, the clock, limits, cookies, templates, static files."""

from __future__ import annotations

import hashlib
import mimetypes
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from sigma68 import __version__
from sigma68.challenge.web import words
from sigma68.challenge.web.limits import Limiter
from sigma68.challenge.web.oidc import Provider
from sigma68.challenge.web.settings import ServerSettings
from sigma68.challenge.web.tickets import Tickets

if TYPE_CHECKING:
    from sigma68.challenge.rules.leaderboards import LeaderboardRow
    from sigma68.challenge.store.stores import Store

__all__ = ["Clock", "House", "utc_now"]

Clock = Callable[[], datetime]

_STATIC = Path(__file__).parent / "static"


def utc_now() -> datetime:
    """The time by this machine's clock."""
    return datetime.now(UTC)


class House:
    """One server's shared things; made once, read by all requests."""

    def __init__(self, settings: ServerSettings, store: Store, *, clock: Clock = utc_now) -> None:
        self.settings = settings
        self.store = store
        self.clock = clock
        self.limiter = Limiter()
        self.tickets = Tickets(settings.secret, settings.session_seconds)
        # The prefix has browsers refuse the cookie from anything but this very host, by https.
        self.cookie = "__Host-visit" if settings.is_https else "visit"
        self.provider = (
            Provider(settings.oidc, f"{settings.address}/oidc/back") if settings.oidc else None
        )
        self.static = _static_files()
        # The drawn table of each phase's board, with the rows it was drawn from.
        self.tables: dict[tuple[int, str], tuple[tuple[LeaderboardRow, ...], str]] = {}
        self._shared = {
            "site": settings.name,
            "address": settings.address,
            "registration": settings.registration,
            "oidc_label": settings.oidc.label if settings.oidc else None,
            "challenge": None,
            "error": None,
        }

    def render(self, template: str, context: Mapping[str, Any]) -> str:
        """The template filled in with `context` and with what all templates may use."""
        return _templates().get_template(template).render({**self._shared, **context})


@cache
def _templates() -> Environment:
    templates = Environment(
        loader=PackageLoader("sigma68.challenge.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= words.FILTERS
    files = _static_files()
    templates.globals |= {
        "version": __version__,
        "static": lambda name: f"/static/{name}?v={files[name].version}",
    }
    return templates


@cache
def _static_files() -> Mapping[str, _Static]:
    return {path.name: _Static(path) for path in sorted(_STATIC.iterdir())}


class _Static:
    """A static file in memory, with a version that changes when it does."""

    def __init__(self, path: Path) -> None:
        self.content = path.read_bytes()
        self.version = hashlib.sha256(self.content).hexdigest()[:12]
        self.kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
