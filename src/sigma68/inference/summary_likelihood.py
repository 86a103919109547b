"""A Gaussian likelihood of a few summary numbers, whose mean and covariance follow the parameters.

The mean of each summary is a polynomial in the parameters, scaled to [-1, 1] in their ranges. The
covariance of what is left is modelled through its modified Cholesky factors, so that it is
positive definite everywhere,

    r_b = sum_{c < b} phi_bc(theta) r_c + eps_b,    Var eps_b = exp(polynomial in theta),

with coefficients phi that are polynomials themselves. Whatever varies between simulations of one
theta, nuisance parameters included, is in the covariance: they are marginalised over their priors.

Reference: M. Pourahmadi, Biometrika 86 (1999) 677.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError
from sigma68.types import Parameter

__all__ = ["SummaryLikelihood", "fit_summary_likelihood", "legendre_terms", "monomials"]

FloatArray = npt.NDArray[np.float64]
_ROUNDS = 30


@dataclass(frozen=True)
class SummaryLikelihood:
    """-2 ln L of summaries at parameters.

    `low`, `high` (n_parameters,); `mean` (n_terms, n_summaries) with `mean_powers` (n_terms,
    n_parameters); `mixing` (n_summaries, n_summaries, n_few), of which [b, c] with c < b counts,
    and `log_variance` (n_summaries, n_few) with `powers` (n_few, n_parameters).
    """

    low: FloatArray
    high: FloatArray
    mean_powers: npt.NDArray[np.int64]
    mean: FloatArray
    powers: npt.NDArray[np.int64]
    mixing: FloatArray
    log_variance: FloatArray

    def nll(self, summary: FloatArray, points: FloatArray) -> FloatArray:
        """-2 ln L of one summary (n_summaries,) at points (n, n_parameters), up to a constant: (n,)."""
        return self._nll(summary - self.predicted(points), points)

    def predicted(self, points: FloatArray) -> FloatArray:
        """The mean summaries at points (n, n_parameters), (n, n_summaries)."""
        mean: FloatArray = legendre_terms(self._scaled(points), self.mean_powers) @ self.mean
        return mean

    def covariance(self, points: FloatArray) -> FloatArray:
        """The covariance of the summaries at points, (n, n_summaries, n_summaries)."""
        few = legendre_terms(self._scaled(points), self.powers)
        unmix = np.eye(len(self.log_variance)) - np.einsum("nf,bcf->nbc", few, self.mixing)
        inverse = np.linalg.inv(unmix)
        covariance: FloatArray = np.einsum(
            "nbd,nd,ncd->nbc", inverse, np.exp(few @ self.log_variance.T), inverse
        )
        return covariance

    def chi_squared(self, summaries: FloatArray, points: FloatArray) -> FloatArray:
        """r^T C^-1 r of summaries (n, n_summaries), each at its own point: (n,)."""
        whitened = self._whitened(summaries - self.predicted(points), points)[0]
        chi_squared: FloatArray = (whitened**2).sum(axis=1)
        return chi_squared

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name).tolist() for name in self.__dataclass_fields__}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> SummaryLikelihood:
        """What `to_json` gave.

        Raises
        ------
        DataError
            If it is not that.
        """
        try:
            arrays: dict[str, Any] = {
                name: np.array(
                    document[name], dtype=np.int64 if name.endswith("powers") else np.float64
                )
                for name in cls.__dataclass_fields__
            }
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"a saved likelihood of summaries is damaged ({error}): train again"
            ) from error
        return cls(**arrays)

    def _nll(self, residuals: FloatArray, points: FloatArray) -> FloatArray:
        whitened, log_variance = self._whitened(residuals, points)
        nll: FloatArray = (whitened**2 + log_variance).sum(axis=1)
        return nll

    def _whitened(self, residuals: FloatArray, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        few = legendre_terms(self._scaled(points), self.powers)
        log_variance = few @ self.log_variance.T
        mixing = np.tensordot(few, self.mixing, axes=(1, 2))
        innovations = residuals - np.einsum("nbc,nc->nb", mixing, residuals)
        return innovations * np.exp(-0.5 * log_variance), log_variance

    def _scaled(self, points: FloatArray) -> FloatArray:
        scaled: FloatArray = (2 * points - self.low - self.high) / (self.high - self.low)
        return scaled


def fit_summary_likelihood(
    points: FloatArray,
    summaries: FloatArray,
    parameters: Sequence[Parameter],
    *,
    degree: int = 5,
    covariance_degree: int = 1,
) -> SummaryLikelihood:
    """Fit to simulations with `summaries` (n, n_summaries) at `points` (n, n_parameters).

    Raises
    ------
    DataError
        If there are fewer simulations than the polynomials need, or a number is not finite.
    """
    if not (np.isfinite(points).all() and np.isfinite(summaries).all()):
        raise DataError("a summary of a simulated observation is not finite: look at the pool")
    n, n_summaries = summaries.shape
    low, high = (np.array([getattr(p, end) for p in parameters]) for end in ("low", "high"))
    x = (2 * points - low - high) / (high - low)
    mean_powers, powers = (monomials(len(parameters), d) for d in (degree, covariance_degree))
    needed = max(2 * len(mean_powers), 2 * (n_summaries + 1) * len(powers))
    n_points = len(np.unique(points, axis=0))
    if n < needed or n_points < len(mean_powers):
        raise DataError(
            f"{n:,} simulated observations at {n_points:,} points are too few for polynomials of "
            f"degrees {degree} and {covariance_degree}: give at least {needed:,} at "
            f"{len(mean_powers)}, or lower degrees"
        )
    terms, few = legendre_terms(x, mean_powers), legendre_terms(x, powers)
    mean: FloatArray = np.linalg.lstsq(terms, summaries, rcond=None)[0].astype(np.float64)
    residuals = summaries - terms @ mean
    mixing = np.zeros((n_summaries, n_summaries, len(powers)))
    log_variance = np.zeros((n_summaries, len(powers)))
    for b in range(n_summaries):
        regressors = (residuals[:, :b, None] * few[:, None, :]).reshape(n, -1)
        found = np.linalg.lstsq(regressors, residuals[:, b], rcond=None)[0] if b else np.zeros(0)
        left = residuals[:, b] - regressors @ found
        mixing[b, :b] = found.reshape(b, len(powers))
        # Each fitted coefficient took away a degree of freedom.
        free = n - len(mean_powers) - found.size
        log_variance[b] = _log_variance(few, left**2 * (n / free))
    return SummaryLikelihood(low, high, mean_powers, mean, powers, mixing, log_variance)


def _log_variance(few: FloatArray, squares: FloatArray) -> FloatArray:
    """The polynomial v that minimises sum(v + squares exp(-v)): Fisher scoring from a constant."""
    at = np.zeros(few.shape[1])
    # The first term is the constant.
    at[0] = np.log(squares.mean())
    for _ in range(_ROUNDS):
        score = few.T @ (squares * np.exp(-few @ at) - 1)
        step = np.linalg.solve(few.T @ few, score)
        # Far from the minimum a whole step may lead to variances that nothing comes back from.
        at = at + step / max(1.0, float(np.abs(few @ step).max()))
    return at


def monomials(n_parameters: int, degree: int) -> npt.NDArray[np.int64]:
    """Exponents of all monomials up to a total degree, the constant first."""
    every = product(range(degree + 1), repeat=n_parameters)
    kept = sorted((p for p in every if sum(p) <= degree), key=lambda p: (sum(p), p))
    return np.array(kept, dtype=np.int64)


def legendre_terms(x: FloatArray, powers: npt.NDArray[np.int64]) -> FloatArray:
    """Products of Legendre polynomials, (n, n_parameters) to (n, n_terms)."""
    product = np.ones((x.shape[0], len(powers)))
    for axis in range(x.shape[1]):
        values = np.polynomial.legendre.legvander(x[:, axis], max(int(powers[:, axis].max()), 1))
        product *= values[:, powers[:, axis]]
    return product
