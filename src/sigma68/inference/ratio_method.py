"""What methods share that measure events of some regions one by one, and count those of others.

A method adds how the density ratios are learned; the rest, from them to the interval, is here.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError, FitError
from sigma68.inference.density_ratios import RatioLikelihood
from sigma68.inference.edges import edge_note
from sigma68.inference.interval_method import IntervalMethod, clipped, named_nuisances
from sigma68.inference.measurement import BinnedMeasurement
from sigma68.inference.post_fit_events import EventSample
from sigma68.inference.ratio_closure import LearnedRatios, of_model
from sigma68.inference.ratio_model import RatioEvents
from sigma68.learning.inputs import Inputs
from sigma68.learning.region_model import RegionModel
from sigma68.learning.regions import Regions
from sigma68.protocols import Task
from sigma68.types import Interval, Nuisance, Observation, Prediction

__all__ = ["RatioMethod"]

Floats = npt.NDArray[np.float64]
_BEYOND: Final = 1.0
"""Standard deviations of a nuisance beyond the reach of the training where a fit may look."""


class RatioMethod(IntervalMethod):
    """Learned density ratios of events, counts of others, nuisances in a profile likelihood.

    Parameters
    ----------
    task
        A task that asks for an interval on one parameter.
    profiled
        Names of the nuisances to fit; None for all. The others are taken to be off.
    level
        Confidence level of the intervals.
    mc_errors
        Whether the likelihood knows that expectations of counted bins come from finite simulation.
    clip
        Whether intervals are cut at the parameter's range, where the truth must lie.
    reach
        Standard deviations of a nuisance up to which its effect on events is learned.
    threads
        Threads that apply networks, 0 for all cores.
    """

    def __init__(
        self,
        task: Task,
        *,
        profiled: Collection[str] | None,
        level: float,
        mc_errors: bool,
        clip: bool,
        reach: float,
        threads: int,
    ) -> None:
        super().__init__(task)
        self.profiled = named_nuisances(task, profiled)
        self.level, self.mc_errors, self.clip = level, mc_errors, clip
        self.reach, self.threads = reach, threads
        self.inputs = Inputs.of(task)
        self.regions = Regions.of(task)
        self._model: RegionModel | None = None
        self._measurement: BinnedMeasurement | None = None

    @property
    def model(self) -> RegionModel:
        """The learned density ratios.

        Raises
        ------
        FitError
            If the method is not trained yet.
        """
        if self._model is None:
            raise self.untrained()
        return self._model

    @property
    def measurement(self) -> BinnedMeasurement:
        """What is expected: the first bins are the unbinned regions, the others those counted.

        Raises
        ------
        FitError
            If the method is not trained yet.
        """
        if self._measurement is None:
            raise self.untrained()
        return self._measurement

    @cached_property
    def ratio_likelihood(self) -> RatioLikelihood:
        """The likelihood of `events`.

        Raises
        ------
        FitError
            If the method is not trained yet.
        """
        measurement = self.measurement
        return RatioLikelihood(
            measurement.surfaces.of_bins(self._filled),
            len(self.regions.unbinned),
            self.model.polynomials,
            measurement.factors,
            self.task.parameters[0],
            [self._in_reach(n) for n in self.profiled],
            {n.name: n.off for n in self.task.nuisances if n not in self.profiled},
            mc_errors=self.mc_errors,
        )

    def take(self, model: RegionModel, measurement: BinnedMeasurement) -> None:
        """Answer with these from now on."""
        self._model, self._measurement = model, measurement
        self.__dict__.pop("ratio_likelihood", None)

    def bins(self, values: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
        """The number of the bin that events fall into, unbinned regions first; (F, n) to (n,).

        Raises
        ------
        FitError
            If a feature is NaN or infinite, or the method is not trained yet.
        """
        return self.model.bins(values).astype(np.float32)

    def events(self, observation: Observation) -> RatioEvents:
        """Density ratios of the events in unbinned regions, and counts of the other bins.

        Raises
        ------
        FitError
            If a feature or an output is NaN or infinite, or the method is not trained yet.
        DataError
            If the observation has other features than the method was trained on.
        """
        events = self.model.events(self.values_of(observation))
        counted = self._filled[len(self.regions.unbinned) :]
        if events.counts[~counted].any():
            raise FitError("there are events in a bin where none are expected")
        return replace(events, counts=events.counts[counted])

    @property
    def component_names(self) -> tuple[str, ...]:
        """The processes, as the measurement has them.

        Raises
        ------
        FitError
            If the method is not trained yet.
        """
        return self.measurement.processes

    def sample(self, events: Observation, weights: Floats | None = None) -> EventSample:
        """The events of unbinned regions with their features, in the order of `events`.

        Simulated ones have `weights`, (n_events,).

        Raises
        ------
        FitError, DataError
            As `events`.
        """
        values = self.values_of(events)
        bins = self.model.bins(values)
        own = [np.flatnonzero(bins == i) for i in range(len(self.regions.unbinned))]
        order = np.concatenate(own)
        ratios = self.events(events)
        if weights is not None:
            ratios = replace(ratios, weights=weights[order].astype(np.float64))
        return EventSample(
            events.names, np.ascontiguousarray(values[:, order], np.float32), bins[order], ratios
        )

    def learned_ratios(self) -> list[LearnedRatios]:
        """What was learned, region by region (see `ratio_closure.LearnsRatios`)."""
        return of_model(self.model)

    def predict(self, observation: Observation) -> Prediction:
        """The profile-likelihood interval and fitted nuisances.

        Raises
        ------
        FitError
            If a feature or an output is NaN or infinite, or the fit finds no interval.
        DataError
            If the observation has other features than the method was trained on.
        """
        likelihood = self.ratio_likelihood
        parameter = self.task.parameters[0]
        if observation.n_events == 0:
            raise FitError("there are no events to fit")
        found, lower, upper = likelihood.interval(self.events(observation), self.level)
        ends, note = (lower, upper), ""
        if self.clip:
            ends = clipped(self.task, lower, upper)
            note = edge_note(lower, upper, parameter, "clip", "")
        interval = Interval(
            mu_hat=float(found.best[0]),
            delta_mu_hat=float(found.errors[0]),
            lower=ends[0],
            upper=ends[1],
            level=self.level,
            fitted=likelihood.nuisance_values(found),
            note=note,
        )
        return Prediction.interval(parameter.name, interval)

    def save(self, folder: Path) -> None:
        """Write `<name>.json` and a file per network into an existing folder.

        Raises
        ------
        FitError
            If it is not trained yet.
        OutputError
            If they cannot be written.
        """
        measurement = self.measurement.to_json()
        self.write(folder, {"measurement": measurement, "model": self.model.save(folder)})

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
        method, path, document = cls.read(folder, task, ("measurement", "model"))
        method._measurement = measurement = BinnedMeasurement.from_json(document["measurement"])
        method._model = model = RegionModel.load(
            folder, document["model"], method.regions, method.inputs, method.threads
        )
        fits = (
            model.n_processes == len(measurement.processes)
            and set(model.polynomials.shapes) == set(measurement.surfaces.shapes)
            and set(model.polynomials.shapes) <= {n.name for n in method.profiled}
            and measurement.surfaces.nominal.shape[1] == len(method.regions.bins)
        )
        if not fits:
            raise DataError(f"{path} does not fit its networks: train again")
        return method

    def _in_reach(self, nuisance: Nuisance) -> Nuisance:
        """The nuisance within what responses were learned at, and a little beyond.

        Farther out polynomials of events and of expectations know nothing of each other, and a fit
        may run away there.
        """
        if nuisance.prior != "normal" or nuisance.name not in self.model.polynomials.shapes:
            return nuisance
        z = self.reach + _BEYOND
        return replace(nuisance, low=nuisance.from_z(-z), high=nuisance.from_z(z))

    @property
    def _filled(self) -> npt.NDArray[np.bool_]:
        """Bins where something is expected, (J,): simulation may leave parts of a region empty."""
        filled: npt.NDArray[np.bool_] = self.measurement.surfaces.nominal.sum(axis=0) > 0
        return filled
