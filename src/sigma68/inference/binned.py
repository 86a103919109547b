"""The binned likelihood of a measurement with nuisance parameters, and its fits.

Expected events per bin come from `surfaces`, scaled by the product of each component's factors
(`factors`); the formula stands at the top of `binned_kernels`. A fit takes some hundred
microseconds, so that thousands of toys are fitted in one call (`intervals`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from numba import njit

from sigma68.errors import FitError
from sigma68.inference import binned_kernels as kernels
from sigma68.inference import binned_newton as newton
from sigma68.inference.factors import Factors
from sigma68.inference.levels import z_of_level
from sigma68.inference.profile import ProfileInterval, minuit_interval
from sigma68.inference.surfaces import Surfaces
from sigma68.inference.vector import Fit, FitVector, covariance_of
from sigma68.types import LEVEL, Nuisance, Parameter

__all__ = ["BinnedFit", "BinnedLikelihood", "Intervals", "simulation_factors"]

Floats = npt.NDArray[np.float64]

_REASONS = {
    newton.OUTSIDE: "a bin expects no events where the fit begins",
    newton.LOST: "the fit did not converge",
    newton.FLAT: "-2 ln L is flat or a saddle where the fit ends",
    newton.NO_END: "the interval has no end",
}


@dataclass(frozen=True)
class BinnedFit(Fit):
    """A minimum of a binned likelihood: the value is the goodness-of-fit statistic.

    See `goodness.saturated`.
    """


@dataclass(frozen=True)
class Intervals:
    """Intervals of many toys: `best`, `errors` (n, P), `value`, `lower`, `upper`, `failed` (n,).

    Numbers of failed toys are NaN.
    """

    best: Floats
    errors: Floats
    value: Floats
    lower: Floats
    upper: Floats
    failed: npt.NDArray[np.bool_]


class BinnedLikelihood(FitVector):
    """-2 ln L of counts in bins as a function of a vector (parameter, z of the profiled).

    Parameters
    ----------
    surfaces
        Expected events per component and bin.
    factors
        What multiplies each component.
    parameter
        The parameter of interest.
    profiled
        Nuisances to fit, each with the constraint z^2 and within its range.
    fixed
        Values of the other nuisances that scale or move something.
    mc_errors
        Whether the finite simulation has its factor per bin in the likelihood.

    Raises
    ------
    ValueError
        If a factor or a shape has neither a place in the vector nor a fixed value.
    """

    def __init__(
        self,
        surfaces: Surfaces,
        factors: Factors,
        parameter: Parameter,
        profiled: Sequence[Nuisance],
        fixed: Mapping[str, float],
        *,
        mc_errors: bool = True,
    ) -> None:
        super().__init__(parameter, profiled)
        self.surfaces = surfaces
        self.factors = factors
        self.fixed = dict(fixed)
        self.mc_errors = mc_errors
        wanted = {*surfaces.shapes, *(name for names in factors.of_component for name in names)}
        missing = sorted(wanted - set(self.names) - set(self.fixed))
        if missing:
            raise ValueError(f"no value for {', '.join(missing)}: profile or fix each")
        self._model = self._arrays()
        self._relative = self._relative_variance() if mc_errors else np.zeros(self.n_bins)

    @property
    def n_bins(self) -> int:
        return int(self.surfaces.nominal.shape[1])

    def expected(self, point: Floats) -> Floats:
        """Expected events per bin, (J,); the Asimov data set of `point`."""
        e = np.empty(self.n_bins)
        nothing = np.empty((0, 0))
        kernels.expectation(
            np.asarray(point, np.float64), self._model, 0, e, nothing, np.empty((0, 0, 0))
        )
        return e

    def expectation(self, point: Floats) -> tuple[Floats, Floats, Floats]:
        """Expected events per bin, (J,), with derivatives by the vector, (J, P) and (J, P, P)."""
        n, j = len(self.names), self.n_bins
        e, de, d2e = np.empty(j), np.empty((j, n)), np.empty((j, n, n))
        kernels.expectation(np.asarray(point, np.float64), self._model, 2, e, de, d2e)
        return e, de, d2e

    def known(self, counts: Floats, fit: Fit) -> BinnedLikelihood:
        """The likelihood whose templates are multiplied by the factors that fit best, and exact.

        Its minimum is where that of this one is, at `fit`, for counts (J,).
        """
        factors = simulation_factors(self.expected(fit.best), self._checked(counts), self._relative)
        surfaces = replace(self.surfaces, nominal=self.surfaces.nominal * factors)
        return BinnedLikelihood(
            surfaces, self.factors, self.parameter, self.profiled, self.fixed, mc_errors=False
        )

    @property
    def relative_variances(self) -> Floats:
        """The simulation's variance over its expectation squared, (J,); 0 if it is left out."""
        return self._relative

    def value(self, point: Floats, counts: Floats) -> float:
        """-2 ln L at `point`; infinite where a bin expects nothing."""
        at = np.asarray(point, np.float64)
        return float(kernels.value_of(at, self._checked(counts), self._relative, self._model))

    def derivatives(self, point: Floats, counts: Floats) -> tuple[float, Floats, Floats]:
        """-2 ln L, gradient (P,) and Hessian (P, P) at `point`."""
        n = len(self.names)
        gradient, hessian = np.empty(n), np.empty((n, n))
        value = kernels.with_derivatives(
            np.asarray(point, np.float64),
            self._checked(counts),
            self._relative,
            self._model,
            gradient,
            hessian,
        )
        return float(value), gradient, hessian

    def fit(
        self, counts: Floats, held: Mapping[str, float] | None = None, start: Floats | None = None
    ) -> BinnedFit:
        """The minimum for observed counts (J,), with the names in `held` kept at their values.

        Values of nuisances are z. A fit looks for the lowest minimum (`binned_newton.lowest`) and is
        tried again from other starts if it fails. Where a `start` (P,) is given it ends in the
        minimum that is downhill from there.

        Raises
        ------
        FitError
            If it fails from all of them.
        ValueError
            If the fit has no such name, or its value is not within the limits.
        """
        observed = self._checked(counts)
        keep, values = self.held_at(held or {})
        reason = newton.LOST
        starts = [*([] if start is None else [start.copy()]), *self.starts()]
        for i, theta in enumerate(starts):
            theta[keep] = values[keep]
            search = newton.minimum if start is not None and i == 0 else newton.lowest
            status, value, _, hessian, free = search(
                theta, observed, self._relative, self._model, self.lower, self.upper, keep
            )
            if status == newton.OK:
                return BinnedFit(theta, covariance_of(hessian, free), float(value))
            reason = status
        raise FitError(f"{_REASONS[reason]}, from each of {len(starts)} starts")

    def interval(self, counts: Floats, level: float = LEVEL) -> tuple[BinnedFit, float, float]:
        """The minimum and both ends of the profile-likelihood interval for counts (J,).

        Raises
        ------
        FitError
            If the fit fails from every start, or an end is not found.
        """
        found = self.fit(counts)
        minimum = (found.best, found.value, float(found.errors[0]), z_of_level(level) ** 2)
        problem = (self._checked(counts), self._relative, self._model, self.lower, self.upper)
        ends = []
        for side in (-1.0, 1.0):
            status, end = newton.profile_end(*minimum, side, *problem)
            if status != newton.OK:
                where = "below" if side < 0 else "above"
                raise FitError(f"{where} the minimum: {_REASONS[status]}")
            ends.append(float(end))
        return found, ends[0], ends[1]

    def minos(self, counts: Floats, level: float = LEVEL) -> ProfileInterval:
        """The same interval by MIGRAD, HESSE and MINOS.

        Raises
        ------
        FitError
            If MINUIT does not converge from any start.
        """
        observed = self._checked(counts)
        limits = [None, *zip(self.lower[1:].tolist(), self.upper[1:].tolist(), strict=True)]
        steps = np.ones(len(self.names))
        steps[0] = 0.1 * (self.parameter.high - self.parameter.low)
        return minuit_interval(
            lambda point: self.value(point, observed),
            self.starts(),
            steps,
            self.names,
            level,
            limits,
        )

    def intervals(self, counts: Floats, level: float = LEVEL) -> Intervals:
        """Intervals of many toys at once, counts (n, J); failed ones are marked, not raised."""
        observed = np.ascontiguousarray(counts, np.float64)
        for row in observed:
            self._checked(row)
        n = len(self.names)
        out = np.full((len(observed), 2 * n + 3), np.nan)
        starts = np.array(self.starts())
        _many(
            observed,
            self._relative,
            self._model,
            self.lower,
            self.upper,
            starts,
            z_of_level(level) ** 2,
            out,
        )
        best, errors, rest = out[:, :n], out[:, n : 2 * n], out[:, 2 * n :]
        return Intervals(
            best, errors, rest[:, 0], rest[:, 1], rest[:, 2], np.isnan(rest).any(axis=1)
        )

    def _checked(self, counts: Floats) -> Floats:
        n = np.ascontiguousarray(counts, np.float64)
        if n.shape != (self.n_bins,):
            raise ValueError(f"counts must have shape ({self.n_bins},), not {n.shape}")
        if not (np.isfinite(n).all() and (n >= 0).all()):
            raise FitError("a bin's count is negative or not a number")
        return n

    def _arrays(self) -> tuple[npt.NDArray[np.generic], ...]:
        """The kernels' model: what they unpack in `expectation`."""
        s = self.surfaces
        places = {name: i for i, name in enumerate(self.names)}
        fixed_x = [
            0.0 if name in places else (self.fixed[name] - origin) / unit
            for name, origin, unit in zip(s.shapes, s.origins, s.units, strict=True)
        ]
        shape_of = [s.shapes.index(name) if name in s.shapes else -1 for name in self.names]
        member = [[name in own for name in self.names] for own in self.factors.of_component]
        scale = [
            math.prod(self.fixed[name] for name in own if name not in places)
            for own in self.factors.of_component
        ]
        kind = [0, *(1 if n.prior == "normal" else 2 for n in self.profiled)]
        return (
            np.ascontiguousarray(s.nominal, np.float64),
            np.ascontiguousarray(s.coefficients, np.float64),
            np.ascontiguousarray(s.exponents, np.int64),
            np.ascontiguousarray(s.origins, np.float64),
            np.ascontiguousarray(s.units, np.float64),
            np.array(fixed_x, np.float64),
            np.array(shape_of, np.int64),
            np.array(member, np.bool_),
            np.array(scale, np.float64),
            np.array(kind, np.int64),
            np.array([0.0, *(n.location for n in self.profiled)]),
            np.array([1.0, *(n.width for n in self.profiled)]),
        )

    def _relative_variance(self) -> Floats:
        total = self.surfaces.nominal.sum(axis=0)
        variance = self.surfaces.variance.sum(axis=0)
        relative: Floats = np.divide(variance, total**2, out=np.zeros_like(total), where=total > 0)
        return relative


