"""A small server to play with: a store in a folder, people, a challenge with two phases."""

from __future__ import annotations

import io
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from sigma68.challenge.queue.worker import Judge, Worker
from sigma68.challenge.rules import accounts, challenges, phases, submissions, teams
from sigma68.challenge.rules.leaderboards import Leaderboard, leaderboard
from sigma68.challenge.rules.phases import PhaseSettings
from sigma68.challenge.store.stores import Store, open_store
from sigma68.challenge.store.tables import Challenge, Phase, Submission, Team, User

OPENS = datetime(2026, 3, 2, tzinfo=UTC)
CLOSES = OPENS + timedelta(days=30)
FINAL_CLOSES = CLOSES + timedelta(days=2)
ISSUER = "https://id.example"


def zipped(source: str = "class Model:\n    pass\n", name: str = "model.py") -> bytes:
    """The bytes of a zip with one file."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(name, source)
    return made.getvalue()


@dataclass
class World:
    """A server at the time `now`: a public phase of 2 x 3 toys, then a final of 4 x 5."""

    folder: Path
    store: Store
    now: datetime = OPENS + timedelta(hours=12)
    organiser_id: int = 0
    challenge_id: int = 0
    public_id: int = 0
    final_id: int = 0
    people: dict[str, int] = field(default_factory=dict)

    def later(self, **by: float) -> datetime:
        """Let time pass."""
        self.now += timedelta(**by)
        return self.now

    def person(self, name: str) -> int:
        """A user without a password: hashing takes its time."""
        if name not in self.people:
            with self.store.write() as session:
                made = accounts.create_for_identity(session, ISSUER, name, name, self.now)
                self.people[name] = made.id
        return self.people[name]

    def team(self, name: str) -> int:
        """A team of one, who has its name."""
        user_id = self.person(name)
        with self.store.write() as session:
            user = session.get_one(User, user_id)
            found = teams.team_of(session, self.challenge_id, user)
            if found is None:
                challenge = session.get_one(Challenge, self.challenge_id)
                found = teams.create(session, challenge, user, f"team {name}", self.now)
            return found.id

    def submit(self, name: str, content: bytes | None = None) -> int:
        """Hand in an entry as the team of `name`."""
        self.team(name)
        upload = self.folder / f"{name}.zip"
        upload.write_bytes(zipped() if content is None else content)
        return submissions.submit(
            self.store, self.public_id, self.people[name], upload, f"{name}.zip", self.now
        )

    def status(self, submission_id: int) -> str:
        with self.store.read() as session:
            return session.get_one(Submission, submission_id).status

    def board(self, *, final: bool = False, viewer: int | None = None) -> Leaderboard:
        with self.store.read() as session:
            phase = session.get_one(Phase, self.final_id if final else self.public_id)
            user = None if viewer is None else session.get_one(User, viewer)
            return leaderboard(session, phase, self.now, user)

    def finalists(self) -> dict[str, Submission]:
        """The submissions of the final, by the team's name."""
        with self.store.read() as session:
            rows = session.execute(
                select(Team.name, Submission)
                .join(Submission, Submission.team_id == Team.id)
                .where(Submission.phase_id == self.final_id)
            )
            return {name.removeprefix("team "): one for name, one in rows}

    def worker(self, judge: Judge, **settings: object) -> Worker:
        """A worker whose clock is the world's."""
        return Worker(
            self.store,
            judge,
            self.folder / "work",
            isolate="trusted",
            clock=lambda: self.now,
            **settings,  # type: ignore[arg-type]
        )

    def work(self, judge: Judge) -> int:
        """Do all that waits; how many jobs that were."""
        return self.worker(judge).work(until_empty=True)


def make_world(folder: Path, **public: object) -> World:
    """A new server below `folder`; `public` are settings of its public phase."""
    store = open_store(f"sqlite:///{folder}/challenge.db", str(folder / "files"))
    return furnish(World(folder, store), **public)


def furnish(world: World, **public: object) -> World:
    """Give an empty server its organiser, challenge and phases."""
    world.organiser_id = world.person("organiser")
    with world.store.write() as session:
        organiser = session.get_one(User, world.organiser_id)
        organiser.role = "organiser"
        challenge = challenges.create(session, "toys", "Toys", "gaussian", world.now, by=organiser)
        settings = {"sets": 2, "toys": 3, **public}
        opened = phases.add(
            session,
            challenge,
            PhaseSettings("Public", OPENS, CLOSES, **settings),  # type: ignore[arg-type]
            by=organiser,
            now=world.now,
        )
        final = phases.add(
            session,
            challenge,
            PhaseSettings.final("Final", CLOSES, FINAL_CLOSES, opened.id, sets=4, toys=5, parts=2),
            by=organiser,
            now=world.now,
        )
        world.challenge_id, world.public_id, world.final_id = challenge.id, opened.id, final.id
    return world


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A closed server to copy: making its tables takes longer than a test."""
    made = make_world(tmp_path_factory.mktemp("template"))
    made.store.close()
    return made


@pytest.fixture
def world(template: World, tmp_path: Path) -> Iterator[World]:
    """A server of its own for a test."""
    shutil.copytree(template.folder, tmp_path, dirs_exist_ok=True)
    store = open_store(f"sqlite:///{tmp_path}/challenge.db", str(tmp_path / "files"))
    made = replace(template, folder=tmp_path, store=store, people=dict(template.people))
    yield made
    store.close()
