"""How alike the rows of one hard event are, column by column.

Weights of rows that are copies of each other are added before squaring; those of rows that have nothing
to do with each other are not. The decays of one hard event share their jets and differ in their
taus: between the two stands the intraclass correlation rho of what is tested, here of "the column is below
a value" (Kish, "Survey sampling", Wiley 1965, 5.4): squares grow by 1 + rho (c - 1), where c is the
factor for copies. rho is estimated from pairs of rows in a sample, at five values of the column and for whether it is
defined, and the largest of these is taken.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from sigma68.tasks.higgs.schema import FEATURES, PROCESSES, UNDEFINED
from sigma68.tasks.higgs.validation.sample import Sample

__all__ = ["LEAST_UNITS", "clustering_of_columns"]

Floats = npt.NDArray[np.float64]

LEAST_UNITS: Final = 200
"""With fewer hard events of several rows in the sample, rows count as copies of each other."""

_LEVELS: Final = np.array([0.1, 0.3, 0.5, 0.7, 0.9])


def clustering_of_columns(sample: Sample, clustering: Floats) -> Floats:
    """The factor on the squared weights of each column and process, shape (28, 4).

    `clustering`, shape (4,), is the factor for rows that are copies, of the whole file.
    """
    factors = np.repeat(clustering[None], len(FEATURES), axis=0)
    for p in range(len(PROCESSES)):
        own = sample.of((p,))
        if clustering[p] <= 1 or own.n_events == 0:
            continue
        _, unit, rows = np.unique(own.unit, return_inverse=True, return_counts=True)
        if (rows > 1).sum() < LEAST_UNITS:
            continue
        pairs = _pairs(own.weights, unit)
        for i, column in enumerate(own.values):
            rho = _correlation(column, own.weights, unit, pairs)
            factors[i, p] = 1 + rho * (clustering[p] - 1)
    return factors


def _pairs(weights: Floats, unit: npt.NDArray[np.intp]) -> float:
    """The sum of products of the weights of all pairs of rows in the same hard event."""
    together = np.bincount(unit, weights)
    return float(together @ together - weights @ weights)


def _correlation(
    column: npt.NDArray[np.float32],
    weights: Floats,
    unit: npt.NDArray[np.intp],
    pairs: float,
) -> float:
    """The largest intraclass correlation, from 0 to 1."""
    defined = column != UNDEFINED
    found = 0.0
    if not defined.all():
        found = _of_indicator(defined, np.ones_like(defined), weights, unit, pairs)
    if defined.any():
        for value in np.unique(np.quantile(column[defined], _LEVELS)):
            below = defined & (column <= value)
            found = max(found, _of_indicator(below, defined, weights, unit, None))
    return min(found, 1.0)


def _of_indicator(
    indicator: npt.NDArray[np.bool_],
    among: npt.NDArray[np.bool_],
    weights: Floats,
    unit: npt.NDArray[np.intp],
    pairs: float | None,
) -> float:
    """The correlation of an indicator between two rows of a hard event, of those `among`."""
    w = np.where(among, weights, 0.0)
    fraction = float(w[indicator].sum() / w.sum())
    variance = fraction * (1 - fraction)
    if variance <= 0:
        return 0.0
    of_pairs = _pairs(w, unit) if pairs is None else pairs
    if of_pairs <= 0:
        return 1.0
    off = w * (indicator - fraction)
    return _pairs(off, unit) / of_pairs / variance
