"""The modules that older entries import, as files: `systematics`, `derived_quantities`, `HiggsML`.

Files on the search path, not hooks in one process: what an entry starts with joblib or
multiprocessing imports them as well. A module of the same name in the entry's own folder comes
first; `HiggsML`, where it is installed, keeps its other modules.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["OLD_MODULES", "write_old_modules"]

OLD_MODULES = {"systematics": "systematics", "derived_quantities": "DER_data"}
"""What each old module holds."""

_PACKAGE = """\
from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
"""


def write_old_modules(folder: Path, compat: str) -> None:
    """Write the old modules into the existing `folder`; their functions are those of `compat`."""
    package = folder / "HiggsML"
    package.mkdir()
    (package / "__init__.py").write_text(_PACKAGE, encoding="utf-8")
    for name, function in OLD_MODULES.items():
        text = f"from {compat} import {function}\n\n__all__ = [{function!r}]\n"
        for place in (folder, package):
            (place / f"{name}.py").write_text(text, encoding="utf-8")
