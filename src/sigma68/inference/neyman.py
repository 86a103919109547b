"""The Neyman construction of one parameter, from toys.

For each value of the parameter mu, the acceptance region of an estimate x is its central interval

    A(mu) = [q_lo(mu), q_hi(mu)],   P(x < q_lo | mu) = P(x > q_hi | mu) = (1 - level) / 2,

and the confidence interval of an observed x is {mu: x in A(mu)} (Neyman, Phil. Trans. R. Soc. A
236, 333 (1937)). It covers with `level` at every mu, whatever the estimate's bias and shape, as
far as the toys know the quantiles. Toys whose nuisances are drawn from their priors give a belt
that covers on average over the nuisances, not at each of their values.

The ordering is by central tails. It is not the likelihood-ratio ordering of Feldman and Cousins
(Phys. Rev. D 57, 3873 (1998)): an estimate far outside the belt is accepted by no mu of the range,
and the interval is then empty within the range (see `Belt.ends`).

The quantiles are polynomials in mu (see `quantiles`), of the degree that predicts unseen toys
best, then made monotone by isotonic regression, so that every estimate has one interval. Of what
was tried on the gaussian task, polynomials of degree 1 to 5 and local-linear quantiles of three
band widths, a fixed degree was best or within the errors of it for each of three estimators (a
maximum-likelihood one, one clipped to the range, one that saturates), but not the same degree;
only polynomials keep the coverage averaged over mu right by construction.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError, FitError, SettingsError
from sigma68.inference.edges import AtEdges, check_edges, edge_note, within
from sigma68.inference.levels import z_of_level
from sigma68.inference.quantiles import best_degree, fit_mean, fit_quantile
from sigma68.seeds import stream
from sigma68.types import LEVEL, Interval, Parameter

__all__ = ["Belt", "build_belt"]

FloatArray = npt.NDArray[np.float64]

_POINTS = 201
_BEYOND = "the belt is extrapolated beyond the range {range}, where there were no toys"


@dataclass(frozen=True)
class Belt:
    """An acceptance belt: quantiles of an estimate at values of the parameter.

    `mu`, `low`, `middle`, `high` have shape (n_points,): the values of the parameter over its
    range, and the lower tail's quantile, the mean and the upper tail's quantile of the estimate
    there, each rising. `errors`, shape (3, n_points), are their bootstrap standard errors over
    toys, None where they were not asked for. `n_toys` toys of an estimate made the belt.
    """

    kind: ClassVar[str] = "neyman"

    parameter: Parameter
    mu: FloatArray
    low: FloatArray
    middle: FloatArray
    high: FloatArray
    degree: int
    n_toys: int
    level: float = LEVEL
    at_edges: AtEdges = "extend"
    errors: FloatArray | None = None

    def ends(self, estimate: npt.ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Estimate without bias, lower and upper end for each estimate, shapes alike.

        The estimate is the mu whose toys have this estimate in the mean, which is without bias as
        far as that mean is straight over an interval.
        The belt is prolonged beyond the range by parallels of the mean's overall slope. With
        `at_edges="clip"` what lies outside the range is brought to its end. An estimate that no
        mu in the range accepts then gives an interval without width at the end that is nearest
        to it: it misses every truth inside, as an empty interval does, which the construction's
        coverage counts on.
        """
        mu_hat, lower, upper = self._whole(np.asarray(estimate, dtype=np.float64))
        return (
            within(mu_hat, self.parameter, self.at_edges),
            within(lower, self.parameter, self.at_edges),
            within(upper, self.parameter, self.at_edges),
        )

    def corrected(
        self, mu_hat: FloatArray, lower: FloatArray, upper: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """The `ends` of the estimates `mu_hat`; the intervals they came with do not matter."""
        return self.ends(mu_hat)

    def interval(self, given: Interval) -> Interval:
        """The interval of the construction in place of `given`, whose diagnostics are kept.

        `delta_mu_hat` is half the width before clipping, in standard deviations.

        Raises
        ------
        FitError
            If `given` has no estimate.
        """
        if not math.isfinite(given.mu_hat):
            raise FitError("the method gave no estimate, which the Neyman construction needs")
        _, lower, upper = (float(v) for v in self._whole(np.array(given.mu_hat)))
        mu_hat, low, high = (float(v) for v in self.ends(given.mu_hat))
        said = edge_note(lower, upper, self.parameter, self.at_edges, _BEYOND)
        return replace(
            given,
            mu_hat=mu_hat,
            delta_mu_hat=(upper - lower) / (2 * z_of_level(self.level)),
            lower=low,
            upper=high,
            level=self.level,
            note="; ".join(n for n in (given.note, said) if n),
        )

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back."""
        errors = None if self.errors is None else self.errors.tolist()
        curves = {name: getattr(self, name).tolist() for name in ("mu", "low", "middle", "high")}
        return {
            "kind": self.kind,
            **curves,
            "degree": self.degree,
            "n_toys": self.n_toys,
            "level": self.level,
            "at_edges": self.at_edges,
            "errors": errors,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any], parameter: Parameter) -> Belt:
        """The belt that `to_json` wrote.

        Raises
        ------
        DataError
            If something is missing or of the wrong kind.
        """
        try:
            mu, low, middle, high = (
                np.array(document[name], dtype=np.float64)
                for name in ("mu", "low", "middle", "high")
            )
            errors = document["errors"]
            belt = cls(
                parameter,
                mu,
                low,
                middle,
                high,
                degree=int(document["degree"]),
                n_toys=int(document["n_toys"]),
                level=float(document["level"]),
                at_edges=document["at_edges"],
                errors=None if errors is None else np.array(errors, dtype=np.float64),
            )
            check_edges(belt.at_edges)
            _check_curves(belt)
        except (KeyError, TypeError, ValueError, SettingsError) as error:
            raise DataError(f"the belt of a calibration is damaged ({error!r})") from error
        return belt

    def _whole(self, x: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Estimate, lower and upper end for each x, wherever they lie."""
        # The upper curve is where mu is smallest that accepts x, the lower one where it is largest.
        slope = float((self.middle[-1] - self.middle[0]) / (self.mu[-1] - self.mu[0]))
        return (
            _inverse(x, self.mu, self.middle, slope),
            _inverse(x, self.mu, self.high, slope),
            -_inverse(-x, -self.mu[::-1], -self.low[::-1], slope),
        )


def build_belt(
    truth: npt.ArrayLike,
    estimate: npt.ArrayLike,
    parameter: Parameter,
    *,
    level: float = LEVEL,
    at_edges: AtEdges = "extend",
    degree: int | None = None,
    resamples: int = 0,
    seed: int = 0,
) -> Belt:
    """The acceptance belt of an estimate from toys.

    Parameters
    ----------
    truth, estimate
        Of each toy, shape (n_toys,), in random order: true values spread over the parameter's
        range (uniformly, say; only that they fill it matters), nuisances drawn from their priors.
        Toys whose estimate is not finite are left out: what the method does not answer, no belt
        can cover.
    level
        Of the intervals; (1 - level) / 2 is left out on either side.
    at_edges
        Whether intervals may leave the range, see `Belt.ends`.
    degree
        Of the polynomials in mu; None chooses between 1 and 5 by cross-validation.
    resamples
        Of the bootstrap for the curves' errors; 0 for none.
    seed
        Of the bootstrap.

    Raises
    ------
    FitError
        If there are too few toys, or the estimate does not rise with the parameter.
    SettingsError
        If `at_edges` is unknown.
    """
    check_edges(at_edges)
    mu, x = np.asarray(truth, dtype=np.float64), np.asarray(estimate, dtype=np.float64)
    good = np.isfinite(mu) & np.isfinite(x)
    mu, x = mu[good], x[good]
    tail = (1 - level) / 2
    if degree is None:
        _enough(len(x), tail)
        degree = best_degree(mu, x, (tail, 1 - tail), parameter.low, parameter.high)
    grid = np.linspace(parameter.low, parameter.high, _POINTS)
    low, middle, high = _curves(mu, x, tail, parameter, degree, grid)
    if not all(curve[-1] > curve[0] for curve in (low, middle, high)):
        raise FitError(
            f"the estimate does not rise with {parameter.name} over its range: it cannot be turned "
            "into an interval"
        )
    errors = None
    if resamples > 0:
        generator = stream("belt", "bootstrap", seed).generator()
        drawn = (generator.integers(0, len(x), len(x)) for _ in range(resamples))
        made = [_curves(mu[d], x[d], tail, parameter, degree, grid) for d in drawn]
        errors = np.std(made, axis=0, ddof=1)
    return Belt(parameter, grid, low, middle, high, degree, len(x), level, at_edges, errors)


def _curves(
    mu: FloatArray,
    x: FloatArray,
    tail: float,
    parameter: Parameter,
    degree: int,
    grid: FloatArray,
) -> FloatArray:
    """Lower quantile, mean and upper quantile on the grid, rising, (3, n_points)."""
    from scipy.optimize import isotonic_regression

    span = (parameter.low, parameter.high, degree)
    lower, upper = (fit_quantile(mu, x, p, *span) for p in (tail, 1 - tail))
    rows = [isotonic_regression(c(grid)).x for c in (lower, fit_mean(mu, x, *span), upper)]
    # Curves of few toys may cross; sorted, they are still rising. Far outliers may carry the mean
    # out of the belt, where no estimate is inside its own interval: it stays within.
    low, high = np.sort([rows[0], rows[2]], axis=0)
    return np.array([low, np.clip(rows[1], low, high), high])


def _inverse(x: FloatArray, mu: FloatArray, curve: FloatArray, slope: float) -> FloatArray:
    """The smallest mu where the rising, piecewise linear `curve` reaches x, shape of x.

    Beyond its ends the curve goes on with `slope`.
    """
    after = np.clip(np.searchsorted(curve, x, side="left"), 1, len(curve) - 1)
    rise = curve[after] - curve[after - 1]
    share = (x - curve[after - 1]) / np.where(rise > 0, rise, 1.0)
    inside = mu[after - 1] + share * (mu[after] - mu[after - 1])
    inside = np.where(x < curve[0], mu[0] + (x - curve[0]) / slope, inside)
    found: FloatArray = np.where(x > curve[-1], mu[-1] + (x - curve[-1]) / slope, inside)
    return found


def _enough(n: int, tail: float) -> None:
    if n * tail < 10:
        raise FitError(
            f"{n} toys leave {n * tail:.0f} in either tail, too few for a belt: draw "
            f"{math.ceil(10 / tail)} or more"
        )


def _check_curves(belt: Belt) -> None:
    curves = (belt.low, belt.middle, belt.high)
    if any(c.shape != belt.mu.shape or belt.mu.ndim != 1 for c in curves) or len(belt.mu) < 2:
        raise ValueError("its curves are not of one length")
    if not all((np.diff(c) >= 0).all() and c[-1] > c[0] for c in (belt.mu, *curves)):
        raise ValueError("its curves do not rise")
