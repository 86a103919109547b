"""A zip on its way from a browser or a program to a file of its own."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

from sigma68.challenge.store.files import ORPHAN_AGE

__all__ = ["as_file", "file_name", "sweep_temporary"]

_PREFIXES = ("sigma68-upload-", "sigma68-unpacked-", "sigma68-export-")

_HARMLESS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,80}")


def file_name(name: str) -> str:
    """What to call the zip of an entry called `name`: the name, where it is a harmless one."""
    return f"{name}.zip" if _HARMLESS.fullmatch(name) else "upload.zip"


def sweep_temporary(now: datetime, *, age: timedelta = ORPHAN_AGE) -> int:
    """Remove what servers that were killed left among the temporary files of this user; how much.

    Uploads are large, and exports hold truths. What is younger than `age` may be in use.
    """
    count = 0
    for place in Path(tempfile.gettempdir()).glob("sigma68-*"):
        if not place.name.startswith(_PREFIXES) or place.is_symlink():
            continue
        with suppress(OSError):  # another server removes it, too
            found = place.stat()
            changed = datetime.fromtimestamp(found.st_mtime, UTC)
            if found.st_uid == os.geteuid() and now - changed >= age:
                shutil.rmtree(place)
                count += 1
    return count


@contextmanager
def as_file(source: IO[bytes], name: str) -> Iterator[Path]:
    """The content of `source` as a file, for as long as the block runs."""
    with tempfile.TemporaryDirectory(prefix="sigma68-upload-") as folder:
        path = Path(folder) / file_name(name)
        with path.open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
        yield path
