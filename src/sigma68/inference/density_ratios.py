"""The extended unbinned likelihood of learned density ratios, with shape nuisances and control bins.

A point theta is a vector (`vector`): the parameter, then z of each profiled nuisance. For events i
of regions whose densities are learned, and counts n_j of further bins (control regions),

    -2 ln L = 2 sum_r [nu_r(theta) - nu_r(0)] - 2 sum_i ln R_i(theta)
              + sum_j Poisson terms of n_j (`binned_kernels`) + sum z^2,

    R_i = sum_k c_k g_k(x_i) exp(sum_t D_kt(x_i) m_t(theta)),

where 0 is the point with every scale at 1 and every shape off, g_k(x) the share of component k in
the events there, and D_kt what a monomial m_t of the shapes does to the logarithm of its density:
the expected events per unit of x at theta over those at 0. nu_r is the expected number of events of
a region, which simulation gives more precisely (`surfaces`) than networks do. See Ghosh, Benato et
al., arXiv:2505.05544, for ratios of this form, and Barlow, NIM A 297, 496 (1990).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from sigma68.errors import FitError
from sigma68.inference.binned import BinnedLikelihood
from sigma68.inference.bounded_newton import Minimum, lowest, minimise, profile_end
from sigma68.inference.factors import Factors
from sigma68.inference.levels import z_of_level
from sigma68.inference.profile import ProfileInterval, minuit_interval
from sigma68.inference.ratio_model import Polynomials, RatioEvents, RatioModel
from sigma68.inference.surfaces import Surfaces
from sigma68.inference.vector import Fit, covariance_of
from sigma68.types import LEVEL, Nuisance, Parameter

__all__ = ["RatioLikelihood"]

Floats = npt.NDArray[np.float64]


class RatioLikelihood(RatioModel):
    """-2 ln L of events with learned density ratios, and of counts in control bins.

    Parameters
    ----------
    yields
        Expected events: the first `regions` of its bins are the unbinned regions, the others the
        control bins.
    regions
        How many regions are unbinned.
    polynomials
        What the responses of events are coefficients of.
    factors
        What multiplies each component.
    parameter, profiled, fixed, mc_errors
        As `binned.BinnedLikelihood`; `mc_errors` is about the control bins.

    Raises
    ------
    ValueError
        If there is no unbinned region, or no value for something.
    """

    def __init__(
        self,
        yields: Surfaces,
        regions: int,
        polynomials: Polynomials,
        factors: Factors,
        parameter: Parameter,
        profiled: Sequence[Nuisance],
        fixed: Mapping[str, float],
        *,
        mc_errors: bool = True,
    ) -> None:
        super().__init__(polynomials, factors, parameter, profiled, fixed)
        n_bins = yields.nominal.shape[1]
        if not 1 <= regions <= n_bins:
            raise ValueError(f"{regions} of {n_bins} regions cannot be unbinned")
        self.yields, self.regions = yields, regions
        self.mc_errors = mc_errors

        def of(bins: slice, *, errors: bool) -> BinnedLikelihood:
            own = yields.of_bins(bins)
            return BinnedLikelihood(own, factors, parameter, profiled, fixed, mc_errors=errors)

        self.inclusive = of(slice(0, regions), errors=False)
        self.control = of(slice(regions, None), errors=mc_errors) if regions < n_bins else None
        self._at_zero = float(yields.nominal[:, :regions].sum())

    def value(self, point: Floats, events: RatioEvents) -> float:
        """-2 ln L at a vector (P,); infinite where something observed is not expected."""
        return self.derivatives(point, events)[0]

    def derivatives(self, point: Floats, events: RatioEvents) -> tuple[float, Floats, Floats]:
        """-2 ln L, gradient (P,) and Hessian (P, P); NaN where the value is infinite."""
        theta = np.asarray(point, np.float64)
        n = len(theta)
        if self.control is None:
            z = theta[1:]
            value, gradient = float(z @ z), np.concatenate([[0.0], 2 * z])
            hessian = np.diag(np.concatenate([[0.0], np.full(n - 1, 2.0)]))
        else:
            value, gradient, hessian = self.control.derivatives(theta, events.counts)
        expected, slope, curvature = self.inclusive.expectation(theta)
        log_sum, first, second = self.summed(theta, events)
        if not (math.isfinite(log_sum) and math.isfinite(value)):
            return math.inf, np.full(n, np.nan), np.full((n, n), np.nan)
        value += 2 * (float(expected.sum()) - self._at_zero) - 2 * log_sum
        gradient = gradient + 2 * (slope.sum(axis=0) - first)
        hessian = hessian + 2 * (curvature.sum(axis=0) - second)
        return value, gradient, hessian

    def fit(
        self,
        events: RatioEvents,
        held: Mapping[str, float] | None = None,
        start: Floats | None = None,
    ) -> Fit:
        """The lowest minimum, with the names in `held` kept at their values (z for nuisances).

        A fit that fails is tried again from other starts. Where a `start` (P,) is given it ends in
        the minimum that is downhill from there.

        Raises
        ------
        FitError
            If it fails from all of them.
        ValueError
            If the fit has no such name, or its value is not within the limits.
        """
        found = self._minimum(events, held or {}, start)
        return Fit(found.point, covariance_of(found.hessian, found.free), found.value)

    def interval(self, events: RatioEvents, level: float = LEVEL) -> tuple[Fit, float, float]:
        """The minimum and both ends of the profile-likelihood interval.

        Raises
        ------
        FitError
            If the fit fails from every start, or an end is not found.
        """
        found = self._minimum(events, {}, None)
        fit = Fit(found.point, covariance_of(found.hessian, found.free), found.value)
        ends = [
            profile_end(
                lambda theta: self.derivatives(theta, events),
                found,
                float(fit.errors[0]),
                z_of_level(level) ** 2,
                side,
                (self.lower, self.upper),
                self.two_sided,
            )
            for side in (-1.0, 1.0)
        ]
        return fit, ends[0], ends[1]

    def minos(self, events: RatioEvents, level: float = LEVEL) -> ProfileInterval:
        """The same interval by MIGRAD, HESSE and MINOS, with the gradient given.

        Raises
        ------
        FitError
            If MINUIT does not converge from any start.
        """
        limits = [None, *zip(self.lower[1:].tolist(), self.upper[1:].tolist(), strict=True)]
        steps = np.ones(len(self.names))
        steps[0] = 0.1 * (self.parameter.high - self.parameter.low)
        return minuit_interval(
            lambda point: self.value(point, events),
            self.starts(),
            steps,
            self.names,
            level,
            limits,
        )

    def asimov(self, point: Floats, events: RatioEvents) -> RatioEvents:
        """Weighted nominal events as the Asimov data of a point (P,).

        Parameters
        ----------
        events
            Simulated events whose weights sum to what is expected with every scale at 1 and every
            shape off; their counts do not matter.

        Returns
        -------
        The events with weights times R, so that the sums are those expected; counts as expected.
        """
        log_ratio = self.log_ratios(point, events)
        weights = np.ones(events.n_events) if events.weights is None else events.weights
        counts = events.counts if self.control is None else self.control.expected(point)
        return replace(events, weights=weights * np.exp(log_ratio), counts=counts)

    def known(self, events: RatioEvents, fit: Fit) -> RatioLikelihood:
        """The likelihood with the simulation's factors of the control bins at their best fit."""
        if self.control is None:
            return self
        known = copy.copy(self)
        known.control = self.control.known(events.counts, fit)
        known.mc_errors = False
        return known

    @property
    def two_sided(self) -> list[int]:
        """Places in the vector of nuisances that fits begin on both sides of."""
        return [i for i, n in enumerate(self.profiled, 1) if n.prior == "lognormal"]

    def _minimum(
        self, events: RatioEvents, held: Mapping[str, float], start: Floats | None
    ) -> Minimum:
        keep, values = self.held_at(held)

        def function(theta: Floats) -> tuple[float, Floats, Floats]:
            return self.derivatives(theta, events)

        reason = "there is nowhere to begin"
        begins = [*([] if start is None else [start.copy()]), *self.starts()]
        for i, theta in enumerate(begins):
            theta[keep] = values[keep]
            try:
                if start is not None and i == 0:
                    return minimise(function, theta, self.lower, self.upper, keep)
                return lowest(function, theta, self.lower, self.upper, keep, self.two_sided)
            except FitError as error:
                reason = str(error)
        raise FitError(f"{reason}, from each of {len(begins)} starts")
