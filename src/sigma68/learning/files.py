"""How trained models are written and read: whole or not at all, JSON and bytes, never pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sigma68.errors import DataError, ModelMismatchError
from sigma68.files import replacing

__all__ = ["read_bytes", "read_document", "require_match", "write_bytes", "write_document"]


def write_bytes(path: Path, content: bytes | bytearray) -> None:
    """Write a file, whole or not at all.

    Raises
    ------
    OutputError
        If the folder cannot be written or the disk is full.
    """
    with replacing(path) as part:
        part.write_bytes(content)


def write_document(path: Path, document: Mapping[str, Any]) -> None:
    """Write a JSON object; floats are written so that they read back bit for bit.

    Raises
    ------
    OutputError
        If the folder cannot be written or the disk is full.
    """
    text = json.dumps(document, indent=1, sort_keys=True, allow_nan=False)
    write_bytes(path, (text + "\n").encode())


def read_bytes(path: Path) -> bytearray:
    """The content of one file of a saved model.

    Raises
    ------
    DataError
        If the file cannot be read.
    """
    try:
        return bytearray(path.read_bytes())
    except OSError as error:
        raise DataError(
            f"cannot read the trained model's file {path} ({error.strerror}): train again"
        ) from error


def read_document(path: Path) -> dict[str, Any]:
    """The JSON object that `write_document` wrote.

    Raises
    ------
    DataError
        If the file cannot be read or holds no JSON object.
    """
    try:
        document = json.loads(read_bytes(path))
    except ValueError as error:
        raise DataError(f"{path} is not a trained model's JSON ({error}): train again") from error
    if not isinstance(document, dict):
        raise DataError(f"{path} holds no JSON object: train again")
    return document


def require_match(
    path: Path, document: Mapping[str, Any], expected: Mapping[str, Any], keys: tuple[str, ...]
) -> None:
    """Check what a saved model says of itself, and that the named entries are there.

    Raises
    ------
    ModelMismatchError
        If an entry of `expected` differs in `document`.
    DataError
        If one of `keys` is missing.
    """
    for name, value in expected.items():
        if document.get(name) != value:
            raise ModelMismatchError(
                f"{path} was trained with {name} {document.get(name)!r}, not {value!r}: train again"
            )
    missing = [key for key in keys if key not in document]
    if missing:
        raise DataError(f"{path} lacks {', '.join(missing)}: train again")
