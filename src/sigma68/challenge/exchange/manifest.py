"""The list of what an export holds: manifest.json, with the SHA-256 of every file.

It is written last, so that an export that has one is whole.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from sigma68.challenge.exchange.bundle_files import is_inside
from sigma68.challenge.exchange.fields import Fields
from sigma68.errors import ExchangeError
from sigma68.files import write_json
from sigma68.printable import printable

__all__ = ["NAME", "Listed", "Manifest", "listed", "read_manifest", "write_manifest"]

NAME: Final = "manifest.json"
_FORMAT: Final = "sigma68 challenge export 1"
_LARGEST: Final = 256 << 20


@dataclass(frozen=True)
class Listed:
    """A file as the manifest lists it."""

    sha256: str
    n_bytes: int


@dataclass(frozen=True)
class Manifest:
    """What an export holds.

    `made` is a time in UTC (ISO 8601), `tables` counts rows by table, `files` lists every file by
    its path, `stored` gives the path of each file of the store by its key. `secrets` says whether
    seeds and invite codes are among it; `left_out` says in words what is not.
    """

    made: str
    version: str
    secrets: bool
    tables: Mapping[str, int]
    files: Mapping[str, Listed]
    stored: Mapping[str, str]
    left_out: tuple[str, ...] = ()


def listed(path: Path) -> Listed:
    """The size and SHA-256 of a file."""
    with path.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    return Listed(digest, path.stat().st_size)


def write_manifest(folder: Path, manifest: Manifest) -> Path:
    """Write `folder`/manifest.json, whole or not at all.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    document: dict[str, Any] = {
        "format": _FORMAT,
        "made": manifest.made,
        "version": manifest.version,
        "secrets": manifest.secrets,
        "left_out": list(manifest.left_out),
        "tables": dict(manifest.tables),
        "stored": dict(manifest.stored),
        "files": {
            name: {"sha256": file.sha256, "bytes": file.n_bytes}
            for name, file in sorted(manifest.files.items())
        },
    }
    write_json(folder / NAME, document)
    return folder / NAME


def read_manifest(folder: Path) -> Manifest:
    """The manifest of the export in `folder`, each of whose files is there as it was written.

    Raises
    ------
    ExchangeError
        If there is none, it is damaged, or a file is missing or has changed.
    """
    path = folder / NAME
    if not path.is_file() or path.stat().st_size > _LARGEST:
        raise ExchangeError(
            f"{folder} has no {NAME}: give the folder of an export that was finished"
        )
    try:
        top = Fields(json.loads(path.read_text(encoding="utf-8")), NAME)
    except (OSError, ValueError, RecursionError) as error:
        raise ExchangeError(f"{path} cannot be read ({error}): export again") from error
    if top.text("format", "") != _FORMAT:
        raise ExchangeError(f"{path} is not of the form {_FORMAT!r}: another version wrote it")
    files = {
        name: Listed(entry.text("sha256"), entry.whole("bytes", most=2**62))
        for name, entry in _mapping(top, "files", Fields)
    }
    for name, file in files.items():
        _check(folder, name, file)
    stored = {}
    for key, name in _mapping(top, "stored", str):
        if name not in files:
            raise ExchangeError(f"{NAME}: the file of {key!r} is not listed: export again")
        stored[key] = name
    return Manifest(
        made=top.text("made"),
        version=top.text("version", ""),
        secrets=top.flag("secrets", False),
        tables=dict(_mapping(top, "tables", int)),
        files=files,
        stored=stored,
    )


def _mapping(top: Fields, key: str, kind: Any) -> list[tuple[str, Any]]:
    """The items of a mapping; `kind` is that of its values, or `Fields` for mappings."""
    values = top.raw(key)
    if not isinstance(values, dict):
        raise ExchangeError(f"{NAME} has no {key}: export again")
    if kind is Fields:
        return [(name, Fields(value, f"{NAME}: {name}")) for name, value in values.items()]
    if not all(isinstance(value, kind) for value in values.values()):
        raise ExchangeError(f"{NAME}: {key} is not what it should be: export again")
    return list(values.items())


def _check(folder: Path, name: str, file: Listed) -> None:
    pure = PurePosixPath(name)
    path = folder / pure
    if pure.is_absolute() or ".." in pure.parts or "\\" in name:
        raise ExchangeError(f"{NAME} lists {printable(name, 80)!r}, which leads out of the export")
    if not is_inside(folder, name) or not path.is_file():
        raise ExchangeError(f"{printable(path, 300)} is missing: copy the export again")
    if path.stat().st_size != file.n_bytes or listed(path) != file:
        raise ExchangeError(f"{path} is not as it was exported: copy the export again")
