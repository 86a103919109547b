"""What a generator hands on: selected events of some hard processes, with what was tried."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Block"]


@dataclass(frozen=True)
class Block:
    """Selected events, several of which may come from one hard event.

    Attributes
    ----------
    primaries
        The primary columns, float32, shape (16, n), in the order of the schema; rounded to
        3 decimals, undefined is -25.
    weights
        Expected selected events per try of the row's process code, float64, shape (n,): a row
        stands for `weights * cross-section * luminosity / tries` collisions.
    code
        Pythia's code of the hard process, int16, shape (n,).
    hard_event
        Number of the hard event in this block, from 0, int64, shape (n,).
    decay
        Number of the decay and detector pass of that hard event, int16, shape (n,).
    tries
        Hard processes generated per code, those thinned away included.
    hard_events
        Hard events simulated in full, with or without selected rows.
    """

    primaries: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float64]
    code: npt.NDArray[np.int16]
    hard_event: npt.NDArray[np.int64]
    decay: npt.NDArray[np.int16]
    tries: dict[int, int]
    hard_events: int

    @property
    def n_rows(self) -> int:
        """How many rows were selected."""
        return len(self.weights)
