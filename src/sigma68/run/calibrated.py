"""A method whose intervals are corrected, which is itself a method."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from sigma68.discover import method_class
from sigma68.errors import DataError, FitError, ModelMismatchError
from sigma68.files import make_folder
from sigma68.inference.calibrate import Calibration, calibrate
from sigma68.learning.files import read_document, require_match, write_document
from sigma68.protocols import Method, Pool, Progress, Task
from sigma68.run.settings import TOYS_PER_SET, CalibrationSettings, RunSettings
from sigma68.types import AnswerKind, Interval, Observation, Prediction

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FILE_NAME", "Calibrated", "calibration_of"]

FILE_NAME = "calibration.json"
_METHOD = "method"


class Calibrated:
    """The intervals of a method, corrected so that they cover over the task's prior.

    Toys are drawn from the calibration pool, the parameter uniform in its range and the nuisances
    that vary from their priors, and answered by the method; how its intervals must change to
    cover 68.27% of them is learned (`sigma68.inference.calibrate`).

    What this cannot see: a method that fills its templates from the same calibration pool has
    toys of the very events it expects, so that the error of that pool, which shifts all scored
    toys together, is not in the correction; the same holds for the error of the scoring pool. The
    coverage of a calibrated method is as far off as these pools' finite size makes it (a run
    reports that as b), besides the s68(T) that T toys leave.

    Parameters
    ----------
    task
        A task that asks for one interval.
    method
        The method whose intervals are corrected.
    settings
        How many toys, and the kind of correction.
    nuisances
        Names of the nuisances that vary in the toys; None for all.
    calibration
        What was learned, where it is known; else `fit` learns it.
    """

    name: ClassVar[str] = "calibrated"
    answer: ClassVar[AnswerKind] = "interval"

    def __init__(
        self,
        task: Task,
        method: Method,
        settings: CalibrationSettings,
        *,
        nuisances: Collection[str] | None = None,
        calibration: Calibration | None = None,
    ) -> None:
        self.task = task
        self.method = method
        self.settings = settings
        names = [n.name for n in task.nuisances]
        self.nuisances = tuple(n for n in names if nuisances is None or n in nuisances)
        self.calibration = calibration

    @classmethod
    def skip(cls, task: Task) -> str | None:
        """Why no method can be calibrated on this task; None if one can."""
        if task.answer != "interval" or len(task.parameters) != 1:
            return "corrects one interval on one parameter"
        return None

    def fit(self, train: Pool, calibration: Pool, progress: Progress | None = None) -> None:
        """Fit the method, then learn the correction, toy by toy in this process.

        A run does the same with all its workers (`sigma68.run.calibration`).

        Raises
        ------
        FitError
            If the toys' answers cannot be corrected.
        """
        from sigma68.run.truth import CALIBRATION
        from sigma68.run.worker import Worker

        self.method.fit(train, calibration, progress)
        run = toys_of(self.task, self.method.name, self.settings, self.nuisances)
        worker = Worker(run, self.task, calibration, self.method.predict, draws=CALIBRATION)
        results = []
        for number in range(self.settings.toys):
            results.append(worker.run(*divmod(number, TOYS_PER_SET), lambda: None))
            if progress is not None:
                progress("toys to calibrate with", (number + 1) / self.settings.toys)
        from sigma68.run.results import table

        self.learn(table(self.task, results))

    def learn(self, toys: pd.DataFrame) -> None:
        """Learn the correction from the table of toys that the method has answered.

        Raises
        ------
        FitError
            If it cannot be learned.
        """
        self.calibration = calibrate(
            toys,
            self.task.parameters[0],
            kind=self.settings.kind,
            at_edges=self.settings.at_edges,
            degree=self.settings.degree,
        )

    def predict(self, observation: Observation) -> Prediction:
        """The method's interval, corrected; one that is no interval stays as it is.

        Raises
        ------
        FitError
            If the method finds no interval, or its interval cannot be corrected.
        """
        if self.calibration is None:
            raise FitError("the method is not calibrated yet: call fit or load a calibrated model")
        name = self.task.parameters[0].name
        prediction = self.method.predict(observation)
        given = prediction.answers.get(name)
        if not isinstance(given, Interval) or given.status != "ok" or not given.is_valid:
            return prediction
        return Prediction.interval(name, self.calibration.correction.interval(given))

    def save(self, folder: Path) -> None:
        """Write `calibration.json` and the method, in a folder of its own, into a folder.

        Raises
        ------
        FitError
            If it is not calibrated yet.
        OutputError
            If it cannot be written.
        """
        if self.calibration is None:
            raise FitError("the method is not calibrated yet: there is nothing to save")
        make_folder(folder / _METHOD)
        self.method.save(folder / _METHOD)
        document = {
            "task": self.task.name,
            "method": self.method.name,
            "settings": asdict(self.settings),
            "nuisances": list(self.nuisances),
            "calibration": self.calibration.to_json(),
        }
        write_document(folder / FILE_NAME, document)

    @classmethod
    def load(cls, folder: Path, task: Task) -> Calibrated:
        """The calibrated method that `save` wrote.

        Raises
        ------
        ModelMismatchError
            If it was made for another task.
        DataError
            If a file is missing or damaged.
        """
        document = read_document(folder / FILE_NAME)
        keys = ("method", "settings", "nuisances", "calibration")
        require_match(folder / FILE_NAME, document, {"task": task.name}, keys)
        method = method_class(str(document["method"])).load(folder / _METHOD, task)
        try:
            settings = CalibrationSettings(**document["settings"])
        except TypeError as error:
            raise DataError(
                f"{folder / FILE_NAME} holds other settings: calibrate again"
            ) from error
        return cls(
            task,
            method,
            settings,
            nuisances=document["nuisances"],
            calibration=Calibration.from_json(document["calibration"], task.parameters[0]),
        )


def calibration_of(document: dict[str, Any], task: Task) -> Calibration:
    """The calibration in what `Calibrated.save` wrote as calibration.json.

    Raises
    ------
    ModelMismatchError
        If it is of another task.
    DataError
        If it is damaged.
    """
    if document.get("task") != task.name:
        raise ModelMismatchError(
            f"the calibration is of the task {document.get('task')!r}, not {task.name!r}"
        )
    if not isinstance(document.get("calibration"), dict):
        raise DataError(f"{FILE_NAME} holds no calibration: calibrate again")
    return Calibration.from_json(document["calibration"], task.parameters[0])


def toys_of(
    task: Task,
    method: str,
    settings: CalibrationSettings,
    nuisances: Collection[str],
    like: RunSettings | None = None,
) -> RunSettings:
    """What toys a calibration draws, as the settings of a run.

    The data, their split and the time limit are those of `like`.
    """
    given: dict[str, Any] = {}
    if like is not None:
        given = {n: getattr(like, n) for n in ("data", "split_seed", "predict_seconds")}
    return RunSettings(
        task=task.name,
        method=method,
        sets=settings.toys // TOYS_PER_SET,
        toys=TOYS_PER_SET,
        seed=settings.seed,
        nuisances=tuple(nuisances),
        **given,
    )
