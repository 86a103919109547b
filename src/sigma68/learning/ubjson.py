"""Reading Universal Binary JSON (ubjson.org, draft 12): the form in which xgboost saves trees.

It is read as data that may be damaged: nothing is taken from beyond the end, nothing is made
larger than the content could fill, and nesting is limited.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

__all__ = ["read_ubjson"]

_NUMBERS: Final[dict[bytes, np.dtype[Any]]] = {
    b"i": np.dtype(">i1"),
    b"U": np.dtype(">u1"),
    b"I": np.dtype(">i2"),
    b"l": np.dtype(">i4"),
    b"L": np.dtype(">i8"),
    b"d": np.dtype(">f4"),
    b"D": np.dtype(">f8"),
}
_CONSTANTS: Final[dict[bytes, bool | None]] = {b"Z": None, b"T": True, b"F": False}
_DEEPEST: Final = 32


def read_ubjson(content: bytes | bytearray) -> Any:
    """The value that the content holds; an array of numbers of one type becomes a NumPy array.

    Raises
    ------
    ValueError
        If the content is no UBJSON, is cut short, or goes on after its value.
    """
    reader = _Reader(bytes(content))
    try:
        value = reader.value(reader.take(1), 0)
    except UnicodeDecodeError as error:
        raise ValueError(f"damaged UBJSON at byte {reader.at}") from error
    if reader.at != len(content):
        raise ValueError(f"{len(content) - reader.at} bytes after the end of the UBJSON")
    return value


class _Reader:
    """A position in the content, and what can be read from there."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.at = 0

    def take(self, n: int) -> bytes:
        """The next n bytes."""
        taken = self.content[self.at : self.at + n]
        if n < 0 or len(taken) < n:
            raise ValueError(f"UBJSON that ends at byte {len(self.content)}, too early")
        self.at += n
        return taken

    def peek(self) -> bytes:
        return self.content[self.at : self.at + 1]

    def value(self, marker: bytes, depth: int) -> Any:
        """The value that follows its marker."""
        if marker in _NUMBERS:
            return self.numbers(marker, 1)[0].item()
        if marker == b"S":
            return self.text()
        if marker == b"C":
            return self.take(1).decode("ascii")
        if marker in _CONSTANTS:
            return _CONSTANTS[marker]
        if depth >= _DEEPEST:
            raise ValueError(f"UBJSON nested deeper than {_DEEPEST} levels")
        if marker == b"[":
            return self.array(depth + 1)
        if marker == b"{":
            return self.object(depth + 1)
        raise ValueError(f"UBJSON with the unknown marker {marker!r} before byte {self.at}")

    def numbers(self, marker: bytes, count: int) -> np.ndarray[Any, np.dtype[Any]]:
        """So many numbers of one type, in the byte order of this machine."""
        kind = _NUMBERS[marker]
        return np.frombuffer(self.take(count * kind.itemsize), kind).astype(kind.newbyteorder("="))

    def text(self) -> str:
        return self.take(self.count()).decode("utf-8")

    def count(self) -> int:
        """A length, with its own marker."""
        marker = self.take(1)
        if marker not in _NUMBERS or marker in b"dD":
            raise ValueError(f"UBJSON with a length of type {marker!r} before byte {self.at}")
        count = int(self.numbers(marker, 1)[0])
        if not 0 <= count <= len(self.content):
            raise ValueError(f"UBJSON with a length of {count} before byte {self.at}")
        return count

    def head(self) -> tuple[bytes | None, int | None]:
        """The type and the number of what a container holds, where they are said."""
        kind = None
        if self.peek() == b"$":
            self.take(1)
            kind = self.take(1)
            if kind in _CONSTANTS or self.peek() != b"#":
                raise ValueError(f"UBJSON with a container of type {kind!r} and no length")
        if self.peek() != b"#":
            return None, None
        self.take(1)
        return kind, self.count()

    def array(self, depth: int) -> Any:
        kind, count = self.head()
        if count is not None:
            if kind is not None and kind in _NUMBERS:
                return self.numbers(kind, count)
            return [self.value(kind or self.take(1), depth) for _ in range(count)]
        values = []
        while (marker := self.take(1)) != b"]":
            values.append(self.value(marker, depth))
        return values

    def object(self, depth: int) -> dict[str, Any]:
        kind, count = self.head()
        values: dict[str, Any] = {}
        while count != len(values) if count is not None else self.peek() != b"}":
            name = self.text()
            if name in values:
                raise ValueError(f"UBJSON with two values of {name!r}")
            values[name] = self.value(kind or self.take(1), depth)
        if count is None:
            self.take(1)
        return values
