"""Stores: one that holds something in every table, and empty ones."""

from __future__ import annotations

import hashlib
import math
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sigma68.challenge.exchange.export import export_all
from sigma68.challenge.rules import accounts, challenges, phases, teams
from sigma68.challenge.store import tables
from sigma68.challenge.store.stores import Store, open_store

NOW = datetime(2026, 5, 4, 12, 30, 15, 123457, tzinfo=UTC)
AWKWARD = '=1+1, "quoted"\nsecond line, \u00b5 \u2264 3 \U0001f9ea'

OpenStore = Callable[[str], Store]


def opened(folder: Path) -> Store:
    return open_store(f"sqlite:///{folder}/challenge.db", str(folder / "files"))


@pytest.fixture(scope="session")
def empty_server(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a server that has never been used."""
    folder = tmp_path_factory.mktemp("empty")
    opened(folder).close()
    return folder


@pytest.fixture(scope="session")
def full_server(tmp_path_factory: pytest.TempPathFactory, empty_server: Path) -> Path:
    """The folder of a server after a while: every table has a row, with awkward values."""
    folder = tmp_path_factory.mktemp("full")
    shutil.copytree(empty_server, folder, dirs_exist_ok=True)
    store = opened(folder)
    fill(store, folder)
    store.close()
    return folder


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory, full_server: Path) -> Path:
    """An export of that server, JSON alone; not to be changed."""
    store = opened(full_server)
    folder = tmp_path_factory.mktemp("exported")
    export_all(store, folder, NOW, formats=())
    store.close()
    return folder


@pytest.fixture
def new_store(tmp_path: Path, empty_server: Path) -> Iterator[OpenStore]:
    """Opens a store of that name below the test's folder, an empty one."""
    stores: list[Store] = []

    def open_it(name: str) -> Store:
        shutil.copytree(empty_server, tmp_path / name)
        stores.append(opened(tmp_path / name))
        return stores[-1]

    yield open_it
    for store in stores:
        store.close()


@pytest.fixture
def full_store(tmp_path: Path, full_server: Path) -> Iterator[Store]:
    """A copy of the server that holds something in every table."""
    shutil.copytree(full_server, tmp_path / "full")
    store = opened(tmp_path / "full")
    yield store
    store.close()


@pytest.fixture
def an_export(tmp_path: Path, exported: Path) -> Path:
    """A copy of the export, to be tampered with."""
    return shutil.copytree(exported, tmp_path / "out")


def fill(store: Store, tmp_path: Path) -> None:
    zipped = tmp_path / "entry.zip"
    zipped.write_bytes(bytes(range(256)) * 10)
    toys = tmp_path / "toys.parquet"
    frame = pd.DataFrame(
        {"set": [0, 0], "toy": [0, 1], "mu": [1 / 3, 1 / 3], "p16": [0.1 + 0.2, math.nan]}
    )
    frame.assign(status=["ok", "failed"]).to_parquet(toys)
    with store.write() as session:
        organiser = accounts.create(session, "Olga", "a long password", NOW, role="organiser")
        ann = accounts.create(session, "Ann", "another password", NOW, email="ann@example.org")
        challenge = challenges.create(
            session, "higgs-uncertainty", "Uncertain", "gaussian", NOW, by=organiser, epsilon=0.02
        )
        challenges.set_page(session, challenge, "rules", "Rules", AWKWARD, by=organiser, now=NOW)
        public = phases.add(
            session,
            challenge,
            phases.PhaseSettings("Public", NOW, NOW + timedelta(days=30), nuisances=("shift",)),
            by=organiser,
            now=NOW,
        )
        final = phases.add(
            session,
            challenge,
            phases.PhaseSettings.final(
                "Final", NOW + timedelta(days=31), NOW + timedelta(days=40), public.id, sets=4
            ),
            by=organiser,
            now=NOW,
        )
        other = challenges.create(
            session, "maps", "Maps", "lensing", NOW, by=organiser, takes="results"
        )
        given_away = phases.add(
            session,
            other,
            phases.PhaseSettings("Given away", NOW, NOW + timedelta(days=30), sets=20, toys=1),
            by=organiser,
            now=NOW,
        )
        add_observations(session, store, given_away, zipped, toys)
        # A number that points ahead of itself must come back as well.
        team = teams.create(session, challenge, ann, "Tail catchers", NOW)
        add_work(session, store, team, ann, organiser, public, final, zipped, toys)


def add_observations(session, store, phase, zipped, toys) -> None:  # type: ignore[no-untyped-def]
    """A file that a phase gives away, and its truths."""
    store.files.put("observations/one.npz", zipped)
    store.files.put("truths/one.parquet", toys, private=True)
    session.add(
        tables.Observations(
            phase_id=phase.id,
            name="maps.npz",
            file="observations/one.npz",
            sha256="0" * 64,
            n_bytes=2560,
            n_observations=20,
            made=NOW,
        )
    )
    session.flush()
    session.add(
        tables.ObservationTruths(phase_id=phase.id, file="truths/one.parquet", sha256="e" * 64)
    )
    session.flush()


def add_work(session, store, team, ann, organiser, public, final, zipped, toys) -> None:  # type: ignore[no-untyped-def]
    """A submission with all that can hang on one, and a row in each table that is left."""
    store.files.put("entries/one.zip", zipped)
    store.files.put("toys/one.parquet", toys)
    entry = tables.Entry(
        team_id=team.id,
        user_id=ann.id,
        name=AWKWARD,
        file="entries/one.zip",
        sha256=hashlib.sha256(zipped.read_bytes()).hexdigest(),
        fingerprint="f" * 32,
        n_files=2,
        n_bytes=2560,
        created=NOW,
    )
    session.add(entry)
    session.flush()
    common = {"team_id": team.id, "entry_id": entry.id, "user_id": ann.id, "created": NOW}
    later = tables.Submission(key="a" * 32, phase_id=final.id, status="running", **common)
    session.add(later)
    session.flush()
    first = tables.Submission(
        key="b" * 32, phase_id=public.id, status="finished", done=2, total=2, **common
    )
    session.add(first)
    session.flush()
    later.source_id = first.id
    sums = np.arange(6, dtype=np.float64).reshape(3, 2) / 7
    session.add_all(
        [
            tables.Result(
                submission_id=first.id,
                created=NOW,
                score=0.1 + 0.2,
                score_low=-1e-300,
                score_high=5e-324,
                width=None,
                coverage=2 / 3,
                ranked=True,
                n_toys=2,
                n_failed=1,
                cpu_seconds=1234.5678901234567,
                energy_joules=None,
                flags=["order_dependent"],
                failures={"failed": 1},
                toys="toys/one.parquet",
                sha256="0" * 64,
                document={"per_set": [{"mu": 1 / 3}], "text": AWKWARD, "none": None},
                sums=sums.tobytes(),
            ),
            tables.FactSheet(
                submission_id=first.id,
                method=AWKWARD,
                code_url="https://example.org/code",
                licence="BSD-3-Clause",
                updated=NOW,
            ),
            tables.Choice(team_id=team.id, phase_id=public.id, submission_id=first.id, chosen=NOW),
            tables.JuryMark(
                submission_id=first.id, juror_id=organiser.id, novel=7, notes=AWKWARD, updated=NOW
            ),
            tables.LogLine(submission_id=first.id, at=NOW, text=AWKWARD),
            tables.FailedUpload(
                phase_id=public.id, team_id=team.id, name="x.zip", at=NOW, reason="no model.py"
            ),
            tables.Announcement(
                challenge_id=public.challenge_id,
                author_id=organiser.id,
                title="Open",
                text=AWKWARD,
                created=NOW,
            ),
            tables.Identity(user_id=ann.id, issuer="https://example.org", subject="42"),
            tables.Token(user_id=ann.id, name="laptop", digest="d" * 64, created=NOW),
        ]
    )
    question = tables.Question(
        challenge_id=public.challenge_id, author_id=None, title="Why?", text="-", created=NOW
    )
    job = tables.Job(
        key=f"final:{final.id}:0",
        kind="final",
        phase_id=final.id,
        status="queued",
        created=NOW,
        not_before=NOW,
    )
    session.add_all([question, job])
    session.flush()
    session.add_all(
        [
            tables.Answer(question_id=question.id, author_id=organiser.id, text="b", created=NOW),
            tables.Piece(job_id=job.id, submission_id=later.id, cpu_seconds=0.5),
        ]
    )
