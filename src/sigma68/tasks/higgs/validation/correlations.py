"""The linear correlation of every two columns, in simulated and in real events.

Differences are those of Fisher's z = artanh r, whose scatter hardly depends on r, in units of
their error from a bootstrap over hard events (real events without such numbers: over rows). In a
small sample of a column with long tails the bootstrap sees too little scatter: the error on the
real side is never taken to be less than that of the simulation, scaled to the real sample's
effective number of events. The largest difference is judged by the number of pairs (Bonferroni).

A pair counts the events in which both columns are defined.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import special

from sigma68.seeds import Stream
from sigma68.tasks.higgs.schema import FEATURES, UNDEFINED
from sigma68.tasks.higgs.validation.hypotheses import POWER, two_sided
from sigma68.tasks.higgs.validation.sample import Sample

__all__ = ["LEAST_PAIRS", "CorrelationTest", "compare_correlations", "correlation_matrix"]

Floats = npt.NDArray[np.float64]

N_RESAMPLES: Final = 200
LEAST_PAIRS: Final = 50.0
"""A pair of columns is compared if so many effective events have both, in each sample."""

_ALMOST_ONE = 1.0 - 1e-9


@dataclass(frozen=True)
class CorrelationTest:
    """Correlations of one group of processes.

    Attributes
    ----------
    group
        Process, or "pooled".
    rows_simulated, rows_real
        Rows of the samples they were computed from.
    simulated, real
        The matrices, shape (28, 28), in the order of the features; NaN where not compared.
    pulls
        Difference of Fisher's z (simulated minus real) in units of its error, (28, 28).
    pairs
        How many pairs were compared.
    largest
        The largest pull in absolute value, and the two columns it belongs to; None without any.
    p_value
        The probability of so large a pull in any pair (Bonferroni).
    detectable
        The difference of two small correlations, for the typical (median) pair, that is found
        with 90% probability at the level corrected for the number of pairs.
    """

    group: str
    rows_simulated: int
    rows_real: int
    simulated: Floats
    real: Floats
    pulls: Floats
    pairs: int
    largest: float | None
    columns: tuple[str, str] | None
    p_value: float | None
    detectable: float | None


def compare_correlations(
    group: str, simulated: Sample, real: Sample, level: float, stream: Stream
) -> CorrelationTest:
    """The correlations of two samples of the same processes."""
    s, r = _Centred(simulated), _Centred(real)
    r_simulated, r_real = s.matrix(), r.matrix()
    error = s.error(stream.child(f"{group} simulated"))
    total = np.hypot(error, _real_error(r, s, error, stream.child(f"{group} real")))
    with np.errstate(invalid="ignore", divide="ignore"):
        pulls = (_fisher(r_simulated) - _fisher(r_real)) / total
    pulls[~np.isfinite(pulls)] = np.nan
    above = np.triu(np.isfinite(pulls), 1)
    pairs = int(above.sum())
    largest = columns = p_value = detectable = None
    if pairs:
        i, j = np.unravel_index(np.argmax(np.where(above, np.abs(pulls), -1.0)), pulls.shape)
        largest, columns = float(pulls[i, j]), (FEATURES[i], FEATURES[j])
        p_value = min(1.0, pairs * two_sided(largest))
        detectable = _detectable(float(np.median(total[above])), pairs, level)
    return CorrelationTest(
        group=group,
        rows_simulated=simulated.n_events,
        rows_real=real.n_events,
        simulated=r_simulated,
        real=r_real,
        pulls=pulls,
        pairs=pairs,
        largest=largest,
        columns=columns,
        p_value=p_value,
        detectable=detectable,
    )


def correlation_matrix(sample: Sample) -> Floats:
    """Weighted linear correlations, (28, 28); NaN where too few events have both columns."""
    return _Centred(sample).matrix()


def _detectable(error: float, pairs: int, level: float) -> float:
    quantiles = float(special.ndtri(1 - level / pairs / 2) + special.ndtri(POWER))
    return float(np.tanh(quantiles * error))


def _real_error(real: _Centred, simulated: _Centred, error: Floats, stream: Stream) -> Floats:
    fewer = simulated.effective / np.maximum(real.effective, 1.0)
    return np.maximum(real.error(stream), error * np.sqrt(fewer))


def _fisher(r: Floats) -> Floats:
    z: Floats = np.arctanh(np.clip(r, -_ALMOST_ONE, _ALMOST_ONE))
    return z


class _Centred:
    """A sample about its means, so that sums of squares keep their digits."""

    def __init__(self, sample: Sample) -> None:
        x = sample.values.astype(np.float64)
        self._defined = (x != UNDEFINED).astype(np.float64)
        self._weights = sample.weights
        known = np.maximum(self._defined @ sample.weights, 1e-300)
        mean = ((x * self._defined) @ sample.weights) / known
        self._x = (x - mean[:, None]) * self._defined
        scale = np.sqrt((self._x**2 @ sample.weights) / known)
        self._x /= np.where(scale > 0, scale, 1.0)[:, None]
        self._constant = scale <= 1e-6 * np.abs(mean)
        _, self._unit = np.unique(sample.unit, return_inverse=True)
        self.effective = self._effective()
        """Effective events that have both columns of a pair, (28, 28)."""

    def _effective(self) -> Floats:
        w = self._weights
        together = np.bincount(self._unit, w)
        clustering = float(together @ together) / max(float(w @ w), 1e-300)
        both: Floats = (self._defined * w) @ self._defined.T
        squares: Floats = (self._defined * w**2) @ self._defined.T * clustering
        return np.divide(both**2, squares, out=np.zeros_like(both), where=squares > 0)

    def matrix(self, counts: npt.NDArray[np.integer] | None = None) -> Floats:
        """The correlations, with the rows of each hard event counted `counts` times."""
        w = self._weights if counts is None else self._weights * counts[self._unit]
        kept = slice(None) if counts is None else np.flatnonzero(w)
        x, defined, w = self._x[:, kept], self._defined[:, kept], w[kept]
        xw = x * w
        weight = (defined * w) @ defined.T
        first = xw @ defined.T
        second = (xw * x) @ defined.T
        product = xw @ x.T
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = first / weight
            variance = second / weight - mean**2
            r: Floats = (product / weight - mean * mean.T) / np.sqrt(variance * variance.T)
        unusable = (self.effective < LEAST_PAIRS) | self._constant | self._constant[:, None]
        return np.clip(np.where(unusable, np.nan, r), -1.0, 1.0)

    def error(self, stream: Stream) -> Floats:
        """The standard error of Fisher's z, (28, 28)."""
        rng = stream.generator()
        n_units = int(self._unit.max()) + 1 if len(self._unit) else 0
        resampled = np.stack(
            [_fisher(self.matrix(rng.poisson(1.0, n_units))) for _ in range(N_RESAMPLES)]
        )
        error: Floats = resampled.std(axis=0, ddof=1)
        return error
