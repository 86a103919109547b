"""`bdt_profile`: gradient-boosted trees, binned in their score, all nuisance parameters profiled."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from sigma68.inference.profile_method import ProfileMethod
from sigma68.learning.binning import BinChoice
from sigma68.learning.files import read_bytes, write_bytes
from sigma68.learning.trees import Trees, TreeSettings, train_trees
from sigma68.protocols import Pool, Progress, Task
from sigma68.types import LEVEL

__all__ = ["BdtProfile"]

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
_OF_BINS = ("max_bins", "min_background", "min_signal", "loss")


class BdtProfile(ProfileMethod):
    """Boosted trees on all features, a Poisson fit in bins of their score; nuisances profiled.

    Fitting trains trees on the training pool, where every nuisance is off. On the calibration
    pool, which the trees never saw, it chooses bins in their score and measures how the expected
    events of each process in each bin follow the nuisance parameters. An observation gives the
    profile-likelihood interval with all of `profiled` within their constraints.

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
    max_train_rows, max_moved_rows
        At most so many events are used to train, and to measure what nuisances do; None for all.
    n_trees, max_depth, learning_rate, min_child_weight, patience, seed, threads
        See `sigma68.learning.trees.TreeSettings`.
    max_bins, min_background, min_signal, loss
        See `sigma68.learning.binning.BinChoice`.
    """

    name: ClassVar[str] = "bdt_profile"

    def __init__(
        self,
        task: Task,
        *,
        profiled: Collection[str] | None = None,
        level: float = LEVEL,
        mc_errors: bool = True,
        clip: bool = False,
        max_train_rows: int | None = 5_000_000,
        max_moved_rows: int | None = 20_000_000,
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
        loss: float = 0.001,
    ) -> None:
        super().__init__(
            task,
            profiled=profiled,
            level=level,
            mc_errors=mc_errors,
            clip=clip,
            max_moved_rows=max_moved_rows,
            bins=BinChoice(
                max_bins=max_bins, min_background=min_background, min_signal=min_signal, loss=loss
            ),
        )
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
        self.trees: Trees | None = None

    def train_score(self, events: Pool, progress: Progress | None) -> None:
        """Train trees on events with every nuisance off."""
        labelled = events.labelled(max_rows=self.max_train_rows)
        self.trees = train_trees(labelled, self.tree_settings, progress)

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
        names = tuple(feature.name for feature in self.task.features)
        self.trees = Trees.from_bytes(
            read_bytes(folder / _TREES), names, threads=self.tree_settings.threads
        )

    def settings(self) -> dict[str, Any]:
        """The keyword arguments that this method was made with."""
        trees, bins = asdict(self.tree_settings), asdict(self.bin_choice)
        return {
            **self.shared_settings(),
            "max_train_rows": self.max_train_rows,
            **{name: trees[name] for name in _OF_TREES},
            **{name: bins[name] for name in _OF_BINS},
        }

    def _trained(self) -> Trees:
        if self.trees is None:
            raise self.untrained()
        return self.trees
