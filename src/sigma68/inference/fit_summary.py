"""All that can be said of one fit, computed together and written as one document.

A fit to counts has bins and a goodness of fit; one to events has distributions of features instead,
since an unbinned likelihood does not know how well anything is described.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from sigma68.inference.binned import BinnedLikelihood
from sigma68.inference.density_ratios import RatioLikelihood
from sigma68.inference.diagnostics import (
    Breakdown,
    Correlation,
    Impacts,
    ProfileScan,
    Pulls,
    correlation,
    error_breakdown,
    impacts,
    profile_scan,
    pulls,
)
from sigma68.inference.fit_quality import (
    Goodness,
    PostFit,
    ToyGoodness,
    goodness,
    post_fit,
    toy_goodness,
)
from sigma68.inference.post_fit_events import Distribution, EventSample, distributions
from sigma68.inference.vector import Fit, ProfiledLikelihood
from sigma68.seeds import Stream
from sigma68.types import LEVEL

__all__ = ["BinnedSummary", "EventSummary", "FitSummary", "summarise_events", "summarise_fit"]

Floats = npt.NDArray[np.float64]
Data = TypeVar("Data")


@dataclass(frozen=True)
class FitSummary:
    """One fit and its diagnostics.

    Attributes
    ----------
    parameter
        Name of what is measured.
    fit, lower, upper, level
        The minimum and the profile-likelihood interval of the parameter at its level.
    scans
        The parameter's and then each nuisance's.
    """

    parameter: str
    fit: Fit
    lower: float
    upper: float
    level: float
    pulls: Pulls
    impacts: Impacts
    correlation: Correlation
    breakdown: Breakdown
    scans: tuple[ProfileScan, ...]

    def to_json(self) -> dict[str, Any]:
        """A JSON object; arrays are lists, and what is infinite is null."""
        document: dict[str, Any] = _plain(asdict(self))
        return document


@dataclass(frozen=True)
class BinnedSummary(FitSummary):
    """A fit to counts. `toys`: the goodness of fit against toys, None where none were asked for."""

    bins: PostFit
    goodness: Goodness
    toys: ToyGoodness | None


@dataclass(frozen=True)
class EventSummary(FitSummary):
    """A fit to events, and what features of these are distributed like."""

    distributions: tuple[Distribution, ...]


def summarise_fit(
    likelihood: BinnedLikelihood,
    counts: Floats,
    *,
    level: float = LEVEL,
    stream: Stream | None = None,
    n_toys: int = 0,
) -> BinnedSummary:
    """Fit counts (J,) and compute every diagnostic; `n_toys` of `stream` test the goodness of fit.

    Raises
    ------
    FitError
        If the fit, or one that a diagnostic needs, does not converge.
    """
    toys = None
    if stream is not None and n_toys > 0:
        toys = toy_goodness(likelihood, counts, stream, n_toys)
    return BinnedSummary(
        **_of_any(likelihood, counts, level, points=41, thorough=True),
        bins=post_fit(likelihood, counts),
        goodness=goodness(likelihood, counts),
        toys=toys,
    )


def summarise_events(
    likelihood: RatioLikelihood,
    observed: EventSample,
    simulated: EventSample,
    features: Sequence[str],
    *,
    level: float = LEVEL,
) -> EventSummary:
    """Fit events and compute every diagnostic.

    `simulated` events are weighted to what is expected with every scale at 1 and every shape off;
    distributions of `features` after the fit are made of them.

    Raises
    ------
    FitError
        If the fit, or one that a diagnostic needs, does not converge.
    """
    known = _of_any(likelihood, observed.ratios, level, points=25, thorough=False)
    return EventSummary(
        **known,
        distributions=distributions(likelihood, known["fit"], observed, simulated, features),
    )


def _of_any(
    likelihood: ProfiledLikelihood[Data],
    observed: Data,
    level: float,
    *,
    points: int,
    thorough: bool,
) -> dict[str, Any]:
    """What every `FitSummary` holds."""
    fit, lower, upper = likelihood.interval(observed, level)
    return {
        "parameter": likelihood.parameter.name,
        "fit": fit,
        "lower": lower,
        "upper": upper,
        "level": level,
        "pulls": pulls(likelihood, observed),
        "impacts": impacts(likelihood, observed),
        "correlation": correlation(likelihood, observed),
        "breakdown": error_breakdown(likelihood, observed),
        "scans": tuple(
            profile_scan(likelihood, observed, name, points=points, thorough=thorough)
            for name in likelihood.names
        ),
    }


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
