"""Trained models: saved once, reused by every run that asks for the same one.

A model is known by task, method, the method's settings and source, the fingerprint of data and
split, and the version of sigma68. It lives in
`<cache>/models/<task>/<method>/<key>/`, with `model.json` saying what it is. Some come with the
package (see `sigma68.run.shipped`) and are not trained. A calibrated model is one of its own (see
`sigma68.run.calibration`).
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import shutil
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from sigma68.discover import method_class
from sigma68.errors import (
    MissingExtraError,
    ModelMismatchError,
    SettingsError,
)
from sigma68.files import PART, explained, make_folder, write_json
from sigma68.protocols import Method, Pools, Progress, Resumable, Task
from sigma68.run.provenance import versions
from sigma68.run.shipped import shipped_model

__all__ = [
    "ABOUT",
    "ensure_trained",
    "load_model",
    "model_cache",
    "settings_in_run",
    "train_into",
    "trained",
]

ABOUT = "model.json"
_FORMAT = 1


def model_cache() -> Path:
    """Where trained models are kept: below $SIGMA68_CACHE, $XDG_CACHE_HOME/sigma68 or ~/.cache."""
    own = os.environ.get("SIGMA68_CACHE")
    if own:
        return Path(own) / "models"
    user = os.environ.get("XDG_CACHE_HOME")
    return (Path(user) if user else Path.home() / ".cache") / "sigma68" / "models"


def trained(
    method: str,
    task: Task,
    pools: Pools,
    *,
    folder: Path | None = None,
    settings: Mapping[str, Any] | None = None,
    retrain: bool = False,
    progress: Progress | None = None,
) -> Method:
    """The trained method: loaded if it was trained before or came with the package, else fitted and saved.

    `folder` takes the place of the model cache; `settings` are keyword arguments of the method.

    Raises
    ------
    SettingsError
        If the method does not exist, cannot do the task, or has no such settings.
    ModelMismatchError
        If the saved model is damaged.
    OutputError
        If the model cannot be saved.
    """
    home = ensure_trained(
        method, task, pools, folder=folder, settings=settings, retrain=retrain, progress=progress
    )
    return load_model(home, task, pools)


def ensure_trained(
    method: str,
    task: Task,
    pools: Pools,
    *,
    folder: Path | None = None,
    settings: Mapping[str, Any] | None = None,
    retrain: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Like `trained`, but gives the model's folder, for another process to load."""
    cls = method_class(method)
    _require_able(cls, method, task)
    about = _about(cls, method, task, pools, settings or {})
    home = (folder or model_cache()) / task.name / method / key_of(about)
    if home.is_dir() and not retrain:
        read_about(home, task, pools)
        return home
    came_with = None if retrain else shipped_model(about)
    if came_with is not None:
        read_about(came_with, task, pools)
        return came_with
    _train(cls, about, home, task, pools, progress)
    return home


def train_into(
    out: Path,
    method: str,
    task: Task,
    pools: Pools,
    *,
    settings: Mapping[str, Any] | None = None,
    retrain: bool = False,
    progress: Progress | None = None,
) -> bool:
    """Train a method and keep it in the folder `out`; False if that model is there already.

    Raises
    ------
    SettingsError
        If the method does not exist, cannot do the task, or has no such settings; or if the folder
        holds something else.
    OutputError
        If the model cannot be saved.
    """
    cls = method_class(method)
    _require_able(cls, method, task)
    about = _about(cls, method, task, pools, settings or {})
    if out.exists():
        there = (out / ABOUT).is_file()
        if out.is_dir() and (there or not any(out.iterdir())):
            same = there and key_of(read_about(out, task, pools)) == key_of(about)
            if same and not retrain:
                return False
            if there and not same and not retrain:
                raise SettingsError(
                    f"{out} holds a model that was trained otherwise: give another folder, or "
                    "--retrain to replace it"
                )
        else:
            raise SettingsError(f"{out} is there and is no trained model: give another folder")
    _train(cls, about, out, task, pools, progress)
    return True


def _train(
    cls: type[Method],
    about: Mapping[str, Any],
    home: Path,
    task: Task,
    pools: Pools,
    progress: Progress | None,
) -> None:
    """Train, going on from a checkpoint beside `home` if there is one, and save."""
    learner = _made(cls, about["method"], task, about["settings"])
    if getattr(cls, "needs_events", True):
        pools.prepare("train", "calibration", progress=progress)
    checkpoint = home.with_name(f"{home.name}.checkpoint")
    if isinstance(learner, Resumable):
        make_folder(home.parent)
        learner.checkpoint = checkpoint
    learner.fit(pools.train, pools.calibration, progress)
    save_model(learner, about, home)
    _remove(checkpoint)


def _remove(checkpoint: Path) -> None:
    """Remove the checkpoint of a finished training, a file or a folder, if there is one."""
    advice = "the model is trained and saved; remove this checkpoint by hand"
    with explained(checkpoint, advice):
        if checkpoint.is_dir():
            shutil.rmtree(checkpoint)
        else:
            checkpoint.unlink(missing_ok=True)


