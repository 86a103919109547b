"""Shares of processes that mean what they say: isotonic calibration of a classifier.

Among events to which a network gives a share g*, that share of their weights ought to be of the
process. A rising function I_p of g*_p is fitted to what simulation says (isotonic regression:
Barlow et al., "Statistical Inference under Order Restrictions", 1972). Signal comes first, the
others share what it leaves (Ghosh, Benato et al., arXiv:2505.05544):

    g_H = I_H(g*_H),      g_p = I_p(g*_p) (1 - I_H(g*_H)) / sum_q I_q(g*_q)    for the others.

Steps would throw away what tells events on one of them apart, so I_p is straight between the means
of bins, in log odds, and goes on at slope 1 beyond them. At last every g_p gets a factor, and all of
an event are divided by their sum, so that the sum of w g_p is the sum of the weights of p.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import isotonic_regression

from sigma68.errors import DataError
from sigma68.types import Labelled

__all__ = ["Calibration", "learn_calibration", "share_closure"]

Floats = npt.NDArray[np.float64]
Float32 = npt.NDArray[np.float32]

_EVENTS = 100
"""Of the process, and of all others, that a bin holds about at least."""
_BINS = 100
_EDGE = 1e-7
"""Shares no nearer to 0 and 1 than single precision tells them from these."""
_ROUNDS = 50


@dataclass(frozen=True)
class Calibration:
    """What a network's shares become.

    Attributes
    ----------
    first
        The process that is calibrated before the others.
    given, meant
        Log odds of g* and of I at the knots, an array per process.
    factors
        Logarithms of what the shares are multiplied by before they are divided by their sum, (K,).
    """

    first: int
    given: tuple[Floats, ...]
    meant: tuple[Floats, ...]
    factors: Floats

    def apply(self, shares: Float32) -> Float32:
        """Calibrated shares of given ones, both (K, N); they sum to 1."""
        if len(shares) == 1:
            return np.ones_like(shares)
        each = np.stack([self._one(k, row) for k, row in enumerate(shares)])
        first = each[self.first].copy()
        each[self.first] = 0.0
        each *= (1 - first) / np.maximum(each.sum(axis=0), 1e-300)
        each[self.first] = first
        each *= np.exp(self.factors)[:, None]
        each /= each.sum(axis=0)
        return each.astype(np.float32)

    def _one(self, k: int, shares: Float32) -> Floats:
        """I of a process, not yet against the others."""
        x, y = self.given[k], self.meant[k]
        odds = _log_odds(shares)
        meant = np.interp(odds, x, y) + np.minimum(odds - x[0], 0) + np.maximum(odds - x[-1], 0)
        probability: Floats = 1 / (1 + np.exp(-meant))
        return probability

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back bit for bit."""
        return {
            "first": self.first,
            "given": [x.tolist() for x in self.given],
            "meant": [y.tolist() for y in self.meant],
            "factors": self.factors.tolist(),
        }

    @classmethod
    def from_json(cls, document: dict[str, Any], n_processes: int) -> Calibration:
        """The calibration that `to_json` wrote.

        Raises
        ------
        DataError
            If the document is not one of so many processes.
        """
        try:
            first = int(document["first"])
            given = tuple(np.asarray(x, np.float64) for x in document["given"])
            meant = tuple(np.asarray(y, np.float64) for y in document["meant"])
            factors = np.asarray(document["factors"], np.float64)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"the saved calibration is damaged ({error!r}): train again") from error
        knots = list(zip(given, meant, strict=False))
        sound = (
            0 <= first < n_processes
            and len(given) == len(meant) == n_processes
            and factors.shape == (n_processes,)
            and all(x.ndim == 1 and x.shape == y.shape and len(x) for x, y in knots)
            and all(np.isfinite(a).all() for a in (*given, *meant, factors))
            and all((np.diff(x) > 0).all() and (np.diff(y) >= 0).all() for x, y in knots)
        )
        if not sound:
            raise DataError("the saved calibration makes no sense: train again")
        return cls(first, given, meant, factors)


