"""What can go wrong with an entry on one toy; the run records it and goes on.

::

    EntryError                an entry that cannot be used at all: ends the run (see sigma68.errors)
    └── EntryToyError         one toy without an answer; its `status` goes into the table
        ├── EntryTimeout      "timeout": predict took longer than it may
        ├── EntryCrashed      "crashed": the process ended, or broke the protocol
        ├── EntryFailed       "failed": predict raised an exception
        └── EntryInvalid      "invalid": the answer is no answer (missing, NaN, reversed)
"""

from __future__ import annotations

from typing import ClassVar

from sigma68.errors import EntryError
from sigma68.types import Status

__all__ = ["EntryCrashed", "EntryFailed", "EntryInvalid", "EntryTimeout", "EntryToyError"]


class EntryToyError(EntryError):
    """An entry gave no usable answer for one toy."""

    status: ClassVar[Status] = "failed"


class EntryTimeout(EntryToyError):  # noqa: N818
    """The entry took longer than the limit and was killed."""

    status = "timeout"


class EntryCrashed(EntryToyError):  # noqa: N818
    """The entry's process ended, or spoke what is not the protocol."""

    status = "crashed"


class EntryFailed(EntryToyError):  # noqa: N818
    """The entry's `predict` raised an exception."""

    status = "failed"


class EntryInvalid(EntryToyError):  # noqa: N818
    """The entry answered with something that is no interval."""

    status = "invalid"
