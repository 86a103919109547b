"""Names to hide behind: an adjective, a particle or a thing of the trade, and a number."""

from __future__ import annotations

import secrets
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

__all__ = ["new_pseudonym"]

_KINDS = (
    *("amber", "brisk", "calm", "candid", "clear", "dapper", "eager", "fair", "gentle", "honest"),
    *("jolly", "keen", "lively", "merry", "mild", "nimble", "patient", "plain", "proud", "quick"),
    *("quiet", "rapid", "sharp", "silent", "sober", "steady", "subtle", "sunny", "swift", "wry"),
)
_THINGS = (
    *("anvil", "baryon", "beacon", "boson", "calorimeter", "cascade", "chamber", "cosmic"),
    *("electron", "flavour", "gluon", "hadron", "kaon", "lepton", "likelihood", "magnet", "meson"),
    *("muon", "neutrino", "photon", "pion", "plasma", "prior", "proton", "pull", "quark"),
    *("scintillator", "sigma", "spark", "spinor", "tau", "tracker", "trigger", "vertex"),
)


def new_pseudonym(session: Session, column: Any, *where: Any) -> str:
    """A random name that no row matching `where` has in `column`."""
    while True:
        number = secrets.randbelow(900) + 100
        name = f"{secrets.choice(_KINDS)} {secrets.choice(_THINGS)} {number}"
        if session.scalar(select(column).where(column == name, *where).limit(1)) is None:
            return name
