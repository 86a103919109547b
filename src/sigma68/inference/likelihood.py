"""The extended unbinned likelihood of a closed-form model, with its nuisances constrained.

A point is a vector: the parameters in their own units, then one z per profiled nuisance, in
standard deviations of its prior. The constraint is then sum z^2, whatever the prior:

    -2 ln L = 2 nu - 2 sum_i ln(lambda_i) + sum_k z_k^2    (Barlow, NIM A 297, 496 (1990))
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from sigma68.protocols import KnownLikelihood
from sigma68.types import Nuisance, Observation

__all__ = ["ClosedForm", "ConstrainedLikelihood", "SmoothLikelihood"]

FloatArray = npt.NDArray[np.float64]


@runtime_checkable
class ClosedForm(Protocol):
    """A task that can state its likelihood without opening any data."""

    def likelihood(self) -> KnownLikelihood: ...


@runtime_checkable
class SmoothLikelihood(KnownLikelihood, Protocol):
    """A known likelihood that also states its derivatives: fits of it are fast."""

    def derivatives(
        self,
        observation: Observation,
        parameters: Mapping[str, float],
        nuisances: Mapping[str, float],
    ) -> tuple[float, FloatArray, FloatArray]:
        """-2 ln L without constraints, gradient and Hessian.

        Rows and columns follow the names in `parameters`, then those in `nuisances`. The value
        is infinite where the density of an event is not positive.
        """
        ...


@dataclass(frozen=True)
class ConstrainedLikelihood:
    """-2 ln L of one observation as a function of a vector (parameters, z of the profiled).

    `fixed` holds the values of the nuisances that are not profiled.
    """

    likelihood: KnownLikelihood
    observation: Observation
    parameters: tuple[str, ...]
    profiled: tuple[Nuisance, ...]
    fixed: Mapping[str, float]

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.parameters, *(n.name for n in self.profiled))

    @cached_property
    def smooth(self) -> SmoothLikelihood | None:
        """The likelihood if it states its derivatives, else None."""
        return self.likelihood if isinstance(self.likelihood, SmoothLikelihood) else None

    def value(self, point: FloatArray) -> float:
        """-2 ln L at `point`, shape (n_names,); infinite where a density is not positive."""
        parameters, nuisances, z = self._split(point)
        density = self.likelihood.density(self.observation, parameters, nuisances)
        if not (density > 0).all():
            return math.inf
        expected = self.likelihood.expected(parameters, nuisances)
        return float(2 * expected - 2 * np.log(density).sum() + z @ z)

    def derivatives(self, point: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        """-2 ln L, gradient (n_names,) and Hessian (n_names, n_names) at `point`.

        Raises
        ------
        TypeError
            If the likelihood does not state its derivatives.
        """
        if self.smooth is None:
            raise TypeError(f"{type(self.likelihood).__name__} does not state its derivatives")
        parameters, nuisances, z = self._split(point)
        value, gradient, hessian = self.smooth.derivatives(self.observation, parameters, nuisances)
        # Rows of the fixed nuisances, which come last, are of no interest.
        size = len(point)
        gradient, hessian = gradient[:size], hessian[:size, :size]
        first, second = self._chain(z)
        gradient_z = gradient * first
        hessian_z = hessian * np.outer(first, first) + np.diag(gradient * second)
        n = len(self.parameters)
        gradient_z[n:] += 2 * z
        hessian_z[range(n, size), range(n, size)] += 2
        return value + float(z @ z), gradient_z, hessian_z

    def nuisance_errors(
        self, point: FloatArray, errors: FloatArray
    ) -> dict[str, tuple[float, float]]:
        """Each profiled nuisance's value and error in its own unit, from z and its error."""
        n = len(self.parameters)
        first, _ = self._chain(point[n:])
        return {
            nuisance.name: (nuisance.from_z(float(z)), float(slope * error))
            for nuisance, z, slope, error in zip(
                self.profiled, point[n:], first[n:], errors[n:], strict=True
            )
        }

    def _split(self, point: FloatArray) -> tuple[dict[str, float], dict[str, float], FloatArray]:
        n = len(self.parameters)
        z = np.asarray(point[n:], dtype=np.float64)
        nuisances = {m.name: m.from_z(float(v)) for m, v in zip(self.profiled, z, strict=True)}
        parameters = dict(zip(self.parameters, map(float, point[:n]), strict=True))
        return parameters, {**nuisances, **self.fixed}, z

    def _chain(self, z: FloatArray) -> tuple[FloatArray, FloatArray]:
        """First and second derivatives of the values by the vector; 0 where clipped."""
        first = np.ones(len(self.names))
        second = np.zeros(len(self.names))
        for i, (nuisance, at) in enumerate(
            zip(self.profiled, z, strict=True), len(self.parameters)
        ):
            value = nuisance.from_z(float(at))
            clipped = not nuisance.low < value < nuisance.high
            if nuisance.prior == "lognormal":
                first[i] = 0.0 if clipped else nuisance.width * value
                second[i] = 0.0 if clipped else nuisance.width**2 * value
            else:
                first[i] = 0.0 if clipped else nuisance.width
        return first, second
