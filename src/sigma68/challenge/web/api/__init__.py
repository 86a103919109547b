"""The JSON API: what the pages do, for programs, with a token in a header."""

from __future__ import annotations

from sigma68.challenge.web.api import (
    accounts,
    board,
    challenges,
    organise,
    people,
    phases,
    submissions,
    teams,
)

__all__ = ["ROUTERS"]

ROUTERS = tuple(
    module.router
    for module in (accounts, challenges, submissions, teams, board, phases, organise, people)
)
