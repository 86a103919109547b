"""A server with a worker of its own, and a browser to use it with."""

from __future__ import annotations

import io
import os
import secrets
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.events import made_events

from sigma68.challenge.queue.pool import Workers, WorkerSettings
from sigma68.challenge.rules import accounts, challenges, phases
from sigma68.challenge.store.stores import Store, open_store
from sigma68.challenge.web.app import create_app
from sigma68.challenge.web.settings import ServerSettings
from tests.challenge.web.conftest import serving
from tests.requirements_of_machine import need

PASSWORD = "a long password"
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
PATIENCE_MS = 90_000


@dataclass
class House:
    """A running server with one challenge, `wild`, on a few made-up Higgs events."""

    address: str
    store: Store

    def account(self, name: str, role: str = "participant") -> None:
        with self.store.write() as session:
            if accounts.find(session, name) is None:
                now = datetime.now(UTC)
                accounts.create(session, name, PASSWORD, now, role=role)  # type: ignore[arg-type]

    def end(self, position: int) -> None:
        """Let the phase at `position` close now, and let one after it open."""
        now = datetime.now(UTC)
        with self.store.write() as session:
            by = accounts.find(session, "root")
            assert by is not None
            found = challenges.by_slug(session, "wild").phases
            _edit(session, found[position], by, now, closes=now)
            if position + 1 < len(found):
                _edit(session, found[position + 1], by, now, opens=now)


def _edit(session: Any, phase: Any, by: Any, now: datetime, **times: datetime) -> None:
    names = phases.PhaseSettings.__dataclass_fields__
    same = {name: getattr(phase, name) for name in names}
    same["nuisances"] = tuple(phase.nuisances)
    phases.edit(session, phase, phases.PhaseSettings(**same | times), by=by, now=now)


@pytest.fixture(scope="package")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    need("chromium")
    need("bwrap")
    folder = tmp_path_factory.mktemp("house")
    database, files = f"sqlite:///{folder / 'challenge.db'}", str(folder / "files")
    store = open_store(database, files)
    now = datetime.now(UTC)
    with store.write() as session:
        root = accounts.create(session, "root", PASSWORD, now, role="organiser")
        challenge = challenges.create(
            session,
            "wild",
            "Higgs bosons in the wild",
            "higgs",
            now,
            by=root,
            source=_source(folder),
            summary="How often is a Higgs boson made?",
            replay=0,  # tested where the judge is
        )
        public = phases.PhaseSettings(
            "Public phase",
            now - timedelta(days=1),
            now + timedelta(hours=1),
            sets=2,
            toys=2,
            nuisances=("tes", "jes", "soft_met"),
        )
        first = phases.add(session, challenge, public, by=root, now=now)
        final = phases.PhaseSettings.final(
            "Final phase",
            first.closes,
            first.closes + timedelta(hours=1),
            first.id,
            nuisances=public.nuisances,
            sets=2,
            toys=2,
        )
        phases.add(session, challenge, final, by=root, now=now)
    app = create_app(ServerSettings("http://127.0.0.1", secrets.token_bytes(32)), store)
    settings = WorkerSettings(database, files, folder / "judging")
    with serving(app) as address, Workers(settings, 1):
        yield House(address, store)
    store.close()


def _source(folder: Path) -> str:
    """Where the events are: few that were made up, but for entries that others published."""
    if "SIGMA68_PUBLIC_ENTRIES" in os.environ:
        return "embedded"
    events = made_events(20_000, seed=5)
    events["weights"] *= np.float32(0.05)
    events.to_parquet(folder / "events.parquet")
    return str(folder / "events.parquet")


@pytest.fixture(scope="package")
def chromium() -> Iterator[Any]:
    need("chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield browser
        browser.close()


def sign_in(page: Any, house: House, name: str) -> None:
    page.goto(f"{house.address}/sign-in")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    with page.expect_navigation():  # or the next page would be asked for before this one answered
        page.get_by_role("button", name="Sign in").click()


def zipped(folder: Path, name: str, **files: str) -> Path:
    """A zip in `folder`, whose files lie one level down, as people make them."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for file, text in files.items():
            archive.writestr(f"{name}/{file.replace('__', '.')}", text)
    path = folder / f"{name}.zip"
    path.write_bytes(made.getvalue())
    return path
