"""Bins before and after the fit, and whether the fit describes them.

The saturated model is the test: at the minimum -2 ln L, written against the model that predicts
every count exactly, is the likelihood ratio of the two (Baker and Cousins, NIM 221, 437 (1984)).
A distortion that nobody parametrised shows itself here and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sigma68.errors import FitError
from sigma68.inference.binned import BinnedLikelihood, simulation_factors
from sigma68.inference.goodness import saturated
from sigma68.inference.yields import component_yields, yield_slopes
from sigma68.seeds import Stream

__all__ = ["Goodness", "PostFit", "ToyGoodness", "goodness", "post_fit", "toy_goodness"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PostFit:
    """Expected and observed events per bin, before and after the fit.

    Attributes
    ----------
    counts
        Observed events, (J,).
    before, after
        Expected events per component, (K, J). Those before stand at the centres of the priors
        and at `parameter_before`; those after hold the simulation's factors too.
    before_error, after_error
        Errors of the sums over components, (J,), from everything but the counts' own scatter:
        nuisances and simulation, after the fit with the parameter and all correlations.
    parameter_before, parameter_after
        The parameter's value.
    """

    counts: Floats
    before: Floats
    after: Floats
    before_error: Floats
    after_error: Floats
    parameter_before: float
    parameter_after: float


@dataclass(frozen=True)
class Goodness:
    """The saturated statistic, its degrees of freedom and the probability of a larger one."""

    value: float
    degrees: int
    probability: float


@dataclass(frozen=True)
class ToyGoodness:
    """The statistic against that of toys.

    `values` (n,) are the toys' whose fit converged, `n_failed` counts the others; `probability`
    is the fraction of toys, the observation among them, that fit no better, (k + 1) / (n + 1)
    for k of n (Davison and Hinkley, Bootstrap Methods, section 4.2 (1997)): never 0.
    """

    value: float
    values: Floats
    n_failed: int
    probability: float


def post_fit(
    likelihood: BinnedLikelihood, counts: Floats, parameter_before: float = 1.0
) -> PostFit:
    """Expected events before and after the fit to observed counts (J,), with their errors.

    Errors are propagated through the derivatives of the expectation. The simulation's factor g
    of a bin is a fitted parameter: the error on g e has that of e with g following it, and that
    of g at fixed e, of variance 1 / (n / g^2 + 1 / r).

    Raises
    ------
    FitError
        If the fit does not converge.
    """
    found = likelihood.fit(counts)
    n, r = np.asarray(counts, np.float64), likelihood.relative_variances
    start = likelihood.point(parameter_before)
    before = component_yields(likelihood, start)
    by_prior = yield_slopes(likelihood, start).sum(axis=1)[1:]
    before_error = np.sqrt((by_prior**2).sum(axis=0) + r * before.sum(axis=0) ** 2)
    after = component_yields(likelihood, found.best)
    e, de = after.sum(axis=0), yield_slopes(likelihood, found.best).sum(axis=1)
    g = simulation_factors(e, n, r)
    # From the equation that defines g: dg/de = -g r / (2 g + e r - 1); without counts g may be 0.
    follow = g - e * np.divide(g * r, 2 * g + e * r - 1, out=np.zeros_like(g), where=g > 0)
    spread = r / (1 + np.divide(n * r, g**2, out=np.zeros_like(g), where=n > 0))
    variance = np.einsum("pj,pq,qj->j", de, found.covariance, de) * follow**2 + e**2 * spread
    return PostFit(
        n,
        before,
        after * g,
        before_error,
        np.sqrt(variance),
        float(start[0]),
        float(found.best[0]),
    )


def goodness(likelihood: BinnedLikelihood, counts: Floats) -> Goodness:
    """The saturated statistic of the fit to observed counts (J,) against its chi-square.

    -2 ln L here is 0 for a perfect description of the counts with every nuisance at the centre
    of its prior and every factor of the simulation at 1. Each of these constraints is one more
    observation with one more parameter, so that only the parameter of interest takes a degree of
    freedom: J - 1. The chi-square is good from some ten events per bin; see `toy_goodness`.

    Raises
    ------
    FitError
        If the fit does not converge.
    """
    value = likelihood.fit(counts).value
    return Goodness(value, likelihood.n_bins - 1, saturated(value, likelihood.n_bins))


def toy_goodness(
    likelihood: BinnedLikelihood, counts: Floats, stream: Stream, n_toys: int = 1000
) -> ToyGoodness:
    """The same statistic against that of toys at the fitted parameter.

    Each toy draws nuisances from their priors (within their range), factors of the simulation
    from normal(1, sqrt(r)), none below 0, and then counts.

    Raises
    ------
    FitError
        If the fit does not converge, or the fit of more than one toy in a hundred.
    """
    found = likelihood.fit(counts)
    rng = stream.generator()
    spread = np.sqrt(likelihood.relative_variances)
    toys = np.empty((n_toys, likelihood.n_bins))
    for toy in toys:
        z = rng.standard_normal(len(found.best) - 1)
        point = np.clip([found.best[0], *z], likelihood.lower, likelihood.upper)
        factors = np.maximum(1 + spread * rng.standard_normal(len(spread)), 0.0)
        expected = factors * likelihood.expected(point)
        if not (expected >= 0).all():
            raise FitError(
                f"toys cannot be drawn: at the fitted {likelihood.names[0]} of "
                f"{found.best[0]:.4g} a bin expects fewer than no events"
            )
        toy[:] = rng.poisson(expected)
    fits = likelihood.intervals(toys)
    values = fits.value[np.isfinite(fits.value)]
    n_failed = n_toys - len(values)
    if n_failed > 0.01 * n_toys:
        raise FitError(f"{n_failed} of {n_toys} toys of the goodness of fit could not be fitted")
    probability = (np.count_nonzero(values >= found.value) + 1) / (len(values) + 1)
    return ToyGoodness(found.value, values, n_failed, float(probability))
