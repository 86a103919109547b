"""What of this package an entry may see: its code, without the data that lies among it."""

from __future__ import annotations

import compileall
import hashlib
import shutil
import threading
from pathlib import Path

import sigma68
from sigma68.files import explained

__all__ = ["CODE", "KERNELS", "copy_code", "open_to_all", "package_folder"]

CODE = "/code"
"""Where the copy is in a sandbox."""
KERNELS = "kernels"
"""The folder beside the code that holds compiled functions."""

_OFFERED = "compat.py"
_BYTECODE: dict[Path, bytes] = {}
_COMPILING = threading.Lock()


def package_folder() -> Path:
    """Where this package is installed."""
    return Path(sigma68.__file__).resolve().parent


def copy_code(folder: Path) -> Path:
    """Copy the package's Python files, and nothing else, to `folder`/sigma68; returns `folder`.

    Embedded events, weights of an emulator and tables stay behind: an entry that could read
    them would have more than the training events.

    Raises
    ------
    OutputError
        If they cannot be written.
    """
    source = package_folder()
    target = folder / "sigma68"
    with explained(target):
        for path in sorted(source.rglob("*.py")):
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            # With its time: what numba keeps of a kernel goes by it.
            shutil.copy2(path, copy)
        _compile(target)
        _copy_kernels(source, folder / KERNELS)
        open_to_all(folder)
    return folder


def _compile(target: Path) -> None:
    """Put the bytecode beside the copied files: compiled once by each process, then written again."""
    with _COMPILING:
        if not _BYTECODE:
            compileall.compile_dir(target, ddir=f"{CODE}/{target.name}", quiet=2)
            found = {path.relative_to(target): path for path in target.rglob("*.pyc")}
            _BYTECODE.update((name, path.read_bytes()) for name, path in found.items())
            return
    for name, content in _BYTECODE.items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _copy_kernels(source: Path, target: Path) -> None:
    """Copy what numba has compiled here of the functions that entries are given.

    Without it each process would compile them again, which takes many seconds of an entry's time.
    numba names the folder of a source file by its place, as the sandbox has it.
    """
    target.mkdir(exist_ok=True)
    for offered in sorted(source.rglob(_OFFERED)):
        place = f"{CODE}/sigma68/{offered.parent.relative_to(source).as_posix()}"
        digest = hashlib.sha1(place.encode(), usedforsecurity=False).hexdigest()
        beside = target / f"{offered.parent.name}_{digest}"
        for path in sorted((offered.parent / "__pycache__").glob("*.nb[ic]")):
            beside.mkdir(exist_ok=True)
            shutil.copy2(path, beside)


def open_to_all(path: Path) -> None:
    """Let every user read a file, or a folder with all that is in it; links are left alone."""
    for one in (path, *path.rglob("*")) if path.is_dir() else (path,):
        if not one.is_symlink():
            one.chmod(0o755 if one.is_dir() else 0o644)
