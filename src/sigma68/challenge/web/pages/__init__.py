"""The pages, a file for each part of the site; every form is checked by `web.forms`."""

from __future__ import annotations

from sigma68.challenge.web.pages import (
    account,
    admin,
    admin_challenge,
    admin_people,
    admin_submissions,
    api_docs,
    board,
    challenge,
    leaderboard,
    oidc,
    submissions,
    team,
)

__all__ = ["ROUTERS"]

ROUTERS = tuple(
    module.router
    for module in (
        *(account, oidc, challenge, leaderboard, submissions, team, board, api_docs),
        *(admin, admin_challenge, admin_people, admin_submissions),
    )
)
