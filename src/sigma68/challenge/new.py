"""Writing a new entry that works, for its author to improve."""

from __future__ import annotations

import re
import shutil
import tempfile
from importlib.resources import files
from pathlib import Path

from sigma68.errors import OutputError, SettingsError

__all__ = ["new_entry"]

_FILES = ("model.py", "README.md")


def new_entry(name: str, folder: Path | None = None) -> Path:
    """Write a working entry called `name` below `folder` (default: here); returns its folder.

    Raises
    ------
    SettingsError
        If the name is not one for a folder.
    OutputError
        If the folder exists already or cannot be written.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
        raise SettingsError(
            f"an entry cannot be called {name!r}: use letters, digits, '.', '_' and '-'"
        )
    folder = Path() if folder is None else folder
    target = folder / name
    if target.exists():
        raise OutputError(f"{target} exists already: choose another name, or remove it")
    template = files("sigma68.challenge") / "template"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=folder))
        try:
            for file in _FILES:
                text = (template / file).read_text(encoding="utf-8")
                text = text.replace("# An entry\n", f"# {name}\n", 1)
                (temporary / file).write_text(text, encoding="utf-8")
            temporary.chmod(0o755)
            temporary.rename(target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise OutputError(
            f"{target} cannot be written ({error.strerror or error}): choose another folder"
        ) from error
    return target
