"""Bins in a score, and the templates of signal and background in them.

Bins are chosen for the expected precision on a signal strength, measured by the Fisher
information of a counting experiment per bin, sum_j S_j^2 / (S_j + B_j + V_j), where S_j and
B_j are the expected events of bin j and V_j the variance that the finite simulation gives
them (a bin of few simulated events is worth less than it seems). In three steps, all
deterministic:

1. start from many bins, quantiles of the score with signal and background weighing the same;
2. for each number of bins K, find the merging of neighbours with the largest information
   among those where every bin holds enough effective events (dynamic programming, exact);
3. take the smallest K that keeps all but a small fraction of the largest information found.

If no merging satisfies the floor, one bin is left: the measurement by the total rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from sigma68.errors import DataError

__all__ = ["BinChoice", "Templates", "choose_edges", "correlation", "count", "fill_templates"]

Floats = npt.NDArray[np.float64]
_BLOCK = 4096
"""Scores that are binned together."""


@dataclass(frozen=True)
class BinChoice:
    """How bins are chosen.

    `min_background` and `min_signal` are effective simulated events, (sum w)^2 / sum w^2 with
    the weights of one hard event added first, that every bin must hold; a pool too small for
    that must put at least the fraction `min_share` of what it has into each. `loss` is the
    fraction of the information that fewer bins may cost.
    """

    max_bins: int = 30
    start_bins: int = 200
    min_background: float = 50.0
    min_signal: float = 10.0
    min_share: float = 0.2
    loss: float = 0.005


@dataclass(frozen=True)
class Templates:
    """Expected events per bin at signal strength 1, and the variance of the simulation.

    `edges` holds the inner bin edges, (n_bins - 1,) ascending, as float32 values: a score on an
    edge belongs to the bin above. The other shapes are (n_bins,).
    """

    edges: npt.NDArray[np.float32]
    signal: Floats
    background: Floats
    signal_variance: Floats
    background_variance: Floats

    def to_json(self) -> dict[str, list[float]]:
        """A JSON object that `from_json` reads back bit for bit."""
        return {name: getattr(self, name).tolist() for name in self.__dataclass_fields__}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Templates:
        """The templates that `to_json` wrote.

        Raises
        ------
        DataError
            If the document is not one of templates.
        """
        try:
            arrays = {n: np.asarray(document[n], np.float64) for n in cls.__dataclass_fields__}
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"the saved templates are damaged ({error!r}): train again") from error
        edges = arrays.pop("edges").astype(np.float32)
        if any(a.shape != (edges.size + 1,) or not np.isfinite(a).all() for a in arrays.values()):
            raise DataError("the saved templates do not fit their edges: train again")
        return cls(edges, **arrays)


def count(
    scores: npt.NDArray[np.float32],
    edges: npt.NDArray[np.float32],
    weights: Floats | None = None,
) -> Floats:
    """Events (or summed weights) per bin, (n_bins,), of scores (n_events,).

    A score on an edge belongs to the bin above, one that is NaN to the last. Weights are added in
    the order of the events.

    Raises
    ------
    ValueError
        If there are not as many weights as scores.
    """
    if weights is not None and weights.shape != scores.shape:
        raise ValueError(f"{scores.shape} scores with weights of shape {weights.shape}")
    # As many edges as a search by halves asks for; what is above the last bin belongs to it.
    table = np.full((1 << edges.size.bit_length()) - 1, np.inf, edges.dtype)
    table[: edges.size] = edges
    sums = np.zeros(edges.size + 1)
    own = np.empty(0) if weights is None else np.ascontiguousarray(weights, np.float64)
    _count(np.ascontiguousarray(scores), table, own, weights is not None, sums)
    return sums


@njit(cache=True, nogil=True)
def _count(scores, table, weights, weighted, sums):  # type: ignore[no-untyped-def]
    """Add events to their bins: the step of a search is done for a block before the next step.

    So the compiler works on many events at a time, and nothing waits for a branch that is guessed.
    """
    last = len(sums) - 1
    place = np.empty(_BLOCK, np.int32)
    # Events that follow each other count in different rows: one need not wait for the other.
    counts = np.zeros((4, len(sums)), np.int64)
    for start in range(0, len(scores), _BLOCK):
        block = scores[start : start + _BLOCK]
        n = len(block)
        for e in range(n):
            place[e] = 0
        half = np.uint64((len(table) + 1) >> 1)
        while half > 0:
            for e in range(n):
                r = np.uint64(place[e])
                reached = not (block[e] < table[r + half - np.uint64(1)])
                place[e] = np.int32(r + half * np.uint64(reached))
            half >>= np.uint64(1)
        if weighted:
            for e in range(n):
                sums[min(place[e], last)] += weights[start + e]
        else:
            for e in range(n):
                counts[e & 3, min(place[e], last)] += 1
    if not weighted:
        sums += counts.sum(axis=0)


def fill_templates(
    scores: npt.NDArray[np.float32],
    weights: Floats,
    labels: npt.NDArray[np.int8],
    hard_event: npt.NDArray[np.int64] | None,
    edges: npt.NDArray[np.float32],
) -> Templates:
    """Templates of labelled events in given bins; inputs have shape (n_events,).

    The rows of one hard event are taken as fully correlated on average: the variance of every
    bin is its sum of squared weights times the class's ratio of sum (sum_hard w)^2 to sum w^2.
    """
    yields: list[Floats] = []
    variances: list[Floats] = []
    for label in (1, 0):
        chosen = labels == label
        w = weights[chosen]
        hard = None if hard_event is None else hard_event[chosen]
        yields.append(count(scores[chosen], edges, w))
        variances.append(count(scores[chosen], edges, w * w) * correlation(w, hard))
    return Templates(edges, yields[0], yields[1], variances[0], variances[1])


def choose_edges(
    scores: npt.NDArray[np.float32],
    weights: Floats,
    labels: npt.NDArray[np.int8],
    hard_event: npt.NDArray[np.int64] | None = None,
    choice: BinChoice | None = None,
) -> npt.NDArray[np.float32]:
    """The inner edges, (n_bins - 1,) ascending, of the bins described at the top of this module.

    Raises
    ------
    DataError
        If signal or background is missing or weighs nothing.
    """
    choice = choice or BinChoice()
    start = _quantiles(scores, weights, labels, choice.start_bins)
    fine = fill_templates(scores, weights, labels, hard_event, start)
    cuts = _merge(fine, choice)
    chosen: npt.NDArray[np.float32] = start[cuts - 1]
    return chosen


def correlation(weights: Floats, hard_event: npt.NDArray[np.int64] | None) -> float:
    """Sum (sum_hard w)^2 / sum w^2: 1 for independent rows, m for m equal rows per hard event."""
    total = float(weights @ weights)
    if hard_event is None or total == 0.0:
        return 1.0
    _, index = np.unique(hard_event, return_inverse=True)
    grouped = np.bincount(index, weights)
    return float(grouped @ grouped) / total


def _quantiles(
    scores: npt.NDArray[np.float32], weights: Floats, labels: npt.NDArray[np.int8], n: int
) -> npt.NDArray[np.float32]:
    """At most n - 1 distinct edges between scores, equally spaced in class-balanced weight."""
    balanced = np.empty(weights.shape, np.float64)
    for label, name in ((1, "signal"), (0, "background")):
        chosen = labels == label
        total = float(weights[chosen].sum())
        if not total > 0:
            raise DataError(
                f"the calibration events hold no {name}: bins need both signal and background; "
                "give a larger pool"
            )
        balanced[chosen] = weights[chosen] / total
    order = np.argsort(scores, kind="stable")
    cumulative = np.cumsum(balanced[order])
    wanted = np.arange(1, n) / n * cumulative[-1]
    at = np.searchsorted(cumulative, wanted)
    # An edge is a score that occurs; the lowest one would leave an empty bin below it.
    edges = np.unique(scores[order[np.minimum(at, scores.size - 1)]])
    above_lowest: npt.NDArray[np.float32] = edges[edges > scores[order[0]]]
    return above_lowest


def _merge(fine: Templates, choice: BinChoice) -> npt.NDArray[np.intp]:
    """Where the best merging cuts between the fine bins: positions in 1 ... n_fine - 1."""
    information = _information(fine, choice)
    n = information.shape[0] - 1
    most = min(choice.max_bins, n)
    best = np.full((most + 1, n + 1), -np.inf)
    came_from = np.zeros((most + 1, n + 1), np.intp)
    best[0, 0] = 0.0
    for k in range(1, most + 1):
        through = best[k - 1][:, None] + information
        came_from[k] = np.argmax(through, axis=0)
        best[k] = np.max(through, axis=0)
    reached = best[1:, n]
    if not np.isfinite(reached).any():
        return np.empty(0, np.intp)
    k = 1 + int(np.argmax(reached >= (1.0 - choice.loss) * reached.max()))
    cuts = []
    position = n
    while k > 0:
        position = int(came_from[k, position])
        cuts.append(position)
        k -= 1
    return np.array(cuts[-2::-1], np.intp)


def _information(fine: Templates, choice: BinChoice) -> Floats:
    """Information of a bin made of fine bins i ... j - 1, at [i, j]; minus infinity if not allowed."""

    def spans(values: Floats) -> Floats:
        sums = np.concatenate([[0.0], np.cumsum(values)])
        differences: Floats = np.maximum(sums[None, :] - sums[:, None], 0.0)
        return differences

    s, b = spans(fine.signal), spans(fine.background)
    vs, vb = spans(fine.signal_variance), spans(fine.background_variance)
    enough = b * b >= _floor(choice.min_background, choice.min_share, b[0, -1], vb[0, -1]) * vb
    enough &= s * s >= _floor(choice.min_signal, choice.min_share, s[0, -1], vs[0, -1]) * vs
    enough &= (b > 0) & (s > 0) & np.triu(np.ones(s.shape, bool), 1)
    variance = np.where(enough, s + b + vs + vb, 1.0)
    return np.where(enough, s * s / variance, -np.inf)


def _floor(wanted: float, share: float, total: float, variance: float) -> float:
    """The effective events demanded of a bin, of a class with this total yield and variance."""
    return min(wanted, share * total**2 / variance) if variance > 0 else wanted
