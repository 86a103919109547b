"""Expected events of each component of a binned likelihood, and how they follow its vector.

The kernels add components up as they go; whoever draws, exports or explains a fit needs them
apart. The formulae stand at the top of `binned_kernels` and of `surfaces`.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from sigma68.inference.binned import BinnedLikelihood
from sigma68.inference.surfaces import monomials

__all__ = ["component_yields", "yield_slopes"]

Floats = npt.NDArray[np.float64]


def component_yields(likelihood: BinnedLikelihood, point: Floats) -> Floats:
    """Expected events per component and bin, (K, J), at a vector (P,)."""
    values, _ = _values(likelihood, point)
    scales = likelihood.factors.scales(values)[:, None]
    yields: Floats = scales * likelihood.surfaces.expected(_coordinates(likelihood, values))
    return yields


def yield_slopes(likelihood: BinnedLikelihood, point: Floats) -> Floats:
    """Derivatives of the expected events by the vector, (P, K, J)."""
    surfaces, factors, names = likelihood.surfaces, likelihood.factors, likelihood.names
    values, slopes = _values(likelihood, point)
    x = _coordinates(likelihood, values)
    moved = surfaces.expected(x)
    out: Floats = factors.derivatives(values, names)[0][:, :, None] * moved
    for s, name in enumerate(surfaces.shapes):
        if name not in names:
            continue
        by_x = surfaces.coefficients @ _monomial_slopes(x, surfaces.exponents, s)
        out[names.index(name)] += factors.scales(values)[:, None] * moved * by_x / surfaces.units[s]
    by_vector: Floats = out * slopes[:, None, None]
    return by_vector


def _values(likelihood: BinnedLikelihood, point: Floats) -> tuple[dict[str, float], Floats]:
    """Values of all that is named, and the derivatives, (P,), of those in the vector by it."""
    values, slopes = dict(likelihood.fixed), [1.0]
    values[likelihood.parameter.name] = float(point[0])
    for nuisance, z in zip(likelihood.profiled, np.asarray(point)[1:], strict=True):
        value = nuisance.location + nuisance.width * float(z)
        if nuisance.prior == "lognormal":
            value = math.exp(value)
        values[nuisance.name] = value
        slopes.append(nuisance.width * (value if nuisance.prior == "lognormal" else 1.0))
    return values, np.array(slopes)


def _coordinates(likelihood: BinnedLikelihood, values: dict[str, float]) -> Floats:
    surfaces = likelihood.surfaces
    at = np.array([values[name] for name in surfaces.shapes])
    coordinates: Floats = (at - surfaces.origins) / surfaces.units
    return coordinates


def _monomial_slopes(x: Floats, exponents: npt.NDArray[np.int64], s: int) -> Floats:
    """Derivatives of the monomials, (T,), by coordinate `s`."""
    power = exponents[:, s]
    lowered = exponents.copy()
    lowered[:, s] = np.maximum(power - 1, 0)
    slopes: Floats = power * monomials(x[None], lowered)[0]
    return slopes
