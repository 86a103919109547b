"""The files of a bundle: opened from a zip or a folder into a place of our own, trusting nothing."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from sigma68.challenge.archive import Limits, copy_folder, unzip
from sigma68.errors import EntryError, ExchangeError
from sigma68.printable import printable

__all__ = ["LIMITS", "PROGRAM_LIMITS", "Root", "is_inside", "open_files", "read_yaml"]

YAML: Final = "competition.yaml"
LIMITS: Final = Limits(files=5000, total_bytes=4 << 30, what="bundle")
PROGRAM_LIMITS: Final = Limits(files=2000, total_bytes=256 << 20, what="program")
_LONGEST_YAML: Final = 128 << 10
_LONGEST_TEXT: Final = 1 << 20
_MOST_VALUES: Final = 20_000
_LARGEST_WHOLE: Final = 2**63


def is_inside(folder: Path, name: str) -> bool:
    """Whether there is something called `name` in the folder, and no link leads out to it."""
    try:
        found = (folder / name).resolve(strict=True)
    except (OSError, RuntimeError, ValueError):  # not there; a loop of links; no name at all
        return False
    return found.is_relative_to(folder.resolve())


@dataclass(frozen=True)
class Root:
    """The folder of competition.yaml, and what may be read below it."""

    folder: Path

    def path(self, name: str, where: str) -> str:
        """The path that `name` names, relative to the folder, in its plainest spelling.

        Raises
        ------
        ExchangeError
            If it leads out of the folder, or nothing is there.
        """
        pure = PurePosixPath(name)
        plain = "/".join(part for part in pure.parts if part != ".")
        shown = printable(name, 80)
        if pure.is_absolute() or ".." in pure.parts or "\\" in name or not plain:
            raise ExchangeError(
                f"{where} names {shown!r}, which leads out of the bundle: name a file of it"
            )
        if not is_inside(self.folder, plain):
            raise ExchangeError(f"{where} names {shown!r}, which is not in the bundle: add it")
        return plain

    def text(self, name: str, where: str) -> str:
        """The text of a file.

        Raises
        ------
        ExchangeError
            If it is not there, is no UTF-8 text, or is too large.
        """
        path = self.folder / self.path(name, where)
        if not path.is_file() or path.stat().st_size > _LONGEST_TEXT:
            raise ExchangeError(f"{where}: {name} must be a text file of at most 1 MiB")
        try:
            # Bytes first: the endings of lines stay as they are.
            text = path.read_bytes().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise ExchangeError(f"{where}: {name} is not UTF-8 text: save it as that") from error
        if "\0" in text:
            raise ExchangeError(f"{where}: {name} holds a zero byte: it is no text")
        return text

    def unpacked(self, name: str, where: str, workdir: Path) -> Root:
        """A folder of the bundle, or a zip of it unpacked below `workdir`.

        Raises
        ------
        ExchangeError
            If it is neither, or not safe to unpack.
        """
        path = self.folder / self.path(name, where)
        if path.is_dir():
            return Root(path)
        folder = Path(tempfile.mkdtemp(prefix="program-", dir=workdir))
        try:
            unzip(path, folder, PROGRAM_LIMITS)
        except EntryError as error:
            raise ExchangeError(f"{where}: {error}") from error
        return Root(folder)


def open_files(path: Path, workdir: Path) -> Root:
    """Copy or unpack the bundle at `path` into a new folder below `workdir`.

    competition.yaml may be one level down, where a folder was zipped instead of what it holds.

    Raises
    ------
    ExchangeError
        If there is no bundle at `path`, or it is not safe to unpack.
    """
    if not path.exists():
        raise ExchangeError(f"there is no bundle at {path}: give a folder or zip with {YAML}")
    workdir.mkdir(parents=True, exist_ok=True)
    root = Path(tempfile.mkdtemp(prefix="bundle-", dir=workdir))
    try:
        if path.is_dir():
            copy_folder(path, root, LIMITS)
        else:
            unzip(path, root, LIMITS)
    except EntryError as error:
        raise ExchangeError(str(error)) from error
    if (root / YAML).is_file():
        return Root(root)
    below = [found.parent for found in sorted(root.glob(f"*/{YAML}")) if found.is_file()]
    if len(below) != 1:
        raise ExchangeError(f"{path.name} has no {YAML} at its top: it is no bundle")
    return Root(below[0])


def read_yaml(root: Root, name: str = YAML) -> Any:
    """What a YAML file says: mappings, lists, texts, numbers, dates, nothing else.

    Raises
    ------
    ExchangeError
        If it is no YAML, names a Python object, or holds too much (once its aliases are followed).
    """
    import yaml

    text = root.text(name, name)
    if len(text) > _LONGEST_YAML:
        raise ExchangeError(f"{name} is larger than {_LONGEST_YAML >> 10} KiB: shorten it")
    try:
        values = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError, TypeError) as error:
        reason = printable(str(error).replace("\n", " ") or type(error).__name__, 200)
        raise ExchangeError(f"{name} cannot be read as YAML ({reason}): correct it") from error
    _count(values, name)
    return values


def _count(values: Any, name: str) -> None:
    """Refuse more values than a person writes, as aliases of aliases give them, and huge numbers."""
    waiting, seen = [values], 0
    while waiting:
        value = waiting.pop()
        seen += 1
        if seen + len(waiting) > _MOST_VALUES:
            raise ExchangeError(f"{name} holds more than {_MOST_VALUES:,} values: shorten it")
        if isinstance(value, dict):
            waiting += [*value, *value.values()]
        elif isinstance(value, list | tuple | set):
            waiting += value
        elif isinstance(value, int) and abs(value) > _LARGEST_WHOLE:
            raise ExchangeError(f"{name} holds a number that is too large for anything it says")
