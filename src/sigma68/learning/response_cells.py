"""Parts of a region by the signal's share, in which learned responses follow simulation.

A network of responses learns what most events of a process have in common; the few among the signal,
which move the signal's strength, it learns less well. There simulation can be counted instead. In
each cell of events that have alike shares of signal, constants are added to the responses of
each process, so that their sum is what simulation expects in the cell wherever nuisance
parameters move events to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError

__all__ = ["Cells"]

Floats = npt.NDArray[np.float64]
Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Cells:
    """Cells of a region, and the constants of the responses there.

    Attributes
    ----------
    signal
        Number of the process whose share tells the cells apart.
    edges
        Inner edges, (B - 1,) ascending; a share on an edge belongs to the cell above.
    constants
        c, (B, K, T), of processes and monomials.
    """

    signal: int
    edges: Floats
    constants: Floats

    @classmethod
    def one(cls, n_processes: int, n_terms: int) -> Cells:
        """One cell of all events, without constants."""
        return cls(0, np.zeros(0), np.zeros((1, n_processes, n_terms)))

    @classmethod
    def of_equal_signal(
        cls, signal: int, shares: Float32, weights: Floats, n: int, like: Floats
    ) -> Cells:
        """At most n cells with the same amount of signal each, without constants.

        `shares` and `weights` (N,) are those of signal events; `like` (1, K, T) is of the size of a
        cell's constants.
        """
        order = np.argsort(shares, kind="stable")
        below = np.cumsum(weights[order]) / weights.sum()
        last = np.minimum(np.searchsorted(below, np.arange(1, n) / n), len(order) - 1)
        sorted_, after = shares[order].astype(np.float64), np.minimum(last + 1, len(order) - 1)
        edges = np.unique(0.5 * (sorted_[last] + sorted_[after]))
        return cls(signal, edges, np.zeros((edges.size + 1, *like.shape[1:])))

    def __len__(self) -> int:
        return len(self.constants)

    def of(self, shares: Float32) -> npt.NDArray[np.int64]:
        """The cell of each event, (N,), from the shares of all processes, (K, N)."""
        found: npt.NDArray[np.int64] = np.searchsorted(
            self.edges, shares[self.signal], side="right"
        )
        return found

    def at(self, cells: npt.NDArray[np.int64], process: int) -> Float32:
        """Constants of a process, (T, N), for events in `cells` (N,)."""
        found: Float32 = self.constants[:, process].astype(np.float32)[cells].T
        return found

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back bit for bit."""
        return {
            "signal": self.signal,
            "edges": self.edges.tolist(),
            "constants": self.constants.tolist(),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any], n_processes: int, n_terms: int) -> Cells:
        """The cells that `to_json` wrote, of so many processes and monomials.

        Raises
        ------
        DataError
            If they are damaged.
        """
        try:
            edges = np.asarray(document["edges"], np.float64)
            constants = np.asarray(document["constants"], np.float64)
            signal = int(document["signal"])
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"the saved ratios are damaged ({error!r}): train again") from error
        shape = (edges.size + 1, n_processes, n_terms)
        finite = bool(np.isfinite(edges).all() and np.isfinite(constants).all())
        ascending = edges.ndim == 1 and bool((np.diff(edges) > 0).all())
        if constants.size == 0 == n_terms:
            constants = constants.reshape(shape)
        if constants.shape != shape or not (finite and ascending and 0 <= signal < n_processes):
            raise DataError("the saved ratios do not fit together: train again")
        return cls(signal, edges, constants)
