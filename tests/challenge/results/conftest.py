"""A server with a challenge that takes results: 20 maps to be answered, made once and copied."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from sigma68.challenge.results.make import make_observations
from sigma68.challenge.rules import challenges, phases
from sigma68.challenge.store.stores import open_store
from sigma68.challenge.store.tables import ObservationTruths, User
from tests.challenge.server_world import CLOSES, OPENS, World

N = 20
NUISANCES = ("log10_T_AGN", "f0", "Delta_z")


def results(means: npt.NDArray[np.float64], errors: npt.NDArray[np.float64]) -> bytes:
    """A zip of results."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        text = json.dumps({"means": means.tolist(), "errorbars": errors.tolist()})
        archive.writestr("result.json", text)
    return made.getvalue()


def truths(world: World) -> pd.DataFrame:
    """The truths, which only the server has."""
    with world.store.read() as session:
        row = session.get_one(ObservationTruths, world.public_id)
    with world.store.files.local(row.file) as path:
        return pd.read_parquet(path)


def answers(world: World, *, off: float = 0.0, error: float = 0.1) -> bytes:
    """Results that are `off` the truth by so much everywhere."""
    means = truths(world)[["Omega_m", "S8"]].to_numpy() + off
    return results(means, np.full_like(means, error))


def furnished(folder: Path, task: str = "lensing") -> World:
    """A server whose observations have not been made."""
    store = open_store(f"sqlite:///{folder}/challenge.db", str(folder / "files"))
    world = World(folder, store)
    world.organiser_id = world.person("organiser")
    with store.write() as session:
        by = session.get_one(User, world.organiser_id)
        by.role = "organiser"
        challenge = challenges.create(
            session, "maps", "Maps", task, world.now, by=by, takes="results"
        )
        settings = phases.PhaseSettings(
            "Public", OPENS, CLOSES, sets=N, toys=1, nuisances=NUISANCES
        )
        opened = phases.add(session, challenge, settings, by=by, now=world.now)
        world.challenge_id, world.public_id = challenge.id, opened.id
    return world


@pytest.fixture(scope="session")
def maps_template(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A closed server to copy."""
    made = furnished(tmp_path_factory.mktemp("maps"))
    make_observations(made.store, made.public_id, made.now)
    made.store.close()
    return made


@pytest.fixture
def maps(maps_template: World, tmp_path: Path) -> Iterator[World]:
    """A server of its own for a test, its maps given away."""
    shutil.copytree(maps_template.folder, tmp_path, dirs_exist_ok=True)
    store = open_store(f"sqlite:///{tmp_path}/challenge.db", str(tmp_path / "files"))
    made = replace(maps_template, folder=tmp_path, store=store, people=dict(maps_template.people))
    yield made
    store.close()
