"""What methods share that bin a learned score and profile nuisance parameters.

A method adds how its score is learned, saved and loaded: `train_score`, `write_score`,
`read_score`. The rest, from templates to the interval, is here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError, FitError, SettingsError
from sigma68.inference.binned import BinnedLikelihood
from sigma68.inference.goodness import saturated
from sigma68.inference.measurement import BinnedMeasurement, measure_templates
from sigma68.learning.binning import BinChoice
from sigma68.learning.files import read_document, require_match, write_document
from sigma68.protocols import Pool, Progress, Task
from sigma68.types import AnswerKind, Interval, Nuisance, Observation, Prediction

__all__ = ["ProfileMethod"]

Floats = npt.NDArray[np.float64]


class ProfileMethod(ABC):
    """A binned score with nuisance parameters in a profile likelihood.

    Parameters
    ----------
    task
        A task that asks for an interval on one parameter.
    profiled
        Names of the nuisances to fit; None for all. The others are taken to be off.
    level
        Confidence level of the intervals.
    mc_errors
        Whether the likelihood knows that templates come from finite simulation.
    clip
        Whether intervals are cut at the parameter's range, where the truth must lie; they say so.
    max_moved_rows
        At most so many events are moved to measure the response to nuisances; None for all.
    bins
        How bins are chosen.
    """

    name: ClassVar[str]
    answer: ClassVar[AnswerKind] = "interval"

    def __init__(
        self,
        task: Task,
        *,
        profiled: Collection[str] | None,
        level: float,
        mc_errors: bool,
        clip: bool,
        max_moved_rows: int | None,
        bins: BinChoice,
    ) -> None:
        known = [n.name for n in task.nuisances]
        for name in profiled or ():
            if name not in known:
                raise SettingsError(
                    f"the task {task.name} has no nuisance parameter {name!r} to profile: "
                    f"choose from {', '.join(known) or 'none'}"
                )
        self.task = task
        self.profiled = tuple(n for n in task.nuisances if profiled is None or n.name in profiled)
        self.level = level
        self.mc_errors = mc_errors
        self.clip = clip
        self.max_moved_rows = max_moved_rows
        self.bin_choice = bins
        self._measurement: BinnedMeasurement | None = None
        self._likelihood: BinnedLikelihood | None = None

    @classmethod
    def skip(cls, task: Task) -> str | None:
        """Why this method cannot do this task; None if it can."""
        if task.answer != "interval" or len(task.parameters) != 1:
            return "measures one signal strength"
        return None

    @abstractmethod
    def train_score(self, events: Pool, progress: Progress | None) -> None:
        """Learn a score from a pool."""

    @abstractmethod
    def score(self, values: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
        """The score of events, (n_features, n_events) to (n_events,).

        Raises
        ------
        FitError
            If it is not trained, or a feature or score is NaN or infinite.
        """

    @abstractmethod
    def write_score(self, folder: Path) -> None:
        """Write what `read_score` needs."""

    @abstractmethod
    def read_score(self, folder: Path) -> None:
        """Take the score that `write_score` wrote."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """The keyword arguments that this method was made with."""

    def shared_settings(self) -> dict[str, Any]:
        """Those of the keyword arguments that this class takes, but for the bins."""
        return {
            "profiled": [n.name for n in self.profiled],
            "level": self.level,
            "mc_errors": self.mc_errors,
            "clip": self.clip,
            "max_moved_rows": self.max_moved_rows,
        }

    @property
    def measurement(self) -> BinnedMeasurement:
        """Bins and templates.

        Raises
        ------
        FitError
            If the method is not trained yet.
        """
        if self._measurement is None:
            raise FitError(f"{self.name} is not trained yet: call fit or load a trained model")
        return self._measurement

    @property
    def component_names(self) -> tuple[str, ...]:
        """What the likelihood's components are called.

        Raises
        ------
        FitError
            If the method is not trained yet.
        """
        return self.measurement.processes

    @property
    def likelihood(self) -> BinnedLikelihood:
        """The likelihood of counts in bins.

        Raises
        ------
        FitError
            If the method is not trained yet.
        """
        if self._likelihood is None:
            self._likelihood = self.measurement.likelihood(
                self.task.parameters[0],
                self.task.nuisances,
                [n.name for n in self.profiled],
                mc_errors=self.mc_errors,
            )
        return self._likelihood

    def fit(self, train: Pool, calibration: Pool, progress: Progress | None = None) -> None:
        """Learn the score on one pool, choose bins and measure templates on the other.

        Raises
        ------
        DataError
            If a pool has no signal or no background, or is too small for templates.
        """
        self.train_score(train, progress)
        self._measurement, _ = measure_templates(
            self.task,
            calibration,
            self.score,
            [n.name for n in self.profiled],
            self.bin_choice,
            edges=self.edges(calibration),
            max_moved_rows=self.max_moved_rows,
            progress=progress,
        )
        self._likelihood = None

    def edges(self, calibration: Pool) -> npt.NDArray[np.float32] | None:
        """Inner edges of the bins where the method has its own; None for those of `bins`."""
        return None

    def counts(self, observation: Observation) -> Floats:
        """Events per bin of the score, (J,).

        Raises
        ------
        FitError
            If a feature or score is NaN or infinite, or the method is not trained yet.
        DataError
            If the observation has other features than the method was trained on.
        """
        names = tuple(feature.name for feature in self.task.features)
        if observation.names != names:
            raise DataError(
                f"the observation's features are not those {self.name} was trained on, in their "
                f"order: {', '.join(names)}"
            )
        return self.measurement.counts(self.score(observation.values))

    def predict(self, observation: Observation) -> Prediction:
        """The profile-likelihood interval, fitted nuisances and the goodness of the fit.

        Raises
        ------
        FitError
            If a feature or score is NaN or infinite, or the fit finds no interval.
        DataError
            If the observation has other features than the method was trained on.
        """
        counts = self.counts(observation)
        interval = self.interval(counts)
        return Prediction.interval(self.task.parameters[0].name, interval)

    def interval(self, counts: Floats) -> Interval:
        """The interval from counts, (J,).

        Raises
        ------
        FitError
            If no start of the fit leads to an interval.
        """
        likelihood = self.likelihood
        found, lower, upper = likelihood.interval(counts, self.level)
        note = ""
        if self.clip:
            parameter = self.task.parameters[0]
            cut = (
                float(np.clip(lower, parameter.low, parameter.high)),
                float(np.clip(upper, parameter.low, parameter.high)),
            )
            if cut != (lower, upper):
                note = (
                    f"Cut at the range of {parameter.name}; the likelihood's own interval is "
                    f"{lower:.4f} to {upper:.4f}."
                )
            lower, upper = cut
        return Interval(
            mu_hat=float(found.best[0]),
            delta_mu_hat=float(found.errors[0]),
            lower=lower,
            upper=upper,
            level=self.level,
            fitted=likelihood.nuisance_values(found),
            goodness=saturated(found.value, likelihood.n_bins),
            note=note,
        )

    def save(self, folder: Path) -> None:
        """Write the score and `<name>.json` into an existing folder.

        Raises
        ------
        FitError
            If it is not trained yet.
        OutputError
            If they cannot be written.
        """
        document = {
            "method": self.name,
            "task": self.task.name,
            "features": [feature.name for feature in self.task.features],
            "settings": self.settings(),
            "measurement": self.measurement.to_json(),
        }
        self.write_score(folder)
        write_document(folder / f"{self.name}.json", document)

    @classmethod
    def load(cls, folder: Path, task: Task) -> Self:
        """The method that `save` wrote.

        Raises
        ------
        ModelMismatchError
            If it was trained for another task or other features.
        DataError
            If a file is missing or damaged.
        """
        path = folder / f"{cls.name}.json"
        document = read_document(path)
        names = [feature.name for feature in task.features]
        expected = {"method": cls.name, "task": task.name, "features": names}
        require_match(path, document, expected, ("settings", "measurement"))
        try:
            method = cls(task, **document["settings"])
        except TypeError as error:
            raise DataError(
                f"{path} holds other settings than {cls.name} has: train again"
            ) from error
        method.read_score(folder)
        method._measurement = BinnedMeasurement.from_json(document["measurement"])
        _require_shapes(path, method.profiled, method._measurement)
        return method


def _require_shapes(
    path: Path, profiled: tuple[Nuisance, ...], measurement: BinnedMeasurement
) -> None:
    unknown = set(measurement.surfaces.shapes) - {n.name for n in profiled}
    if unknown:
        raise DataError(f"{path} has templates for {', '.join(sorted(unknown))}: train again")
