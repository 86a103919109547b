"""Reading what somebody's YAML says, key by key: every value is of its kind and size, or refused.

Nothing is taken for what it should be: YAML makes `no` a boolean, `1_000` a number and a date out
of what was meant as text.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any, Final

from sigma68.errors import ExchangeError
from sigma68.printable import printable

__all__ = ["Fields", "utc"]

_WORDS: Final = {"true": True, "yes": True, "false": False, "no": False}
_MOST_WHOLE: Final = 2**31 - 1


class Fields:
    """A mapping of competition.yaml; `where` says which, in errors.

    Raises
    ------
    ExchangeError
        If it is no mapping, or a key of it is no text. So do all methods where a value is missing
        without a default, of another kind, or too large.
    """

    def __init__(self, values: object, where: str) -> None:
        self.where = where
        if not isinstance(values, Mapping):
            raise ExchangeError(f"{where} must be a list of 'key: value', not {_kind(values)}")
        if not all(isinstance(key, str) for key in values):
            raise ExchangeError(f"{where} has a key that is no text: put it in quotes")
        self._values: Mapping[str, Any] = values
        self._read: set[str] = set()

    def unread(self) -> list[str]:
        """The keys that nobody has asked for, made fit to be shown."""
        return sorted(printable(key, 40) for key in set(self._values) - self._read)

    def has(self, key: str) -> bool:
        """Whether the key is there with a value."""
        return self._value(key) is not None

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def raw(self, key: str) -> Any:
        """The value as YAML gave it; None if it is not there."""
        return self._value(key)

    def text(self, key: str, default: str | None = None, *, longest: int = 200) -> str:
        """A text of at most `longest` characters, without characters that do not print."""
        value = self._value(key)
        if value is None:
            if default is None:
                raise self._missing(key)
            return default
        if isinstance(value, bool) or not isinstance(value, str | int | float | date):
            raise self._wrong(key, "a text", value)
        text = str(value).strip()
        if len(text) > longest:
            raise ExchangeError(
                f"{self.where}: {key} has {len(text):,} characters: shorten it to {longest:,}"
            )
        return printable(text, longest)

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        value = self._value(key)
        if value is None:
            return default
        if isinstance(value, str) and value.strip().lower() in _WORDS:
            return _WORDS[value.strip().lower()]
        if not isinstance(value, bool):
            raise self._wrong(key, "true or false", value)
        return value

    def whole(
        self, key: str, default: int | None = None, *, least: int = 0, most: int = _MOST_WHOLE
    ) -> int:
        """A whole number, `least` to `most`."""
        value = self._value(key)
        if value is None and default is not None:
            return default
        if value is None:
            raise self._missing(key)
        return self._whole(key, value, least, most)

    def wholes(self, key: str, *, most: int = 100) -> tuple[int, ...]:
        """A list of whole numbers; empty if it is not there."""
        return tuple(self._whole(key, value, 0, _MOST_WHOLE) for value in self._list(key, most))

    def items(self, key: str, *, most: int = 100) -> list[Fields]:
        """A list of mappings; empty if it is not there."""
        found = self._list(key, most)
        return [Fields(item, f"{self.where}, {key} {i}") for i, item in enumerate(found)]

    def moment(self, key: str) -> datetime | None:
        """A time, in UTC; None if it is not there.

        A time without a zone is in UTC, a date is its first moment.
        """
        value = self._value(key)
        if isinstance(value, str) and value.strip():
            try:
                value = datetime.fromisoformat(value.strip().removesuffix("UTC").strip())
            except ValueError:
                raise self._wrong(key, "a time such as 2026-01-31 12:00:00", value) from None
        if value is None or value == "":
            return None
        if not isinstance(value, date):
            raise self._wrong(key, "a time such as 2026-01-31 12:00:00", value)
        if not isinstance(value, datetime):
            value = datetime(value.year, value.month, value.day)
        try:
            return utc(value)
        except OverflowError:
            raise self._wrong(key, "a time such as 2026-01-31 12:00:00", value) from None

    def _value(self, key: str) -> Any:
        self._read.add(key)
        return self._values.get(key)

    def _list(self, key: str, most: int) -> list[Any]:
        value = self._value(key)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self._wrong(key, "a list", value)
        if len(value) > most:
            raise ExchangeError(f"{self.where}: {key} has {len(value):,} items, more than {most}")
        return value

    def _whole(self, key: str, value: Any, least: int, most: int) -> int:
        if isinstance(value, str) and value.strip().isascii() and value.strip().isdecimal():
            value = int(value) if len(value.strip()) < 20 else most + 1
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._wrong(key, "a whole number", value)
        if not least <= value <= most:
            raise ExchangeError(f"{self.where}: {key} must be {least} to {most:,}")
        return value

    def _missing(self, key: str) -> ExchangeError:
        return ExchangeError(f"{self.where} has no {key}: add it")

    def _wrong(self, key: str, wanted: str, value: object) -> ExchangeError:
        return ExchangeError(f"{self.where}: {key} must be {wanted}, not {_kind(value)}")


def utc(moment: datetime) -> datetime:
    """The same moment in UTC; one without a zone is taken to be in UTC."""
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC)


def _kind(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return f"the text {printable(value, 40)!r}"
    if isinstance(value, bool | int | float) and len(repr(value)) < 40:
        return f"{value}"
    return {"list": "a list", "dict": "a list of 'key: value'"}.get(
        type(value).__name__, f"a {type(value).__name__}"
    )
