"""A server on loopback with a clock that the tests set, and people who use it."""

from __future__ import annotations

import io
import re
import secrets
import socket
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from sigma68.challenge.rules import accounts, challenges, phases
from sigma68.challenge.store.stores import Store, open_store
from sigma68.challenge.store.tables import User
from sigma68.challenge.web.app import create_app
from sigma68.challenge.web.settings import ServerSettings

START = datetime(2030, 6, 1, 12, 0, tzinfo=UTC)
PASSWORD = "a long password"


@dataclass
class Site:
    """A running server: its address, its store, and the time that it believes."""

    address: str
    store: Store
    clock: list[datetime] = field(default_factory=lambda: [START])
    visitors: list[Visitor] = field(default_factory=list)

    @property
    def now(self) -> datetime:
        return self.clock[0]

    def later(self, **span: float) -> None:
        self.clock[0] += timedelta(**span)

    def visitor(self) -> Visitor:
        self.visitors.append(Visitor(self))
        return self.visitors[-1]

    def close(self) -> None:
        for visitor in self.visitors:
            visitor.http.close()
        self.store.close()

    def person(self, name: str, role: str = "participant") -> Visitor:
        """Somebody with an account, signed in."""
        with self.store.write() as session:
            accounts.create(session, name, PASSWORD, self.now, role=role)  # type: ignore[arg-type]
        visitor = self.visitor()
        answer = visitor.post("/sign-in", {"name": name, "password": PASSWORD, "next": "/account"})
        assert answer.status_code == 200, answer.text
        return visitor


class Visitor:
    """A browser without a screen: keeps cookies, sends a page's forms as it got them."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.http = httpx.Client(
            base_url=site.address, follow_redirects=True, timeout=30, verify=False
        )

    def get(self, path: str) -> httpx.Response:
        return self.http.get(path)

    def form_token(self, path: str) -> str:
        found = re.search(r'name="form_token" value="([0-9a-f]+)"', self.get(path).text)
        assert found, f"{path} has no form"
        return found[1]

    def post(
        self, path: str, fields: dict[str, Any] | None = None, *, page: str = "", **more: Any
    ) -> httpx.Response:
        """Send the form of `page` (a page with any form, if left out) to `path`."""
        where = page or ("/account" if self.signed_in() else "/sign-in")
        data = {"form_token": self.form_token(where), **(fields or {})}
        return self.http.post(path, data=data, **more)

    def signed_in(self) -> bool:
        return "Sign out" in self.get("/").text


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """The application on a free port of loopback."""
    held = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="warning", access_log=False, ws="none", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [held]}, daemon=True)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.01)
        yield f"http://127.0.0.1:{held.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        held.close()


def new_site(folder: Path, address: str = "http://127.0.0.1", **settings: Any) -> tuple[Site, Any]:
    """A site that is not served yet, and its application."""
    store = open_store(f"sqlite:///{folder / 'challenge.db'}", str(folder / "files"))
    site = Site("", store)
    given = ServerSettings(address, secrets.token_bytes(32), **settings)
    return site, create_app(given, store, clock=lambda: site.clock[0])


@pytest.fixture(autouse=True)
def _quick_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes that cost next to nothing: how slow they are is not what is tested here."""
    from argon2 import PasswordHasher

    quick = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    nobody = quick.hash(PASSWORD)
    monkeypatch.setattr(accounts, "_hasher", lambda: quick)
    monkeypatch.setattr(accounts, "_hash_of_nobody", lambda: nobody)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A server with one challenge, `small`, whose public phase is open and whose final will be."""
    made, app = new_site(tmp_path)
    with made.store.write() as session:
        organiser = accounts.create(session, "root", PASSWORD, START, role="organiser")
        add_challenge(session, organiser)
    with serving(app) as address:
        made.address = address
        yield made
        made.close()


def add_challenge(session: Any, by: User, slug: str = "small") -> None:
    """A challenge on the task whose answer is known, with tiny phases."""
    challenge = challenges.create(
        session, slug, "A small challenge", "gaussian", START, by=by, summary="Two Gaussians."
    )
    public = phases.add(
        session,
        challenge,
        phases.PhaseSettings(
            "Public phase", START - timedelta(days=1), START + timedelta(days=10), sets=2, toys=3
        ),
        by=by,
        now=START,
    )
    final = phases.PhaseSettings.final(
        "Final phase", public.closes, public.closes + timedelta(days=5), public.id, sets=2, toys=3
    )
    phases.add(session, challenge, final, by=by, now=START)


MODEL = """
class Model:
    def __init__(self, get_train_set=None, systematics=None):
        self.get_train_set = get_train_set

    def fit(self):
        self.n = float(self.get_train_set()["weights"].sum())

    def predict(self, test_set):
        mu = len(test_set["data"]) / self.n
        return {"mu_hat": mu, "delta_mu_hat": 0.1, "p16": mu - 0.1, "p84": mu + 0.1}
"""


def zipped(text: str = MODEL, name: str = "model.py") -> bytes:
    """An entry as the bytes of a zip."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(name, text)
    return made.getvalue()
