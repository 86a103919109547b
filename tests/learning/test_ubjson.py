"""Universal Binary JSON is read as it is specified, and never beyond its end."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sigma68.learning.ubjson import read_ubjson


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b"Z", None),
        (b"T", True),
        (b"F", False),
        (b"i\xff", -1),
        (b"U\xff", 255),
        (b"I\x01\x00", 256),
        (b"l\xff\xff\xff\xfe", -2),
        (b"L\x00\x00\x00\x01\x00\x00\x00\x00", 2**32),
        (b"d\x3f\xc0\x00\x00", 1.5),
        (b"D\x3f\xf8\x00\x00\x00\x00\x00\x00", 1.5),
        (b"SU\x03\xc3\xa4b", "äb"),
        (b"Cx", "x"),
        (b"[]", []),
        (b"[U\x01[T]]", [1, [True]]),
        (b"[#U\x02U\x01F", [1, False]),
        (b"[$S#U\x02U\x01aU\x01b", ["a", "b"]),
        (b"{}", {}),
        (b"{U\x01aZU\x01b[]}", {"a": None, "b": []}),
        (b"{#U\x01U\x01aU\x07", {"a": 7}),
        (b"{$U#U\x02U\x01a\x07U\x01b\x08", {"a": 7, "b": 8}),
    ],
)
def test_every_form_is_read(content: bytes, value: Any) -> None:
    found = read_ubjson(content)
    assert found == value
    assert type(found) is type(value)


def test_numbers_of_one_type_become_an_array() -> None:
    found = read_ubjson(b"[$I#U\x02\x01\x00\xff\xff")
    np.testing.assert_array_equal(found, [256, -1])
    assert found.dtype == np.int16
    assert read_ubjson(b"[$d#U\x00").shape == (0,)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "too early"),
        (b"I\x01", "too early"),
        (b"SU\x05abc", "too early"),
        (b"[U\x01", "too early"),
        (b"{U\x01a", "too early"),
        (b"[$l#U\x02\x00\x00\x00\x01", "too early"),
        (b"TT", "1 bytes after the end"),
        (b"x", "unknown marker"),
        (b"]", "unknown marker"),
        (b"SU\x02\xff\xff", "damaged"),
        (b"C\xff", "damaged"),
        (b"Si\xff", "length of -1"),
        (b"Sd\x3f\x80\x00\x00", "length of type"),
        (b"[$d#L\x40\x00\x00\x00\x00\x00\x00\x00", "length of"),
        (b"[#L\x7f\xff\xff\xff\xff\xff\xff\xff", "length of"),
        (b"[$U\x01", "no length"),
        (b"[$T#l\x00\x00\x00\x08", "no length"),  # would cost nothing and give as many as it likes
        (b"{U\x01aTU\x01aF}", "two values of 'a'"),
        (b"[" * 40, "nested deeper than 32"),
        (b"{U\x01a" * 40, "nested deeper than 32"),
    ],
)
def test_damage_is_a_value_error(content: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_ubjson(content)
