"""Calibrated models: toys answered by a trained model, and the correction learned from them.

Both are kept beside the models (see `sigma68.run.models`), in `<cache>/models/<task>/<method>/`:

    <key>-toys/   the toys, with shards like a run's: what is finished is never done again, and
                  another kind of correction, or more toys, starts from it
    <key>/        the calibrated model; its key is that of the trained model, the nuisances that
                  vary and the settings of the calibration
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sigma68.errors import SettingsError
from sigma68.files import explained, make_folder, write_json
from sigma68.learning.files import read_document
from sigma68.protocols import Pools, Progress, Task
from sigma68.run.calibrated import FILE_NAME, Calibrated, toys_of
from sigma68.run.folders import locked
from sigma68.run.models import key_of, load_model, model_cache, read_about, save_model
from sigma68.run.results import read_toys
from sigma68.run.settings import RunSettings
from sigma68.run.shards import Shards
from sigma68.run.team import Team, finished_toys
from sigma68.run.truth import draw_calibration_truth
from sigma68.types import Truth

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FILE_NAME", "ensure_calibrated", "write_calibration"]

Hire = Callable[[Mapping[str, Any]], Team]
"""Makes a team of workers that begin with the given frame."""


def ensure_calibrated(
    model: Path,
    task: Task,
    pools: Pools,
    settings: RunSettings,
    *,
    hire: Hire,
    folder: Path | None = None,
    again: bool = False,
    progress: Progress | None = None,
) -> Path:
    """The folder of the trained `model`, calibrated as `settings` ask; made where it is not there.

    `folder` takes the place of the model cache. With `again` toys and correction are made anew.

    Raises
    ------
    SettingsError
        If the settings ask for no calibration, or the model is calibrated already.
    FitError
        If no correction can be learned.
    ModelMismatchError
        If the model is not of this task, data and split.
    OutputError
        If something cannot be written, or another run is calibrating this model.
    """
    wanted = settings.calibration
    if wanted is None:
        raise SettingsError("the settings ask for no calibration: give its settings")
    reason = Calibrated.skip(task)
    if reason is not None:
        raise SettingsError(f"task {task.name!r} leaves nothing to calibrate: calibration {reason}")
    about = {k: v for k, v in read_about(model, task, pools).items() if k != "versions"}
    if about.get("calibration") is not None:
        raise SettingsError(
            f"the model in {model} is calibrated already: use it without a calibration, or give "
            "the model it was made of"
        )
    of_toys = {
        "nuisances": list(settings.nuisances),
        "seed": wanted.seed,
        "predict_seconds": settings.predict_seconds,
    }
    place = (folder or model_cache()) / task.name / str(about["method"])
    drawn = place / f"{key_of({**about, 'toys': of_toys})}-toys"
    about["calibration"] = {**asdict(wanted), **of_toys}
    home = place / key_of(about)
    if home.is_dir() and not again:
        read_about(home, task, pools)
        return home
    make_folder(drawn)
    with locked(drawn):
        if again:
            with explained(drawn):
                shutil.rmtree(drawn / "shards", ignore_errors=True)
        toys = _answered(model, task, toys_of(
            task, str(about["method"]), wanted, settings.nuisances, settings
        ), drawn, hire, progress)  # fmt: skip
        learner = Calibrated(
            task, load_model(model, task, pools), wanted, nuisances=settings.nuisances
        )
        learner.learn(toys)
        save_model(learner, about, home)
    return home


def write_calibration(model: Path, out: Path) -> None:
    """Put what is known of a calibrated model's correction beside a run's toys.

    A model that is not calibrated leaves nothing.

    Raises
    ------
    DataError
        If the model's calibration cannot be read.
    OutputError
        If it cannot be written.
    """
    path = model / FILE_NAME
    if path.is_file():
        write_json(out / FILE_NAME, read_document(path), indent=None)


def _answered(
    model: Path,
    task: Task,
    run: RunSettings,
    drawn: Path,
    hire: Hire,
    progress: Progress | None,
) -> pd.DataFrame:
    """The table of the toys of `run`, drawn and answered where they are not there yet."""

    def truth(set: int, toy: int) -> Truth:
        return draw_calibration_truth(task, run.seed, set, toy, run.nuisances)

    shards = Shards(drawn, task)
    numbers = [(s, t) for s in range(run.sets) for t in range(run.toys)]
    todo = [n for n in numbers if n not in shards.done]
    if todo:
        start = {
            "kind": "start",
            "settings": run.to_json(),
            "model": str(model),
            "calibrating": True,
        }
        begun = len(numbers) - len(todo)
        with hire(start) as team:
            for count, result in enumerate(finished_toys(team, todo, truth), start=begun + 1):
                shards.add(result)
                shards.merge(result.set, run.toys)
                if progress is not None:
                    progress(f"{count:,} of {len(numbers):,} toys", count / len(numbers))
    shards.finish(run.sets, run.toys)
    return read_toys(drawn)
