"""The leaderboard of a phase, and what it says of one entry."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response
from markupsafe import Markup
from starlette.background import BackgroundTask

from sigma68.challenge.rules import leaderboards, teams
from sigma68.challenge.rules.refusals import NotFoundError
from sigma68.challenge.store.tables import Challenge, Phase, Result, Submission
from sigma68.challenge.web.drawing import Scale, coverage_figure, score_axis, score_bar, score_scale
from sigma68.challenge.web.house import House
from sigma68.challenge.web.pages.challenge import task_of
from sigma68.challenge.web.pages.frame import challenge_page
from sigma68.challenge.web.visits import Visit, VisitDep

__all__ = ["BOARD_SECONDS", "figure_of", "phase_of", "router"]

BOARD_SECONDS = 1.0
"""How old a board may be that visitors are shown, while results pour in."""

_STALE_SECONDS = 3.0
"""How old one may be that a page shows at once and renews once it is sent."""

router = APIRouter(prefix="/c/{slug}/leaderboard")


@router.get("")
def board_page(
    slug: str, visit: VisitDep, phase: Annotated[int | None, Query()] = None
) -> Response:
    """Places, scores with their errors, ties."""
    challenge = visit.challenge(slug)
    shown = phase_of(challenge, phase, visit)
    if shown is None:
        return challenge_page(
            visit, challenge, "/leaderboard", "leaderboard.html", phases=[], phase=None
        )
    board = leaderboards.leaderboard(
        visit.session, shown, visit.now, visit.user, max_age=_STALE_SECONDS
    )
    own = teams.team_of(visit.session, challenge.id, visit.user) if visit.user else None
    page = challenge_page(
        visit,
        challenge,
        "/leaderboard",
        "leaderboard.html",
        phases=challenge.phases,
        phase=shown,
        board=board,
        table=_table(visit.house, shown, board.rows, own.id if own else None),
    )
    page.background = BackgroundTask(_renew, visit.house, shown.id)
    return page


def _renew(house: House, phase_id: int) -> None:
    """Make the board anew where it is too old, once a page is sent: no visitor waits for that."""
    with house.store.read() as session:
        phase = session.get(Phase, phase_id)
        if phase is None:
            return  # removed meanwhile
        board = leaderboards.leaderboard(session, phase, house.clock(), max_age=BOARD_SECONDS)
        _table(house, phase, board.rows, None)


def _table(
    house: House, phase: Phase, rows: tuple[leaderboards.LeaderboardRow, ...], own: int | None
) -> Markup:
    """The table of a board with the row of team `own` marked; drawn once as long as it stays.

    Drawing hundreds of rows takes longer than all else on the page.
    """
    key = (phase.id, phase.challenge.slug)
    known, drawn = house.tables.get(key, ((), ""))
    if known is not rows:
        drawn = _drawn(house, phase.challenge, rows)
        house.tables[key] = (rows, drawn)
    # The names of teams are escaped: none of them holds a quotation mark.
    return Markup(drawn.replace(f'data-team="{own}" class="', 'class="mine '))  # noqa: S704


def _drawn(
    house: House, challenge: Challenge, rows: tuple[leaderboards.LeaderboardRow, ...]
) -> str:
    scale = score_scale(
        [end for row in rows if row.rank for end in (row.score_low, row.score_high, row.score)]
    )
    ranks = Counter(row.rank for row in rows if row.rank)
    return house.render(
        "board.html",
        {
            "challenge": challenge,
            "axis": Markup(score_axis(scale)),  # noqa: S704 (drawn by us)
            "rows": [(row, _bar(scale, row)) for row in rows],
            "tied": {rank for rank, count in ranks.items() if count > 1},
        },
    )


def _bar(scale: Scale, row: leaderboards.LeaderboardRow) -> Markup:
    drawn = score_bar(scale, row.score, row.score_low, row.score_high)
    return Markup(drawn)  # noqa: S704 (drawn by us)


@router.get("/{submission_id}")
def entry_page(slug: str, submission_id: int, visit: VisitDep) -> Response:
    """One entry of the leaderboard: its numbers, its coverage, how it works."""
    challenge = visit.challenge(slug)
    found = visit.session.get(Submission, submission_id)
    if found is None or found.phase.challenge_id != challenge.id:
        raise NotFoundError("no leaderboard has this entry")
    board = leaderboards.leaderboard(visit.session, found.phase, visit.now, visit.user)
    row = next((row for row in board.rows if row.submission_id == submission_id), None)
    if row is None:
        raise NotFoundError("no leaderboard has this entry")
    return challenge_page(
        visit,
        challenge,
        "/leaderboard",
        "entry.html",
        phase=found.phase,
        row=row,
        sheet=found.fact_sheet,
        figure=figure_of(challenge, found.result),
    )


def phase_of(challenge: Challenge, wanted: int | None, visit: Visit) -> Phase | None:
    """The phase asked for, else the one that opened last, else the first.

    Raises
    ------
    NotFoundError
        If the challenge has no such phase.
    """
    if wanted is not None:
        for phase in challenge.phases:
            if phase.id == wanted:
                return phase
        raise NotFoundError(f"{challenge.title} has no phase {wanted}")
    begun = [phase for phase in challenge.phases if phase.opens <= visit.now]
    return (
        max(begun, key=lambda phase: phase.opens) if begun else next(iter(challenge.phases), None)
    )


def figure_of(challenge: Challenge, result: Result | None) -> Markup | None:
    """The coverage of every set, if it was judged."""
    if result is None:
        return None
    score = result.document
    parameter = task_of(challenge.task).parameters[0].name
    drawn = coverage_figure(score.get("values", {}), score.get("per_set", []), parameter)
    return None if drawn is None else Markup(drawn)  # noqa: S704 (drawn by us)
