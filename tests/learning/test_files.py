"""A trained model's files are whole, and say clearly when they are not what is needed."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from sigma68.errors import DataError, ModelMismatchError, OutputError
from sigma68.learning.files import (
    read_bytes,
    read_document,
    require_match,
    write_bytes,
    write_document,
)


def test_numbers_survive_bit_for_bit_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    write_document(path, {"a": [0.1 + 0.2, math.pi, 1e-308]})
    assert read_document(path) == {"a": [0.1 + 0.2, math.pi, 1e-308]}
    assert [p.name for p in tmp_path.iterdir()] == ["model.json"]


def test_an_unwritable_place_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"absent.*model\.json cannot be written"):
        write_bytes(tmp_path / "absent" / "model.json", b"{}")


def test_unreadable_and_damaged_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read"):
        read_bytes(tmp_path / "absent.json")
    for content, reason in ((b'{"a": 1', "not a trained model's JSON"), (b"[1]", "no JSON object")):
        path = tmp_path / "damaged.json"
        path.write_bytes(content)
        with pytest.raises(DataError, match=reason):
            read_document(path)


def test_another_task_is_refused(tmp_path: Path) -> None:
    document = {"task": "one", "cut": 1}
    require_match(tmp_path, document, {"task": "one"}, ("cut",))
    with pytest.raises(ModelMismatchError, match="with task 'one', not 'two'"):
        require_match(tmp_path, document, {"task": "two"}, ("cut",))
    with pytest.raises(DataError, match="lacks signal"):
        require_match(tmp_path, document, {"task": "one"}, ("cut", "signal"))
