"""Who is where: a board of each team's best, with errors, ties and what may not be seen yet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from sigma68.challenge.store.tables import Phase, User

__all__ = ["Leaderboard", "LeaderboardRow", "leaderboard"]


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
    `epsilon` and `level` are those of the score.
    """

    rows: tuple[LeaderboardRow, ...]
    hidden: str | None
    indicative: bool
    as_of: datetime
    notes: tuple[str, ...]


def leaderboard(
    session: Session, phase: Phase, now: datetime, viewer: User | None = None
) -> Leaderboard:
    """The leaderboard of `phase` as `viewer` may see it now.

    Organisers see everything at once; all others see what the phase's settings allow at `now`.
    """
    raise NotImplementedError
