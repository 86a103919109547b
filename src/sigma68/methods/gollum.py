"""`gollum`: an unbinned likelihood of learned density ratios, that can be added to."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError, SettingsError
from sigma68.inference.factors import Factors
from sigma68.inference.interval_method import named_nuisances
from sigma68.inference.measurement import measure_templates, process_factors
from sigma68.inference.ratio_method import RatioMethod
from sigma68.learning.binning import BinChoice
from sigma68.learning.fit_regions import RegionSettings, RegionTraining
from sigma68.learning.ratios import RatioSettings
from sigma68.learning.region_model import RegionModel
from sigma68.protocols import Pool, Progress, Task
from sigma68.types import LEVEL, Nuisance

__all__ = ["Gollum"]

Floats = npt.NDArray[np.float64]

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


class Gollum(RatioMethod):
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
    cells
        Of equal signal in each unbinned region, in which responses follow simulation.
    passes, response_passes
        Over the events, of classifiers and of responses.
    max_train_rows, max_response_rows, rows, points, min_events
        See `sigma68.learning.fit_regions.RegionSettings`.
    units, hidden_layers, batch, learning_rate, weight_decay, patience, reach, taught, seed, threads
        See `sigma68.learning.ratios.RatioSettings`. `taught` is about classifiers of events whose
        densities are known; the published method learns from simulated labels.
    """

    name: ClassVar[str] = "gollum"

    def __init__(
        self,
        task: Task,
        *,
        profiled: Collection[str] | None = None,
        level: float = LEVEL,
        mc_errors: bool = True,
        clip: bool = False,
        max_moved_rows: int | None = 20_000_000,
        passes: int = 20,
        response_passes: int = 40,
        max_train_rows: int | None = 20_000_000,
        max_response_rows: int | None = 5_000_000,
        rows: int | None = 150_000,
        points: int = 32,
        min_events: int = 300,
        cells: int = 10,
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
        super().__init__(
            task,
            profiled=profiled,
            level=level,
            mc_errors=mc_errors,
            clip=clip,
            reach=reach,
            threads=threads,
        )
        self.max_moved_rows, self.cells = max_moved_rows, cells
        if cells < 1:
            raise SettingsError(f"cells={cells}: give at least 1")

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
        (new,) = named_nuisances(self.task, [name])
        if new in self.profiled:
            raise SettingsError(f"{name} is fitted already: choose another nuisance parameter")
        moving = self._moving(train, [new])
        profiled = named_nuisances(self.task, [*(n.name for n in self.profiled), name])
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
        named_nuisances(self.task, factors)
        shapes = self.model.polynomials.shapes
        for factor in factors:
            if factor in shapes:
                raise SettingsError(f"{factor} moves events: it cannot scale {name} as well")
        total = len(self.model.ratios) * (1 + self.model.n_blocks)
        training = self._training(train, calibration, total, progress)
        model = self.model.with_process(training, self.profiled)
        self._refined(model, training, self.profiled, {name: tuple(factors)}, progress)

    def settings(self) -> dict[str, Any]:
        """The keyword arguments that this method was made with."""
        network = asdict(self.training.classifier)
        return {
            "profiled": [n.name for n in self.profiled],
            "level": self.level,
            "mc_errors": self.mc_errors,
            "clip": self.clip,
            "max_moved_rows": self.max_moved_rows,
            "cells": self.cells,
            "passes": self.training.classifier.passes,
            "response_passes": self.training.response.passes,
            **{name: getattr(self.training, name) for name in _OF_TRAINING},
            **{name: network[name] for name in _SHARED},
        }

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
        if model.polynomials.shapes:
            model = model.in_cells(self.cells, training.kept_out)
        measurement, _ = measure_templates(
            self.task,
            training.calibration,
            lambda values: model.cells(values).astype(np.float32),
            [n.name for n in self.profiled if n.name not in scaling],
            BinChoice(),
            edges=_between(model.n_cells),
            max_moved_rows=self.max_moved_rows,
            progress=progress,
        )
        if factors is not None:
            own = Factors(tuple(factors[name] for name in measurement.processes))
            measurement = replace(measurement, factors=own)
        model, surfaces = model.balanced(measurement.surfaces, self.profiled, training.kept_out)
        edges = _between(len(self.regions.bins))
        self.take(model, replace(measurement, surfaces=surfaces, edges=edges))


def _between(n: int) -> npt.NDArray[np.float32]:
    """Edges that part the numbers 0 to n - 1."""
    return np.arange(n - 1, dtype=np.float32) + np.float32(0.5)
