"""Folders that one process at a time writes to, and those that vanish with their process."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from sigma68.errors import OutputError
from sigma68.files import explained

__all__ = ["LOG", "locked", "log_of", "scratch_folder"]

LOG = "workers.log"
_SCRATCH, _IN_USE = "sigma68-run-", "in-use"
_LONGEST_LOG = 10 << 20


@contextlib.contextmanager
def locked(out: Path) -> Iterator[None]:
    """Hold the folder `out`, so that nobody else writes to it, until the block ends.

    Raises
    ------
    OutputError
        If somebody else holds it, or it cannot be locked.
    """
    path = out / "lock"
    with explained(path):
        stream = path.open("a")
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputError(
                f"another run is writing to {out}: wait until it ends, or give another folder"
            ) from error
        except OSError as error:
            raise OutputError(
                f"{path} cannot be locked ({error.strerror}): give a folder on another file system"
            ) from error
        yield


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """A temporary folder, away from the results and the truths in them, where entries are unpacked.

    It is locked as long as this process lives; those that killed runs left are removed.
    """
    place = Path(tempfile.gettempdir())
    with explained(place):
        # One without the mark is being made this instant.
        for mark in place.glob(f"{_SCRATCH}*/{_IN_USE}"):
            with contextlib.suppress(OSError), _folder_lock(mark.parent):
                if mark.parent.stat().st_uid == os.getuid():
                    shutil.rmtree(mark.parent)
        scratch = tempfile.TemporaryDirectory(prefix=_SCRATCH)
    with scratch as name, _folder_lock(Path(name)):
        with explained(place):
            (Path(name) / _IN_USE).touch()
        yield Path(name)


@contextlib.contextmanager
def _folder_lock(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def log_of(out: Path) -> Iterator[Callable[[bytes], None]]:
    """Where what the workers print goes, up to 10 MiB."""
    path = out / LOG
    with explained(path):
        stream: IO[bytes] = path.open("ab", buffering=0)
    with stream:

        def write(words: bytes) -> None:
            with explained(path):
                if stream.tell() < _LONGEST_LOG:
                    stream.write(words)

        yield write
