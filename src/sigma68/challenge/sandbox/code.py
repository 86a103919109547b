"""What of this package an entry may see: its code, without the data that lies among it."""

from __future__ import annotations

import compileall
import shutil
from pathlib import Path

import sigma68
from sigma68.files import explained

__all__ = ["copy_code", "package_folder"]


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
        compileall.compile_dir(target, quiet=2)
        open_to_all(folder)
    return folder


def open_to_all(path: Path) -> None:
    """Let every user read a file, or a folder with all that is in it; links are left alone."""
    for one in (path, *path.rglob("*")) if path.is_dir() else (path,):
        if not one.is_symlink():
            one.chmod(0o755 if one.is_dir() else 0o644)
