"""Densities on a box of parameters whose logarithm is a polynomial.

    ln q(theta) = sum_k c_k T_k(theta) - ln Z(c),

with T_k the products of Legendre polynomials up to a total degree, without the constant, of parameters
scaled to [-1, 1] in their ranges. Edges of a flat prior are edges of the density, so that a posterior
cut off by one is no special case, and all integrals are sums over a grid: moments and draws
need no Markov chain. Degree 2 is a normal density cut off by the box; degree 4 bends and skews it.

This is an exponential family, so that -ln q is convex in c: fitting c to draws is well behaved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from sigma68.errors import FitError, SettingsError
from sigma68.inference.summary_likelihood import legendre_terms, monomials
from sigma68.seeds import Stream
from sigma68.types import Parameter

__all__ = ["MOST_PARAMETERS", "BoxDensity"]

FloatArray = npt.NDArray[np.float64]
MOST_PARAMETERS = 3


@dataclass(frozen=True)
class BoxDensity:
    """The family of densities on the ranges of parameters; `cells` of the grid along each."""

    low: tuple[float, ...]
    high: tuple[float, ...]
    degree: int = 4
    cells: int = 80

    @classmethod
    def of(cls, parameters: Sequence[Parameter], *, degree: int = 4, cells: int = 80) -> BoxDensity:
        """The family on the ranges of a task's parameters.

        Raises
        ------
        SettingsError
            If there are more than three, for which a grid is too large, or the degree is below 2.
        """
        if not 1 <= len(parameters) <= MOST_PARAMETERS or not 2 <= degree <= 8:
            raise SettingsError(
                f"densities of degree {degree} of {len(parameters)} parameters on a grid: at most "
                f"{MOST_PARAMETERS} parameters and degrees from 2 to 8 are possible"
            )
        return cls(
            tuple(p.low for p in parameters), tuple(p.high for p in parameters), degree, cells
        )

    @property
    def n_terms(self) -> int:
        return len(self._powers)

    @cached_property
    def grid(self) -> FloatArray:
        """The middles of the grid's cells, (cells^n_parameters, n_parameters), in the parameters' units."""
        return self.points(self._unit_grid)

    @cached_property
    def grid_terms(self) -> FloatArray:
        """T_k at the grid, (cells^n_parameters, n_terms)."""
        return legendre_terms(self._unit_grid, self._powers)

    def terms(self, points: FloatArray) -> FloatArray:
        """T_k at points (n, n_parameters), (n, n_terms)."""
        return legendre_terms(self.unit(points), self._powers)

    def nodes(self) -> tuple[FloatArray, FloatArray]:
        """Points in [-1, 1] and weights (sum 1) of the trapezium rule, edges of the box included.

        A density that is fitted needs its edges among them: between the outermost middles of cells
        and the edge it would be free to rise without bound.
        """
        axis = np.linspace(-1, 1, self.cells + 1)
        weight = np.full(self.cells + 1, 1 / self.cells)
        weight[[0, -1]] /= 2
        n = len(self.low)
        points = np.stack(np.meshgrid(*[axis] * n, indexing="ij"), axis=-1).reshape(-1, n)
        weights = np.stack(np.meshgrid(*[weight] * n, indexing="ij"), axis=-1).reshape(-1, n)
        return points, weights.prod(axis=1)

    def unit(self, points: FloatArray) -> FloatArray:
        """Points scaled to [-1, 1] in the ranges."""
        low, high = np.array(self.low), np.array(self.high)
        unit: FloatArray = (2 * points - low - high) / (high - low)
        return unit

    def points(self, unit: FloatArray) -> FloatArray:
        """The inverse of `unit`."""
        low, high = np.array(self.low), np.array(self.high)
        points: FloatArray = 0.5 * (low + high + unit * (high - low))
        return points

    def log_density(self, coefficients: FloatArray, points: FloatArray) -> FloatArray:
        """The logarithm of the densities, per volume of the whole box, at one point each: (n,).

        `coefficients` (n, n_terms), `points` (n, n_parameters).
        """
        values = np.einsum("nk,nk->n", coefficients, self.terms(points))
        logs: FloatArray = values - self.log_norm(coefficients)
        return logs

    def log_norm(self, coefficients: FloatArray) -> FloatArray:
        """The logarithm of Z of coefficients (n, n_terms), (n,)."""
        from scipy.special import logsumexp

        norm: FloatArray = logsumexp(coefficients @ self.grid_terms.T, axis=1) - np.log(
            len(self.grid)
        )
        return norm

    def shares(self, coefficients: FloatArray) -> FloatArray:
        """The probability of every cell of the grid for one density (n_terms,): (cells^n_parameters,).

        Raises
        ------
        FitError
            If the coefficients give none.
        """
        logs = self.grid_terms @ coefficients
        if not np.isfinite(logs).all():
            raise FitError("the density has coefficients that are no numbers")
        shares = np.exp(logs - logs.max())
        probability: FloatArray = shares / shares.sum()
        return probability

    def moments(self, coefficients: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation of each parameter, (n_parameters,) both.

        Raises
        ------
        FitError
            As `shares`.
        """
        shares = self.shares(coefficients)
        mean: FloatArray = shares @ self.grid
        variance: FloatArray = shares @ (self.grid - mean) ** 2
        return mean, np.sqrt(variance)

    def draws(self, coefficients: FloatArray, n: int, stream: Stream) -> FloatArray:
        """Independent draws, (n, n_parameters); the density is flat within a cell of the grid.

        Raises
        ------
        FitError
            As `shares`.
        """
        draw = stream.generator()
        chosen = draw.choice(len(self.grid), size=n, p=self.shares(coefficients))
        jitter = draw.uniform(-1, 1, size=(n, len(self.low))) / self.cells
        return self.points(self._unit_grid[chosen] + jitter)

    @cached_property
    def _unit_grid(self) -> FloatArray:
        middles = (2 * np.arange(self.cells) + 1) / self.cells - 1
        axes = np.meshgrid(*[middles] * len(self.low), indexing="ij")
        return np.stack(axes, axis=-1).reshape(-1, len(self.low))

    @cached_property
    def _powers(self) -> npt.NDArray[np.int64]:
        # The first monomial is the constant, which Z takes out.
        return monomials(len(self.low), self.degree)[1:]
