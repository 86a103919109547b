"""What the programs of a bundle must know of their phase, as settings.json beside them holds it.

Codabench keeps a program's files as they are, so that our settings survive a stay there: from
them a bundle becomes a challenge of ours again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal, get_args

from sigma68.challenge.exchange.fields import Fields
from sigma68.errors import ExchangeError

__all__ = ["SEED", "SETTINGS", "PhaseSettings"]

SETTINGS: Final = "settings.json"
SEED: Final = "seed.txt"
"""The secret seed of a phase whose toys are the same for all, in hex; read once and removed."""

_FORMAT: Final = "sigma68 phase 1"
_MOST_TOYS: Final = 10_000_000
Pool = Literal["scoring", "final"]


@dataclass(frozen=True)
class PhaseSettings:
    """What one submission is asked: `sets` times `toys` pseudo-experiments of `task`.

    `source` is what the task opens, None for its default; `nuisances` are the names of those that
    vary; limits are in seconds. `server` holds what only a server of ours wants to know.
    """

    task: str
    sets: int
    toys: int
    source: str | None = None
    nuisances: tuple[str, ...] = ()
    epsilon: float | None = None
    predict_seconds: float = 20.0
    fit_seconds: float = 3600.0
    pool: Pool = "scoring"
    server: Mapping[str, Any] = field(default_factory=dict)

    def to_text(self) -> str:
        """The text of settings.json."""
        return json.dumps({"format": _FORMAT, **asdict(self)}, indent=2) + "\n"

    @classmethod
    def from_text(cls, text: str, where: str) -> PhaseSettings:
        """What `to_text` wrote; `where` names the file in errors.

        Raises
        ------
        ExchangeError
            If it is something else.
        """
        try:
            fields = Fields(json.loads(text), where)
        except (ValueError, RecursionError) as error:
            raise ExchangeError(
                f"{where} is not JSON ({error}): export the bundle again"
            ) from error
        if fields.text("format", "") != _FORMAT:
            raise ExchangeError(f"{where} is not of the form {_FORMAT!r}: export the bundle again")
        nuisances = fields.raw("nuisances") or []
        if not isinstance(nuisances, list) or not all(isinstance(n, str) for n in nuisances):
            raise ExchangeError(f"{where}: nuisances must be a list of names")
        server = fields.raw("server")
        pool = fields.text("pool", "scoring")
        if pool not in get_args(Pool):
            raise ExchangeError(f"{where}: pool must be 'scoring' or 'final', not {pool!r}")
        sets, toys = fields.whole("sets", least=1), fields.whole("toys", least=1)
        if sets * toys > _MOST_TOYS:
            raise ExchangeError(f"{where} asks for more than {_MOST_TOYS:,} toys: ask for fewer")
        return cls(
            task=fields.text("task", longest=64),
            sets=sets,
            toys=toys,
            source=fields.text("source", "", longest=1024) or None,
            nuisances=tuple(name[:64] for name in nuisances[:100]),
            epsilon=_positive(fields, "epsilon"),
            predict_seconds=_positive(fields, "predict_seconds") or 20.0,
            fit_seconds=_positive(fields, "fit_seconds") or 3600.0,
            pool="final" if pool == "final" else "scoring",
            server=dict(server) if isinstance(server, dict) else {},
        )


def _positive(fields: Fields, key: str) -> float | None:
    value = fields.raw(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ExchangeError(f"{fields.where}: {key} must be a number")
    if not (math.isfinite(value) and 0 < value < 1e9):
        raise ExchangeError(f"{fields.where}: {key} must be a positive number")
    return float(value)
