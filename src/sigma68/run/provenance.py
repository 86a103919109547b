"""What a run's toys were made from: data, model or entry, and the versions of the software."""

from __future__ import annotations

import contextlib
import json
import platform
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from sigma68.errors import DataError, SettingsError

__all__ = ["FILE_NAME", "check_provenance", "read_provenance", "versions"]

FILE_NAME = "provenance.json"
_ALWAYS = ("numpy", "numba")
_IF_USED = ("scipy", "iminuit", "xgboost", "torch")
_MUST_MATCH = {
    "data_fingerprint": "other data",
    "model_key": "another trained model",
    "entry_fingerprint": "another version of the entry",
}


def versions(module: str | None = None) -> dict[str, str]:
    """Versions of Python, sigma68, the numerical packages in use, and the package of `module`."""
    import sigma68

    found = {"python": platform.python_version(), "sigma68": sigma68.__version__}
    for name in _ALWAYS:
        found[name] = metadata.version(name)
    for name in _IF_USED:
        version = getattr(sys.modules.get(name), "__version__", None)
        if version is not None:
            found[name] = str(version)
    package = (module or "sigma68").partition(".")[0]
    if package not in found:
        # A module that belongs to no installed package has no version to state.
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def read_provenance(folder: Path) -> dict[str, Any] | None:
    """What DIR/provenance.json says; None where there is none.

    Raises
    ------
    DataError
        If the file is damaged.
    """
    path = folder / FILE_NAME
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}): remove it and start again") from error
    if not isinstance(document, dict):
        raise DataError(f"{path} holds no JSON object: remove it and start again")
    return document


def check_provenance(old: Mapping[str, Any], new: Mapping[str, Any], folder: Path) -> None:
    """Refuse to continue a run with other data, another model or a changed entry.

    Raises
    ------
    SettingsError
        Saying which of them changed.
    """
    for name, words in _MUST_MATCH.items():
        if old.get(name) != new.get(name):
            raise SettingsError(
                f"{folder} holds a run made from {words} ({name} {old.get(name)!r}, now "
                f"{new.get(name)!r}): bring that back, or give another output folder"
            )
