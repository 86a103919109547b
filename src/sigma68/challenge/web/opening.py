"""What an empty server begins with: an organiser, and the challenges it is there for."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sigma68.challenge.rules import accounts, challenges, phases
from sigma68.challenge.store.tables import Takes, User

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from sigma68.challenge.store.stores import Store

__all__ = ["Announced", "SignIn", "add_challenges", "first_organiser"]

ORGANISER = "organiser"


@dataclass(frozen=True)
class SignIn:
    """A name and the password that was made for it, to be shown once."""

    name: str
    password: str


@dataclass(frozen=True)
class Announced:
    """A challenge that a server can open with: its texts, and how long its phases are.

    `texts` are pages: name in addresses, title, Markdown. One that takes results has no final.
    """

    slug: str
    title: str
    summary: str
    nuisances: tuple[str, ...]
    texts: tuple[tuple[str, str, str], ...]
    task: str = "higgs"
    takes: Takes = "code"
    source: str | None = None
    sets: int = 10
    toys: int = 100
    final_sets: int = 1000
    public: timedelta = timedelta(days=90)
    final: timedelta = timedelta(days=14)


def first_organiser(store: Store, now: datetime, *, again: bool = False) -> SignIn | None:
    """An organiser with a random password, if there is none yet; None if there is one.

    With `again`, an account of this name gets another password.
    """
    password = secrets.token_urlsafe(12)
    with store.write() as session:
        known = accounts.find(session, ORGANISER)
        if known is not None and again:
            accounts.set_password(session, known, password)
            return SignIn(known.name, password)
        if any(user.role == "organiser" for user in accounts.listing(session, limit=100_000)):
            return None
        name = ORGANISER
        while accounts.find(session, name) is not None:
            name = f"{ORGANISER}-{secrets.token_hex(2)}"
        accounts.create(session, name, password, now, role="organiser")
    return SignIn(name, password)


def add_challenges(
    session: Session, announced: tuple[Announced, ...], by: User, now: datetime, **settings: Any
) -> None:
    """Open challenges with a public phase from now on and, for code, a final after it.

    Raises
    ------
    RefusedError
        If something is not what it must be.
    """
    start = now.replace(second=0, microsecond=0)
    # The first that is announced is to stand first, and the newest does.
    for one in reversed(announced):
        challenge = challenges.create(
            session,
            one.slug,
            one.title,
            one.task,
            now,
            by=by,
            source=one.source,
            takes=one.takes,
            summary=one.summary,
            **settings,
        )
        for name, title, text in one.texts:
            challenges.set_page(session, challenge, name, title, text, by=by, now=now)
        public = phases.add(
            session,
            challenge,
            phases.PhaseSettings(
                "Public phase",
                start,
                start + one.public,
                sets=one.sets,
                toys=one.toys,
                nuisances=one.nuisances,
            ),
            by=by,
            now=now,
        )
        if one.takes == "results":
            continue
        final = phases.PhaseSettings.final(
            "Final phase",
            public.closes,
            public.closes + one.final,
            public.id,
            nuisances=one.nuisances,
            sets=one.final_sets,
            toys=one.toys,
            parts=max(1, one.final_sets // 20),
        )
        phases.add(session, challenge, final, by=by, now=now)


ALL = ("tes", "jes", "soft_met", "ttbar_scale", "diboson_scale", "bkg_scale")

_OVERVIEW = """\
A collision at the Large Hadron Collider that makes a Higgs boson looks much like thousands that
do not. An entry learns from labelled, simulated events to tell them apart. It is then given
pseudo-experiments, each with all events that a detector would have seen, and no labels.

For each it answers with an interval on the signal strength **μ**, the rate of
H → ττ in units of the Standard Model's. In 68.27% of pseudo-experiments the interval must contain
the truth. It should be as narrow as it can be.

What makes this hard is that a simulation is never quite right. In every pseudo-experiment energies
may be mis-measured and backgrounds more frequent than they were in the training events, by amounts
that nobody tells. An interval that does not know this is too narrow.
"""

_RULES = """\
Entries are written by teams; anybody may make one. Whoever knows the truth of a phase, or helped
to make it, does not take part. One person has one account and is in one team.

In the final each team is represented by one entry. For a prize, write a fact sheet about it and
publish its code, for training too, under an open licence.
"""

_TEXTS = (("overview", "Overview", _OVERVIEW), ("rules", "Rules", _RULES))

OPENING = (
    Announced(
        "higgs-uncertainty",
        "HiggsML Uncertainty Challenge",
        "How often is a Higgs boson made that decays to two tau leptons? Measure its signal "
        "strength μ in simulated collisions whose energy scales and background rates are not "
        "what you were trained on, and say honestly how well you know it.",
        ALL,
        _TEXTS,
    ),
    Announced(
        "higgs-no-systematics",
        "HiggsML without Systematics",
        "The same measurement with a simulation that is exactly right: a place to begin.",
        (),
        _TEXTS,
    ),
)
"""The challenge of the papers, and its twin for beginners."""
