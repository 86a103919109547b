"""Unpacking a large zip that nobody vouches for, member by member, so that it can be gone on with.

Names, kinds and sizes are all checked before the first byte is written, and sizes again while
they are written. A member gets its name once its CRC-32 is right. One that is there already with
the right size and CRC-32 is not unpacked again.
"""

from __future__ import annotations

import contextlib
import lzma
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Final

from sigma68.errors import DataError, OutputError
from sigma68.files import PART, explained, make_folder
from sigma68.meter import Meter, Report
from sigma68.printable import printable

__all__ = ["BROKEN_ZIP", "UnpackLimits", "unpack"]

_CHUNK: Final = 1 << 20
_ENCRYPTED: Final = 0x1
_CLUTTER: Final = {"__MACOSX", ".DS_Store"}
_READABLE: Final = (
    zipfile.ZIP_STORED,
    zipfile.ZIP_DEFLATED,
    zipfile.ZIP_BZIP2,
    zipfile.ZIP_LZMA,
)

BROKEN_ZIP: Final = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, struct.error, OSError),
    *(NotImplementedError, RuntimeError, ValueError, OverflowError),
)
"""What `zipfile` and what stands behind it raise where the zip is to blame; bz2 knows nothing but OSError."""


@dataclass(frozen=True)
class UnpackLimits:
    """How much a zip may hold: members, bytes in all, and bytes per zipped byte."""

    members: int = 100
    total_bytes: int = 1 << 40
    ratio: float = 50.0


def unpack(
    archive: Path,
    folder: Path,
    *,
    limits: UnpackLimits | None = None,
    room: Callable[[int], None] | None = None,
    report: Report | None = None,
) -> list[Path]:
    """Unpack `archive` into `folder`; the files of it, in the order of their names.

    Parameters
    ----------
    room
        Called with the bytes still to be written, before the first is; raises if there is no
        room.

    Raises
    ------
    DataError
        If the file is no zip, is damaged or encrypted, holds links, names that lead out of
        `folder` or the same name twice, or more than `limits`.
    OutputError
        If the disk is full or cannot be written; finished members are kept.
    """
    limits = limits or UnpackLimits()
    make_folder(folder)
    with _explained(archive):
        opened = zipfile.ZipFile(archive)
    with opened:
        members = _checked(archive, opened.infolist(), limits)
        meter = Meter("unpacking", sum(info.file_size for info in members), report)
        done, missing = 0, []
        for info in members:
            if _is_finished(folder / info.filename, info, meter, done):
                done += info.file_size
            else:
                missing.append(info)
        if room is not None:
            room(sum(info.file_size for info in missing))
        for info in missing:
            _write(opened, info, folder, archive, meter, done)
            done += info.file_size
        return sorted(folder / info.filename for info in members)


@contextlib.contextmanager
def _explained(archive: Path) -> Iterator[None]:
    """Turn whatever reading a damaged or hostile zip raises into a `DataError`."""
    try:
        yield
    except BROKEN_ZIP as error:
        reason = str(error) or type(error).__name__
        raise DataError(
            f"{archive} cannot be unzipped ({printable(reason, 200)}): it is damaged, get it again"
        ) from error


def _checked(
    archive: Path, infos: list[zipfile.ZipInfo], limits: UnpackLimits
) -> list[zipfile.ZipInfo]:
    """The files of the archive, all found sound."""
    if len(infos) > limits.members:
        raise DataError(f"{archive} holds more than {limits.members:,} files: it is not data")
    seen: set[PurePosixPath] = set()
    files = []
    for info in infos:
        _check_member(archive, info)
        path = PurePosixPath(info.filename)
        if info.is_dir() or any(part in _CLUTTER for part in path.parts):
            continue
        if path in seen:
            raise DataError(f"{archive} holds {path} twice: it is damaged, get it again")
        seen.add(path)
        files.append(info)
    for path in seen:
        if seen & set(path.parents):
            raise DataError(f"{archive} holds a file that is also a folder, above {path}")
    total = sum(info.file_size for info in files)
    if total > limits.total_bytes or total > limits.ratio * archive.stat().st_size:
        raise DataError(
            f"{archive} would unpack to {total / 1e9:,.1f} GB, over {limits.ratio:g} times its "
            f"size or {limits.total_bytes / 1e9:,.0f} GB: it is not data"
        )
    return files


def _check_member(archive: Path, info: zipfile.ZipInfo) -> None:
    name, path = info.filename, PurePosixPath(info.filename)
    leads_out = path.is_absolute() or ".." in path.parts or "\\" in info.orig_filename
    if leads_out or ":" in name:
        raise DataError(f"{archive} holds the name {name!a}, which leads out of its folder")
    odd = not name.isprintable() or "\0" in info.orig_filename or name.endswith(PART)
    if odd or not path.parts or len(name.encode()) > 200:
        raise DataError(f"{archive} holds the name {name[:60]!a}, which no file should have")
    if info.flag_bits & _ENCRYPTED:
        raise DataError(f"{archive}: {name} is encrypted: get the data without a password")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise DataError(f"{archive}: {name} is a link or a device: it is not data")
    if info.compress_type not in _READABLE:
        raise DataError(
            f"{archive}: {name} is compressed in a way that cannot be read here: unzip it with "
            "another program"
        )


def _is_finished(target: Path, info: zipfile.ZipInfo, meter: Meter, before: int) -> bool:
    if target.is_symlink() or not target.is_file() or target.stat().st_size != info.file_size:
        return False
    crc = done = 0
    with explained(target), target.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            crc = zlib.crc32(chunk, crc)
            done += len(chunk)
            meter(before + done)
    return crc == info.CRC


def _write(
    opened: zipfile.ZipFile,
    info: zipfile.ZipInfo,
    folder: Path,
    archive: Path,
    meter: Meter,
    before: int,
) -> None:
    """One member to its name, through a temporary one."""
    target = folder / info.filename
    make_folder(target.parent)
    if not target.parent.resolve().is_relative_to(folder.resolve()):
        raise OutputError(f"{target.parent} is a link out of {folder}: remove it")
    part = target.with_name(target.name + PART)
    with _explained(archive):
        source = opened.open(info)
    with source:
        try:
            with explained(target):
                part.unlink(missing_ok=True)  # of a program that was killed
                with part.open("xb") as out:
                    _copy(_pieces(source, info, archive), out, meter, before)
                    out.flush()
                    os.fsync(out.fileno())
                part.replace(target)
        finally:
            with contextlib.suppress(OSError):  # what went wrong before is on its way to the user
                part.unlink(missing_ok=True)


def _pieces(source: IO[bytes], info: zipfile.ZipInfo, archive: Path) -> Iterator[bytes]:
    """The content of a member, as long as the zip says and no longer."""
    done = 0
    while True:
        with _explained(archive):
            chunk = source.read(_CHUNK)
        done += len(chunk)
        if done > info.file_size or (not chunk and done < info.file_size):
            raise DataError(
                f"{archive}: {info.filename} is not as large as the zip says: get it again"
            )
        if not chunk:
            return
        yield chunk


def _copy(pieces: Iterator[bytes], out: IO[bytes], meter: Meter, before: int) -> None:
    for piece in pieces:
        out.write(piece)
        before += len(piece)
        meter(before)
