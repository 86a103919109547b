"""Which packages an entry's files import, and which of those are not installed here."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

from sigma68.challenge.old_modules import OLD_MODULES
from sigma68.challenge.opening import Entry

__all__ = ["missing_packages"]

_GIVEN = {*OLD_MODULES, "HiggsML"}


def missing_packages(entry: Entry) -> dict[str, str]:
    """Packages that some file of the entry imports and that cannot be found: name -> where.

    Nothing is imported. An import inside `try` counts too: the entry may do without.
    """
    folder = entry.model.parent
    own = {p.stem for p in folder.glob("*.py")} | {p.name for p in folder.iterdir() if p.is_dir()}
    known = own | _GIVEN | set(sys.stdlib_module_names)
    missing: dict[str, str] = {}
    for path in sorted(folder.rglob("*.py")):
        for name, line in _imported(path):
            if name in known or name in missing:
                continue
            if importlib.util.find_spec(name) is None:
                missing[name] = f"{path.relative_to(folder)}, line {line}"
    return missing


def _imported(path: Path) -> Iterator[tuple[str, int]]:
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return  # loading it will say so, with the line
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name.split(".")[0], node.lineno
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0], node.lineno
