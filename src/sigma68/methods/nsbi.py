"""`nsbi`: learned scores of every parameter, counted in cells that simulation calibrates."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError, FitError
from sigma68.files import make_folder
from sigma68.inference.factors import Factors
from sigma68.inference.measurement import process_factors
from sigma68.inference.profile_method import ProfileMethod
from sigma68.inference.ratio_closure import LearnedRatios, of_network
from sigma68.inference.ratio_model import RatioEvents, RatioModel
from sigma68.learning.binning import BinChoice
from sigma68.learning.files import read_bytes, read_document, write_bytes, write_document
from sigma68.learning.inputs import Inputs
from sigma68.learning.partition import Partition, PartitionChoice, grow
from sigma68.learning.ratios import RatioNetwork, RatioSettings, train_ratios
from sigma68.learning.refinement import Refinement, RefinementSettings, train_refinement
from sigma68.protocols import Pool, Progress, Task
from sigma68.types import LEVEL

__all__ = ["Nsbi"]

Float32 = npt.NDArray[np.float32]

_NETWORK: Final = "ratios.safetensors"
_REFINEMENT: Final = "refinement.safetensors"
_CELLS: Final = "cells.json"
_AT_ONCE: Final = 1 << 17
"""Events whose network outputs are held at a time."""
_OF_NETWORK = (
    "units",
    "hidden_layers",
    "passes",
    "batch",
    "learning_rate",
    "weight_decay",
    "patience",
    "reach",
    "taught",
    "rounded",
    "seed",
    "threads",
)


class Nsbi(ProfileMethod):
    """Neural simulation-based inference: optimal observables, counted, with nuisances profiled.

    A network learns what share of events each process has and how each follows the nuisances that
    move events (`sigma68.learning.ratios`); a larger one learns the shares again for the few events
    that decide (`sigma68.learning.refinement`). The derivatives of an event's expected density by
    the parameter and by every nuisance, at one point, are then the observables whose sums over
    events hold what these say of all of them (Brehmer et al., PRD 98, 052004 (2018)); one more is their
    combination that profiling leaves of the parameter's (Alsing and Wandelt, MNRAS Lett. 488, L93
    (2019)). Events are counted in cells of these (`sigma68.learning.partition`), and what is
    expected in a cell at any values of the nuisances is counted in simulation. A network that has
    learned badly costs width, not coverage.

    Training needs the extra `torch`; a trained model does without.

    Parameters
    ----------
    task
        A task that asks for an interval on one parameter that scales the signal.
    profiled
        Names of the nuisances to fit; None for all. The others are taken to be off.
    level
        Confidence level of the intervals.
    mc_errors
        Whether the likelihood knows that templates come from finite simulation.
    clip
        Whether intervals are cut at the parameter's range, where the truth must lie.
    max_train_rows, max_moved_rows, max_cell_rows
        At most so many events are used to train the network of all events, to measure what nuisances
        do, and to choose cells; None for all.
    points
        Of the nuisances, at which responses are learned together, in memory. Learned one after the
        other, the last ones count too much.
    cells, steps
        See `sigma68.learning.partition.PartitionChoice`.
    units, hidden_layers, passes, batch, learning_rate, weight_decay, patience, reach, taught, rounded,
    seed, threads
        See `sigma68.learning.ratios.RatioSettings`.
    refined, refined_units, refined_layers, refined_passes, refined_copies, refined_rows
        The `share`, `units`, `hidden_layers`, `passes`, `copies` and `max_rows` of
        `sigma68.learning.refinement.RefinementSettings`; with a share of 0 nothing is refined.
    """

    name: ClassVar[str] = "nsbi"

    def __init__(
        self,
        task: Task,
        *,
        profiled: Collection[str] | None = None,
        level: float = LEVEL,
        mc_errors: bool = True,
        clip: bool = False,
        max_train_rows: int | None = 1_000_000,
        max_moved_rows: int | None = 20_000_000,
        max_cell_rows: int | None = 1_000_000,
        cells: int = PartitionChoice.cells,
        steps: int = PartitionChoice.steps,
        points: int = 16,
        units: int = RatioSettings.units,
        hidden_layers: int = RatioSettings.hidden_layers,
        passes: int = RatioSettings.passes,
        batch: int = RatioSettings.batch,
        learning_rate: float = RatioSettings.learning_rate,
        weight_decay: float = RatioSettings.weight_decay,
        patience: int = RatioSettings.patience,
        reach: float = RatioSettings.reach,
        taught: bool = RatioSettings.taught,
        rounded: bool = True,
        seed: int = RatioSettings.seed,
        threads: int = RatioSettings.threads,
        refined: float = RefinementSettings.share,
        refined_units: int = RefinementSettings.units,
        refined_layers: int = RefinementSettings.hidden_layers,
        refined_passes: int = RefinementSettings.passes,
        refined_copies: int = RefinementSettings.copies,
        refined_rows: int = RefinementSettings.max_rows,
    ) -> None:
        super().__init__(
            task,
            profiled=profiled,
            level=level,
            mc_errors=mc_errors,
            clip=clip,
            max_moved_rows=max_moved_rows,
            bins=BinChoice(),
        )
        self.max_cell_rows = max_cell_rows
        self.points = points
        self.partition_choice = PartitionChoice(cells=cells, steps=steps)
        self.network_settings = RatioSettings(
            units=units,
            hidden_layers=hidden_layers,
            passes=passes,
            batch=batch,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            patience=patience,
            reach=reach,
            taught=taught,
            rounded=rounded,
            seed=seed,
            threads=threads,
            max_rows=max_train_rows,
        )
        self.refinement_settings = RefinementSettings(
            share=refined,
            units=refined_units,
            hidden_layers=refined_layers,
            passes=refined_passes,
            copies=refined_copies,
            max_rows=refined_rows,
            taught=taught,
            rounded=rounded,
            seed=seed,
            threads=threads,
        )
        self.checkpoint: Path | None = None
        self.inputs = Inputs.of(task)
        self.ratios: RatioNetwork | None = None
        self.factors: Factors | None = None
        self.partition: Partition | None = None
        self.efficient: npt.NDArray[np.float32] | None = None

    def train_score(self, events: Pool, progress: Progress | None) -> None:
        """Train the network of ratios, and the one for the events that decide.

        With a `checkpoint`, a folder, it goes on where a training was that was stopped.
        """
        some = events.labelled(max_rows=_FEW)
        self.factors = Factors(process_factors(self.task, some))
        scaling = {name for names in self.factors.of_component for name in names}
        moving = [n for n in self.profiled if n.name not in scaling]
        places: list[Path | None] = [None, None]
        if self.checkpoint is not None:
            make_folder(self.checkpoint)
            places = [self.checkpoint / _NETWORK, self.checkpoint / _REFINEMENT]
        settings, together = self.network_settings, self.points
        ratios = train_ratios(events, moving, self.inputs, settings, progress, places[0], together)
        signals = self._signals(self.factors)
        if self.refinement_settings.share > 0 and signals:
            refinement = train_refinement(
                events,
                moving,
                self.inputs,
                ratios,
                signals,
                self.refinement_settings,
                progress,
                places[1],
            )
            ratios = replace(ratios, refinement=refinement)
        self.ratios = ratios
        self.__dict__.pop("model", None)

    def _signals(self, factors: Factors) -> list[int]:
        """Positions of the processes that the parameter scales."""
        name = self.task.parameters[0].name
        return [k for k, names in enumerate(factors.of_component) if name in names]

    def edges(self, calibration: Pool) -> Float32:
        """Choose the cells; between their numbers lie the edges."""
        events = calibration.labelled(max_rows=self.max_cell_rows)
        scores = self.scores(events.values)
        prior = np.array([0.0, *np.ones(len(self.profiled))])
        weighted = scores * events.weights
        information = weighted @ scores.T.astype(np.float64) + np.diag(prior)
        # A nuisance that nothing depends on has no score, and its prior stands alone.
        self.efficient = np.linalg.pinv(information)[0].astype(np.float32)
        observables = np.concatenate([scores, (self.efficient @ scores)[None]])
        self.partition = grow(observables, scores, events.weights, prior, self.partition_choice)
        return np.arange(self.partition.n_cells - 1, dtype=np.float32) + np.float32(0.5)

    def scores(self, values: npt.NDArray[np.floating[Any]]) -> Float32:
        """Derivatives of events' expected densities by the parameter and the nuisances' z, (P, N).

        Raises
        ------
        FitError
            If a feature or an output is NaN or infinite, or the method is not trained yet.
        """
        ratios, model = self._trained(), self.model
        at = model.point(1.0)
        out = np.empty((len(model.names), values.shape[1]), np.float32)
        for first in range(0, values.shape[1], _AT_ONCE):
            part = slice(first, first + _AT_ONCE)
            shares, responses = ratios.evaluate(self.inputs(values[:, part]))
            out[:, part] = model.scores(at, RatioEvents(shares, responses, np.empty(0)))
        if not np.isfinite(out).all():
            raise FitError("a learned score is NaN or infinite")
        return out

    def score(self, values: npt.NDArray[np.floating[Any]]) -> Float32:
        """The number of the cell of events, (n_features, n_events) to (n_events,).

        Raises
        ------
        FitError
            If a feature or an output is NaN or infinite, or the method is not trained yet.
        """
        if self.partition is None or self.efficient is None:
            raise self.untrained()
        scores = self.scores(values)
        observables = np.concatenate([scores, (self.efficient @ scores)[None]])
        return self.partition.cells(observables).astype(np.float32)

    def learned_ratios(self) -> list[LearnedRatios]:
        """What was learned (see `ratio_closure.LearnsRatios`).

        Raises
        ------
        FitError
            If the method is not trained yet.
        """
        return [of_network(self._trained(), self.inputs)]

    @cached_property
    def model(self) -> RatioModel:
        """The learned density ratio as a function of parameter and nuisances.

        Raises
        ------
        FitError
            If the method is not trained yet.
        """
        polynomials = self._trained().polynomials
        if self.factors is None:
            raise self.untrained()
        left = [n for n in self.task.nuisances if n not in self.profiled]
        return RatioModel(
            polynomials,
            self.factors,
            self.task.parameters[0],
            self.profiled,
            {n.name: n.off for n in left},
        )

    def write_score(self, folder: Path) -> None:
        """Write `ratios.safetensors`, `cells.json` and, if there is one, the refinement."""
        ratios = self._trained()
        if self.partition is None or self.efficient is None or self.factors is None:
            raise FitError(f"{self.name} is not trained yet: call fit first")
        write_bytes(folder / _NETWORK, ratios.network.to_bytes())
        refinement = ratios.refinement
        if refinement is not None:
            write_bytes(folder / _REFINEMENT, refinement.network.to_bytes())
        document = {
            "ratios": ratios.to_json(),
            "refinement": None if refinement is None else refinement.to_json(),
            "factors": [list(names) for names in self.factors.of_component],
            "efficient": self.efficient.tolist(),
            "partition": self.partition.to_json(),
        }
        write_document(folder / _CELLS, document)

    def read_score(self, folder: Path) -> None:
        """Read what `write_score` wrote."""
        document = read_document(folder / _CELLS)
        names = self.inputs.names
        n_scores = 1 + len(self.profiled)
        try:
            parts = document["ratios"], document["partition"], document["refinement"]
            factors = Factors(tuple(tuple(map(str, own)) for own in document["factors"]))
            efficient = np.asarray(document["efficient"], np.float32)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{folder / _CELLS} is damaged ({error!r}): train again") from error
        self.ratios = RatioNetwork.from_parts(
            read_bytes(folder / _NETWORK),
            parts[0],
            names,
            self.network_settings.threads,
            rounded=self.network_settings.rounded,
        )
        if parts[2] is not None:
            refinement = Refinement.from_parts(
                read_bytes(folder / _REFINEMENT),
                parts[2],
                names,
                self.ratios.n_processes,
                self.network_settings.threads,
                rounded=self.network_settings.rounded,
            )
            self.ratios = replace(self.ratios, refinement=refinement)
        fits = len(factors.of_component) == self.ratios.n_processes
        if not fits or efficient.shape != (n_scores,) or not np.isfinite(efficient).all():
            raise DataError(f"{folder / _CELLS} does not fit the method's nuisances: train again")
        self.factors, self.efficient = factors, efficient
        self.partition = Partition.from_json(parts[1], n_scores + 1)

    def settings(self) -> dict[str, Any]:
        """The keyword arguments that this method was made with."""
        network = asdict(self.network_settings)
        return {
            **self.shared_settings(),
            "max_train_rows": self.network_settings.max_rows,
            "max_cell_rows": self.max_cell_rows,
            "points": self.points,
            "cells": self.partition_choice.cells,
            "steps": self.partition_choice.steps,
            **{name: network[name] for name in _OF_NETWORK},
            "refined": self.refinement_settings.share,
            "refined_units": self.refinement_settings.units,
            "refined_layers": self.refinement_settings.hidden_layers,
            "refined_passes": self.refinement_settings.passes,
            "refined_copies": self.refinement_settings.copies,
            "refined_rows": self.refinement_settings.max_rows,
        }

    def _trained(self) -> RatioNetwork:
        if self.ratios is None:
            raise self.untrained()
        return self.ratios


_FEW: Final = 10_000
"""Events that are enough to see which processes there are."""
