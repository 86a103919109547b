"""Copying somebody's folder or zip to a place of our own, trusting nothing in it.

Names, sizes and kinds are all checked before the first byte is written, and sizes again while
they are written: an archive may say one thing and hold another.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from sigma68.errors import EntryError
from sigma68.printable import printable
from sigma68.unpack import BROKEN_ZIP

__all__ = ["Limits", "copy_folder", "is_clutter", "unzip"]

_CLUTTER = {"__MACOSX", "__pycache__", ".DS_Store", ".git", ".ipynb_checkpoints"}
_CHUNK = 1 << 20
_ENCRYPTED = 0x1
_LONGEST_PART = 255
# What `zipfile` unpacks no more of at once than it is asked for; a chunk of others may be gigabytes.
_BOUNDED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@dataclass(frozen=True)
class Limits:
    """How large an entry may be: number of files, bytes in all, and bytes per zipped byte.

    `what` is the word for it in errors, where it is something else than an entry.
    """

    files: int = 2000
    total_bytes: int = 2 << 30
    ratio: float = 200.0
    what: str = "entry"

    @property
    def main(self) -> str:
        """The file that everything stands beside."""
        return {"entry": "model.py", "bundle": "competition.yaml"}.get(self.what, "its main file")


def is_clutter(path: PurePosixPath) -> bool:
    """Whether `path` is something that systems and editors leave behind, not part of an entry."""
    return any(part in _CLUTTER or part.startswith("._") for part in path.parts)


def unzip(archive: Path, folder: Path, limits: Limits | None = None) -> None:
    """Unpack `archive` into the existing, empty `folder`.

    Raises
    ------
    EntryError
        If the file is no zip, is damaged or encrypted, holds links, names outside its own
        folder or the same name twice, or is larger than `limits`.
    """
    limits = limits or Limits()
    with _reading(archive):
        opened = zipfile.ZipFile(archive)
    with opened:
        members = [info for info in opened.infolist() if _wanted(info)]
        _check_members(archive, members, limits)
        for info in members:
            target = folder / info.filename
            if info.is_dir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with _reading(archive):
                source = opened.open(info)
            with source:
                _write(source, target, info.file_size, archive, info.filename)


@contextlib.contextmanager
def _reading(archive: Path) -> Iterator[None]:
    """Turn whatever reading a damaged or hostile zip raises into an `EntryError`."""
    try:
        yield
    except BROKEN_ZIP as error:
        reason = printable(str(error) or type(error).__name__, 200)
        raise EntryError(
            f"{archive.name} cannot be unzipped ({reason}): make the zip again"
        ) from error


def copy_folder(source: Path, folder: Path, limits: Limits | None = None) -> None:
    """Copy the files of `source` into the existing, empty `folder`, following links inside it.

    Raises
    ------
    EntryError
        If a link leads out of `source`, something in it is neither file nor folder, or it is
        larger than `limits`.
    """
    limits = limits or Limits()
    total = 0
    for count, (path, relative) in enumerate(_walk(source, limits), start=1):
        total += path.stat().st_size
        if count > limits.files:
            raise EntryError(_too_many(source.name, limits))
        if total > limits.total_bytes:
            raise EntryError(_too_large(source.name, limits))
        target = folder / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(path, target)
        except PermissionError as error:
            raise EntryError(
                f"{source.name}: {relative} cannot be read: change its permissions"
            ) from error


def _walk(source: Path, limits: Limits) -> Iterator[tuple[Path, Path]]:
    root = source.resolve()
    for where, folders, files in os.walk(root, followlinks=False):
        here = Path(where)
        folders[:] = sorted(f for f in folders if not is_clutter(PurePosixPath(f)))
        linked = [name for name in folders if (here / name).is_symlink()]
        if linked:
            raise EntryError(
                f"{source.name}: {(here / linked[0]).relative_to(root)} is a link to a folder: "
                "put the folder itself there"
            )
        for name in sorted(files):
            path = here / name
            relative = path.relative_to(root)
            if is_clutter(PurePosixPath(name)):
                continue
            if not path.resolve().is_relative_to(root):
                raise EntryError(
                    f"{source.name}: {relative} is a link out of the folder: "
                    "put the file itself there"
                )
            if not path.is_file():
                raise EntryError(
                    f"{source.name}: {relative} is not an ordinary file: remove it from the {limits.what}"
                )
            yield path, relative


def _wanted(info: zipfile.ZipInfo) -> bool:
    return not is_clutter(PurePosixPath(info.filename))


def _check_members(archive: Path, members: list[zipfile.ZipInfo], limits: Limits) -> None:
    name = archive.name
    if len(members) > limits.files:
        raise EntryError(_too_many(name, limits))
    total = sum(info.file_size for info in members)
    if total > limits.total_bytes:
        raise EntryError(_too_large(name, limits))
    if total > limits.ratio * archive.stat().st_size:
        raise EntryError(
            f"{name} would unpack to more than {limits.ratio:g} times its size: "
            f"no {limits.what} needs that; leave out the file that is compressed so well"
        )
    files: set[PurePosixPath] = set()
    for info in members:
        _check_member(name, info, limits)
        if not info.is_dir():
            path = PurePosixPath(info.filename)
            if path in files:
                raise EntryError(f"{name} holds {info.filename} twice: make the zip again")
            files.add(path)
    for path in files:
        for parent in path.parents:
            if parent in files:
                raise EntryError(
                    f"{name} holds {parent} as a file and as a folder: make the zip again"
                )


def _check_member(name: str, info: zipfile.ZipInfo, limits: Limits) -> None:
    member = info.filename
    path = PurePosixPath(member)
    mode = info.external_attr >> 16
    if path.is_absolute() or ".." in path.parts or "\\" in info.orig_filename or ":" in member:
        raise EntryError(
            f"{name} holds the name {member!r}, which leads out of the {limits.what}'s folder: "
            f"zip the files with names relative to {limits.main}, and forward slashes"
        )
    too_long = len(member) > 400 or any(len(p.encode()) > _LONGEST_PART for p in path.parts)
    if not path.parts or "\0" in info.orig_filename or too_long:
        raise EntryError(f"{name} holds the name {member[:60]!r}: give the file a plain name")
    if info.flag_bits & _ENCRYPTED:
        raise EntryError(f"{name}: {member} is encrypted: make the zip without a password")
    if info.compress_type not in _BOUNDED:
        raise EntryError(
            f"{name}: {member} is packed in a rare way: make an ordinary zip (deflate)"
        )
    if stat.S_ISLNK(mode):
        raise EntryError(f"{name}: {member} is a link: zip the file itself (zip without -y)")
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise EntryError(f"{name}: {member} is not an ordinary file: leave it out of the zip")


def _write(source: IO[bytes], target: Path, size: int, archive: Path, member: str) -> None:
    written = 0
    with target.open("xb") as out:
        while True:
            with _reading(archive):
                chunk = source.read(_CHUNK)
            if not chunk:
                return
            written += len(chunk)
            if written > size:
                raise EntryError(
                    f"{archive.name}: {member} is larger than the zip says: make the zip again"
                )
            out.write(chunk)


def _too_many(name: str, limits: Limits) -> str:
    return (
        f"{name} holds more than {limits.files:,} files: leave out what {limits.main} does not need"
    )


def _too_large(name: str, limits: Limits) -> str:
    spare = f"what {limits.main} does not need"
    if limits.what == "entry":
        spare = "data that can be had from get_train_set"
    return f"{name} holds more than {limits.total_bytes / (1 << 30):g} GiB: leave out {spare}"
