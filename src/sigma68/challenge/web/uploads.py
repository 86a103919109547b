"""A zip on its way from a browser or a program to a file of its own."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

__all__ = ["as_file"]


@contextmanager
def as_file(source: IO[bytes]) -> Iterator[Path]:
    """The content of `source` as a file, for as long as the block runs."""
    with tempfile.TemporaryDirectory(prefix="sigma68-upload-") as folder:
        path = Path(folder) / "upload.zip"
        with path.open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
        yield path
