"""Hostile zips and folders: each a function that makes one, and what its author is told."""

from __future__ import annotations

import io
import os
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

from tests.challenge.hostile.models import HONEST

__all__ = ["PACKS"]


def _zip(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that are there twice
        made.writestr("model.py", HONEST)
        for name, content in members:
            made.writestr(name, content)
    return path


def _mode(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = mode << 16
    return info


def zip_bomb(folder: Path) -> Path:
    return _zip(folder / "bomb.zip", ("zeros.bin", bytes(64 << 20)))


def nested_bomb(folder: Path) -> Path:
    """Zips in zips: what is not unpacked does no harm, and the outer one is an honest entry."""
    content = bytes(8 << 20)
    for depth in range(4):
        inner = io.BytesIO()
        with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as made:
            for copy in range(4):
                made.writestr(f"{depth}-{copy}.zip", content)
        content = inner.getvalue()
    return _zip(folder / "nested.zip", ("inner.zip", content))


def path_traversal(folder: Path) -> Path:
    return _zip(folder / "traversal.zip", ("../../escaped.py", b"x"))


def absolute_path(folder: Path) -> Path:
    return _zip(folder / "absolute.zip", ("/etc/cron.d/escaped", b"x"))


def symbolic_link(folder: Path) -> Path:
    return _zip(folder / "link.zip", (_mode("data", 0o120777), b"/etc/shadow"))


def device(folder: Path) -> Path:
    return _zip(folder / "device.zip", (_mode("null", 0o020666), b""))


def duplicate_names(folder: Path) -> Path:
    return _zip(folder / "twice.zip", ("model.py", b"import os"))


def lying_size(folder: Path) -> Path:
    """The directory of the zip says 10 bytes where there are many."""
    path = _zip(folder / "lying.zip", ("big.bin", os.urandom(5000)))
    raw = bytearray(path.read_bytes())
    at = raw.rindex(b"PK\x01\x02")
    raw[at + 24 : at + 28] = struct.pack("<I", 10)
    path.write_bytes(raw)
    return path


def file_as_folder(folder: Path) -> Path:
    return _zip(folder / "both.zip", ("data", b"x"), ("data/more.txt", b"x"))


def too_many_files(folder: Path) -> Path:
    return _zip(folder / "many.zip", *((f"{n}.txt", b"") for n in range(3000)))


def no_zip(folder: Path) -> Path:
    path = folder / "noise.zip"
    path.write_bytes(b"PK\x03\x04" + bytes(1000))
    return path


def cut_off(folder: Path) -> Path:
    path = _zip(folder / "cut.zip", ("data.bin", os.urandom(5000)))
    path.write_bytes(path.read_bytes()[:-600])
    return path


def link_out_of_a_folder(folder: Path) -> Path:
    entry = folder / "linking"
    entry.mkdir()
    (entry / "model.py").write_text(HONEST)
    (entry / "secret").symlink_to("/etc/passwd")
    return entry


def pipe_in_a_folder(folder: Path) -> Path:
    entry = folder / "pipe"
    entry.mkdir()
    (entry / "model.py").write_text(HONEST)
    os.mkfifo(entry / "weights")
    return entry


PACKS: dict[str, tuple[Callable[[Path], Path], str | None]] = {
    "zip bomb": (zip_bomb, "would unpack to more than 200 times its size"),
    "nested bomb": (nested_bomb, None),
    "path traversal": (path_traversal, "leads out of the entry's folder"),
    "absolute path": (absolute_path, "leads out of the entry's folder"),
    "symbolic link": (symbolic_link, "is a link"),
    "device": (device, "is not an ordinary file"),
    "duplicate names": (duplicate_names, "holds model.py twice"),
    "lying size": (lying_size, "cannot be unzipped|larger than the zip says"),
    "file as folder": (file_as_folder, "as a file and as a folder"),
    "too many files": (too_many_files, "more than 2,000 files"),
    "no zip": (no_zip, "cannot be unzipped"),
    "cut off": (cut_off, "cannot be unzipped"),
    "link out of a folder": (link_out_of_a_folder, "is a link out of the folder"),
    "pipe in a folder": (pipe_in_a_folder, "is not an ordinary file"),
}
"""What it tries -> (what makes it, the reason its author reads; None if it is judged)."""
