"""A challenge's server to be tried: its process, an entry that costs nothing, teams with tokens."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sigma68.challenge.rules import accounts, challenges, phases, teams, tokens
from sigma68.challenge.store.stores import Store, open_store
from sigma68.challenge.store.tables import Challenge

ENTRY = """
class Model:
    def __init__(self, get_train_set=None, systematics=None):
        pass

    def fit(self):
        pass

    def predict(self, test_set):
        mu = len(test_set["data"]) / 1000.0
        return {"mu_hat": mu, "delta_mu_hat": 0.3, "p16": mu - 0.3, "p84": mu + 0.3}
"""
"""An entry that costs next to nothing."""

_OPENS_S = 120.0


@dataclass
class Server:
    """`sigma68 serve` on `folder`, as a process group of its own, with what it printed."""

    folder: Path
    workers: int
    process: subprocess.Popen[str] = field(init=False)
    port: int = field(init=False, default=0)
    reader: threading.Thread | None = field(init=False, default=None)

    def start(self) -> Server:
        words = ["serve", str(self.folder), "--empty", "--port", "0"]
        words += ["--workers", str(self.workers), "--trusted"]
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from sigma68.cli import main; main()", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        until = time.monotonic() + _OPENS_S
        for line in self.process.stdout:
            if line.startswith("open: "):
                self.port = int(line.rstrip("/\n").rpartition(":")[2])
                # Read on, or the server would wait for its pipe.
                self.reader = threading.Thread(target=self.process.stdout.read, daemon=True)
                self.reader.start()
                return self
            if time.monotonic() > until:
                break
        self.kill()
        raise RuntimeError(f"no server opened on {self.folder}")

    def kill(self) -> None:
        """SIGKILL of the server and of all processes that it started."""
        pids = [self.process.pid, *_below(self.process.pid)]
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue  # it ended by itself
        self._ended()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.kill()
        else:
            self._ended()

    def _ended(self) -> None:
        self.process.wait()
        if self.reader is not None:
            self.reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()


def _below(pid: int) -> list[int]:
    """The processes that `pid` started, and those that they did."""
    found: list[int] = []
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(one) for one in listed.read_text().split()]
        except FileNotFoundError:
            continue
        for child in children:
            found += [child, *_below(child)]
    return found


def entry_zip(padding: int = 0) -> bytes:
    """The zip of a cheap entry, which no two calls make the same."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("model.py", ENTRY)
        archive.writestr("weights.bin", os.urandom(padding))
    return made.getvalue()


@dataclass(frozen=True)
class Furnished:
    """What a server was given: its phase, and a token and the user of each team."""

    phase_id: int
    tokens: tuple[str, ...]
    users: tuple[int, ...]


def furnish(store: Store, n_teams: int, now: datetime, **settings: Any) -> Furnished:
    """An organiser, a challenge with an open phase, and teams of one with a token each."""
    with store.write() as session:
        boss = accounts.create_for_identity(session, "https://id", "boss", "boss", now)
        boss.role = "organiser"
        challenge = challenges.create(
            session, "load", "Load", "gaussian", now, by=boss, replay=0, fit_seconds=60.0
        )
        opened = phases.PhaseSettings(
            "Public",
            now - timedelta(days=1),
            now + timedelta(days=365),
            per_day=10**6,
            total=10**6,
            **settings,
        )
        phase = phases.add(session, challenge, opened, by=boss, now=now)
    made, users = [], []
    for i in range(n_teams):
        with store.write() as session:
            user = accounts.create_for_identity(session, "https://id", str(i), f"user{i}", now)
            found = session.get_one(Challenge, challenge.id)
            teams.create(session, found, user, f"team {i}", now)
            made.append(tokens.new_token(session, user, "load", now)[1])
            users.append(user.id)
    return Furnished(phase.id, tuple(made), tuple(users))


def store_of(folder: Path) -> Store:
    """The store that `sigma68 serve FOLDER` has."""
    return open_store(f"sqlite:///{folder.resolve() / 'challenge.db'}", str(folder / "files"))
