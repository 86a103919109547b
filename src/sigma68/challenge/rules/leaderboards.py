"""Who is where: a board of each team's best, with errors, ties and what may not be seen yet.

A board is made from sums over sets, which every result has with it, and kept in memory until its
phase's version or, where a phase updates daily, the day changes.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
from sqlalchemy import select
from sqlalchemy.orm import Session

from sigma68.challenge.rules.phases import state
from sigma68.challenge.rules.views import shown_until
from sigma68.challenge.store.tables import Phase, Result, Submission, Team, User
from sigma68.score.resampling import N_RESAMPLES, SetSums
from sigma68.score.standings import bootstrap_scores, tie_groups

__all__ = ["Leaderboard", "LeaderboardRow", "best_of_each", "leaderboard", "packed", "unpacked"]

INDICATIVE_RESAMPLES = 2000
"""Resamples of entries that saw different toys, whose ties are rough anyway."""

_MOST_KEPT = 2000
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LeaderboardRow:
    """One team's place. `rank` is the number of its tie group, None for one that is not ranked.

    `team` is the name or pseudonym to show. `score_low` and `score_high` bound the central
    68.27% of the bootstrap over sets, `coverage_low` and `coverage_high` are Clopper and
    Pearson's. `energy_known` is "measured", "estimated" or "". `n_submissions` counts what the
    team has had judged in the phase.
    """

    rank: int | None
    team_id: int
    team: str
    submission_id: int
    score: float | None
    score_low: float | None
    score_high: float | None
    width: float | None
    coverage: float | None
    coverage_low: float | None
    coverage_high: float | None
    rescaled_width: float | None
    n_toys: int
    n_failed: int
    cpu_seconds: float
    energy_joules: float | None
    energy_known: str
    flags: tuple[str, ...]
    n_submissions: int
    submitted: datetime


@dataclass(frozen=True)
class Leaderboard:
    """The board of a phase, best first, those that are not ranked last.

    `hidden` is why it is empty for this viewer (a sentence), None where it is not. `indicative`
    says that entries saw different toys, so that ties are rough. `as_of` is the time of the
    last update where a phase updates daily. `notes` are sentences to stand below it.
    """

    rows: tuple[LeaderboardRow, ...]
    hidden: str | None
    indicative: bool
    as_of: datetime
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Known:
    """A result that was read, and whether it can have a place."""

    row: LeaderboardRow
    ranked: bool


@dataclass(frozen=True)
class _Board:
    """A board of one version of its phase, made at a time by the monotonic clock, in s."""

    version: int
    made: float
    rows: tuple[LeaderboardRow, ...]


class _Memory:
    """What one database's boards are made of: results never change, so that all of it can be kept."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.boards: dict[tuple[Any, ...], _Board] = {}
        self.results: dict[int, _Known] = {}
        self.scores: dict[int, FloatArray] = {}
        self.groups: dict[tuple[Any, ...], tuple[tuple[str, ...], ...]] = {}

    def forget(self) -> None:
        """Let go of what was learnt first, where there is too much of it."""
        kept: tuple[dict[Any, Any], ...] = (self.boards, self.results, self.scores, self.groups)
        for one in kept:
            while len(one) > _MOST_KEPT:
                del one[next(iter(one))]


_MEMORIES: WeakKeyDictionary[Any, _Memory] = WeakKeyDictionary()


def leaderboard(
    session: Session,
    phase: Phase,
    now: datetime,
    viewer: User | None = None,
    *,
    max_age: float = 0.0,
) -> Leaderboard:
    """The leaderboard of `phase` as `viewer` may see it now.

    Organisers see everything at once; all others see what the phase's settings allow at `now`.
    They may be shown a board that was made up to `max_age` seconds ago: then results that come in
    all the time do not make every reader wait for a new one.
    """
    is_organiser = viewer is not None and viewer.role == "organiser"
    until = now if is_organiser else shown_until(phase, now)
    indicative = phase.kind == "public" and phase.challenge.takes == "code"
    if until is None:
        why = f"scores are hidden until {phase.name!r} closes at {phase.closes:%Y-%m-%d %H:%M} UTC"
        return Leaderboard((), why, indicative, now, ())
    # What was made up to now is everything, whatever the time is.
    age = 0.0 if is_organiser else max_age
    rows = _rows(session, phase, None if until == now else until, age)
    if not rows and state(phase, now) == "closed" and _is_awaited(session, phase):
        return Leaderboard((), f"{phase.name!r} is still being judged", indicative, until, ())
    return Leaderboard(rows, None, indicative, until, _notes(phase, rows))


