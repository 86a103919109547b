"""Files that are whole or not there: written under a temporary name, then renamed."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sigma68.errors import OutputError

__all__ = ["PART", "clean_parts", "explained", "make_folder", "replacing", "write_json"]

PART = ".part"
"""The ending of temporary names; nothing that has it is ever read."""

_ADVICE = (
    "make room or give a folder that can be written to, then start again; what is finished is kept"
)


@contextlib.contextmanager
def explained(path: Path, advice: str = _ADVICE) -> Iterator[None]:
    """Turn an `OSError` of writing `path` into an `OutputError` that says what to do."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise OutputError(f"{path} cannot be written ({reason}): {advice}") from error


def make_folder(path: Path) -> None:
    """Make `path` and its parents if they are not there.

    Raises
    ------
    OutputError
        If it cannot be made, or is a file.
    """
    with explained(path):
        path.mkdir(parents=True, exist_ok=True)


@contextlib.contextmanager
def replacing(path: Path, *, sync: bool = True, advice: str = _ADVICE) -> Iterator[Path]:
    """A temporary name beside `path`, which takes the place of `path` at the end of the block.

    If the block raises, `path` is as it was. With `sync` the content is on the disk before the
    name is; without, a power cut may leave a damaged file under it.

    Raises
    ------
    OutputError
        If writing or renaming fails.
    """
    part = path.with_name(path.name + PART)
    try:
        with explained(path, advice):
            yield part
            if sync:
                _sync(part)
            part.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise


def write_json(path: Path, document: Any, *, sync: bool = True, indent: int | None = 2) -> None:
    """Write a JSON document, whole or not at all.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    with replacing(path, sync=sync) as part:
        part.write_text(json.dumps(document, indent=indent) + "\n", encoding="utf-8")


def clean_parts(folder: Path) -> None:
    """Remove what interrupted writing left in `folder` (not below it).

    Raises
    ------
    OutputError
        If something cannot be removed.
    """
    for part in folder.glob(f"*{PART}"):
        with explained(part):
            if part.is_dir():
                shutil.rmtree(part)
            else:
                part.unlink()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
