"""`bdt`: gradient-boosted trees, binned in their score, with statistical errors only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError, FitError
from sigma68.inference.poisson import fit_mu
from sigma68.learning.binning import BinChoice, Templates, choose_edges, count, fill_templates
from sigma68.learning.files import (
    read_bytes,
    read_document,
    require_match,
    write_bytes,
    write_document,
)
from sigma68.learning.trees import Trees, TreeSettings, train_trees
from sigma68.protocols import Pool, Progress, Task
from sigma68.types import AnswerKind, Observation, Prediction

__all__ = ["Bdt"]

_FILE = "bdt.json"
_UNTRAINED = "bdt is not trained yet: call fit or load a trained model"
_TREES = "trees.ubj"
_OF_TREES = (
    "n_trees",
    "max_depth",
    "learning_rate",
    "min_child_weight",
    "patience",
    "seed",
    "threads",
)
_OF_BINS = ("max_bins", "min_background", "min_signal")


class Bdt:
    """Boosted trees on all features, a Poisson fit in bins of their score; no systematics.

    Fitting trains trees on the training pool and chooses bins in their score, with the
    expected signal and background in each, on the calibration pool, which the trees never saw.
    An observation gives the likelihood interval on the parameter mu of
    prod_j Poisson(n_j | mu S_j + B_j).

    Parameters
    ----------
    task
        A task that asks for an interval on one parameter that scales the signal.
    nuisances
        The nuisance parameters at which events are simulated; those not named are off.
    max_train_rows
        At most so many training events are used; None for all.
    n_trees, max_depth, learning_rate, min_child_weight, patience, seed, threads
        See `sigma68.learning.trees.TreeSettings`.
    max_bins, min_background, min_signal
        See `sigma68.learning.binning.BinChoice`.
    """

    name: ClassVar[str] = "bdt"
    answer: ClassVar[AnswerKind] = "interval"

    def __init__(
        self,
        task: Task,
        *,
        nuisances: Mapping[str, float] | None = None,
        max_train_rows: int | None = 5_000_000,
        n_trees: int = TreeSettings.n_trees,
        max_depth: int = TreeSettings.max_depth,
        learning_rate: float = TreeSettings.learning_rate,
        min_child_weight: float = TreeSettings.min_child_weight,
        patience: int = TreeSettings.patience,
        seed: int = TreeSettings.seed,
        threads: int = TreeSettings.threads,
        max_bins: int = BinChoice.max_bins,
        min_background: float = BinChoice.min_background,
        min_signal: float = BinChoice.min_signal,
    ) -> None:
        self.task = task
        self.nuisances = dict(nuisances or {})
        self.max_train_rows = max_train_rows
        self.tree_settings = TreeSettings(
            n_trees=n_trees,
            max_depth=max_depth,
            learning_rate=learning_rate,
            min_child_weight=min_child_weight,
            patience=patience,
            seed=seed,
            threads=threads,
        )
        self.bin_choice = BinChoice(
            max_bins=max_bins, min_background=min_background, min_signal=min_signal
        )
        self.trees: Trees | None = None
        self.templates: Templates | None = None

    @classmethod
    def skip(cls, task: Task) -> str | None:
        """Why this method cannot do this task; None if it can."""
        if task.answer != "interval" or len(task.parameters) != 1:
            return "measures one signal strength"
        return None

    def fit(self, train: Pool, calibration: Pool, progress: Progress | None = None) -> None:
        """Train on one pool, choose bins and fill templates on the other.

        Raises
        ------
        DataError
            If a pool has no signal or no background.
        """
        events = train.labelled(self.nuisances, max_rows=self.max_train_rows)
        trees = train_trees(events, self.tree_settings, progress)
        del events  # the two pools need not be in memory together
        if progress is not None:
            progress("choosing bins", 0.0)
        events = calibration.labelled(self.nuisances)
        of_events = (events.weights, events.labels, events.hard_event)
        scores = trees.score(events.values)
        edges = choose_edges(scores, *of_events, self.bin_choice)
        self.templates = fill_templates(scores, *of_events, edges)
        self.trees = trees
        if progress is not None:
            progress("choosing bins", 1.0)

    def predict(self, observation: Observation) -> Prediction:
        """The interval from the counts in bins of the score.

        Raises
        ------
        FitError
            If a feature or score is NaN or infinite, or the fit finds no interval.
        DataError
            If the observation has other features than the method was trained on.
        """
        if self.templates is None:
            raise FitError(_UNTRAINED)
        observed = count(self.scores(observation), self.templates.edges)
        interval = fit_mu(observed, self.templates.signal, self.templates.background)
        return Prediction.interval(self.task.parameters[0].name, interval)

    def scores(self, observation: Observation) -> npt.NDArray[np.float32]:
        """The trees' score of each event, larger where signal is likelier; shape (n_events,).

        Raises
        ------
        FitError
            If a feature or score is NaN or infinite, or the method is not trained yet.
        DataError
            If the observation has other features than the method was trained on.
        """
        if self.trees is None:
            raise FitError(_UNTRAINED)
        if observation.names != self.trees.names:
            raise DataError(
                f"the observation's features are not those bdt was trained on, in their order: "
                f"{', '.join(self.trees.names)}"
            )
        return self.trees.score(observation.values)

    def save(self, folder: Path) -> None:
        """Write `bdt.json` and `trees.ubj` into an existing folder.

        Raises
        ------
        FitError
            If it is not trained yet.
        OutputError
            If they cannot be written.
        """
        if self.trees is None or self.templates is None:
            raise FitError("bdt is not trained yet: there is nothing to save")
        write_bytes(folder / _TREES, self.trees.to_bytes())
        write_document(
            folder / _FILE,
            {
                "method": self.name,
                "task": self.task.name,
                "features": list(self.trees.names),
                "settings": self._settings(),
                "templates": self.templates.to_json(),
            },
        )

    def _settings(self) -> dict[str, Any]:
        """The keyword arguments that this method was made with."""
        trees, bins = asdict(self.tree_settings), asdict(self.bin_choice)
        return {
            "nuisances": self.nuisances,
            "max_train_rows": self.max_train_rows,
            **{name: trees[name] for name in _OF_TREES},
            **{name: bins[name] for name in _OF_BINS},
        }

    @classmethod
    def load(cls, folder: Path, task: Task) -> Bdt:
        """The method that `save` wrote.

        Raises
        ------
        ModelMismatchError
            If it was trained for another task or other features.
        DataError
            If a file is missing or damaged.
        """
        path = folder / _FILE
        document = read_document(path)
        names = tuple(feature.name for feature in task.features)
        expected = {"method": cls.name, "task": task.name, "features": list(names)}
        require_match(path, document, expected, ("settings", "templates"))
        try:
            method = cls(task, **document["settings"])
        except TypeError as error:
            raise DataError(f"{path} holds other settings than bdt has: train again") from error
        method.trees = Trees.from_bytes(
            read_bytes(folder / _TREES), names, threads=method.tree_settings.threads
        )
        method.templates = Templates.from_json(document["templates"])
        return method
