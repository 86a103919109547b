"""Look at an upload that is to be a file of results; no line of anybody's code runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sigma68.challenge.rules.observations import results_task
from sigma68.errors import DataError, EntryError
from sigma68.printable import printable

__all__ = ["Wanted", "check_results"]


@dataclass(frozen=True)
class Wanted:
    """What an upload must answer: so many observations of a task."""

    task: str
    n_observations: int


def check_results(upload: Path, wanted: Wanted) -> None:
    """Raise unless the file `upload` answers all that is wanted.

    Raises
    ------
    EntryError
        If it does not, with a sentence for its author.
    """
    _, taking = results_task(wanted.task)
    try:
        taking.read_results(upload, wanted.n_observations)
    except DataError as error:
        # Its author does not know where it lies here.
        told = str(error).replace(str(upload), upload.name)
        raise EntryError(printable(told, 1000)) from error
