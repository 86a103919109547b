"""Trained models that come with the package, for settings and data that many begin with.

They lie in `methods/trained/<task>/<method>/`, as `ensure_trained` would have saved them, with
`made.json` saying how they were made: the command, the versions, the fingerprint. One is used where task, settings,
data, split and the text of the method's file agree; otherwise the method is trained.

    python -m sigma68.run.shipped FOLDER "sigma68 train ..."

puts a trained model among them.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sigma68.errors import ModelMismatchError, SettingsError
from sigma68.files import write_json

__all__ = ["MADE", "SHIPPED", "ship", "shipped_model"]

SHIPPED = Path(__file__).parents[1] / "methods" / "trained"
MADE = "made.json"
_ABOUT = "model.json"
_SAME = ("format", "task", "method", "settings", "fingerprint", "source")
_LARGEST = 2_000_000


def shipped_model(about: Mapping[str, Any]) -> Path | None:
    """The folder of the model that ships with the package for what model.json would say, or None.

    Raises
    ------
    ModelMismatchError
        If there is one whose description cannot be read.
    """
    folder = SHIPPED / str(about["task"]) / str(about["method"])
    if not folder.is_dir():
        return None
    found = _about(folder)
    agree = all(found.get(name) == about[name] for name in _SAME)
    return folder if agree else None


def ship(model: Path, command: str, *, into: Path = SHIPPED) -> Path:
    """Copy a trained model among those that come with the package; gives its folder.

    Raises
    ------
    ModelMismatchError
        If there is no trained model.
    SettingsError
        If it is too large to come with a package.
    """
    about = _about(model)
    size = sum(path.stat().st_size for path in model.iterdir())
    if size > _LARGEST:
        raise SettingsError(
            f"the model in {model} has {size:,} bytes, at most {_LARGEST:,} come with the package: "
            "train a smaller one"
        )
    folder = into / str(about["task"]) / str(about["method"])
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    for path in sorted(model.iterdir()):
        shutil.copyfile(path, folder / path.name)
    made = {
        "command": command,
        "fingerprint": about["fingerprint"],
        "settings": about["settings"],
        "versions": about.get("versions", {}),
    }
    write_json(folder / MADE, made)
    return folder


def _about(folder: Path) -> dict[str, Any]:
    try:
        about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelMismatchError(
            f"{folder} holds no trained model ({error}): train one with 'sigma68 train'"
        ) from error
    if not isinstance(about, dict):
        raise ModelMismatchError(f"{folder} holds no trained model: train one with 'sigma68 train'")
    return about


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit('usage: python -m sigma68.run.shipped FOLDER "sigma68 train ..."')
    sys.stdout.write(f"{ship(Path(sys.argv[1]), sys.argv[2])}\n")
