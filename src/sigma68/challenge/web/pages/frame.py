"""What all pages of one challenge share: its title, where it stands, its sections."""

from __future__ import annotations

from typing import Any

from fastapi.responses import HTMLResponse

from sigma68.challenge.store.tables import Challenge
from sigma68.challenge.web.visits import Visit
from sigma68.challenge.web.words import phase_line

__all__ = ["OWN_PAGES", "challenge_page"]

OWN_PAGES = ("overview", "data", "rules")
"""Texts of an organiser that stand on a page of ours, under these names."""

_FIRST = (("", "Overview"), ("/data", "Data"), ("/rules", "Rules"))
_LAST = (
    ("/leaderboard", "Leaderboard"),
    ("/submit", "Submit"),
    ("/submissions", "My submissions"),
    ("/team", "Team"),
    ("/questions", "Questions"),
    ("/announcements", "Announcements"),
)


def challenge_page(
    visit: Visit,
    challenge: Challenge,
    section: str,
    template: str,
    status: int = 200,
    **context: Any,
) -> HTMLResponse:
    """A page below the challenge's title, with `section` marked among its sections."""
    further = tuple(
        (f"/pages/{page.slug}", page.title)
        for page in challenge.pages
        if page.slug not in OWN_PAGES
    )
    return visit.page(
        template,
        status,
        challenge=challenge,
        challenge_line=phase_line(challenge.phases, visit.now),
        sections=(*_FIRST, *further, *_LAST),
        section=section,
        **context,
    )
