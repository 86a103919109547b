"""Cells of several observables at once, chosen for the precision of a fit in all its parameters.

Events are counted in cells: the leaves of a tree of cuts on observables. With t_i the derivatives
of an event's expected density by the vector of a fit (its scores), the counts of cells hold the
Fisher information

    I = sum_cells n_c t_c t_c^T + P,        t_c the mean score of a cell's n_c expected events,

P being that of the priors. Cutting a cell in two of n_1 and n_2 adds a d d^T, a = n_1 n_2 /
(n_1 + n_2), d the difference of their mean scores, so that the variance of the parameter of
interest (C = I^-1, its first row c) falls by a (c d)^2 / (1 + a d^T C d). The tree grows by the cut
that lowers it most, until it has as many cells as asked for. Errors of the learned scores cost
precision only: what is expected in a cell is counted in simulation, not computed from scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit, prange

from sigma68.errors import DataError

__all__ = ["Partition", "PartitionChoice", "grow"]

Floats = npt.NDArray[np.float64]
Float32 = npt.NDArray[np.float32]
_BLOCK = 4096


@dataclass(frozen=True)
class PartitionChoice:
    """How cells are chosen: how many, and at most so many `steps` to cut an observable at.

    A cell expects `min_expected` events or more and holds `min_events` of the simulated ones that
    it was chosen with.
    """

    cells: int = 120
    steps: int = 128
    min_expected: float = 5.0
    min_events: int = 200


@dataclass(frozen=True)
class Partition:
    """A tree of cuts.

    Nodes are numbered with the root first; at node n an event goes to `low[n]` if its observable
    `observable[n]` is below `cut[n]`, else to `high[n]`. A negative number -1 - c is cell c. A tree
    without nodes has one cell.
    """

    observable: npt.NDArray[np.int64]
    cut: Float32
    low: npt.NDArray[np.int64]
    high: npt.NDArray[np.int64]

    @property
    def n_cells(self) -> int:
        return len(self.cut) + 1

    def cells(self, observables: Float32) -> npt.NDArray[np.int32]:
        """The cell of each event, (N,), from observables (n_observables, N)."""
        out = np.zeros(observables.shape[1], np.int32)
        if len(self.cut):
            own = np.ascontiguousarray(observables, np.float32)
            _descend(own, self.observable, self.cut, self.low, self.high, out)
        return out

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back bit for bit."""
        return {name: getattr(self, name).tolist() for name in self.__dataclass_fields__}

    @classmethod
    def from_json(cls, document: Mapping[str, Any], n_observables: int) -> Partition:
        """The partition that `to_json` wrote, of so many observables.

        Raises
        ------
        DataError
            If the document is not one of a tree in which every cell is reached once.
        """
        try:
            cut = np.asarray(document["cut"], np.float32)
            observable, low, high = (
                np.asarray(document[name], np.int64).reshape(-1)
                for name in ("observable", "low", "high")
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"the saved cells are damaged ({error!r}): train again") from error
        n = len(cut)
        reached = np.sort(np.concatenate([low, high]))
        wanted = np.concatenate([np.arange(-n - 1, 0), np.arange(1, n)]) if n else np.empty(0)
        sound = (
            cut.shape == observable.shape == low.shape == high.shape
            and np.isfinite(cut).all()
            and bool(((observable >= 0) & (observable < n_observables)).all())
            and np.array_equal(reached, wanted)
            # Each node after those that lead to it, so that every way ends.
            and all(
                child > at for side in (low, high) for at, child in enumerate(side) if child > 0
            )
        )
        if not sound:
            raise DataError("the saved cells are no tree: train again")
        return cls(observable, cut, low, high)


