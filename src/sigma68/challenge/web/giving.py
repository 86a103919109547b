"""A file of observations on its way from the store to whoever takes part."""

from __future__ import annotations

import contextlib

from fastapi.responses import FileResponse
from starlette.background import BackgroundTask

from sigma68.challenge.rules.observations import given_away
from sigma68.challenge.rules.refusals import NotFoundError
from sigma68.challenge.store.tables import Challenge, Phase
from sigma68.challenge.web.asking import Asking

__all__ = ["given", "phase_of"]


def given(asking: Asking, phase: Phase) -> FileResponse:
    """The observations of a phase as a file to keep.

    Raises
    ------
    SignInError
        If nobody has signed in.
    NotFoundError, ConflictError
        If there are none, or not yet.
    TooOftenError
        If they were fetched too often.
    """
    user = asking.signed_in()
    found = given_away(asking.session, phase, user, asking.now)
    asking.limit("download")
    # From a bucket it is a copy, which must last until it is sent.
    held = contextlib.ExitStack()
    path = held.enter_context(asking.house.store.files.local(found.file))
    return FileResponse(
        path,
        media_type="application/octet-stream",
        filename=found.name,
        # Noise cannot be packed: this keeps it from being tried.
        headers={"content-encoding": "identity"},
        background=BackgroundTask(held.close),
    )


def phase_of(challenge: Challenge, phase_id: int) -> Phase:
    """A phase of a challenge.

    Raises
    ------
    NotFoundError
        If the challenge has none of this number.
    """
    for phase in challenge.phases:
        if phase.id == phase_id:
            return phase
    raise NotFoundError(f"the challenge {challenge.slug} has no phase {phase_id}")
