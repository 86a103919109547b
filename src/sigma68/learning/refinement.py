"""A second, larger network of shares for the few events that decide.

Most of what a data set says of a parameter is said by the few events that are most like its signal:
on Higgs bosons, a fiftieth of the events hold nine tenths of the information. They deserve a network
that would be too slow for all. It gives logits of the processes as the first network does (`ratios`),
and takes its place where the first one's share of the signals is above a threshold.
`fit_refinement` trains it; applying a trained one needs no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError, MissingExtraError
from sigma68.learning.network import Network

if TYPE_CHECKING:
    from sigma68.learning.inputs import Inputs
    from sigma68.learning.ratios import RatioNetwork
    from sigma68.protocols import Pool, Progress
    from sigma68.types import Nuisance

__all__ = ["Refinement", "RefinementSettings", "of_signals", "train_refinement"]

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class RefinementSettings:
    """How the second network is trained.

    `share` of the expected events are refined: those with the largest shares of the signals; 0 for
    none. Where the pool knows the densities of events, at most `copies` of the events are learned
    from, the first as they are, each other one moved to another point of the nuisances: what the
    densities are there, where all nuisances are off, is as much worth knowing, and no event is seen
    often. No more than `max_rows` chosen events are learned from, in batches of `batch`, smaller ones
    where events are few. Matrices take steps of Muon, at most at `orthogonal_rate`
    (`optimiser.Optimiser`), the rest those of Adam. With `rounded`, hidden layers are taken in
    bfloat16 where the processor has units for it (`bfloat16`). The other settings are those of
    `ratios.RatioSettings`.
    """

    share: float = 0.02
    units: int = 384
    hidden_layers: int = 3
    passes: int = 16
    copies: int = 12
    max_rows: int = 4_000_000
    batch: int = 4096
    learning_rate: float = 1.5e-3
    orthogonal_rate: float = 0.03
    weight_decay: float = 0.01
    averaging: float = 0.998
    validation_share: float = 0.1
    patience: int = 3
    reach: float = 2.0
    taught: bool = True
    rounded: bool = True
    seed: int = 1
    threads: int = 0


@dataclass(frozen=True)
class Refinement:
    """A trained second network.

    Attributes
    ----------
    network
        K outputs: logits of the processes, for equal amounts of all.
    signals
        Positions of the processes that the parameter scales.
    threshold
        Events whose shares of these, by the first network, sum to more are refined.
    """

    network: Network
    signals: tuple[int, ...]
    threshold: float

    def chosen(self, shares: Float32) -> npt.NDArray[np.int64]:
        """Which events of shares g (K, N) by the first network are refined."""
        return np.flatnonzero(of_signals(shares, self.signals) > self.threshold)

    def to_json(self) -> dict[str, Any]:
        """What `from_parts` needs besides the network."""
        return {"signals": list(self.signals), "threshold": self.threshold}

    @classmethod
    def from_parts(
        cls,
        content: bytes | bytearray,
        document: dict[str, Any],
        names: tuple[str, ...],
        n_processes: int,
        threads: int,
        *,
        rounded: bool = False,
    ) -> Refinement:
        """The network of `Network.to_bytes` and the document of `to_json`.

        Raises
        ------
        DataError
            If one of them is damaged.
        """
        try:
            signals = tuple(int(k) for k in document["signals"])
            threshold = float(document["threshold"])
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"the saved refinement is damaged ({error!r}): train again") from error
        if not all(0 <= k < n_processes for k in signals) or not 0 <= threshold <= 1:
            raise DataError("the saved refinement makes no sense: train again")
        network = Network.from_bytes(
            content, names, n_outputs=n_processes, threads=threads, rounded=rounded
        )
        return cls(network, signals, threshold)


def of_signals(shares: Float32, signals: Sequence[int]) -> Float32:
    """The summed shares of the signals, (N,), of shares g (K, N)."""
    summed: Float32 = shares[list(signals)].sum(axis=0)
    return summed


def train_refinement(
    pool: Pool,
    nuisances: Sequence[Nuisance],
    inputs: Inputs,
    first: RatioNetwork,
    signals: Sequence[int],
    settings: RefinementSettings,
    progress: Progress | None = None,
    checkpoint: Path | None = None,
) -> Refinement:
    """A second network for the events of a pool that decide: `fit_refinement.fit_refinement`.

    Raises
    ------
    MissingExtraError
        If torch is not installed.
    DataError
        If too few events are chosen, or the checkpoint is damaged.
    FitError
        If a feature is NaN or infinite.
    """
    try:
        from sigma68.learning.fit_refinement import fit_refinement
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise MissingExtraError(
            "training a network needs torch, which is not installed: pip install 'sigma68[torch]'"
        ) from error
    return fit_refinement(pool, nuisances, inputs, first, signals, settings, progress, checkpoint)
