"""Emulated events under a name: `emulated[:SEED[:ROWS[:TRAINING]]]`, and how many are of which process.

The name stands for four pools (see `pools`) and, for verbs that read a file, for one file (see
`writing`): streams of events that are independent of each other.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final

from sigma68.errors import DataError
from sigma68.tasks.higgs.schema import PROCESSES

__all__ = [
    "BYTES_PER_ROW",
    "EVEN_MIXTURE",
    "MOST_ROWS",
    "NAME",
    "TRAIN_MIXTURE",
    "TRAIN_ROWS",
    "EmulatedSource",
    "emulated_source",
    "in_short",
    "number_of_rows",
    "shares_of",
]

NAME: Final = "emulated"
_SEED: Final = 1
_ROWS: Final = 5_000_000

TRAIN_ROWS: Final = 1_000_000
"""Rows of the training pool, unless others are asked for or the other pools have fewer."""

TRAIN_MIXTURE: Final[Mapping[str, float]] = {
    "htautau": 0.25,
    "ztautau": 0.45,
    "ttbar": 0.20,
    "diboson": 0.10,
}
"""Shares of the rows of the training pool: enough of every process to learn what it looks like."""

EVEN_MIXTURE: Final[Mapping[str, float]] = {
    "htautau": 0.05,
    "ztautau": 0.82,
    "ttbar": 0.10,
    "diboson": 0.03,
}
"""Shares of the rows of the other pools. A pool's error is smallest for a given number of rows if
these are in proportion to expected events; the small processes get somewhat more, so that their
own yields are known in every region."""

MOST_ROWS: Final = (1 << 32) - 1
"""Rows of one pool, at most: a row is drawn with 32 bits."""
BYTES_PER_ROW: Final = 72
"""What a row of a pool takes on disk."""

_LARGEST_SEED: Final = (1 << 63) - 1
_LARGEST_NUMBER: Final = 10**18
_MULTIPLES: Final = {"": 1, "k": 1_000, "m": 1_000_000, "g": 1_000_000_000}
_NUMBER: Final = re.compile(r"(\d{1,20}(?:\.\d{1,20})?)(?:e\+?(\d{1,2}))?([kmg]?)", re.IGNORECASE)


@dataclass(frozen=True)
class EmulatedSource:
    """The emulated events of a seed; `rows` are those of each pool but the training pool.

    That has `training` rows; None for as many as the others, `TRAIN_ROWS` at most. As a string it is
    the one way to write its name.
    """

    seed: int = _SEED
    rows: int = _ROWS
    training: int | None = None

    def __post_init__(self) -> None:
        # One pool, one name.
        if self.training == min(self.rows, TRAIN_ROWS):
            object.__setattr__(self, "training", None)

    def __str__(self) -> str:
        more = "" if self.training is None else f":{in_short(self.training)}"
        return f"{NAME}:{self.seed}:{in_short(self.rows)}{more}"

    def rows_of(self, role: str) -> int:
        """The rows of the pool of a role."""
        if role != "train":
            return self.rows
        return min(self.rows, TRAIN_ROWS) if self.training is None else self.training

    def counts(self, role: str) -> tuple[int, ...]:
        """The rows of each process in the pool of a role, in the order of `PROCESSES`.

        Raises
        ------
        DataError
            If a process would get none.
        """
        shares = shares_of(TRAIN_MIXTURE if role == "train" else EVEN_MIXTURE)
        rows = self.rows_of(role)
        counts = [math.floor(rows * share) for share in shares]
        counts[shares.index(max(shares))] += rows - sum(counts)
        if min(counts) < 1:
            lacking = PROCESSES[counts.index(min(counts))]
            least = min(*shares_of(TRAIN_MIXTURE), *shares_of(EVEN_MIXTURE))
            raise DataError(
                f"{self} has no {lacking} events in its {role} pool, so few are its rows: ask "
                f"for {math.ceil(1 / least):,} or more"
            )
        return tuple(counts)


def emulated_source(source: str | Path) -> EmulatedSource | None:
    """What a name of emulated events means; None for anything else, such as a path.

    Raises
    ------
    DataError
        If it begins as such a name and is none, or asks for more rows than a pool can have.
    """
    name, *given = str(source).split(":")
    if name != NAME:
        return None
    if len(given) > 3:
        raise DataError(f"{str(source)!a} is no name of emulated events: {_FORM}")
    seed = _seed(given[0], source) if given else _SEED
    rows = _rows("ROWS", given[1], source) if len(given) > 1 else _ROWS
    training = _rows("TRAINING", given[2], source) if len(given) > 2 else None
    return EmulatedSource(seed, rows, training)


_FORM: Final = (
    "write emulated, emulated:SEED, emulated:SEED:ROWS or emulated:SEED:ROWS:TRAINING, such as "
    "emulated:7:20M"
)


def _rows(what: str, text: str, source: str | Path) -> int:
    try:
        rows = number_of_rows(text)
    except ValueError as error:
        raise DataError(f"the {what} of {str(source)!a} {error}: {_FORM}") from error
    if rows > MOST_ROWS:
        raise DataError(
            f"pools of {rows:,} rows would take {_disk(rows)} of disk each, and {MOST_ROWS:,} rows "
            f"({_disk(MOST_ROWS)}) are the most that can be drawn from: ask for fewer than "
            f"{source!s} does"
        )
    return rows


def _seed(text: str, source: str | Path) -> int:
    if re.fullmatch(r"\d{1,19}", text, re.ASCII) and int(text) <= _LARGEST_SEED:
        return int(text)
    raise DataError(
        f"the SEED of {str(source)!a} must be a whole number from 0 to {_LARGEST_SEED}: {_FORM}"
    )


def _disk(rows: int) -> str:
    return f"{rows * BYTES_PER_ROW / 1e9:,.0f} GB"


def number_of_rows(text: str) -> int:
    """A number of rows as people write it: 200000, 200k, 20M, 1.5M, 1e6.

    Raises
    ------
    ValueError
        If it is none, with a message that goes on from what the number is for.
    """
    found = _NUMBER.fullmatch(text.strip().replace("_", ""))
    if found is None:
        raise ValueError("must be a number such as 200000, 200k, 20M or 1e6")
    digits, exponent, multiple = found.groups()
    number = Decimal(digits).scaleb(int(exponent or 0)) * _MULTIPLES[multiple.lower()]
    if number != number.to_integral_value() or not 1 <= number <= _LARGEST_NUMBER:
        raise ValueError(f"must be a whole number from 1 to {_LARGEST_NUMBER:,}")
    return int(number)


def in_short(rows: int) -> str:
    """A number of rows as `number_of_rows` reads it, without its zeros: 20M."""
    for letter, multiple in (("M", 1_000_000), ("k", 1_000)):
        if rows % multiple == 0:
            return f"{rows // multiple}{letter}"
    return str(rows)


def shares_of(mixture: Mapping[str, float]) -> tuple[float, ...]:
    """The shares of a mixture in the order of `PROCESSES`, scaled to a sum of 1."""
    given = [float(mixture.get(name, 0.0)) for name in PROCESSES]
    total = math.fsum(given)
    return tuple(share / total for share in given)
