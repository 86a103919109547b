"""`nn`: a neural network, binned in its score, with statistical errors only."""

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
from sigma68.learning.network import Network, NetworkSettings, train
from sigma68.protocols import Progress, Task
from sigma68.types import Labelled

__all__ = ["Nn"]

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


class Nn(StatOnlyMethod):
    """A neural network on all features, a Poisson fit in bins of its score; no systematics.

    By default the network of the challenge's baseline: three hidden layers of 100 ReLU units, with
    L2 regularisation. Everything after the score is as in `bdt`. Training needs the extra `torch`;
    a trained model does without.

    Parameters
    ----------
    task
        A task that asks for an interval on one parameter that scales the signal.
    nuisances
        The nuisance parameters at which events are simulated; those not named are off.
    max_train_rows
        At most so many training events are used; None for all.
    units, hidden_layers, passes, steps, batch, learning_rate, weight_decay, patience, seed, threads
        See `sigma68.learning.network.NetworkSettings`.
    max_bins, min_background, min_signal
        See `sigma68.learning.binning.BinChoice`.
    """

    name: ClassVar[str] = "nn"

    def __init__(
        self,
        task: Task,
        *,
        nuisances: Mapping[str, float] | None = None,
        max_train_rows: int | None = 2_000_000,
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
    ) -> None:
        super().__init__(
            task,
            nuisances=nuisances,
            max_train_rows=max_train_rows,
            bins=BinChoice(max_bins=max_bins, min_background=min_background, min_signal=min_signal),
        )
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

    def train_score(self, events: Labelled, progress: Progress | None) -> None:
        """Train the network.

        Raises
        ------
        DataError
            If the events hold no signal or no background.
        MissingExtraError
            If torch is not installed.
        """
        self.network = train(events, self.network_settings, progress)

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
        self.network = Network.from_bytes(
            read_bytes(folder / _NETWORK), self.features, threads=self.network_settings.threads
        )

    def score_settings(self) -> dict[str, Any]:
        """The settings of the network that are keyword arguments."""
        settings = asdict(self.network_settings)
        return {name: settings[name] for name in _OF_NETWORK}

    def _trained(self) -> Network:
        if self.network is None:
            raise self.untrained()
        return self.network