def simulation_factors(expected: Floats, counts: Floats, relative: Floats) -> Floats:
    """The factors on the expectation, (J,), that fit best for the finite simulation; 1 without.

    The roots of g^2 + g (e r - 1) - n r = 0 for expected events e, counts n and relative variances
    r, all (J,); see `binned_kernels`.
    """
    half = 0.5 * (1 - expected * relative)
    root = np.sqrt(half**2 + counts * relative)
    # The stable one of two equal expressions for the larger root.
    below = np.divide(counts * relative, root - half, out=np.zeros_like(root), where=half < 0)
    factors: Floats = np.where(half < 0, below, half + root)
    return factors


@njit(cache=True, nogil=True)
def _many(counts, relative, model, lower, upper, starts, rise, out):  # type: ignore[no-untyped-def]
    """Fill a row of `out` for each toy: best, errors, value, lower end, upper end."""
    n = starts.shape[1]
    held = np.zeros(n, np.bool_)
    for toy in range(len(counts)):
        for start in range(len(starts)):
            theta = starts[start].copy()
            status, value, _, hessian, free = newton.lowest(
                theta, counts[toy], relative, model, lower, upper, held
            )
            if status == newton.OK:
                break
        if status != newton.OK:
            continue
        errors = np.zeros(n)
        for i in range(n):
            if free[i]:
                unit = np.zeros(n)
                unit[i] = 2.0
                errors[i] = math.sqrt(newton.solved(hessian, unit, free)[0][i])
        low = newton.profile_end(
            theta, value, errors[0], rise, -1.0, counts[toy], relative, model, lower, upper
        )
        high = newton.profile_end(
            theta, value, errors[0], rise, 1.0, counts[toy], relative, model, lower, upper
        )
        if low[0] != newton.OK or high[0] != newton.OK:
            continue
        for i in range(n):
            out[toy, i] = theta[i]
            out[toy, n + i] = errors[i]
        out[toy, 2 * n] = value
        out[toy, 2 * n + 1] = low[1]
        out[toy, 2 * n + 2] = high[1]