def load_model(folder: Path, task: Task, pools: Pools) -> Method:
    """The trained model in `folder`, if it was trained for this task, data and split.

    Raises
    ------
    ModelMismatchError
        If it was not, or is damaged.
    SettingsError
        If its method does not exist.
    """
    about = read_about(folder, task, pools)
    cls = method_class(about["method"])
    if about.get("calibration") is not None:
        from sigma68.run.calibrated import Calibrated

        cls = Calibrated
    try:
        return cls.load(folder, task)
    except MissingExtraError:
        raise
    except Exception as error:
        reason = (str(error) or type(error).__name__).removesuffix(": train again")
        raise ModelMismatchError(
            f"the trained model in {folder} is damaged ({reason}): train it again with --retrain"
        ) from error


def model_key(folder: Path, task: Task, pools: Pools) -> str:
    """What identifies a trained model, wherever its folder is.

    Raises
    ------
    ModelMismatchError
        As `load_model`.
    """
    return key_of(read_about(folder, task, pools))


def settings_in_run(
    method: str, given: Mapping[str, Any], active: Collection[str]
) -> dict[str, Any]:
    """The settings of a method in a run that switches the nuisance parameters `active` on.

    What a challenge lets vary is known to who enters it: a method that takes `profiled` gets
    those, unless `given` says otherwise.
    """
    settings = dict(given)
    if "profiled" in inspect.signature(method_class(method)).parameters:
        settings.setdefault("profiled", list(active))
    return settings


def _about(
    cls: type[Method], method: str, task: Task, pools: Pools, settings: Mapping[str, Any]
) -> dict[str, Any]:
    import sigma68

    source = inspect.getsourcefile(cls)
    text = Path(source).read_bytes() if source is not None else b""
    return {
        "format": _FORMAT,
        "task": task.name,
        "method": method,
        "settings": json.loads(json.dumps(dict(settings), sort_keys=True)),
        "fingerprint": pools.fingerprint,
        "sigma68": sigma68.__version__,
        # Who edits a method must not get the model of its earlier text.
        "source": hashlib.blake2b(text, digest_size=16).hexdigest(),
    }


def key_of(about: Mapping[str, Any]) -> str:
    """What model.json says of a model, versions of other packages left out, as a short hash."""
    named = {k: v for k, v in about.items() if k != "versions"}
    return hashlib.blake2b(json.dumps(named, sort_keys=True).encode(), digest_size=12).hexdigest()


def _require_able(cls: type[Method], method: str, task: Task) -> None:
    reason = cls.skip(task)
    if reason is None and cls.answer != task.answer:
        reason = f"it answers with {cls.answer}, the task asks for {task.answer}"
    if reason is not None:
        raise SettingsError(
            f"the method {method!r} cannot do the task {task.name!r}: {reason}; "
            "see 'sigma68 methods'"
        )


def _made(cls: type[Method], method: str, task: Task, settings: Mapping[str, Any]) -> Method:
    known = inspect.signature(cls).parameters
    for name in settings:
        if name not in known or name == "task":
            choices = ", ".join(k for k in known if k != "task") or "none"
            raise SettingsError(
                f"the method {method!r} has no setting {name!r}; its settings: {choices}"
            )
    return cls(task, **settings)


def save_model(learner: Method, about: Mapping[str, Any], home: Path) -> None:
    """Write a trained model to the folder `home`, whole or not at all, in place of what is there.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    make_folder(home.parent)
    with explained(home):
        part = Path(tempfile.mkdtemp(prefix=f"{home.name}-", suffix=PART, dir=home.parent))
    try:
        with explained(home):
            learner.save(part)
        write_json(part / ABOUT, {**about, "versions": versions(type(learner).__module__)})
        with explained(home):
            _put(part, home)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _put(part: Path, home: Path) -> None:
    """Rename `part` to `home`; what stood there goes first, since folders are not replaced."""
    old = part.with_name(part.name + ".old")
    if home.exists():
        home.rename(old)
    try:
        part.rename(home)
    except OSError:
        if not home.is_dir():
            raise
        # Somebody else has trained the same model meanwhile: theirs is as good.
    finally:
        shutil.rmtree(old, ignore_errors=True)


def read_about(folder: Path, task: Task, pools: Pools) -> dict[str, Any]:
    """What model.json says of the model in `folder`.

    Raises
    ------
    ModelMismatchError
        If it is of another task, data or split, or damaged.
    """
    path = folder / ABOUT
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        given = {name: about[name] for name in ("format", "task", "method", "fingerprint")}
    except FileNotFoundError as error:
        raise ModelMismatchError(
            f"{folder} holds no trained model ({ABOUT} is missing): give another folder, or "
            "train with --retrain"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelMismatchError(
            f"the trained model in {folder} is damaged ({ABOUT} cannot be read): train it again "
            "with --retrain"
        ) from error
    wanted = {"format": _FORMAT, "task": task.name, "fingerprint": pools.fingerprint}
    words = {"format": "file format", "task": "task", "fingerprint": "data and split"}
    for name, value in wanted.items():
        if given[name] != value:
            raise ModelMismatchError(
                f"the model in {folder} was trained for the {words[name]} {given[name]!r}, not "
                f"{value!r}: leave it out and train one, or give the data it was trained on"
            )
    return dict(about)
