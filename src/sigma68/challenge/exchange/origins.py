"""What a bundle's programs were asked to do: from our own settings, or from the command they run.

The challenge's own programs take switches such as `--systematics-tes` and `--num-of-sets 10`, so
that its bundles say which nuisances vary and how many toys there are. Nothing is run.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

from sigma68.challenge.exchange.bundle import BundleTask
from sigma68.challenge.exchange.bundle_files import Root, read_yaml
from sigma68.challenge.exchange.phase_settings import SETTINGS, PhaseSettings
from sigma68.discover import load_task, task_names
from sigma68.errors import ExchangeError, Sigma68Error

__all__ = ["Asked", "asked_by", "task_with"]

_NUISANCE: Final = "--systematics-"
_SETS: Final = "--num-of-sets"
_TOYS: Final = "--num-pseudo-experiments"
_MOST: Final = 100_000


@dataclass(frozen=True)
class Asked:
    """What is known of one task of a bundle; None where nothing is.

    `settings` are those of a program of ours, the rest is read from another's command.
    """

    settings: PhaseSettings | None = None
    nuisances: tuple[str, ...] | None = None
    sets: int | None = None
    toys: int | None = None


def asked_by(task: BundleTask, root: Root, workdir: Path) -> Asked:
    """What the task's ingestion program is told.

    Raises
    ------
    ExchangeError
        If the program cannot be unpacked safely, or its settings are damaged.
    """
    if task.ingestion_program is None:
        return Asked()
    where = f"the ingestion program of {task.name!r}"
    program = root.unpacked(task.ingestion_program, where, workdir)
    if (program.folder / SETTINGS).is_file():
        text = program.text(SETTINGS, where)
        return Asked(settings=PhaseSettings.from_text(text, f"{where}: {SETTINGS}"))
    for name in ("metadata.yaml", "metadata"):
        if (program.folder / name).is_file():
            return _from_command(read_yaml(program, name))
    return Asked()


def task_with(nuisances: Sequence[str]) -> str | None:
    """The one task here that has all these nuisances; None if there is none, or several."""
    found = []
    for name in task_names() if nuisances else ():
        try:
            known = {nuisance.name for nuisance in load_task(name).nuisances}
        except Sigma68Error:
            continue  # a task that needs what is not installed is none to choose
        if set(nuisances) <= known:
            found.append(name)
    return found[0] if len(found) == 1 else None


def _from_command(metadata: object) -> Asked:
    command = metadata.get("command") if isinstance(metadata, dict) else None
    try:
        words = shlex.split(command) if isinstance(command, str) else []
    except ValueError as error:
        raise ExchangeError(f"the command {command!r} cannot be read ({error})") from error
    plain = [part for word in words for part in word.split("=", 1)]
    switches = [word for word in plain if word.startswith(_NUISANCE)]
    nuisances = tuple(word.removeprefix(_NUISANCE).replace("-", "_") for word in switches)
    sets, toys = _number_after(plain, _SETS), _number_after(plain, _TOYS)
    known = bool(nuisances) or sets is not None or toys is not None
    return Asked(nuisances=nuisances if known else None, sets=sets, toys=toys)


def _number_after(words: Sequence[str], switch: str) -> int | None:
    for word, following in pairwise(words):
        if word == switch and following.isascii() and following.isdecimal():
            return min(max(int(following[:9]), 1), _MOST)
    return None
