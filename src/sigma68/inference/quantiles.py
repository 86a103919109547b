"""Quantiles that depend smoothly on something: linear quantile regression.

The p-quantile of y given x is modelled as sum_k b_k L_k(u), with L_k the Legendre polynomials and
u the position of x in its range, from -1 to 1. The coefficients minimise

    sum_i (y_i - q_i) (p - [y_i < q_i])        (Koenker and Bassett, Econometrica 46, 33 (1978)),

a linear programme, solved exactly in its dual form. Since L_0 is constant, a fraction p of the
y_i lies below the curve, to within the number of coefficients over the number of points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sigma68.errors import FitError

__all__ = ["QuantileCurve", "best_degree", "fit_mean", "fit_quantile", "pinball"]

FloatArray = npt.NDArray[np.float64]

_FOLDS = 5


@dataclass(frozen=True)
class QuantileCurve:
    """A quantile or the mean as a polynomial on [low, high]; `coefficients`: (degree + 1,)."""

    coefficients: FloatArray
    low: float
    high: float

    def __call__(self, x: npt.ArrayLike) -> FloatArray:
        """Its value at `x`, any shape; beyond the range it is that of the end."""
        at = np.clip(np.asarray(x, dtype=np.float64), self.low, self.high)
        return np.asarray(
            np.polynomial.legendre.legval(_position(at, self.low, self.high), self.coefficients),
            dtype=np.float64,
        )


def fit_quantile(
    x: FloatArray, y: FloatArray, p: float, low: float, high: float, degree: int
) -> QuantileCurve:
    """The `p`-quantile of `y` given `x`, both of shape (n,), as a polynomial of `x`.

    Of degree 0 it is the sample quantile of rank p (n + 1), between ranks interpolated: a new y
    then lies below it with probability p exactly (Wilks, Ann. Math. Stat. 12, 91 (1941)).

    Raises
    ------
    FitError
        If `p` is so close to 0 or 1, or there are so few points, that there is no such quantile.
    """
    n = len(y)
    if degree == 0:
        if not 1 <= p * (n + 1) <= n:
            raise FitError(f"{n} toys have no {p:.3g}-quantile: draw more toys")
        return QuantileCurve(np.array([np.quantile(y, p, method="weibull")]), low, high)
    if not (degree + 2) / n < p < 1 - (degree + 2) / n:
        raise FitError(
            f"{n} toys are too few for a {p:.3g}-quantile of degree {degree}: draw more toys"
        )
    from scipy.optimize import linprog

    design = np.polynomial.legendre.legvander(_position(x, low, high), degree)
    # The multipliers d_i: 1 above the curve, 0 below, between on it.
    found = linprog(
        -y, A_eq=design.T, b_eq=(1 - p) * design.sum(axis=0), bounds=(0, 1), method="highs-ds"
    )
    if not found.success:
        raise FitError(f"the quantile regression did not converge: {found.message}")
    return QuantileCurve(-np.asarray(found.eqlin.marginals, dtype=np.float64), low, high)


def fit_mean(x: FloatArray, y: FloatArray, low: float, high: float, degree: int) -> QuantileCurve:
    """The mean of `y` given `x`, both of shape (n,), as a polynomial of `x`: least squares."""
    design = np.polynomial.legendre.legvander(_position(x, low, high), degree)
    coefficients = np.linalg.lstsq(design, y, rcond=None)[0]
    return QuantileCurve(np.asarray(coefficients, dtype=np.float64), low, high)


def pinball(y: FloatArray, quantile: FloatArray, p: float) -> FloatArray:
    """What quantile regression minimises the mean of, elementwise; never negative."""
    above = y - quantile
    loss: FloatArray = above * (p - (above < 0))
    return loss


def best_degree(
    x: FloatArray,
    y: FloatArray,
    probabilities: Sequence[float],
    low: float,
    high: float,
    degrees: Sequence[int] = (1, 2, 3, 4, 5),
) -> int:
    """The degree that predicts the quantiles of toys best that it has not seen.

    By five-fold cross-validation of the pinball loss, summed over `probabilities`. Points are
    taken to be in random order. Of degrees that are equal within one standard error of their
    difference to the best, the lowest is taken.

    Raises
    ------
    FitError
        As `fit_quantile`.
    """
    fold = np.arange(len(y)) % _FOLDS
    losses = np.zeros((len(degrees), len(y)))
    for row, degree in enumerate(degrees):
        for k in range(_FOLDS):
            kept, out = fold != k, fold == k
            for p in probabilities:
                curve = fit_quantile(x[kept], y[kept], p, low, high, degree)
                losses[row, out] += pinball(y[out], curve(x[out]), p)
    best = int(np.argmin(losses.mean(axis=1)))
    more = losses - losses[best]
    error = more.std(axis=1) / np.sqrt(len(y))
    return int(degrees[int(np.flatnonzero(more.mean(axis=1) <= error)[0])])


def _position(x: FloatArray, low: float, high: float) -> FloatArray:
    """Where in the range, from -1 to 1; 0 where the range is a point."""
    half = (high - low) / 2
    position: FloatArray = (x - (low + high) / 2) / (half if half > 0 else 1.0)
    return position
