"""A zip on its way from a browser or a program to a file of its own."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

__all__ = ["as_file", "file_name"]

_HARMLESS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,80}")


def file_name(name: str) -> str:
    """What to call the zip of an entry called `name`: the name, where it is a harmless one."""
    return f"{name}.zip" if _HARMLESS.fullmatch(name) else "upload.zip"


@contextmanager
def as_file(source: IO[bytes], name: str) -> Iterator[Path]:
    """The content of `source` as a file, for as long as the block runs."""
    with tempfile.TemporaryDirectory(prefix="sigma68-upload-") as folder:
        path = Path(folder) / file_name(name)
        with path.open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
        yield path
