"""What Codabench insists on in a bundle, said before it is uploaded.

From its documentation of competition.yaml and the sizes of its database's fields.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from sigma68.challenge.exchange.bundle import BundleChallenge, BundleLeaderboard

__all__ = ["problems"]

_LONGEST: Final = {"title": 256, "docker_image": 128, "reward": 256, "contact_email": 256}
_LONGEST_OF_COLUMN: Final = 36
_RULES: Final = (
    *("Add", "Add_And_Delete", "Add_And_Delete_Multiple", "Force_Last", "Force_Latest_Multiple"),
    "Force_Best",
)


def problems(challenge: BundleChallenge) -> list[str]:
    """Why Codabench would refuse the bundle, a sentence each; empty if it would take it."""
    return [*_of_texts(challenge), *_of_phases(challenge), *_of_leaderboards(challenge)]


def _of_texts(challenge: BundleChallenge) -> Iterator[str]:
    if not challenge.title:
        yield "the challenge has no title: give it one"
    for name, longest in _LONGEST.items():
        if len(getattr(challenge, name)) > longest:
            yield f"the {name} has more than {longest} characters: shorten it"
    if challenge.image is None:
        yield "the challenge has no logo: give it a PNG or JPEG"
    if challenge.terms is None or not challenge.terms.content:
        yield "the challenge has no terms: write a page of terms"
    for page in challenge.pages:
        if not page.content:
            yield f"the page {page.title!r} is empty: write something, or remove it"
        if not page.title or len(page.title) > 255:
            yield f"the page {page.title[:40]!r} needs a title of at most 255 characters"


def _of_phases(challenge: BundleChallenge) -> Iterator[str]:
    tasks = {task.index for task in challenge.tasks}
    if not challenge.phases:
        yield "the challenge has no phase: add one"
    for phase in challenge.phases:
        if not phase.tasks or not tasks >= set(phase.tasks):
            yield f"the phase {phase.name!r} has no task that is there"
        if not phase.name or len(phase.name) > 256:
            yield f"the phase {phase.name[:40]!r} needs a name of at most 256 characters"
        if phase.end is not None and phase.end <= phase.start:
            yield f"the phase {phase.name!r} ends before it starts: correct its dates"
    for first, second in pairwise(challenge.phases):
        if first.end is None:
            yield f"the phase {first.name!r} needs an end: another one follows"
        elif first.end >= second.start:
            yield (
                f"the phase {second.name!r} must start after {first.name!r} has ended: Codabench "
                "has one phase at a time"
            )
    if challenge.phases and challenge.phases[0].auto_migrate_to_this_phase:
        yield "the first phase has none before it to take submissions from"


def _of_leaderboards(challenge: BundleChallenge) -> Iterator[str]:
    if not challenge.leaderboards:
        yield "the challenge has no leaderboard: add one"
    for board in challenge.leaderboards:
        if not board.title or len(board.title) > 64 or not board.key or len(board.key) > 36:
            yield (
                f"the leaderboard {board.title[:40]!r} needs a title of at most 64 characters and "
                "a key of at most 36"
            )
        if board.submission_rule not in _RULES:
            yield f"the leaderboard {board.title!r} needs a submission_rule of {', '.join(_RULES)}"
        yield from _of_columns(board)


def _of_columns(board: BundleLeaderboard) -> Iterator[str]:
    if not board.columns:
        yield f"the leaderboard {board.title!r} has no columns: add one"
    if len({column.key for column in board.columns}) < len(board.columns):
        yield f"two columns of {board.title!r} share their key: give each its own"
    indexes = {column.index for column in board.columns}
    if len(indexes) < len(board.columns):
        yield f"two columns of {board.title!r} share their index: give each its own"
    for column in board.columns:
        if max(len(column.title), len(column.key)) > _LONGEST_OF_COLUMN or not column.title:
            yield f"the column {column.key[:40]!r} needs a title and a key of at most 36 characters"
        of = set(column.computation_indexes)
        if (column.computation is not None) != bool(of) or not of <= indexes - {column.index}:
            yield f"the column {column.key!r} must be computed from other columns, or from none"
