"""Entries and tables of toys as files, by the URL of a folder on this machine or of a bucket.

A file is there whole or not at all, under a key such as `entries/6f1c...zip`. It is stored before
the row that names it; what a kill leaves between the two is an orphan, which `sweep` removes.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sigma68.errors import DataError, MissingExtraError, OutputError, SettingsError
from sigma68.files import PART, make_folder, replacing

__all__ = ["Files", "open_files"]

_KEY = re.compile(r"[a-z]+(/[A-Za-z0-9][A-Za-z0-9._-]{0,99}){1,3}")
ORPHAN_AGE = timedelta(hours=2)
"""How old a file without a row must be: longer than any upload takes to get its row."""


@dataclass(frozen=True)
class Files:
    """A place for files: `root` below the file system `system` (fsspec's)."""

    system: Any
    root: str
    is_local: bool

    def put(self, key: str, source: Path, *, private: bool = False) -> None:
        """Store the content of `source` under `key`, whole or not at all.

        A `private` file on this machine is its owner's alone (mode 0600), in a folder that is, too.

        Raises
        ------
        OutputError
            If it cannot be stored.
        """
        where = self._path(key)
        if self.is_local:
            target = Path(where)
            make_folder(target.parent)
            with replacing(target) as part:
                if private:
                    target.parent.chmod(0o700)
                    part.touch(mode=0o600)
                    # One that a kill left may have another mode.
                    part.chmod(0o600)
                shutil.copyfile(source, part)
            return
        try:
            # An object of a bucket appears when its upload is complete.
            self.system.put_file(str(source), where)
        except Exception as error:
            raise OutputError(
                f"{key} cannot be stored in {self.root} ({error}): check the store and try again"
            ) from error

    @contextlib.contextmanager
    def local(self, key: str) -> Iterator[Path]:
        """The file on this machine's disk for as long as the block runs; not to be changed.

        Raises
        ------
        DataError
            If there is no such file, or it cannot be read.
        """
        where = self._path(key)
        if self.is_local:
            path = Path(where)
            if not path.is_file():
                raise DataError(f"{path} is not there: restore the store's files from a backup")
            yield path
            return
        with tempfile.TemporaryDirectory(prefix="sigma68-") as folder:
            path = Path(folder) / Path(key).name
            try:
                self.system.get_file(where, str(path))
            except Exception as error:
                raise DataError(
                    f"{key} cannot be read from {self.root} ({error}): check the store, or restore "
                    "its files from a backup"
                ) from error
            yield path

    def remove(self, key: str) -> None:
        """Remove the file under `key`, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            self.system.rm_file(self._path(key))

    def stored(self) -> dict[str, datetime]:
        """All keys, with the time (UTC) each was stored."""
        self.system.invalidate_cache()
        found = self.system.find(self.root, detail=True)
        return {name[len(self.root) :].lstrip("/"): _time_of(info) for name, info in found.items()}

    def sweep(
        self, wanted: Collection[str], now: datetime, *, age: timedelta = ORPHAN_AGE
    ) -> list[str]:
        """Remove the files that are older than `age` and not among `wanted`; their keys."""
        orphans = [
            key for key, since in self.stored().items() if key not in wanted and now - since >= age
        ]
        for key in orphans:
            # A temporary name is no key, yet has to go.
            with contextlib.suppress(FileNotFoundError):
                self.system.rm_file(f"{self.root}/{key}")
        return orphans

    def _path(self, key: str) -> str:
        if not _KEY.fullmatch(key) or ".." in key or key.endswith(PART):
            raise ValueError(f"{key!r} is no key of a file")
        return f"{self.root}/{key}"


def open_files(url: str) -> Files:
    """The files at a URL: a path, `file:///srv/files`, `s3://bucket/folder` ...

    Raises
    ------
    SettingsError
        If nothing is known of such a URL.
    MissingExtraError
        If the package for it is not installed.
    OutputError
        If a local folder cannot be made.
    """
    from fsspec.core import url_to_fs  # type: ignore[import-untyped]
    from fsspec.implementations.local import LocalFileSystem  # type: ignore[import-untyped]

    try:
        system, root = url_to_fs(url)
    except ImportError as error:
        raise MissingExtraError(
            f"files at {url} need a package that is not installed ({error}): install it"
        ) from error
    except ValueError as error:
        raise SettingsError(
            f"{url} is no place for files ({error}): give a folder, or a URL such as "
            "s3://bucket/folder"
        ) from error
    is_local = isinstance(system, LocalFileSystem)
    if is_local:
        make_folder(Path(root))
    return Files(system, str(root).rstrip("/"), is_local)


def _time_of(info: dict[str, Any]) -> datetime:
    """When a file was last changed, as its file system says it."""
    for name in ("mtime", "LastModified", "last_modified", "created"):
        value = info.get(name)
        if isinstance(value, datetime):
            return value if value.tzinfo else value.replace(tzinfo=UTC)
        if isinstance(value, (int, float)):
            return datetime.fromtimestamp(value, UTC)
    # Of unknown age is as good as new: it is kept.
    return datetime.fromtimestamp(time.time(), UTC)
