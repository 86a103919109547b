"""Options that give a number for each process, as NAME=NUMBER,...."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sigma68.errors import SettingsError

__all__ = ["by_process", "process_names"]

_Number = TypeVar("_Number", int, float)


def process_names(given: str | None) -> tuple[str, ...] | None:
    """The names given, each once; None if all are meant."""
    from sigma68.tasks.higgs.schema import PROCESSES

    if given is None:
        return None
    names = tuple(dict.fromkeys(name.strip() for name in given.split(",")))
    for name in names:
        if name not in PROCESSES:
            raise SettingsError(f"there is no process {name!r}: choose from {', '.join(PROCESSES)}")
    return names


def by_process(
    option: str, given: str, chosen: tuple[str, ...] | None, number: Callable[[str], _Number]
) -> dict[str, _Number]:
    """The numbers given for the processes in `option`, of those that were `chosen` (None for all).

    Raises
    ------
    SettingsError
        If a process is unknown, left out by --process or named twice, or a number is none.
    """
    from sigma68.tasks.higgs.schema import PROCESSES

    found: dict[str, _Number] = {}
    for part in given.split(","):
        name, equals, text = (word.strip() for word in part.partition("="))
        if not equals and name not in PROCESSES:
            raise SettingsError(f"{option} needs a number or NAME=NUMBER,..., not {_brief(given)}")
        (known,) = process_names(name) or ()
        if known in found or (chosen is not None and known not in chosen):
            why = "twice" if known in found else "which --process leaves out"
            raise SettingsError(f"{option} names {known} {why}: name each process once")
        try:
            found[known] = number(text)
        except ValueError as error:
            raise SettingsError(
                f"{option} needs a number or NAME=NUMBER,..., not {_brief(given)}"
            ) from error
    return found


def _brief(given: str) -> str:
    return repr(given if len(given) <= 80 else f"{given[:77]}...")
