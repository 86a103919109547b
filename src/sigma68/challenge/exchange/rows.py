"""Rows of the database as plain values and back, by the types of their columns.

In JSON a time is a text in UTC (ISO 8601), bytes are base64, and a float that JSON has no number
for is "NaN", "Infinity" or "-Infinity"; all else is what it is. Floats come back bit for bit.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import JSON, Boolean, Column, Float, Integer, LargeBinary, String, Table

from sigma68.challenge.exchange.fields import utc
from sigma68.challenge.store.base import UtcTime
from sigma68.errors import ExchangeError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["arrow_schema", "arrow_value", "from_plain", "to_plain"]

_ODD: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def to_plain(column: Column[Any], value: Any) -> Any:
    """A value as JSON holds it.

    Raises
    ------
    ExchangeError
        If a document holds a number that JSON has none for.
    """
    if value is None:
        return None
    if isinstance(column.type, UtcTime):
        return utc(value).isoformat(timespec="microseconds").replace("+00:00", "Z")
    if isinstance(column.type, LargeBinary):
        return base64.b64encode(value).decode()
    if isinstance(column.type, JSON):
        try:
            json.dumps(value, allow_nan=False)
        except ValueError as error:
            raise ExchangeError(f"{column} holds a number that JSON has none for") from error
        return value
    if isinstance(column.type, Float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def from_plain(table: Table, plain: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The row that `to_plain` made, value by value; every one is of its column's type.

    A column that is not there keeps its default.

    Raises
    ------
    ExchangeError
        If a column is not known, a value is of another type or too long, or one is missing.
    """
    unknown = sorted(set(plain) - set(table.columns.keys()))
    if unknown:
        raise ExchangeError(f"{where} has a column {unknown[0]!r}: a newer version wrote it")
    row: dict[str, Any] = {}
    for column in table.columns:
        if column.name not in plain:
            if not (column.nullable or column.default is not None):
                raise ExchangeError(f"{where} has no {column.name}: export again")
            continue
        value = plain[column.name]
        if value is None:
            if not column.nullable:
                raise ExchangeError(f"{where}: {column.name} must not be null: export again")
            row[column.name] = None
            continue
        try:
            row[column.name] = _typed(column, value)
        except (TypeError, ValueError, OverflowError, binascii.Error) as error:
            raise ExchangeError(
                f"{where}: {column.name} is not what it should be ({error}): export again"
            ) from error
    return row


def _typed(column: Column[Any], value: Any) -> Any:
    kind = column.type
    if isinstance(kind, UtcTime):
        return _moment(value)
    if isinstance(kind, LargeBinary):
        return base64.b64decode(_of(str, value), validate=True)
    if isinstance(kind, JSON):
        return _of((dict, list), value)
    if isinstance(kind, Boolean):
        return _of(bool, value)
    if isinstance(kind, Integer):
        if isinstance(value, bool) or not -(2**63) <= _of(int, value) < 2**63:
            raise ValueError("no whole number of 64 bits")
        return value
    if isinstance(kind, Float):
        if isinstance(value, str):
            return _ODD[value] if value in _ODD else float("no number")
        if isinstance(value, bool):
            raise TypeError("no number")
        return float(_of((int, float), value))
    text = _of(str, value)
    if "\0" in text or (isinstance(kind, String) and kind.length and len(text) > kind.length):
        raise ValueError("a text that is too long, or holds a zero byte")
    return text


def _of(kind: type | tuple[type, ...], value: Any) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"a {type(value).__name__}")
    return value


def _moment(value: Any) -> datetime:
    moment = datetime.fromisoformat(_of(str, value))
    if moment.tzinfo is None:
        raise ValueError("a time without a zone")
    return moment.astimezone(UTC)


def arrow_schema(table: Table, left_out: frozenset[str]) -> pa.Schema:
    """The columns of a table in Arrow's types; documents are JSON texts."""
    import pyarrow as pa

    def kind(column: Column[Any]) -> pa.DataType:
        kinds = (
            (UtcTime, pa.timestamp("us", tz="UTC")),
            (LargeBinary, pa.binary()),
            (Boolean, pa.bool_()),
            (Integer, pa.int64()),
            (Float, pa.float64()),
        )
        return next((made for of, made in kinds if isinstance(column.type, of)), pa.string())

    return pa.schema([(c.name, kind(c)) for c in table.columns if c.name not in left_out])


def arrow_value(column: Column[Any], value: Any) -> Any:
    """A value as the Arrow column of `arrow_schema` takes it."""
    if value is not None and isinstance(column.type, JSON):
        return json.dumps(value, sort_keys=True)
    return value
