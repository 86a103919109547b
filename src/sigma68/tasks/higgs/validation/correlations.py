"""The linear correlation of every two columns, in the two files.

Differences are those of Fisher's z = artanh r, whose scatter hardly depends on r, in units of
their error. Errors are those of a bootstrap over hard events (where they are not numbered: over
rows) in the limit of many resamples, the infinitesimal jackknife: the sum of squares of what each
hard event contributes (Efron, "The jackknife, the bootstrap and other resampling plans", SIAM
1982, chapter 6). In a small sample of a column with long tails any resampling sees too little
scatter: the error on the reference's side is never taken to be less than that of as many
independent tested events. The largest difference is judged by the number of pairs (Bonferroni).

A pair counts the events in which both columns are defined.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import special

from sigma68.tasks.higgs.schema import FEATURES, UNDEFINED
from sigma68.tasks.higgs.validation.hypotheses import POWER, two_sided
from sigma68.tasks.higgs.validation.sample import Sample

__all__ = ["LEAST_PAIRS", "CorrelationTest", "compare_correlations", "correlation_matrix"]

Floats = npt.NDArray[np.float64]

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
    rows_tested, rows_reference
        Rows of the samples they were computed from.
    tested, reference
        The matrices, shape (28, 28), in the order of the features; NaN where not compared.
    pulls
        Difference of Fisher's z (tested minus reference) in units of its error, (28, 28).
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
    rows_tested: int
    rows_reference: int
    tested: Floats
    reference: Floats
    pulls: Floats
    pairs: int
    largest: float | None
    columns: tuple[str, str] | None
    p_value: float | None
    detectable: float | None


def compare_correlations(
    group: str, tested: Sample, reference: Sample, level: float
) -> CorrelationTest:
    """The correlations of two samples of the same processes."""
    s, r = _Correlations.of(tested), _Correlations.of(reference)
    of_tested = s.scatter / np.sqrt(np.maximum(r.effective, 1.0))
    total = np.hypot(s.error, np.maximum(r.error, of_tested))
    with np.errstate(invalid="ignore", divide="ignore"):
        pulls = (_fisher(s.matrix) - _fisher(r.matrix)) / total
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
        rows_tested=tested.n_events,
        rows_reference=reference.n_events,
        tested=s.matrix,
        reference=r.matrix,
        pulls=pulls,
        pairs=pairs,
        largest=largest,
        columns=columns,
        p_value=p_value,
        detectable=detectable,
    )


def correlation_matrix(sample: Sample) -> Floats:
    """Weighted linear correlations, (28, 28); NaN where too few events have both columns."""
    return _Correlations.of(sample).matrix


def _detectable(error: float, pairs: int, level: float) -> float:
    quantiles = float(special.ndtri(1 - level / pairs / 2) + special.ndtri(POWER))
    return float(np.tanh(quantiles * error))


def _fisher(r: Floats) -> Floats:
    z: Floats = np.arctanh(np.clip(r, -_ALMOST_ONE, _ALMOST_ONE))
    return z


@dataclass(frozen=True)
class _Correlations:
    """Of one sample, all (28, 28).

    Coefficients, the errors of Fisher's z, the error that one independent event would have
    (`scatter`), and effective events.
    """

    matrix: Floats
    error: Floats
    scatter: Floats
    effective: Floats

    @classmethod
    def of(cls, sample: Sample) -> _Correlations:
        n = len(FEATURES)
        empty = np.full((n, n), np.nan)
        found = cls(empty, empty.copy(), empty.copy(), np.zeros((n, n)))
        if sample.n_events == 0:
            return found
        # Columns that are defined in the same events are treated together.
        patterns, kind = np.unique(sample.values != UNDEFINED, axis=0, return_inverse=True)
        for a in range(len(patterns)):
            for b in range(a, len(patterns)):
                rows = np.flatnonzero(patterns[a] & patterns[b])
                found._fill(sample, rows, np.flatnonzero(kind == a), np.flatnonzero(kind == b))
        return found

    def _fill(
        self,
        sample: Sample,
        rows: npt.NDArray[np.integer],
        first: npt.NDArray[np.integer],
        second: npt.NDArray[np.integer],
    ) -> None:
        """The block of some columns with some others, both defined in `rows`."""
        _, unit = np.unique(sample.unit[rows], return_inverse=True)
        order = np.argsort(unit, kind="stable")
        rows = rows[order]
        starts = np.flatnonzero(np.append(True, np.diff(unit[order]) > 0)) if rows.size else rows
        w = sample.weights[rows]
        together = np.add.reduceat(w, starts) if rows.size else w
        squares = float(together @ together)
        effective = float(w.sum()) ** 2 / squares if squares > 0 else 0.0
        self.effective[np.ix_(first, second)] = effective
        self.effective[np.ix_(second, first)] = effective
        if effective < LEAST_PAIRS:
            return
        u = _standardised(sample.values[np.ix_(first, rows)], w)
        v = _standardised(sample.values[np.ix_(second, rows)], w)
        share = w / w.sum()
        r = np.clip((u * share) @ v.T, -1.0, 1.0)
        for i, own, column in zip(first, r, u, strict=True):
            influence = v * column - 0.5 * own[:, None] * (v * v + column * column)
            sums = np.add.reduceat(influence * share, starts, axis=1)
            with np.errstate(invalid="ignore", divide="ignore"):
                error = np.sqrt((sums * sums).sum(axis=1)) / (1 - own * own)
                scatter = np.sqrt((influence * influence) @ share) / (1 - own * own)
            self.matrix[i, second] = self.matrix[second, i] = own
            self.error[i, second] = self.error[second, i] = error
            self.scatter[i, second] = self.scatter[second, i] = scatter


def _standardised(x: npt.NDArray[np.float32], weights: Floats) -> Floats:
    """Columns of mean 0 and standard deviation 1, (n_columns, n_rows); NaN for constant ones."""
    values = x.astype(np.float64)
    mean = np.average(values, axis=1, weights=weights)[:, None]
    off = values - mean
    deviation = np.sqrt(np.average(off * off, axis=1, weights=weights))[:, None]
    constant = deviation <= 1e-6 * np.abs(mean)
    return off / np.where(constant, np.nan, deviation)
