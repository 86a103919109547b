"""`gollum`: an unbinned likelihood of learned density ratios, that can be added to."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Final, Self

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError, FitError, SettingsError
from sigma68.inference.density_ratios import RatioLikelihood
from sigma68.inference.edges import edge_note, within
from sigma68.inference.factors import Factors
from sigma68.inference.measurement import BinnedMeasurement, measure_templates, process_factors
from sigma68.inference.ratio_model import RatioEvents
from sigma68.learning.binning import BinChoice
from sigma68.learning.files import read_document, require_match, write_document
from sigma68.learning.fit_regions import RegionSettings, RegionTraining
from sigma68.learning.inputs import Inputs
from sigma68.learning.ratios import RatioSettings
from sigma68.learning.region_model import RegionModel
from sigma68.learning.regions import Regions
from sigma68.protocols import Pool, Progress, Task
from sigma68.types import LEVEL, AnswerKind, Interval, Nuisance, Observation, Prediction

__all__ = ["Gollum"]

Floats = npt.NDArray[np.float64]

_BEYOND: Final = 1.0
"""Standard deviations of a nuisance beyond the reach of the training where a fit may look."""
_FEW: Final = 10_000
"""Events that are enough to see which processes there are."""
_SHARED = (
    "units",
    "hidden_layers",
    "batch",
    "learning_rate",
    "weight_decay",
    "patience",
    "reach",
    "taught",
    "seed",
    "threads",
)
_OF_TRAINING = ("max_train_rows", "max_response_rows", "rows", "points", "min_events")


class Gollum:
    """The winners' method: extended, unbinned, profiled, from networks that are each learned once.

    In the regions that the task names as unbinned every event enters with its learned density
    ratio: calibrated shares of the processes from one classifier per region, and what nuisance
    parameters do to each process from one network per process and region
    (`sigma68.learning.region_ratios`). Events of other regions are counted, some in bins that a
    classifier splits them into. What is expected in a region or a bin comes from simulation.
    Ghosh, Benato et al., arXiv:2505.05544, and section 5.1 of arXiv:2410.02867.

    `add_nuisance` and `add_background` train what is new and keep what is there. Training needs
    the extra `torch`; a trained model does without.

    Parameters
    ----------
    task
        A task that asks for an interval on one parameter that scales the signal.
    profiled
        Names of the nuisances to fit; None for all. The others are taken to be off.
    level
        Confidence level of the intervals.
    mc_errors
        Whether the likelihood knows that expectations of counted bins come from finite simulation.
    clip
        Whether intervals are cut at the parameter's range, where the truth must lie.
    max_moved_rows
        At most so many events are moved to measure what nuisances do to expectations.
    passes, response_passes
        Over the events, of classifiers and of responses.
    max_train_rows, max_response_rows, rows, points, min_events
        See `sigma68.learning.fit_regions.RegionSettings`.
    units, hidden_layers, batch, learning_rate, weight_decay, patience, reach, taught, seed, threads
        See `sigma68.learning.ratios.RatioSettings`. `taught` is about classifiers of events whose
        densities are known; the published method learns from simulated labels.
    """

    name: ClassVar[str] = "gollum"
    answer: ClassVar[AnswerKind] = "interval"

    def __init__(
        self,
        task: Task,
        *,
        profiled: Collection[str] | None = None,
        level: float = LEVEL,
        mc_errors: bool = True,
        clip: bool = False,
        max_moved_rows: int | None = 5_000_000,
        passes: int = 20,
        response_passes: int = 40,
        max_train_rows: int | None = 20_000_000,
        max_response_rows: int | None = 5_000_000,
        rows: int | None = 100_000,
        points: int = 32,
        min_events: int = 300,
        units: int = RatioSettings.units,
        hidden_layers: int = RatioSettings.hidden_layers,
        batch: int = RatioSettings.batch,
        learning_rate: float = RatioSettings.learning_rate,
        weight_decay: float = RatioSettings.weight_decay,
        patience: int = RatioSettings.patience,
        reach: float = RatioSettings.reach,
        taught: bool = False,
        seed: int = RatioSettings.seed,
        threads: int = RatioSettings.threads,
    ) -> None:
        self.task = task
        self.profiled = self._known(task.nuisances if profiled is None else profiled)
        self.level, self.mc_errors, self.clip = level, mc_errors, clip
        self.max_moved_rows = max_moved_rows

        def network(own_passes: int) -> RatioSettings:
            return RatioSettings(
                units=units,
                hidden_layers=hidden_layers,
                passes=own_passes,
                batch=batch,
                learning_rate=learning_rate,
                weight_decay=weight_decay,
                patience=patience,
                reach=reach,
                taught=taught,
                seed=seed,
                threads=threads,
            )

        self.training = RegionSettings(
            classifier=network(passes),
            response=network(response_passes),
            max_train_rows=max_train_rows,
            max_response_rows=max_response_rows,
            rows=rows,
            points=points,
            min_events=min_events,
        )
        self.checkpoint: Path | None = None
        self.inputs = Inputs.of(task)
        self.regions = Regions.of(task)
        self._model: RegionModel | None = None
        self._measurement: BinnedMeasurement | None = None

    @classmethod
    def skip(cls, task: Task) -> str | None:
        """Why this method cannot do this task; None if it can."""
        if task.answer != "interval" or len(task.parameters) != 1:
            return "measures one signal strength"
        return None

    @property
    def model(self) -> RegionModel:
        """The learned density ratios.

        Raises
        ------
        FitError
            If the method is not trained yet.
        """
        if self._model is None:
            raise FitError(f"{self.name} is not trained yet: call fit or load a trained model")
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
            raise FitError(f"{self.name} is not trained yet: call fit or load a trained model")
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

    def fit(self, train: Pool, calibration: Pool, progress: Progress | None = None) -> None:
        """Learn the ratios on one pool, calibrate them and measure expectations on the other.

        Raises
        ------
        MissingExtraError
            If torch is not installed.
        DataError
            If a pool is too small, or expectations do not follow the nuisance parameters.
        FitError
            If a feature is NaN or infinite.
        """
        moving = self._moving(train, self.profiled)
        n_processes = len(train.labelled(max_rows=_FEW).process_names)
        total = len(self.regions.unbinned) * (1 + n_processes * bool(moving))
        training = self._training(train, calibration, total + len(self.regions.split), progress)
        ratios = {r: training.ratios(r, moving) for r in self.regions.unbinned}
        splits = {r: training.splitter(r) for r in self.regions.split}
        model = RegionModel(self.regions, self.inputs, ratios, splits, training.closure)
        self._measure(model, training, None, progress)

    def add_nuisance(
        self, name: str, train: Pool, calibration: Pool, progress: Progress | None = None
    ) -> None:
        """Fit one more nuisance parameter of the task, from networks of what it alone does.

        All others are as they were; expectations are measured again.

        Raises
        ------
        SettingsError
            If the task has no such nuisance parameter, or it is fitted already.
        FitError
            If the method is not trained yet.
        DataError
            As `fit`.
        """
        model = self.model
        (new,) = self._known([name])
        if new in self.profiled:
            raise SettingsError(f"{name} is fitted already: choose another nuisance parameter")
        moving = self._moving(train, [new])
        profiled = self._known([*(n.name for n in self.profiled), name])
        k = len(self.measurement.processes)
        training = self._training(train, calibration, len(model.ratios) * k, progress)
        if moving:
            model = model.with_nuisance(training, new)
        self._refined(model, training, profiled, {}, progress)

    def add_background(
        self,
        name: str,
        train: Pool,
        calibration: Pool,
        factors: Sequence[str] = (),
        progress: Progress | None = None,
    ) -> None:
        """Expect one more process, from networks that tell it from the others and move it.

        All others are as they were; expectations are measured again.

        Parameters
        ----------
        name
            The process's.
        train, calibration
            Pools of the processes there are, in their order, and the new one after them.
        factors
            Names of the task's nuisance parameters that scale it.

        Raises
        ------
        DataError
            If the pools hold other processes, or as `fit`.
        SettingsError
            If a factor is no nuisance parameter of the task.
        FitError
            If the method is not trained yet.
        """
        wanted = (*self.measurement.processes, name)
        for pool in (train, calibration):
            names = pool.labelled(max_rows=_FEW).process_names
            if names != wanted:
                raise DataError(
                    f"the {pool.role} pool holds {', '.join(names)}: it must hold "
                    f"{', '.join(wanted)}, in this order"
                )
        self._known(factors)
        shapes = self.model.polynomials.shapes
        for factor in factors:
            if factor in shapes:
                raise SettingsError(f"{factor} moves events: it cannot scale {name} as well")
        total = len(self.model.ratios) * (1 + self.model.n_blocks)
        training = self._training(train, calibration, total, progress)
        model = self.model.with_process(training, self.profiled)
        self._refined(model, training, self.profiled, {name: tuple(factors)}, progress)

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
        names = tuple(feature.name for feature in self.task.features)
        if observation.names != names:
            raise DataError(
                f"the observation's features are not those {self.name} was trained on, in their "
                f"order: {', '.join(names)}"
            )
        events = self.model.events(observation.values)
        counted = self._filled[len(self.regions.unbinned) :]
        if events.counts[~counted].any():
            raise FitError("there are events in a bin where none are expected")
        return replace(events, counts=events.counts[counted])

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
        at_edges: Final = "clip" if self.clip else "extend"
        ends = within(np.array([lower, upper]), parameter, at_edges)
        interval = Interval(
            mu_hat=float(found.best[0]),
            delta_mu_hat=float(found.errors[0]),
            lower=float(ends[0]),
            upper=float(ends[1]),
            level=self.level,
            fitted=likelihood.nuisance_values(found),
            note=edge_note(lower, upper, parameter, at_edges, "") if self.clip else "",
        )
        return Prediction.interval(parameter.name, interval)

    def save(self, folder: Path) -> None:
        """Write `gollum.json` and a file per network into an existing folder.

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
            "model": self.model.save(folder),
        }
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
        require_match(path, document, expected, ("settings", "measurement", "model"))
        try:
            method = cls(task, **document["settings"])
        except TypeError as error:
            raise DataError(
                f"{path} holds other settings than {cls.name} has: train again"
            ) from error
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

    def settings(self) -> dict[str, Any]:
        """The keyword arguments that this method was made with."""
        network = asdict(self.training.classifier)
        return {
            "profiled": [n.name for n in self.profiled],
            "level": self.level,
            "mc_errors": self.mc_errors,
            "clip": self.clip,
            "max_moved_rows": self.max_moved_rows,
            "passes": self.training.classifier.passes,
            "response_passes": self.training.response.passes,
            **{name: getattr(self.training, name) for name in _OF_TRAINING},
            **{name: network[name] for name in _SHARED},
        }

    @property
    def threads(self) -> int:
        """Threads that apply networks, 0 for all cores."""
        return self.training.classifier.threads

    def _in_reach(self, nuisance: Nuisance) -> Nuisance:
        """The nuisance within what responses were learned at, and a little beyond.

        Farther out polynomials of events and of expectations know nothing of each other, and a fit
        may run away there.
        """
        if nuisance.prior != "normal" or nuisance.name not in self.model.polynomials.shapes:
            return nuisance
        z = self.training.response.reach + _BEYOND
        return replace(nuisance, low=nuisance.from_z(-z), high=nuisance.from_z(z))

    @property
    def _filled(self) -> npt.NDArray[np.bool_]:
        """Bins where something is expected, (J,): simulation may leave parts of a region empty."""
        filled: npt.NDArray[np.bool_] = self.measurement.surfaces.nominal.sum(axis=0) > 0
        return filled

    def _known(self, named: Collection[str] | Collection[Nuisance]) -> tuple[Nuisance, ...]:
        """The task's nuisances of these names, in its order."""
        names = {n if isinstance(n, str) else n.name for n in named}
        known = [n.name for n in self.task.nuisances]
        for name in names:
            if name not in known:
                raise SettingsError(
                    f"the task {self.task.name} has no nuisance parameter {name!r} to profile: "
                    f"choose from {', '.join(known) or 'none'}"
                )
        return tuple(n for n in self.task.nuisances if n.name in names)

    def _moving(self, pool: Pool, nuisances: Sequence[Nuisance]) -> list[Nuisance]:
        """Those of the nuisances that do not only scale processes."""
        factors = process_factors(self.task, pool.labelled(max_rows=_FEW))
        scaling = {name for names in factors for name in names}
        return [n for n in nuisances if n.name not in scaling]

    def _training(
        self, train: Pool, calibration: Pool, total: int, progress: Progress | None
    ) -> RegionTraining:
        return RegionTraining(
            train,
            calibration,
            self.regions,
            self.inputs,
            self.training,
            total,
            progress,
            self.checkpoint,
        )

    def _refined(
        self,
        model: RegionModel,
        training: RegionTraining,
        profiled: tuple[Nuisance, ...],
        factors: Mapping[str, tuple[str, ...]],
        progress: Progress | None,
    ) -> None:
        """Take a model that was added to, with what scales a new process."""
        now = self.measurement
        known = {**dict(zip(now.processes, now.factors.of_component, strict=True)), **factors}
        self.profiled = profiled
        self._measure(model, training, known, progress)

    def _measure(
        self,
        model: RegionModel,
        training: RegionTraining,
        factors: Mapping[str, tuple[str, ...]] | None,
        progress: Progress | None,
    ) -> None:
        """Measure expectations, and make the responses follow them."""
        scaling = {name for names in (factors or {}).values() for name in names}
        measurement, _ = measure_templates(
            self.task,
            training.calibration,
            lambda values: model.bins(values).astype(np.float32),
            [n.name for n in self.profiled if n.name not in scaling],
            BinChoice(),
            edges=np.arange(len(self.regions.bins) - 1, dtype=np.float32) + np.float32(0.5),
            max_moved_rows=self.max_moved_rows,
            progress=progress,
        )
        if factors is not None:
            own = Factors(tuple(factors[name] for name in measurement.processes))
            measurement = replace(measurement, factors=own)
        self._model, surfaces = model.balanced(
            measurement.surfaces, self.profiled, training.kept_out
        )
        self._measurement = replace(measurement, surfaces=surfaces)
        self.__dict__.pop("ratio_likelihood", None)
