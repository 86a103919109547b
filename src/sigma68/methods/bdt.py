"""`bdt`: gradient-boosted trees, binned in their score, with statistical errors only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from sigma68.inference.stat_only_method import StatOnlyMethod
from sigma68.learning.binning import BinChoice
from sigma68.learning.files import read_bytes, write_bytes
from sigma68.learning.trees import Trees, TreeSettings, train_trees
from sigma68.protocols import Progress, Task
from sigma68.types import Labelled

__all__ = ["Bdt"]

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


class Bdt(StatOnlyMethod):
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
        super().__init__(
            task,
            nuisances=nuisances,
            max_train_rows=max_train_rows,
            bins=BinChoice(max_bins=max_bins, min_background=min_background, min_signal=min_signal),
        )
        self.tree_settings = TreeSettings(
            n_trees=n_trees,
            max_depth=max_depth,
            learning_rate=learning_rate,
            min_child_weight=min_child_weight,
            patience=patience,
            seed=seed,
            threads=threads,
        )
        self.trees: Trees | None = None

    def train_score(self, events: Labelled, progress: Progress | None) -> None:
        """Train trees.

        Raises
        ------
        DataError
            If the events hold no signal or no background.
        """
        self.trees = train_trees(events, self.tree_settings, progress)

    def score(self, values: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
        """The trees' score of events, (n_features, n_events) to (n_events,).

        Raises
        ------
        FitError
            If a feature or score is NaN or infinite, or the method is not trained yet.
        """
        return self._trained().score(values)

    def write_score(self, folder: Path) -> None:
        """Write `trees.ubj`."""
        write_bytes(folder / _TREES, self._trained().to_bytes())

    def read_score(self, folder: Path) -> None:
        """Read `trees.ubj`."""
        self.trees = Trees.from_bytes(
            read_bytes(folder / _TREES), self.features, threads=self.tree_settings.threads
        )

    def score_settings(self) -> dict[str, Any]:
        """The settings of the trees that are keyword arguments."""
        settings = asdict(self.tree_settings)
        return {name: settings[name] for name in _OF_TREES}

    def _trained(self) -> Trees:
        if self.trees is None:
            raise self.untrained()
        return self.trees
