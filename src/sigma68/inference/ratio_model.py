"""Learned density ratios of events as a function of the vector of a fit, with derivatives.

At event i, with g_k its share of component k where every scale is 1 and every shape nuisance off,
and D_kt what the monomial m_t of the shapes does to the logarithm of the component's density there,

    R_i(theta) = sum_k c_k g_k(x_i) exp(sum_t D_kt(x_i) m_t(theta))

is the expected number of events per unit of x at theta over that at 0, c_k being the product of
the component's factors. `density_ratios` makes a likelihood of it; the derivatives of ln R at one
point are the locally optimal observables of `scores`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sigma68.errors import FitError
from sigma68.inference.factors import Factors
from sigma68.inference.ratio_kernels import ratio_scores, ratio_sums
from sigma68.inference.vector import FitVector
from sigma68.types import Nuisance, Parameter

__all__ = ["Polynomials", "RatioEvents", "RatioModel"]

Floats = npt.NDArray[np.float64]
Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Polynomials:
    """Monomials of the shape nuisances, without a constant.

    A nuisance's coordinate is (value - origin) / unit; `origins`, `units` (S,), `exponents` (T, S).
    """

    shapes: tuple[str, ...]
    origins: Floats
    units: Floats
    exponents: npt.NDArray[np.int64]

    def coordinates(self, values: Mapping[str, float]) -> Floats:
        """(S,) from values of the nuisances, of which there may be more."""
        return (np.array([values[name] for name in self.shapes]) - self.origins) / self.units

    def monomials(self, x: Floats) -> Floats:
        """(T,) at coordinates (S,)."""
        powers: Floats = np.prod(x[None] ** self.exponents, axis=1)
        return powers

    def derived(self, x: Floats, by: Sequence[int]) -> Floats:
        """The monomials and their derivatives by the coordinates `by`, (T, 1 + B + B (B + 1) / 2).

        First derivatives come in the order of `by`, second ones by pairs (0, 0), (1, 0), (1, 1), …
        """
        columns = [self.monomials(x)]
        columns += [self._derivative(x, [a]) for a in by]
        columns += [self._derivative(x, [a, b]) for i, a in enumerate(by) for b in by[: i + 1]]
        return np.stack(columns, axis=1)

    def _derivative(self, x: Floats, by: Sequence[int]) -> Floats:
        factor, powers = np.ones(len(self.exponents)), self.exponents.copy()
        for a in by:
            factor *= powers[:, a]
            powers[:, a] = np.maximum(powers[:, a] - 1, 0)
        derivative: Floats = factor * np.prod(x[None] ** powers, axis=1)
        return derivative


@dataclass(frozen=True)
class RatioEvents:
    """What is observed: events of unbinned regions, and counts of further bins.

    Attributes
    ----------
    shares
        g (K, N), which sum to 1 at each event.
    responses
        D (K, T, N).
    counts
        Of the bins, (J,); there may be none.
    weights
        (N,), None for events that count once each.

    Raises
    ------
    FitError
        If one of these is NaN or infinite.
    """

    shares: Float32
    responses: Float32
    counts: Floats
    weights: Floats | None = None

    def __post_init__(self) -> None:
        given = (self.shares, self.responses, self.counts, self.weights)
        if not all(a is None or np.isfinite(a).all() for a in given):
            raise FitError("a learned density ratio, or a weight, is NaN or infinite")

    @property
    def n_events(self) -> int:
        return int(self.shares.shape[1])


@dataclass(frozen=True)
class _Prepared:
    """What kernels need of a point: c (K,), its derivatives (P, K) and (P, P, K), the places of the
    shapes in the vector, and monomials with derivatives by these.
    """

    scales: Floats
    c1: Floats
    c2: Floats
    places: list[int]
    columns: npt.NDArray[Any]


class RatioModel(FitVector):
    """R as a function of the vector.

    Parameters
    ----------
    polynomials
        What the responses of events are coefficients of.
    factors
        What multiplies each component.
    parameter, profiled, fixed
        As `binned.BinnedLikelihood`.

    Raises
    ------
    ValueError
        If a factor or a shape has neither a place in the vector nor a fixed value.
    """

    def __init__(
        self,
        polynomials: Polynomials,
        factors: Factors,
        parameter: Parameter,
        profiled: Sequence[Nuisance],
        fixed: Mapping[str, float],
    ) -> None:
        super().__init__(parameter, profiled)
        self.polynomials, self.factors = polynomials, factors
        self.fixed = dict(fixed)
        wanted = {
            *polynomials.shapes,
            *(name for names in factors.of_component for name in names),
        }
        missing = sorted(wanted - set(self.names) - set(self.fixed))
        if missing:
            raise ValueError(f"no value for {', '.join(missing)}: profile or fix each")
        self._shapes = [n for n in polynomials.shapes if n in self.names]

    def log_ratios(self, point: Floats, events: RatioEvents) -> Floats:
        """The logarithm of R at each event, (N,), in plain NumPy."""
        ratio: Floats = np.log(self.component_ratios(point, events).sum(axis=0))
        return ratio

    def component_ratios(self, point: Floats, events: RatioEvents) -> Floats:
        """What each component adds to R at each event, (K, N)."""
        values = self._values(np.asarray(point, np.float64))
        m = self.polynomials.monomials(self.polynomials.coordinates(values))
        response = np.exp(np.einsum("t,ktn->kn", m, events.responses.astype(np.float64)))
        ratios: Floats = self.factors.scales(values)[:, None] * events.shares * response
        return ratios

    def scores(self, point: Floats, events: RatioEvents) -> Float32:
        """Derivatives of ln R by the vector at a point (P,), at each event, (P, N).

        Their sums over events hold all that the events say of the vector near the point (the score
        of classical statistics; Brehmer et al., PRD 98, 052004 (2018)).
        """
        prepared = self._prepared(np.asarray(point, np.float64))
        scales, c1, columns, places = (
            prepared.scales,
            prepared.c1,
            prepared.columns,
            prepared.places,
        )
        out = np.empty((len(self.names), events.n_events), np.float32)
        ratio_scores(
            np.ascontiguousarray(events.shares, np.float32),
            np.ascontiguousarray(events.responses, np.float32),
            scales,
            np.ascontiguousarray(c1.T),
            columns,
            np.array(places, np.int64),
            out,
        )
        return out

    def _prepared(self, theta: Floats) -> _Prepared:
        values = self._values(theta)
        v1, v2 = self._chain(values)
        by_value, by_two = self.factors.derivatives(values, self.names)
        c2 = by_two * np.multiply.outer(v1, v1)[:, :, None]
        c2[range(len(v1)), range(len(v1))] += by_value * v2[:, None]
        places = [self.names.index(name) for name in self._shapes]
        return _Prepared(
            self.factors.scales(values),
            by_value * v1[:, None],
            c2,
            places,
            np.ascontiguousarray(self._columns(values, places, v1, v2)),
        )

    def _values(self, theta: Floats) -> dict[str, float]:
        """Values of everything by its name; nuisances follow z beyond where they are clipped."""
        values = {**self.fixed, self.parameter.name: float(theta[0])}
        for nuisance, z in zip(self.profiled, theta[1:], strict=True):
            at = nuisance.location + nuisance.width * float(z)
            values[nuisance.name] = math.exp(at) if nuisance.prior == "lognormal" else at
        return values

    def _chain(self, values: Mapping[str, float]) -> tuple[Floats, Floats]:
        """First and second derivatives of the values by the vector, both (P,)."""
        first, second = np.ones(len(self.names)), np.zeros(len(self.names))
        for i, nuisance in enumerate(self.profiled, 1):
            first[i] = nuisance.width
            if nuisance.prior == "lognormal":
                first[i] *= values[nuisance.name]
                second[i] = nuisance.width**2 * values[nuisance.name]
        return first, second

    def summed(self, theta: Floats, events: RatioEvents) -> tuple[float, Floats, Floats]:
        """The sum of w ln R with gradient (P,) and Hessian (P, P)."""
        prepared = self._prepared(theta)
        scales, c1, c2 = prepared.scales, prepared.c1, prepared.c2
        places = prepared.places
        sums = ratio_sums(
            np.ascontiguousarray(events.shares, np.float32),
            np.ascontiguousarray(events.responses, np.float32),
            np.ones(events.n_events) if events.weights is None else events.weights,
            scales,
            np.ascontiguousarray(c1.T),
            prepared.columns,
        )
        log_sum, a, b, c, outer = sums
        n = len(theta)
        move = np.zeros((n, n + len(places)))
        move[:, :n] = np.eye(n)
        shaped = np.zeros((n, n))
        first = c1 @ a
        for i, place in enumerate(places):
            move[place, n + i] = 1.0
            first[place] += scales @ b[:, i]
            across = c1 @ b[:, i]
            shaped[:, place] += across
            shaped[place, :] += across
            for o, other in enumerate(places):
                shaped[place, other] += scales @ c[:, i, o]
        return log_sum, first, c2 @ a + shaped - move @ outer @ move.T

    def _columns(
        self, values: Mapping[str, float], places: Sequence[int], v1: Floats, v2: Floats
    ) -> npt.NDArray[Any]:
        """Monomials and their derivatives by the shapes' places in the vector, for the kernel."""
        p = self.polynomials
        own = [p.shapes.index(name) for name in self._shapes]
        columns = p.derived(p.coordinates(values), own)
        slope = v1[list(places)] / p.units[own]
        bend = v2[list(places)] / p.units[own]
        n = len(own)
        pair = 1 + n
        by_x = columns[:, 1 : 1 + n].copy()
        for i in range(n):
            columns[:, 1 + i] = by_x[:, i] * slope[i]
            for o in range(i + 1):
                columns[:, pair] *= slope[i] * slope[o]
                if i == o:
                    columns[:, pair] += by_x[:, i] * bend[i]
                pair += 1
        return columns