def learn_calibration(
    shares: Float32, events: Labelled, first: int, told: float = 1.0
) -> Calibration:
    """The calibration of shares g* (K, N) of events that the network was not trained on.

    Parameters
    ----------
    first
        The process that is calibrated before the others.
    told
        The share of all events that the K processes have together; `events` of others are of the
        process K, and calibrated shares are to be multiplied by this.

    Raises
    ------
    DataError
        If a process has no events.
    """
    k = len(shares)
    w = events.weights
    totals = np.bincount(events.process, w, minlength=k)[:k]
    if not (totals > 0).all():
        lacking = events.process_names[int(np.argmin(totals))]
        raise DataError(f"no {lacking} events to calibrate its share with: give a larger pool")
    knots = [_knots(shares[p], w, events.process == p, told) for p in range(k)]
    given, meant = tuple(x for x, _ in knots), tuple(y for _, y in knots)
    plain = Calibration(first, given, meant, np.zeros(k))
    factors = np.zeros(k)
    each = plain.apply(shares).astype(np.float64)
    for _ in range(_ROUNDS):
        scaled = each * np.exp(factors)[:, None]
        scaled /= scaled.sum(axis=0)
        factors += np.log(totals / (told * (scaled @ w)))
        factors -= factors[np.argmax(totals)]
    return Calibration(first, given, meant, factors)


def share_closure(shares: Float32, events: Labelled) -> Floats:
    """The sum of w g_p over the sum of the weights of p, minus 1, of shares (K, N); (K,).

    0 for a process without events.
    """
    totals = np.bincount(events.process, events.weights, minlength=len(shares))
    sums = shares.astype(np.float64) @ events.weights
    closure: Floats = np.where(totals > 0, sums / np.where(totals > 0, totals, 1.0) - 1, 0.0)
    return closure


def _knots(
    shares: Float32, weights: Floats, own: npt.NDArray[np.bool_], told: float
) -> tuple[Floats, Floats]:
    """Log odds of g* and of I at the means of bins; weights and own (N,).

    Means are of shares, not of log odds: where the network is right, I is g* in bins of any width.
    """
    order = np.argsort(shares, kind="stable")
    g, w, of_process = shares[order].astype(np.float64), weights[order], own[order]
    n_own, n_other = int(of_process.sum()), int((~of_process).sum())
    bins = int(np.clip(min(n_own, n_other) // _EVENTS, 1, _BINS))
    # As many events of the process as of others in a bin, the rarer of both where it is.
    rank = np.cumsum(of_process / max(n_own, 1) + ~of_process / max(n_other, 1))
    place = np.minimum((rank / rank[-1] * bins).astype(np.int64), bins - 1)
    total, inside, said = (
        np.bincount(place, x, minlength=bins) for x in (w, w * of_process, w * g)
    )
    full = total > 0
    total, inside, given = total[full], inside[full], _log_odds(said[full] / total[full])
    risen = isotonic_regression(inside / total / told, weights=total).x
    # Half an event, where there is none of the process or of others.
    half = [float(w[c].mean()) / 2 if c.any() else 0.0 for c in (of_process, ~of_process)]
    floor, ceiling = np.minimum(half[0] / total, 0.5), 1 - np.minimum(half[1] / total, 0.5)
    meant = np.maximum.accumulate(_log_odds(np.clip(risen, floor, np.maximum(ceiling, floor))))
    apart = np.concatenate([[True], np.diff(np.maximum.accumulate(given)) > 1e-9])
    return given[apart], meant[apart]


def _log_odds(shares: npt.NDArray[np.floating[Any]]) -> Floats:
    p = np.clip(shares.astype(np.float64), _EDGE, 1 - _EDGE)
    odds: Floats = np.log(p) - np.log1p(-p)
    return odds
