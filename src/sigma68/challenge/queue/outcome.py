"""From a verdict on one entry to the columns that are kept of it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sigma68.challenge.rules.leaderboards import packed

if TYPE_CHECKING:
    import pandas as pd

    from sigma68.protocols import Task

__all__ = ["Costs", "Outcome", "outcome_of"]

_MOST_REASON = 2000


@dataclass(frozen=True)
class Costs:
    """What an entry used, and what was noticed of it: the columns of a verdict that add up."""

    cpu_seconds: float
    energy_joules: float | None
    energy_known: str
    flags: tuple[str, ...]
    failures: Mapping[str, int]


@dataclass(frozen=True)
class Outcome:
    """What is written of one submission: the columns of its result, or the reason for none."""

    submission_id: int
    result: Mapping[str, Any] | None
    reason: str | None
    log: str = ""

    @classmethod
    def failed(cls, submission_id: int, reason: str, log: str = "") -> Outcome:
        """An entry that could not be judged."""
        return cls(submission_id, None, reason[:_MOST_REASON], log)


def outcome_of(
    submission_id: int,
    toys: Path,
    key: str,
    task: Task,
    document: Mapping[str, Any],
    costs: Costs,
    *,
    epsilon: float | None,
    log: str = "",
) -> Outcome:
    """The outcome of an entry whose answers are in the file `toys`, to be stored under `key`.

    `document` is its score.json.

    Raises
    ------
    DataError
        If the table cannot be scored.
    """
    import pandas as pd

    from sigma68.score.files import strict

    table = pd.read_parquet(toys)
    with toys.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    columns = {
        **_numbers(table, task, document, epsilon),
        "n_toys": len(table),
        "n_failed": int((table["status"] != "ok").sum()),
        "cpu_seconds": costs.cpu_seconds,
        "energy_joules": costs.energy_joules,
        "energy_known": costs.energy_known,
        "flags": list(costs.flags),
        "failures": dict(costs.failures),
        "toys": key,
        "sha256": sha256,
        "document": strict(document),
    }
    return Outcome(submission_id, columns, None, log)


def _numbers(
    table: pd.DataFrame, task: Task, document: Mapping[str, Any], epsilon: float | None
) -> dict[str, Any]:
    """The score with its errors and, for intervals, what a ranking needs."""
    from sigma68.score.intervals import MOST_FAILURES
    from sigma68.score.ranking import rank
    from sigma68.score.resampling import set_sums
    from sigma68.score.table import interval_toys

    if task.answer != "interval":
        failed = float((table["status"] != "ok").mean())
        score = _finite(document.get(str(document.get("headline"))))
        return {"score": score, "ranked": score is not None and failed <= MOST_FAILURES}
    parameter = task.parameters[0]
    (entry,) = rank({"": table}, parameter, epsilon=epsilon).entries
    found = {
        "score": entry.score,
        "score_low": entry.score_low,
        "score_high": entry.score_high,
        "width": entry.interval,
        "coverage": entry.coverage,
        "coverage_low": entry.coverage_low,
        "coverage_high": entry.coverage_high,
        "rescaled_width": entry.rescaled_width,
    }
    return {
        **{name: _finite(value) for name, value in found.items()},
        "ranked": entry.rank is not None,
        "sums": packed(set_sums(interval_toys(table, parameter))),
    }


def _finite(value: Any) -> float | None:
    if isinstance(value, int | float) and math.isfinite(value):
        return float(value)
    return None