@njit(cache=True, parallel=True, nogil=True)
def _descend(observables, observable, cut, low, high, out):  # type: ignore[no-untyped-def]
    n = len(out)
    for block in prange(-(-n // _BLOCK)):
        for e in range(block * _BLOCK, min((block + 1) * _BLOCK, n)):
            at = 0
            while at >= 0:
                below = observables[observable[at], e] < cut[at]
                at = low[at] if below else high[at]
            out[e] = -1 - at


def grow(
    observables: Float32,
    scores: Float32,
    weights: Floats,
    prior: Floats,
    choice: PartitionChoice | None = None,
) -> Partition:
    """The tree described at the top of this module.

    Parameters
    ----------
    observables
        What may be cut on, (n_observables, N).
    scores
        t, (P, N), the parameter of interest first.
    weights
        Expected events, (N,).
    prior
        Information of the priors, (P,): 1 for a nuisance in standard deviations of its prior, 0 for
        the parameter.
    """
    choice = choice or PartitionChoice()
    cuts = [_steps(row, scores, weights, choice.steps) for row in observables]
    places = np.stack(
        [np.searchsorted(c, row, side="right") for c, row in zip(cuts, observables, strict=True)]
    ).astype(np.int16)
    growing = _Growing(places, scores, weights, prior, choice)
    while len(growing.leaves) < choice.cells and growing.split():
        continue
    return growing.partition(cuts)


def _steps(row: Float32, scores: Float32, weights: Floats, steps: int) -> Float32:
    """Where an observable may be cut: half of the steps by events, half by what they can tell."""
    telling = weights * scores[0].astype(np.float64) ** 2
    order = np.argsort(row, kind="stable")
    share = 0.5 / len(row) + 0.5 * telling / max(float(telling.sum()), 1e-300)
    filled = np.cumsum(share[order])
    at = np.searchsorted(filled, np.arange(1, steps) / steps * filled[-1])
    found: Float32 = np.unique(row[order[np.minimum(at, len(row) - 1)]])
    return found


@dataclass
class _Leaf:
    """Events of a leaf and cumulative sums over steps: (n_observables, steps, 2 + P).

    `parent` is the node and the side (0 low, 1 high) that lead here.
    """

    index: npt.NDArray[np.int64]
    sums: Floats
    parent: tuple[int, int] | None


class _Growing:
    """A tree that grows by its best cut."""

    def __init__(
        self,
        places: npt.NDArray[np.int16],
        scores: Float32,
        weights: Floats,
        prior: Floats,
        choice: PartitionChoice,
    ) -> None:
        self.places, self.choice = places, choice
        w = weights.astype(np.float64)
        self.columns = np.stack([w, np.ones_like(w), *(w * s for s in scores)])
        everything = np.arange(len(w))
        self.leaves = [_Leaf(everything, self._summed(everything), None)]
        self.nodes: list[tuple[int, int]] = []  # observable, step
        self.parents: list[tuple[int, int] | None] = []
        total = self.leaves[0].sums[0, -1]
        # Some information in every direction, so that the first cuts have one to lower.
        self.information = np.outer(total[2:], total[2:]) / total[0] + np.diag(prior)
        self.information += 1e-9 * np.eye(len(prior)) * max(float(np.trace(self.information)), 1e-9)

    def split(self) -> bool:
        """Make the best cut; whether there was one."""
        covariance = np.linalg.inv(self.information)
        best = (0.0, -1, 0, 0)
        for i, leaf in enumerate(self.leaves):
            gain = self._gains(leaf.sums, covariance)
            o, step = divmod(int(np.argmax(gain)), gain.shape[1])
            if gain[o, step] > best[0]:
                best = (float(gain[o, step]), i, o, step)
        _, i, o, step = best
        if i < 0:
            return False
        leaf = self.leaves[i]
        low = leaf.sums[o, step]
        a, d = _apart(low, leaf.sums[o, -1] - low)
        self.information += a * np.outer(d, d)
        node = len(self.nodes)
        self.nodes.append((o, step))
        self.parents.append(leaf.parent)
        below = self.places[o, leaf.index] <= step
        self.leaves[i : i + 1] = self._halves(leaf, below, node)
        return True

    def partition(self, cuts: list[Float32]) -> Partition:
        """The tree as it is."""
        n = len(self.nodes)
        sides = np.zeros((2, n), np.int64)
        for node, parent in enumerate(self.parents):
            if parent is not None:
                sides[parent[1], parent[0]] = node
        for cell, leaf in enumerate(self.leaves):
            if leaf.parent is not None:
                sides[leaf.parent[1], leaf.parent[0]] = -1 - cell
        observable = np.array([o for o, _ in self.nodes], np.int64)
        cut = np.array([cuts[o][step] for o, step in self.nodes], np.float32)
        return Partition(observable, cut, sides[0], sides[1])

    def _halves(self, leaf: _Leaf, below: npt.NDArray[np.bool_], node: int) -> list[_Leaf]:
        """Sums of the smaller half are made, those of the other are what is left."""
        low, high = leaf.index[below], leaf.index[~below]
        smaller = self._summed(low if len(low) <= len(high) else high)
        sums = (smaller, leaf.sums - smaller)
        if len(low) > len(high):
            sums = sums[::-1]
        return [_Leaf(low, sums[0], (node, 0)), _Leaf(high, sums[1], (node, 1))]

    def _summed(self, index: npt.NDArray[np.int64]) -> Floats:
        n, steps = len(self.places), self.choice.steps
        sums = np.empty((n, steps, len(self.columns)))
        own = self.columns[:, index]
        for o in range(n):
            place = self.places[o, index]
            for c, column in enumerate(own):
                sums[o, :, c] = np.bincount(place, column, minlength=steps)
        cumulative: Floats = np.cumsum(sums, axis=1)
        return cumulative

    def _gains(self, sums: Floats, covariance: Floats) -> Floats:
        """By how much cuts lower the variance of the parameter, relative; (n_observables, steps)."""
        low, high = sums, sums[:, -1:] - sums
        enough = np.ones(low.shape[:2], bool)
        for half in (low, high):
            enough &= half[..., 0] >= self.choice.min_expected
            enough &= half[..., 1] >= self.choice.min_events - 0.5
        a, d = _apart(np.where(enough[..., None], low, 1.0), np.where(enough[..., None], high, 1.0))
        lowered = a * (d @ covariance[0]) ** 2
        lowered /= 1 + a * np.einsum("...i,ij,...j->...", d, covariance, d)
        return np.where(enough, lowered / covariance[0, 0], -1.0)


def _apart(low: Floats, high: Floats) -> tuple[Floats, Floats]:
    """A and d of two halves, from their sums (..., 2 + P)."""
    a = low[..., 0] * high[..., 0] / (low[..., 0] + high[..., 0])
    d = low[..., 2:] / low[..., :1] - high[..., 2:] / high[..., :1]
    return a, d
