"""The shipped power spectra: ln C_ell as a polynomial in cosmology and nuisance parameters.

CAMB takes seconds for one cosmology and is not needed here. `make_table.py` computed ln C_ell on a
grid and fitted it, at every tabulated ell, by Chebyshev polynomials

    ln C_ell = sum_j a_j(ell) prod_i T_{p_ij}(x_i)

in x_i = ln Omega_m, S8, log10 T_AGN, f0 and Delta z, each scaled to [-1, 1]. Between the tabulated
ell it is a cubic spline in ln ell. `spectra.npz` holds exponents, coefficients and ranges.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline

from sigma68.errors import DataError, SettingsError

__all__ = ["AXES", "Spectra", "basis", "scaled", "shipped_spectra"]

FloatArray = npt.NDArray[np.float64]

AXES = ("Omega_m", "S8", "log10_T_AGN", "f0", "Delta_z")
"""The order of the variables of the polynomials; the first one enters by its logarithm."""


def scaled(points: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray:
    """Points (n, 5) in the order of `AXES` as x in [-1, 1], (n, 5)."""
    at, first, last = (np.array(a, dtype=np.float64, copy=True) for a in (points, low, high))
    at[:, 0] = np.log(at[:, 0])
    first[0], last[0] = np.log(first[0]), np.log(last[0])
    x: FloatArray = (2 * at - first - last) / (last - first)
    return x


def basis(x: FloatArray, powers: npt.NDArray[np.int64]) -> FloatArray:
    """Products of Chebyshev polynomials at x (n, 5), for `powers` (n_terms, 5): (n, n_terms)."""
    product = np.ones((x.shape[0], powers.shape[0]))
    for axis in range(x.shape[1]):
        values = np.polynomial.chebyshev.chebvander(x[:, axis], int(powers[:, axis].max()))
        product *= values[:, powers[:, axis]]
    return product


@dataclass(frozen=True)
class Spectra:
    """Power spectra of the convergence within the ranges `low` to `high`, (5,), of `AXES`.

    `ell` (n_ell,), `powers` (n_terms, 5), `coefficients` (n_terms, n_ell).
    """

    ell: FloatArray
    powers: npt.NDArray[np.int64]
    coefficients: FloatArray
    low: FloatArray
    high: FloatArray

    @classmethod
    def read(cls, path: Path) -> Spectra:
        """The spectra in a file that `make_table.py` wrote.

        Raises
        ------
        DataError
            If it is not there, or not such a file.
        """
        try:
            with np.load(path, allow_pickle=False) as stored:
                table = cls(
                    ell=stored["ell"].astype(np.float64),
                    powers=stored["powers"].astype(np.int64),
                    coefficients=stored["coefficients"].astype(np.float64),
                    low=stored["low"].astype(np.float64),
                    high=stored["high"].astype(np.float64),
                )
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise DataError(
                f"{path} holds no table of power spectra ({error}): install sigma68 again"
            ) from error
        return table

    def log_spectra(self, points: FloatArray) -> FloatArray:
        """Ln C_ell at the tabulated ell of points (n, 5) in the order of `AXES`, (n, n_ell).

        Raises
        ------
        SettingsError
            If a point is outside the ranges, or no number.
        """
        at = np.atleast_2d(np.asarray(points, dtype=np.float64))
        # A rounding beyond the edge is no error.
        slack = 1e-9 * (self.high - self.low)
        outside = ~((at >= self.low - slack) & (at <= self.high + slack))
        if outside.any():
            i, axis = np.argwhere(outside)[0]
            raise SettingsError(
                f"there is no power spectrum at {AXES[axis]} = {at[i, axis]:g}: the table goes "
                f"from {self.low[axis]:g} to {self.high[axis]:g}"
            )
        logs: FloatArray = basis(scaled(at, self.low, self.high), self.powers) @ self.coefficients
        return logs

    def spectrum(self, ell: npt.NDArray[np.floating], point: Mapping[str, float]) -> FloatArray:
        """C_ell in steradian at `ell` (any shape) of one point that names all `AXES`.

        Below and above the tabulated ell it goes on as a power law.

        Raises
        ------
        SettingsError
            If the point is outside the ranges, or no number.
        """
        logs = self.log_spectra(np.array([[point[axis] for axis in AXES]]))[0]
        log_ell = np.log(self.ell)
        curve = CubicSpline(log_ell, logs, bc_type="natural")
        at = np.log(ell)
        inside = np.clip(at, log_ell[0], log_ell[-1])
        slopes = curve(log_ell[[0, -1]], 1)
        slope = np.where(at < log_ell[0], slopes[0], slopes[1])
        spectrum: FloatArray = np.exp(curve(inside) + slope * (at - inside))
        return spectrum


@cache
def shipped_spectra() -> Spectra:
    """The spectra that come with the package.

    Raises
    ------
    DataError
        If the file is not there, or damaged.
    """
    return Spectra.read(Path(str(files(__package__))) / "spectra.npz")
