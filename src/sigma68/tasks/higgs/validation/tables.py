"""Tables of expected yields at 10 fb^-1: published ones, those of a file, or those of events.

A JSON file holds `{"inclusive": {process: events}, "regions": {region: {process: events}}}`, a CSV
file a column `region`, whose rows are regions or "inclusive", and a column per process. What is left
out (an empty cell, a missing process or region) is not compared.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError
from sigma68.tasks.higgs.regions import PUBLISHED_YIELDS, REGIONS
from sigma68.tasks.higgs.schema import EXPECTED_EVENTS, PROCESSES
from sigma68.tasks.higgs.validation.ledger import CellSums

__all__ = ["YieldTable", "published", "read_table", "table_of"]

Floats = npt.NDArray[np.float64]

_INCLUSIVE = "inclusive"
_LARGEST = 1_000_000
_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, RecursionError, csv.Error)


@dataclass(frozen=True)
class YieldTable:
    """Expected events; NaN where the table says nothing.

    `inclusive`, shape (4,), is before the high thresholds, `regions`, shape (5, 4), after them;
    `inclusive_error` and `regions_error` are their statistical errors.
    """

    name: str
    inclusive: Floats
    regions: Floats
    inclusive_error: Floats = field(default_factory=lambda: np.zeros(4))
    regions_error: Floats = field(default_factory=lambda: np.zeros((len(REGIONS), 4)))


def published() -> YieldTable:
    """Table 1 of the paper and the organisers' table of regions."""
    return YieldTable("published tables", np.array(EXPECTED_EVENTS), PUBLISHED_YIELDS)


def table_of(name: str, sums: tuple[CellSums, CellSums]) -> YieldTable:
    """The yields of events: sums per process, and per region and process after the thresholds."""
    shapes = (len(PROCESSES),), (len(REGIONS), len(PROCESSES))
    values, errors = [], []
    for own, shape in zip(sums, shapes, strict=True):
        values.append(np.where(own.sumw > 0, own.sumw, np.nan).reshape(shape))
        errors.append(np.sqrt(own.unit2).reshape(shape))
    return YieldTable(name, *values, *errors)


def read_table(path: Path) -> YieldTable:
    """The table of a JSON or CSV file.

    Raises
    ------
    DataError
        If the file cannot be read, names an unknown process or region, holds something that is
        not a positive number, or holds nothing.
    """
    try:
        text = _text(path)
        rows = _rows_of_csv(text) if path.suffix.lower() == ".csv" else _rows_of_json(text)
    except (OSError, *_UNREADABLE) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DataError(
            f"{path} cannot be read as a table of yields ({reason}): give JSON with the keys "
            '"inclusive" and "regions", or CSV with a column "region" and one per process'
        ) from error
    table = YieldTable(str(path), np.full(4, np.nan), np.full((len(REGIONS), 4), np.nan))
    for name, cells in rows.items():
        target = table.inclusive if name == _INCLUSIVE else table.regions[_region(path, name)]
        for process, value in cells.items():
            if process not in PROCESSES:
                raise DataError(
                    f"{path} has a column {process!r}: known processes are {', '.join(PROCESSES)}"
                )
            if value is not None and value != "":
                target[PROCESSES.index(process)] = _number(path, name, process, value)
    if np.isnan(table.inclusive).all() and np.isnan(table.regions).all():
        raise DataError(f"{path} holds no yields: give expected events of at least one process")
    return table


def _text(path: Path) -> str:
    """The text of the file, without waiting for pipes or reading what has no end."""
    if path.exists() and not path.is_file():
        raise ValueError("it is no file")
    if path.stat().st_size > _LARGEST:
        raise ValueError("it is larger than 1 MB")
    return path.read_text(encoding="utf-8-sig")


def _rows_of_json(text: str) -> dict[str, Mapping[str, Any]]:
    document = json.loads(text)
    if not isinstance(document, dict) or not isinstance(document.get("regions", {}), dict):
        raise ValueError("it is not made of JSON objects")
    unknown = set(document) - {_INCLUSIVE, "regions"}
    if unknown:
        raise ValueError(f"unknown key {sorted(unknown)[0]!r}")
    rows: dict[str, Mapping[str, Any]] = dict(document.get("regions", {}))
    if _INCLUSIVE in document:
        rows[_INCLUSIVE] = document[_INCLUSIVE]
    if not all(isinstance(cells, dict) for cells in rows.values()):
        raise ValueError("it is not made of JSON objects")
    return rows


def _rows_of_csv(text: str) -> dict[str, Mapping[str, Any]]:
    rows: dict[str, Mapping[str, Any]] = {}
    for row in csv.DictReader(text.splitlines(), strict=True):
        if None in row or None in row.values():
            raise ValueError("its lines have different numbers of cells")
        cells = {str(name).strip(): value.strip() for name, value in row.items()}
        region = cells.pop("region")
        if region in rows:
            raise ValueError(f"it has the region {region!r} twice")
        rows[region] = cells
    return rows


def _region(path: Path, name: str) -> int:
    plain = ["".join(region.split()) for region in REGIONS]
    if "".join(name.split()) not in plain:
        raise DataError(
            f"{path} names a region {name!r}: known regions are {'; '.join(REGIONS)}; and inclusive"
        )
    return plain.index("".join(name.split()))


def _number(path: Path, row: str, process: str, value: Any) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise DataError(f"{path} has {value!r} for {process} in {row}: give a positive number")
    return number
