"""What methods share that bin a learned score and profile nuisance parameters.

A method adds how its score is learned, saved and loaded: `train_score`, `write_score`,
`read_score`. The rest, from templates to the interval, is here.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError
from sigma68.inference.binned import BinnedLikelihood
from sigma68.inference.goodness import saturated
from sigma68.inference.interval_method import IntervalMethod, clipped, named_nuisances
from sigma68.inference.measurement import BinnedMeasurement, measure_templates
from sigma68.learning.binning import BinChoice
from sigma68.protocols import Pool, Progress, Task
from sigma68.types import Interval, Nuisance, Observation, Prediction

__all__ = ["ProfileMethod"]

Floats = npt.NDArray[np.float64]


class ProfileMethod(IntervalMethod):
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
        super().__init__(task)
        self.profiled = named_nuisances(task, profiled)
        self.level = level
        self.mc_errors = mc_errors
        self.clip = clip
        self.max_moved_rows = max_moved_rows
        self.bin_choice = bins
        self._measurement: BinnedMeasurement | None = None
        self._likelihood: BinnedLikelihood | None = None

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
            raise self.untrained()
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
        return self.measurement.counts(self.score(self.values_of(observation)))

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
        ends, note = (lower, upper), ""
        if self.clip:
            ends = clipped(self.task, lower, upper)
            if ends != (lower, upper):
                note = (
                    f"Cut at the range of {self.task.parameters[0].name}; the likelihood's own "
                    f"interval is {lower:.4f} to {upper:.4f}."
                )
        return Interval(
            mu_hat=float(found.best[0]),
            delta_mu_hat=float(found.errors[0]),
            lower=ends[0],
            upper=ends[1],
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
        measurement = self.measurement.to_json()
        self.write_score(folder)
        self.write(folder, {"measurement": measurement})

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
        method, path, document = cls.read(folder, task, ("measurement",))
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
