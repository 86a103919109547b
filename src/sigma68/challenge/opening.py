"""From a folder or a zip to an `Entry`: a copy of our own whose `model.py` has been found."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

from sigma68.challenge.archive import Limits, copy_folder, unzip
from sigma68.errors import EntryError

__all__ = ["Entry", "open_entry"]

MODEL = "model.py"


@dataclass(frozen=True)
class Entry:
    """An entry that was opened: our own copy of its files.

    `root` holds everything, `package` (relative to `root`, "." or one level down) is the folder
    of `model.py`. `fingerprint` identifies the contents of all files; `n_bytes` is their size.
    """

    name: str
    root: Path
    package: Path
    fingerprint: str
    n_files: int
    n_bytes: int

    @property
    def model(self) -> Path:
        """The entry's `model.py`."""
        return self.root / self.package / MODEL


def open_entry(path: Path, workdir: Path, *, limits: Limits | None = None) -> Entry:
    """Copy or unpack the entry at `path` into a new folder below `workdir` and find its model.

    Raises
    ------
    EntryError
        If there is nothing at `path`, it is neither a folder nor a zip, it is not safe to
        unpack, or it has no `model.py`, in the folder itself or one level down.
    """
    path = Path(path)
    if not path.exists():
        raise EntryError(f"there is no entry at {path}: give a folder or a zip with a {MODEL}")
    workdir.mkdir(parents=True, exist_ok=True)
    root = Path(tempfile.mkdtemp(prefix="entry-", dir=workdir))
    if path.is_dir():
        copy_folder(path, root, limits)
    elif path.suffix.lower() == ".py":
        raise EntryError(f"{path.name} is a single file: give the folder that holds {MODEL}")
    elif path.is_file():
        unzip(path, root, limits)
    else:
        raise EntryError(f"{path} is neither a folder nor a zip")
    files = sorted(p for p in root.rglob("*") if p.is_file())
    return Entry(
        name=path.stem if path.is_file() else path.resolve().name,
        root=root,
        package=_find_model(root, path.name),
        fingerprint=_fingerprint(root, files),
        n_files=len(files),
        n_bytes=sum(p.stat().st_size for p in files),
    )


def _find_model(root: Path, name: str) -> Path:
    if (root / MODEL).is_file():
        return Path()
    found = sorted(p.parent.relative_to(root) for p in root.glob(f"*/{MODEL}") if p.is_file())
    if len(found) == 1:
        return found[0]
    if found:
        folders = ", ".join(str(p) for p in found)
        raise EntryError(f"{name} has a {MODEL} in each of {folders}: give one entry at a time")
    deeper = sorted(p.parent.relative_to(root) for p in root.rglob(MODEL))
    hint = f"it is too deep, in {deeper[0]}" if deeper else f"add {MODEL} with a class Model"
    raise EntryError(f"{name} has no {MODEL}, in itself or one level down: {hint}")


def _fingerprint(root: Path, files: list[Path]) -> str:
    whole = hashlib.blake2b(digest_size=16)
    for path in files:
        with path.open("rb") as opened:
            one = hashlib.file_digest(opened, "blake2b").hexdigest()
        whole.update(f"{path.relative_to(root).as_posix()}\0{one}\n".encode())
    return whole.hexdigest()
