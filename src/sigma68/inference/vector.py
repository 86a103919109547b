"""The vector that profile likelihoods are functions of, and its limits.

It holds the parameter of interest in its own unit, then one z per profiled nuisance, in standard
deviations of its prior, so that every constraint is z^2. What a nuisance cannot be (beyond where it
is clipped) limits its z.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from sigma68.types import LEVEL, Nuisance, Parameter

__all__ = ["FARTHEST", "Fit", "FitVector", "ProfiledLikelihood", "covariance_of"]

Floats = npt.NDArray[np.float64]
Data = TypeVar("Data", contravariant=True)

FARTHEST = 8.0
"""Standard deviations of a prior, where nothing else limits a nuisance."""


@dataclass(frozen=True)
class Fit:
    """A minimum: the vector `best` (P,), its `covariance` (P, P) and -2 ln L there.

    A nuisance that ends at a limit has no covariance with anything, and an error of 0.
    """

    best: Floats
    covariance: Floats
    value: float

    @property
    def errors(self) -> Floats:
        """Standard errors from the Hessian, (P,)."""
        errors: Floats = np.sqrt(np.diag(self.covariance))
        return errors


class ProfiledLikelihood(Protocol[Data]):
    """-2 ln L of data, counts or events, as a function of the vector: what diagnostics are made of."""

    @property
    def parameter(self) -> Parameter: ...
    @property
    def profiled(self) -> tuple[Nuisance, ...]: ...
    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def lower(self) -> Floats: ...
    @property
    def upper(self) -> Floats: ...

    def value(self, point: Floats, observed: Data, /) -> float:
        """-2 ln L at a vector (P,)."""
        ...

    def derivatives(self, point: Floats, observed: Data, /) -> tuple[float, Floats, Floats]:
        """-2 ln L, gradient (P,) and Hessian (P, P)."""
        ...

    def fit(
        self,
        observed: Data,
        held: Mapping[str, float] | None = None,
        start: Floats | None = None,
        /,
    ) -> Fit:
        """The minimum, with the names in `held` kept at their values."""
        ...

    def interval(self, observed: Data, level: float = LEVEL, /) -> tuple[Fit, float, float]:
        """The minimum and both ends of the profile-likelihood interval."""
        ...

    def known(self, observed: Data, fit: Fit, /) -> ProfiledLikelihood[Data]:
        """The likelihood that takes the simulation, as it fits best, for exact."""
        ...

    def nuisance_values(self, fit: Fit, /) -> dict[str, tuple[float, float]]:
        """Each profiled nuisance's value and error in its own unit."""
        ...


class FitVector:
    """What likelihoods of one parameter and its nuisances share: names, limits, starts.

    Parameters
    ----------
    parameter
        The parameter of interest.
    profiled
        Nuisances to fit, each with the constraint z^2 and within its range.
    """

    def __init__(self, parameter: Parameter, profiled: Sequence[Nuisance]) -> None:
        self.parameter = parameter
        self.profiled = tuple(profiled)
        self.names = (parameter.name, *(n.name for n in self.profiled))
        self._limits = self._ranges()

    @property
    def lower(self) -> Floats:
        """Lower limits of the vector, (P,); minus infinity for the parameter."""
        return self._limits[0]

    @property
    def upper(self) -> Floats:
        """Upper limits of the vector, (P,); infinity for the parameter."""
        return self._limits[1]

    def start(self, parameter: float | None = None) -> Floats:
        """Where fits begin: the parameter in its range (a third of it), every z at 0; (P,)."""
        first = self.parameter.low + (self.parameter.high - self.parameter.low) / 3
        return np.concatenate(
            [[first if parameter is None else parameter], np.zeros(len(self.profiled))]
        )

    def starts(self) -> list[Floats]:
        """Where fits begin, one after the other until one succeeds."""
        low, high = self.parameter.low, self.parameter.high
        return [self.start(), self.start(low), self.start(high), self.start(0.5 * (low + high))]

    def point(self, parameter: float, nuisances: Mapping[str, float] | None = None) -> Floats:
        """The vector, (P,), at values of the parameter and of profiled nuisances.

        Those not named stand at the centre of their priors; values are moved into the limits.
        """
        given = nuisances or {}
        z = [n.to_z(given[n.name]) if n.name in given else 0.0 for n in self.profiled]
        clipped: Floats = np.clip(np.array([parameter, *z]), self.lower, self.upper)
        return clipped

    def nuisance_values(self, fit: Fit) -> dict[str, tuple[float, float]]:
        """Each profiled nuisance's value and error in its own unit.

        One that ended at a limit, where no error can be had from the fit, has its prior's.
        """
        values = {}
        for i, nuisance in enumerate(self.profiled, 1):
            value = nuisance.from_z(float(fit.best[i]))
            slope = nuisance.width * (value if nuisance.prior == "lognormal" else 1.0)
            values[nuisance.name] = (value, float(slope * (fit.errors[i] or 1.0)))
        return values

    def held_at(self, held: Mapping[str, float]) -> tuple[npt.NDArray[np.bool_], Floats]:
        """Which of the vector stay, and where; both (P,).

        Raises
        ------
        ValueError
            If there is no such name, or its value is not within the limits.
        """
        values = np.array([held.get(name, math.nan) for name in self.names])
        keep = (self.lower <= values) & (values <= self.upper) & np.isfinite(values)
        if keep.sum() < len(held):
            raise ValueError(f"{dict(held)} cannot be held: no such name, or beyond a limit")
        return keep, values

    def _ranges(self) -> tuple[Floats, Floats]:
        lower, upper = [-math.inf], [math.inf]
        for nuisance in self.profiled:
            low, high = nuisance.to_z(nuisance.low), nuisance.to_z(nuisance.high)
            lower.append(max(low, -FARTHEST))
            upper.append(min(high, FARTHEST))
        return np.array(lower), np.array(upper)


def covariance_of(hessian: Floats, free: npt.NDArray[np.bool_]) -> Floats:
    """2 H^-1 over what is free, 0 elsewhere: -2 ln L rises by 1 at one standard error."""
    covariance = np.zeros_like(hessian)
    at = np.ix_(free, free)
    covariance[at] = 2 * np.linalg.inv(hessian[at])
    return covariance
