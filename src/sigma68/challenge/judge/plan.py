"""What a judging is asked to do, who takes part, and what it says of each: plain frozen data."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from sigma68.errors import SettingsError, Sigma68Error

__all__ = ["Candidate", "Energy", "Isolation", "JudgingStopped", "Plan", "Verdict"]

Isolation = Literal["sandbox", "trusted"]
"""How entries run: shut in, for anybody's; or with the rights of who judges, for one's own."""

Energy = Literal["measured", "estimated"]
"""Whether energy comes from the machine's counters or from CPU seconds and a figure in watts."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MOST_TOYS = 10_000_000


class JudgingStopped(Sigma68Error):  # noqa: N818 (it is no error: somebody asked for it)
    """A judging ended because `stop` said so; called again on its folder, it goes on."""


@dataclass(frozen=True)
class Plan:
    """What every candidate is asked, and what it may use.

    Attributes
    ----------
    task, data
        The task's name, and a source of its events; None for the task's own.
    sets, toys
        How many values of the parameter, and toys at each.
    seed
        A non-negative integer; 256 secret bits in a phase. It is never written anywhere.
    nuisances
        Names of the nuisances that vary.
    epsilon
        The score's; None for the task's own.
    predict_seconds, fit_seconds
        Wall-clock limits of one prediction, and of loading and fitting together, in s.
    memory_bytes, max_processes, disk_bytes
        What all processes of one entry may use together: memory, processes and threads, and
        files in its home, temporary ones included. Only a sandbox enforces them.
    replay
        How many toys are asked again, in another order and a fresh process; 0 for none.
    isolate
        "sandbox" for anybody's entries, "trusted" for one's own.
    pool, split_seed
        Which pool the toys are drawn from ("scoring" or "final"), and the seed of the split.

    Raises
    ------
    SettingsError
        If a value is out of its range.
    """

    task: str
    sets: int
    toys: int
    seed: int
    data: str | None = None
    nuisances: tuple[str, ...] = ()
    epsilon: float | None = None
    predict_seconds: float = 20.0
    fit_seconds: float = 3600.0
    memory_bytes: int = 8 << 30
    max_processes: int = 256
    disk_bytes: int = 1 << 30
    replay: int = 10
    isolate: Isolation = "sandbox"
    pool: Literal["scoring", "final"] = "scoring"
    split_seed: int = 0

    def __post_init__(self) -> None:
        for name in ("sets", "toys", "max_processes", "disk_bytes", "memory_bytes"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} must be 1 or more, not {getattr(self, name)}")
        for name in ("seed", "replay", "split_seed"):
            if getattr(self, name) < 0:
                raise SettingsError(f"{name} must be 0 or more")
        for name in ("predict_seconds", "fit_seconds"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise SettingsError(f"{name} must be a positive number of seconds, not {value}")
        if self.epsilon is not None and not (math.isfinite(self.epsilon) and self.epsilon > 0):
            raise SettingsError(f"epsilon must be a positive number, not {self.epsilon}")
        if self.n_toys > _MOST_TOYS:
            raise SettingsError(f"{self.n_toys:,} toys are more than {_MOST_TOYS:,}: ask for fewer")
        if self.isolate not in ("sandbox", "trusted"):
            raise SettingsError(f"isolate must be 'sandbox' or 'trusted', not {self.isolate!r}")
        if self.pool not in ("scoring", "final"):
            raise SettingsError(f"pool must be 'scoring' or 'final', not {self.pool!r}")

    def __repr__(self) -> str:
        # A seed in a log or a traceback would give all truths away.
        return f"Plan(task={self.task!r}, {self.sets} x {self.toys} toys, seed=...)"

    @property
    def n_toys(self) -> int:
        """All toys that a candidate is asked, replays apart."""
        return self.sets * self.toys

    def to_json(self) -> dict[str, Any]:
        """The plan without its seed, in whose place stands a fingerprint of it."""
        document = asdict(self)
        del document["seed"]
        document["nuisances"] = list(self.nuisances)
        named = f"sigma68 judging\0{self.seed}".encode()
        document["seed_fingerprint"] = hashlib.blake2b(named, digest_size=16).hexdigest()
        return document


@dataclass(frozen=True)
class Candidate:
    """An entry to be judged: a name that may stand for a folder, and its zip or folder.

    Raises
    ------
    SettingsError
        If the name is not one for a folder.
    """

    id: str
    path: Path

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.id):
            raise SettingsError(
                f"a candidate cannot be called {self.id!r}: use letters, digits, '.', '_' and '-'"
            )


@dataclass(frozen=True)
class Verdict:
    """What came out for one candidate.

    Attributes
    ----------
    id
        The candidate's.
    score
        What score.json holds of a run, without its settings; None if `reason` is given.
    toys
        The table of toys with their truths, for organisers only; None if `reason` is given.
    cpu_seconds
        CPU time of all its processes, in s: loading, fits and predictions, replays included.
    energy_joules, energy
        Energy, in J, and how it is known; None if it is not.
    flags
        Short words for machines: "order_dependent" (its answers depend on what it was asked
        before), "not_repeatable" (a fresh process answers otherwise from the first toy on).
    failures
        How many toys ended in each status but "ok".
    reason
        A sentence for its author if it could not be judged at all; else None.
    log_tail
        What it printed while it loaded and learned: printable, and bounded.
    """

    id: str
    score: Mapping[str, Any] | None
    toys: Path | None
    cpu_seconds: float
    energy_joules: float | None = None
    energy: Energy | None = None
    flags: tuple[str, ...] = ()
    failures: Mapping[str, int] = field(default_factory=dict)
    reason: str | None = None
    log_tail: str = ""
