"""Demonstration data: small challenges that take code or results, and entries judged live.

Nothing is made up: the entries are the template and variants of it, results are what is known
without a look at the data, and scores are those that this server's workers find.
"""

from __future__ import annotations

import json
import secrets
import tempfile
import zipfile
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from sigma68.challenge.results.make import make_observations
from sigma68.challenge.rules import accounts, board, challenges, submissions, teams
from sigma68.challenge.web.opening import OPENING, Announced, add_challenges
from sigma68.discover import load_task

if TYPE_CHECKING:
    from sigma68.challenge.store.stores import Store
    from sigma68.challenge.store.tables import User

__all__ = ["add_demo"]

_TEMPLATE = Path(__file__).parents[1] / "template" / "model.py"

_VARIANT = """\
from template import Model as Template


class Model(Template):
    def predict(self, test_set):
        answer = super().predict(test_set)
        half = {factor} * answer["delta_mu_hat"]
        return answer | {{"p16": answer["mu_hat"] - half, "p84": answer["mu_hat"] + half}}
"""

_ENTRIES = (("Counting", 1.0), ("Counting, wider", 1.6), ("Counting, bold", 0.5))
"""Teams, and by how much their intervals are stretched."""


def add_demo(store: Store, organiser: str, now: datetime) -> None:
    """Fill an empty store with challenges, teams and submissions that wait to be judged.

    Raises
    ------
    RefusedError
        If the store is not empty.
    """
    shorter = tuple(
        replace(
            one,
            source="emulated:7:2M",
            sets=5,
            toys=10,
            final_sets=10,
            public=timedelta(days=7),
            final=timedelta(days=7),
        )
        for one in OPENING
    )
    with store.write() as session:
        by = accounts.find(session, organiser)
        assert by is not None  # noqa: S101 (made just before)
        add_challenges(session, (*shorter, _MAPS), by, now, fit_seconds=300.0)
        for one in challenges.listing(session):
            board.announce(session, one, _TITLE, _TEXT, by=by, now=now)
        given = [one.phases[0].id for one in challenges.listing(session) if one.takes == "results"]
    for phase_id in given:
        make_observations(store, phase_id, now)
    for i, (name, factor) in enumerate(_ENTRIES, 1):
        with store.write() as session:
            user = accounts.create(session, f"demo-{i}", secrets.token_urlsafe(16), now)
            for one in challenges.listing(session):
                teams.create(session, one, user, name, now)
        _hand_in(store, user, name, factor, now)


_ABOUT_MAPS = """\
Matter between us and far galaxies distorts their images a little. A map of that distortion tells how
much matter there is, **Omega_m**, and how clumpy it is, **S8**.

You get 200 noisy maps and answer each with both parameters and their errors. Every map has a truth of
its own; what gas, stars and the distances of galaxies do to it is not known exactly, and differs from map
to map. Train on maps that `sigma68` makes (task `lensing`), on your own machine, with whatever you like.
"""

_MAPS = Announced(
    "weak-lensing",
    "Weak lensing",
    "How much matter is there, and how clumpy is it? Answer 200 maps of what gravity does to the "
    "images of galaxies, each with two numbers and their errors.",
    ("log10_T_AGN", "f0", "Delta_z"),
    (("overview", "Overview", _ABOUT_MAPS),),
    task="lensing",
    takes="results",
    sets=200,
    toys=1,
    public=timedelta(days=14),
)


_TITLE = "This is a demonstration"
_TEXT = """\
What the teams here handed in are variants of one entry, or of no knowledge at all, made by the server
itself when it began. Make an account, and hand in your own.
"""


def _hand_in(store: Store, user: User, name: str, factor: float, now: datetime) -> None:
    with tempfile.TemporaryDirectory(prefix="sigma68-demo-") as folder:
        entry, results = Path(folder) / "entry.zip", Path(folder) / "results.zip"
        with zipfile.ZipFile(entry, "w") as archive:
            archive.write(_TEMPLATE, "template.py")
            archive.writestr("model.py", _VARIANT.format(factor=factor))
        with zipfile.ZipFile(results, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("result.json", json.dumps(_without_looking(factor)))
        with store.read() as session:
            public = [(one.phases[0].id, one.takes) for one in challenges.listing(session)]
        for phase_id, takes in public:
            path = results if takes == "results" else entry
            submissions.submit(store, phase_id, user.id, path, name.lower(), now)


def _without_looking(factor: float) -> dict[str, list[list[float]]]:
    """The middle of every range for every map, its standard deviation times `factor` for an error."""
    ranges = [(one.low, one.high) for one in load_task(_MAPS.task).parameters]
    means = [(low + high) / 2 for low, high in ranges]
    errors = [factor * (high - low) / 12**0.5 for low, high in ranges]
    return {"means": [means] * _MAPS.sets, "errorbars": [errors] * _MAPS.sets}
