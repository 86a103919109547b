"""Which phases of a challenge give observations away, and which have none yet."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select

from sigma68.challenge.rules.refusals import NotFoundError
from sigma68.challenge.store.tables import Challenge, ObservationTruths
from sigma68.files import make_folder, replacing

if TYPE_CHECKING:
    from sigma68.challenge.store.stores import Store

__all__ = ["Giving", "copy_given", "phases_that_give"]


@dataclass(frozen=True)
class Giving:
    """A phase and the key and name of the file that it gives away, None before it is made.

    `is_whole` says that its truths are there, too.
    """

    phase_id: int
    phase: str
    key: str | None
    name: str | None
    is_whole: bool


def phases_that_give(store: Store, slug: str, phase: str | None = None) -> list[Giving]:
    """The phases of a challenge in their order, or the one called `phase`.

    Raises
    ------
    NotFoundError
        If there is no such challenge or phase.
    """
    with store.read() as session:
        challenge = session.scalar(select(Challenge).where(Challenge.slug == slug))
        if challenge is None:
            raise NotFoundError(f"there is no challenge {slug!r} on this server")
        found = [one for one in challenge.phases if phase in (None, one.name)]
        if not found:
            names = ", ".join(repr(one.name) for one in challenge.phases) or "none"
            raise NotFoundError(f"{slug} has no phase {phase or 'yet'!r}; there are: {names}")
        return [
            Giving(
                one.id,
                one.name,
                None if one.observations is None else one.observations.file,
                None if one.observations is None else one.observations.name,
                session.get(ObservationTruths, one.id) is not None,
            )
            for one in found
        ]


def copy_given(store: Store, giving: Giving, folder: Path) -> Path:
    """Copy what a phase gives away to `folder`/phase-NUMBER-NAME; the path.

    Raises
    ------
    NotFoundError
        If it has not been made.
    DataError
        If the store has lost it.
    OutputError
        If it cannot be written.
    """
    if giving.key is None or giving.name is None:
        raise NotFoundError(f"the observations of {giving.phase!r} have not been made yet")
    make_folder(folder)
    target = folder / f"phase-{giving.phase_id}-{giving.name}"
    with store.files.local(giving.key) as path, replacing(target) as part:
        shutil.copyfile(path, part)
    return target
