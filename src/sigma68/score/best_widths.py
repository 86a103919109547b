"""How far a method is from the best possible: its mean width over that of the narrowest intervals.

Where the densities of events are known, so is the width that no unbiased method can beat: with
every nuisance parameter known ("statistics"), and with the normalisations that vary fitted within
their constraints ("normalisations"). A run keeps both for the truth of each of its sets in
DIR/best_widths.json. Nuisance parameters that move events enter neither, so where some vary the
best possible lies above both.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError
from sigma68.inference.factors import normalisations
from sigma68.protocols import KnownBest, Pool, Task
from sigma68.score.rescaled import rescaled_width
from sigma68.score.table import IntervalToys
from sigma68.types import LEVEL

__all__ = [
    "FILE_NAME",
    "BestWidths",
    "OverBest",
    "OverKind",
    "best_widths",
    "over_best",
    "read_best_widths",
]

FILE_NAME = "best_widths.json"

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class BestWidths:
    """The narrowest intervals that the events of a run allow.

    `widths` holds the width in each set, by its number, under "statistics" and, if
    normalisations vary, "normalisations"; `fitted` are these normalisations, `known` the other
    nuisances that vary, which the widths take as known.
    """

    parameter: str
    fitted: tuple[str, ...]
    known: tuple[str, ...]
    widths: Mapping[str, tuple[float, ...]]

    def of_toys(self, toys: IntervalToys) -> dict[str, FloatArray]:
        """The narrowest width for each toy, (n_toys,), by kind.

        Raises
        ------
        DataError
            If there are sets whose widths are not known.
        """
        sets = toys.set_numbers[toys.set_index]
        size = min(map(len, self.widths.values()))
        if not 0 <= sets.min() <= sets.max() < size:
            raise DataError(
                f"the narrowest widths are known for sets 0 to {size - 1}, and there are toys of "
                f"set {sets.max()}: start the run again, which writes them anew"
            )
        return {name: np.array(of)[sets] for name, of in self.widths.items()}

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> BestWidths:
        return cls(
            parameter=str(document["parameter"]),
            fitted=tuple(document["fitted"]),
            known=tuple(document["known"]),
            widths={k: tuple(map(float, of)) for k, of in document["widths"].items()},
        )


@dataclass(frozen=True)
class OverKind:
    """A mean width over the narrowest possible of one kind, whose mean is `best`.

    `ratio` is that of the intervals as they are; `at_level` after rescaling them to cover as
    often as they should (see `rescaled`), which is the one to compare: intervals that undercover
    may be narrower than the best. Errors are those of the toys; None where there is none.
    """

    kind: str
    best: float
    ratio: float
    ratio_error: float | None
    at_level: float | None
    at_level_error: float | None


@dataclass(frozen=True)
class OverBest:
    """How far a method is from the best possible; `fitted` and `known` as in `BestWidths`."""

    fitted: tuple[str, ...]
    known: tuple[str, ...]
    kinds: tuple[OverKind, ...]

    def to_json(self) -> dict[str, Any]:
        """A JSON object, which score.json holds under "over_best"."""
        return asdict(self)

    @classmethod
    def of_score(cls, document: Mapping[str, Any]) -> OverBest | None:
        """What the score.json of a run says of it; None where it says nothing.

        Raises
        ------
        DataError
            If the document is damaged.
        """
        found = document.get("over_best")
        if found is None:
            return None
        try:
            return cls(
                fitted=tuple(found["fitted"]),
                known=tuple(found["known"]),
                kinds=tuple(OverKind(**kind) for kind in found["kinds"]),
            )
        except (KeyError, TypeError) as error:
            raise DataError(
                f"score.json is damaged ({error}): score the run again (sigma68 score)"
            ) from error


def best_widths(
    task: Task, pool: Pool, truths: Iterable[Mapping[str, float]], varied: Collection[str]
) -> BestWidths | None:
    """The narrowest widths for the parameters of each set, where the nuisances `varied` vary.

    None for a task that asks for no interval, or a pool that does not know.

    Raises
    ------
    DataError
        If the pool knows them, but not for these truths.
    """
    if task.answer != "interval" or not isinstance(pool, KnownBest):
        return None
    widths: dict[str, list[float]] = {}
    for parameters in truths:
        found = pool.best_widths(parameters, varied)
        if found is None:
            return None
        for name, width in found.items():
            widths.setdefault(name, []).append(float(width))
    fitted = normalisations(pool.components().factors, task.nuisances, varied)
    return BestWidths(
        parameter=task.parameters[0].name,
        fitted=tuple(n.name for n in fitted),
        known=tuple(n.name for n in task.nuisances if n.name in varied and n not in fitted),
        widths={name: tuple(of) for name, of in widths.items()},
    )


def read_best_widths(out: Path) -> BestWidths | None:
    """What the run in `out` keeps of the narrowest widths; None where they were not known.

    Raises
    ------
    DataError
        If the file is damaged.
    """
    path = out / FILE_NAME
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return None if document is None else BestWidths.from_json(document)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} cannot be read ({error}): remove it and start the run again"
        ) from error


def over_best(best: BestWidths, toys: IntervalToys, level: float = LEVEL) -> OverBest:
    """The mean width of a table of toys over the narrowest possible, for each kind.

    Raises
    ------
    DataError
        If there are sets whose narrowest widths are not known.
    """
    found = []
    for kind, narrowest in best.of_toys(toys).items():
        mean = float(np.mean(narrowest))
        ratio = float(np.mean(toys.width)) / mean
        # Widths follow the truth, and so do the narrowest: only what is left scatters.
        left = (toys.width - ratio * narrowest) / mean
        error = float(np.std(left, ddof=1) / math.sqrt(len(left))) if len(left) > 1 else None
        rescaled = rescaled_width(toys, level=level, unit=narrowest)
        found.append(OverKind(kind, mean, ratio, error, rescaled.width, rescaled.error))
    return OverBest(best.fitted, best.known, tuple(found))
