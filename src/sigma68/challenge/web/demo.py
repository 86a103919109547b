"""Demonstration data: both challenges with few pseudo-experiments, and entries that are judged live.

Nothing is made up: the entries are the template and variants of it, and their scores are those
that this server's workers find.
"""

from __future__ import annotations

import secrets
import tempfile
import zipfile
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from sigma68.challenge.rules import accounts, board, challenges, submissions, teams
from sigma68.challenge.web.opening import OPENING, add_challenges

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
        add_challenges(session, shorter, by, now, fit_seconds=300.0)
        for one in challenges.listing(session):
            board.announce(session, one, _TITLE, _TEXT, by=by, now=now)
    for i, (name, factor) in enumerate(_ENTRIES, 1):
        with store.write() as session:
            user = accounts.create(session, f"demo-{i}", secrets.token_urlsafe(16), now)
            for one in challenges.listing(session):
                teams.create(session, one, user, name, now)
        _hand_in(store, user, name, factor, now)


_TITLE = "This is a demonstration"
_TEXT = """\
The teams here are variants of one entry, handed in by the server itself when it began. Make an
account, and hand in your own.
"""


def _hand_in(store: Store, user: User, name: str, factor: float, now: datetime) -> None:
    with tempfile.TemporaryDirectory(prefix="sigma68-demo-") as folder:
        path = Path(folder) / "entry.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(_TEMPLATE, "template.py")
            archive.writestr("model.py", _VARIANT.format(factor=factor))
        with store.read() as session:
            public = [one.phases[0].id for one in challenges.listing(session)]
        for phase_id in public:
            submissions.submit(store, phase_id, user.id, path, name.lower(), now)