def _is_awaited(session: Session, phase: Phase) -> bool:
    """Whether a final has results to come: it has not begun, or is being judged."""
    under_way = select(Submission.id).where(
        Submission.phase_id == phase.id, Submission.status.in_(("queued", "running"))
    )
    return phase.kind == "final" and (
        phase.started is None or session.scalar(under_way.limit(1)) is not None
    )


def best_of_each(
    session: Session, phase: Phase, until: datetime | None = None
) -> dict[int, tuple[int, int]]:
    """Each team's best submission in a phase and how many it has had judged, by team.

    The best is the one of the highest score, of several the first; one with too many failures
    is better than nothing. `until` leaves out results made later.
    """
    query = (
        select(Submission.team_id, Submission.id, Result.ranked, Result.score)
        .join(Result, Result.submission_id == Submission.id)
        .where(Submission.phase_id == phase.id, Submission.status == "finished")
        .order_by(Submission.id)
    )
    if until is not None:
        query = query.where(Result.created <= until)
    best: dict[int, tuple[tuple[bool, float], int]] = {}
    counts: dict[int, int] = {}
    for team_id, submission_id, ranked, score in session.execute(query):
        counts[team_id] = counts.get(team_id, 0) + 1
        value = (bool(ranked), -math.inf if score is None else float(score))
        if team_id not in best or value > best[team_id][0]:
            best[team_id] = (value, submission_id)
    return {team_id: (found[1], counts[team_id]) for team_id, found in best.items()}


def packed(sums: SetSums) -> bytes:
    """Sums over sets as they are kept: float64, shape (3, n_sets)."""
    return np.array([sums.width, sums.covered, sums.n], dtype="<f8").tobytes()


def unpacked(content: bytes) -> SetSums:
    """What `packed` made."""
    width, covered, n = np.frombuffer(content, dtype="<f8").reshape(3, -1)
    return SetSums(width, covered, n)


def _rows(
    session: Session, phase: Phase, until: datetime | None, max_age: float
) -> tuple[LeaderboardRow, ...]:
    # One memory for each pool of connections: a test's database is not the next one's.
    memory = _MEMORIES.setdefault(session.get_bind().engine.pool, _Memory())
    key = (phase.id, until)
    with memory.lock:
        kept = memory.boards.get(key)
        if kept is not None and (
            kept.version == phase.version or time.monotonic() - kept.made < max_age
        ):
            return kept.rows
        rows = _made(session, phase, until, memory)
        memory.boards[key] = _Board(phase.version, time.monotonic(), rows)
        memory.forget()
        return rows


def _made(
    session: Session, phase: Phase, until: datetime | None, memory: _Memory
) -> tuple[LeaderboardRow, ...]:
    best = best_of_each(session, phase, until)
    _learn(session, [submission_id for submission_id, _ in best.values()], memory)
    names = {
        team_id: pseudonym if anonymous else name
        for team_id, name, pseudonym, anonymous in session.execute(
            select(Team.id, Team.name, Team.pseudonym, Team.anonymous).where(
                Team.challenge_id == phase.challenge_id
            )
        )
    }
    found = [memory.results[submission_id] for submission_id, _ in best.values()]
    order = sorted(
        found,
        key=lambda r: (
            not r.ranked,
            -math.inf if r.row.score is None else -r.row.score,
            r.row.submission_id,
        ),
    )
    place = _places(session, phase, [r.row.submission_id for r in order if r.ranked], memory)
    last = len(order) + 1
    return tuple(
        replace(
            row,
            rank=place.get(row.submission_id),
            team=names[row.team_id],
            n_submissions=best[row.team_id][1],
        )
        for row in sorted((r.row for r in order), key=lambda r: place.get(r.submission_id, last))
    )


def _learn(session: Session, submission_ids: Sequence[int], memory: _Memory) -> None:
    """Read the results that are not known yet; the others never change."""
    unknown = [one for one in submission_ids if one not in memory.results]
    query = (
        select(Result, Submission.team_id, Submission.created)
        .join(Submission, Submission.id == Result.submission_id)
        .where(Result.submission_id.in_(unknown))
    )
    if unknown:
        for result, team_id, submitted in session.execute(query):
            row = _row(result, team_id, submitted)
            memory.results[result.submission_id] = _Known(row, result.ranked)


