"""`nn_profile`: a neural network, binned in its score, all nuisance parameters profiled."""

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
from sigma68.learning.network import Network, NetworkSettings, train
from sigma68.protocols import Pool, Progress, Task
from sigma68.types import LEVEL

__all__ = ["NnProfile"]

_NETWORK = "network.safetensors"
_OF_NETWORK = (
    "units",
    "hidden_layers",
    "passes",
    "steps",
    "batch",
    "learning_rate",
    "weight_decay",
    "patience",
    "seed",
    "threads",
)
_OF_BINS = ("max_bins", "min_background", "min_signal", "loss")


class NnProfile(ProfileMethod):
    """The challenge's "NN with L2 regularization", binned in its score; nuisances profiled.

    Three hidden layers of 100 ReLU units. Everything after the score is as in `bdt_profile`.
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
    max_train_rows, max_moved_rows
        At most so many events are used to train, and to measure what nuisances do; None for all.
    units, hidden_layers, passes, steps, batch, learning_rate, weight_decay, patience, seed, threads
        See `sigma68.learning.network.NetworkSettings`.
    max_bins, min_background, min_signal, loss
        See `sigma68.learning.binning.BinChoice`.
    """

    name: ClassVar[str] = "nn_profile"

    def __init__(
        self,
        task: Task,
        *,
        profiled: Collection[str] | None = None,
        level: float = LEVEL,
        mc_errors: bool = True,
        clip: bool = False,
        max_train_rows: int | None = 2_000_000,
        max_moved_rows: int | None = 20_000_000,
        units: int = NetworkSettings.units,
        hidden_layers: int = NetworkSettings.hidden_layers,
        passes: int = NetworkSettings.passes,
        steps: int = NetworkSettings.steps,
        batch: int = NetworkSettings.batch,
        learning_rate: float = NetworkSettings.learning_rate,
        weight_decay: float = NetworkSettings.weight_decay,
        patience: int = NetworkSettings.patience,
        seed: int = NetworkSettings.seed,
        threads: int = NetworkSettings.threads,
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
        self.network_settings = NetworkSettings(
            units=units,
            hidden_layers=hidden_layers,
            passes=passes,
            steps=steps,
            batch=batch,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            patience=patience,
            seed=seed,
            threads=threads,
        )
        self.network: Network | None = None

    def train_score(self, events: Pool, progress: Progress | None) -> None:
        """Train the network on events with every nuisance off.

        Raises
        ------
        MissingExtraError
            If torch is not installed.
        """
        labelled = events.labelled(max_rows=self.max_train_rows)
        self.network = train(labelled, self.network_settings, progress)

    def score(self, values: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
        """The network's score of events, (n_features, n_events) to (n_events,).

        Raises
        ------
        FitError
            If a feature or score is NaN or infinite, or the method is not trained yet.
        """
        return self._trained().score(values)

    def write_score(self, folder: Path) -> None:
        """Write `network.safetensors`."""
        write_bytes(folder / _NETWORK, self._trained().to_bytes())

    def read_score(self, folder: Path) -> None:
        """Read `network.safetensors`."""
        names = tuple(feature.name for feature in self.task.features)
        self.network = Network.from_bytes(
            read_bytes(folder / _NETWORK), names, threads=self.network_settings.threads
        )

    def settings(self) -> dict[str, Any]:
        """The keyword arguments that this method was made with."""
        network, bins = asdict(self.network_settings), asdict(self.bin_choice)
        return {
            **self.shared_settings(),
            "max_train_rows": self.max_train_rows,
            **{name: network[name] for name in _OF_NETWORK},
            **{name: bins[name] for name in _OF_BINS},
        }

    def _trained(self) -> Network:
        if self.network is None:
            raise self.untrained()
        return self.network
