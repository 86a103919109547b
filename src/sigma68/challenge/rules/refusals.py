"""What the rules refuse, with the sentence to show and the status a server answers with.

::

    RefusedError              the base
    ├── NotFoundError         404  there is no such thing, or not for this person
    ├── ForbiddenError        403  there is, but this person may not
    ├── SignInError           401  wrong name or password, or too many tries
    ├── QuotaError            429  the limit of submissions or uploads is reached
    └── ConflictError         409  not now, or not any more: closed, taken, already ended
"""

from __future__ import annotations

from typing import ClassVar

from sigma68.errors import InputError

__all__ = [
    "BusyError",
    "ConflictError",
    "ForbiddenError",
    "NotFoundError",
    "QuotaError",
    "RefusedError",
    "SignInError",
]


class RefusedError(InputError):
    """The rules do not allow it, or what was given cannot be taken."""

    status: ClassVar[int] = 422


class NotFoundError(RefusedError):
    """There is no such thing, or this person may not know of it."""

    status = 404


class ForbiddenError(RefusedError):
    """Not for this person to do."""

    status = 403


class SignInError(RefusedError):
    """Somebody could not be told to be who they say they are."""

    status = 401


class QuotaError(RefusedError):
    """A limit is reached."""

    status = 429


class BusyError(RefusedError):
    """It could be done, and cannot just now."""

    status = 503


class ConflictError(RefusedError):
    """It cannot be done in the state that things are in."""

    status = 409