def _places(
    session: Session, phase: Phase, ranked: Sequence[int], memory: _Memory
) -> dict[int, int]:
    """The number of each submission's tie group, in the order given within a group."""
    names = tuple(str(submission_id) for submission_id in ranked)
    key = (phase.kind, phase.challenge.epsilon, names)
    if key not in memory.groups:
        memory.groups[key] = _groups(session, phase, names, memory)
    return {
        int(name): number
        for number, group in enumerate(memory.groups[key], start=1)
        for name in group
    }


def _groups(
    session: Session, phase: Phase, names: tuple[str, ...], memory: _Memory
) -> tuple[tuple[str, ...], ...]:
    if not names:
        return ()
    if phase.challenge.takes == "results":
        return _groups_of_results(session, phase, names, memory)
    missing = [int(n) for n in names if phase.kind == "final" or int(n) not in memory.scores]
    loaded = {
        submission_id: unpacked(sums)
        for submission_id, sums in session.execute(
            select(Result.submission_id, Result.sums).where(Result.submission_id.in_(missing))
        )
        if sums
    }
    epsilon = phase.challenge.epsilon
    if phase.kind == "final":
        if len(loaded) < len(names):
            return tuple((name,) for name in names)
        together = bootstrap_scores(
            [loaded[int(name)] for name in names], epsilon=epsilon, n_resamples=N_RESAMPLES
        )
        return tie_groups(names, dict(zip(names, together, strict=True)), phase.sets)
    for submission_id, sums in loaded.items():
        (memory.scores[submission_id],) = bootstrap_scores(
            [sums], entry=submission_id, epsilon=epsilon, n_resamples=INDICATIVE_RESAMPLES
        )
    if any(int(name) not in memory.scores for name in names):
        # A task whose answers are no intervals has no sums: everybody has a place of their own.
        return tuple((name,) for name in names)
    scores = {name: memory.scores[int(name)] for name in names}
    return tie_groups(names, scores, phase.sets)


def _groups_of_results(
    session: Session, phase: Phase, names: tuple[str, ...], memory: _Memory
) -> tuple[tuple[str, ...], ...]:
    """Ties among results: all answered the same observations, which were resampled alike."""
    missing = [int(name) for name in names if int(name) not in memory.scores]
    query = select(Result.submission_id, Result.sums).where(Result.submission_id.in_(missing))
    for submission_id, sums in session.execute(query):
        memory.scores[submission_id] = np.frombuffer(sums, dtype="<f8")
    return tie_groups(names, {name: memory.scores[int(name)] for name in names}, phase.sets)


def _row(result: Result, team_id: int, submitted: datetime) -> LeaderboardRow:
    """The row of a result, but for what changes: its place, its team's name, the others."""
    return LeaderboardRow(
        rank=None,
        team_id=team_id,
        team="",
        submission_id=result.submission_id,
        score=result.score,
        score_low=result.score_low,
        score_high=result.score_high,
        width=result.width,
        coverage=result.coverage,
        coverage_low=result.coverage_low,
        coverage_high=result.coverage_high,
        rescaled_width=result.rescaled_width,
        n_toys=result.n_toys,
        n_failed=result.n_failed,
        cpu_seconds=result.cpu_seconds,
        energy_joules=result.energy_joules,
        energy_known=result.energy_known,
        flags=tuple(result.flags),
        n_submissions=0,
        submitted=submitted,
    )


def _notes(phase: Phase, rows: Sequence[LeaderboardRow]) -> tuple[str, ...]:
    notes = []
    if phase.challenge.takes == "results":
        return ("All teams answer the same observations, which are resampled for errors and ties.",)
    if phase.kind == "public":
        notes.append(
            "Every entry saw pseudo-experiments of its own, so that places and ties are rough; the "
            "final compares all on the same ones."
        )
    if phase.sets == 1:
        notes.append(
            "With one set there is nothing to resample: no entry can be told from another."
        )
    elif phase.sets < 10:
        notes.append(f"{phase.sets} sets are few for a bootstrap: take ties and errors as rough.")
    if any(row.rank is None for row in rows):
        notes.append("Entries without an answer for more than 1% of the toys have no place.")
    return tuple(notes)
