"""Distributions of features before and after a fit to events.

An unbinned likelihood has no bins to look at. Simulated events stand for what it expects: each,
weighted with the learned density ratio at the fitted point, counts for what the fit makes of it,
component by component, and their sum in a region is what is expected there. Where the ratios, or the
simulation, are wrong in a feature, its observed distribution leaves the band.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sigma68.inference.density_ratios import RatioLikelihood
from sigma68.inference.fit_quality import PostFit
from sigma68.inference.ratio_model import RatioEvents
from sigma68.inference.vector import Fit

__all__ = ["Distribution", "EventSample", "distributions"]

Floats = npt.NDArray[np.float64]

BINS = 24
_OUTER = 0.002
"""Of the observed events that lie beyond the outermost edges on either side, and are left out."""


@dataclass(frozen=True)
class EventSample:
    """Events of unbinned regions.

    Attributes
    ----------
    names, values
        Of their features, and these, (F, n).
    regions
        The number of each event's region, (n,).
    ratios
        Of the same events, with weights where they are simulated.
    """

    names: tuple[str, ...]
    values: npt.NDArray[np.float32]
    regions: npt.NDArray[np.int64]
    ratios: RatioEvents

    @property
    def weights(self) -> Floats:
        """(n,), 1 for observed events."""
        given = self.ratios.weights
        return np.ones(self.ratios.n_events) if given is None else given


@dataclass(frozen=True)
class Distribution:
    """Expected and observed events in bins of a feature, with edges (B + 1,)."""

    feature: str
    edges: Floats
    bins: PostFit


def distributions(
    likelihood: RatioLikelihood,
    fit: Fit,
    observed: EventSample,
    simulated: EventSample,
    features: Sequence[str],
    parameter_before: float = 1.0,
) -> tuple[Distribution, ...]:
    """Distributions of features in all unbinned regions together, before and after the fit.

    Errors are those of the fit, and the scatter of the simulated events.

    Parameters
    ----------
    simulated
        Weighted to what is expected with every scale at 1 and every shape off.
    features
        Names of some of the samples' features.
    """
    start = likelihood.point(parameter_before)
    parts = [_weights(likelihood, at, simulated) for at in (start, fit.best)]
    slopes = [likelihood.scores(at, simulated.ratios) for at in (start, fit.best)]
    # The parameter has no prior: before the fit it is taken for known.
    covariances = [np.diag([0.0, *np.ones(len(fit.best) - 1)]), fit.covariance]
    found = []
    for feature in features:
        seen, made = (s.values[s.names.index(feature)] for s in (observed, simulated))
        low, high = np.quantile(seen, [_OUTER, 1 - _OUTER]).tolist()
        edges = np.linspace(low, high, BINS + 1)
        place = np.searchsorted(edges, made, side="right") - 1
        counts = np.histogram(seen, edges, weights=observed.weights)[0].astype(np.float64)
        (before, before_error), (after, after_error) = (
            _expected(place, *each) for each in zip(parts, slopes, covariances, strict=True)
        )
        bins = PostFit(
            counts,
            before,
            after,
            before_error,
            after_error,
            parameter_before=float(start[0]),
            parameter_after=float(fit.best[0]),
        )
        found.append(Distribution(feature, edges, bins))
    return tuple(found)


def _expected(
    place: npt.NDArray[np.int64], weights: Floats, slopes: npt.NDArray[Any], covariance: Floats
) -> tuple[Floats, Floats]:
    """Components in the bins (K, B), and the errors of their sums (B,)."""
    total = weights.sum(axis=0)
    by = np.stack([_binned(place, total * slope) for slope in slopes])
    variance = np.einsum("pj,pq,qj->j", by, covariance, by) + _binned(place, total**2)
    return np.stack([_binned(place, w) for w in weights]), np.sqrt(variance)


def _binned(place: npt.NDArray[np.int64], weights: Floats) -> Floats:
    """Sums of weights in the bins; what lies beyond them is left out."""
    inside = (place >= 0) & (place < BINS)
    sums: Floats = np.bincount(place[inside], weights[inside], minlength=BINS).astype(np.float64)
    return sums


def _weights(likelihood: RatioLikelihood, point: Floats, simulated: EventSample) -> Floats:
    """What each simulated event counts for of each component at a point, (K, n)."""
    weights = simulated.weights * likelihood.component_ratios(point, simulated.ratios)
    total = weights.sum(axis=0)
    expected = likelihood.inclusive.expected(point)
    sums = np.bincount(simulated.regions, total, minlength=len(expected))
    scaled: Floats = (
        weights
        * np.divide(expected, sums, out=np.zeros_like(sums), where=sums > 0)[simulated.regions]
    )
    return scaled
