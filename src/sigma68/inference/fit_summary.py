"""All that can be said of one fit, computed together and written as one document."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sigma68.inference.binned import BinnedFit, BinnedLikelihood
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
from sigma68.seeds import Stream
from sigma68.types import LEVEL

__all__ = ["FitSummary", "summarise_fit"]

Floats = npt.NDArray[np.float64]


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
    toys
        The goodness of fit against toys; None where none were asked for.
    """

    parameter: str
    fit: BinnedFit
    lower: float
    upper: float
    level: float
    pulls: Pulls
    impacts: Impacts
    correlation: Correlation
    breakdown: Breakdown
    scans: tuple[ProfileScan, ...]
    bins: PostFit
    goodness: Goodness
    toys: ToyGoodness | None

    def to_json(self) -> dict[str, Any]:
        """A JSON object; arrays are lists, and what is infinite is null."""
        document: dict[str, Any] = _plain(asdict(self))
        return document


def summarise_fit(
    likelihood: BinnedLikelihood,
    counts: Floats,
    *,
    level: float = LEVEL,
    stream: Stream | None = None,
    n_toys: int = 0,
) -> FitSummary:
    """Fit counts (J,) and compute every diagnostic; `n_toys` of `stream` test the goodness of fit.

    Raises
    ------
    FitError
        If the fit, or one that a diagnostic needs, does not converge.
    """
    fit, lower, upper = likelihood.interval(counts, level)
    toys = None
    if stream is not None and n_toys > 0:
        toys = toy_goodness(likelihood, counts, stream, n_toys)
    return FitSummary(
        parameter=likelihood.parameter.name,
        fit=fit,
        lower=lower,
        upper=upper,
        level=level,
        pulls=pulls(likelihood, counts),
        impacts=impacts(likelihood, counts),
        correlation=correlation(likelihood, counts),
        breakdown=error_breakdown(likelihood, counts),
        scans=tuple(profile_scan(likelihood, counts, name) for name in likelihood.names),
        bins=post_fit(likelihood, counts),
        goodness=goodness(likelihood, counts),
        toys=toys,
    )


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
