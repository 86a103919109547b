"""Maps of the convergence: shifted lognormal fields on the flat sky.

kappa = lambda (exp(g - s^2 / 2) - 1) with a Gaussian field g of variance s^2 has mean zero, never
falls below -lambda, and has the correlation function xi if that of g is ln(1 + xi / lambda^2).
The fields are drawn by Fourier transforms on a grid larger than the map, so that opposite edges
of a map know nothing of each other.

References: S. Hilbert, J. Hartlap and P. Schneider, A&A 536 (2011) A85; P. Coles and B. Jones,
MNRAS 248 (1991) 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import fft

from sigma68.tasks.lensing.sky import COLUMNS, PIXEL, ROWS
from sigma68.tasks.lensing.spectra import AXES, shipped_spectra

__all__ = [
    "GRID",
    "SHIFT",
    "MapMaker",
    "grid_spectrum",
    "maker_of",
    "map_maker",
    "skewness",
]

FloatArray = npt.NDArray[np.float64]

GRID = (1536, 288)
"""Pixels of the periodic grid: 112 more than the map either way, nearly four degrees."""

SHIFT = 0.015
"""lambda, the largest underdensity of the convergence."""


@dataclass(frozen=True)
class MapMaker:
    """Draws maps of one power spectrum.

    `amplitude` (rows of the grid, columns // 2 + 1) multiplies the transform of white noise;
    `variance` is s^2 of the Gaussian field, `clipped` the share of it that the grid could not have
    (where the spectrum of the Gaussian field comes out negative).
    """

    amplitude: npt.NDArray[np.float32]
    variance: float
    shift: float | None
    clipped: float

    def draw(self, rng: np.random.Generator) -> npt.NDArray[np.float32]:
        """One noiseless map, (`ROWS`, `COLUMNS`)."""
        return np.ascontiguousarray(self.grid(rng)[:ROWS, :COLUMNS])

    def grid(self, rng: np.random.Generator) -> npt.NDArray[np.float32]:
        """The whole periodic grid that a map is cut from, `GRID`."""
        waves = fft.rfft2(rng.standard_normal(GRID, dtype=np.float32), overwrite_x=True)
        waves *= self.amplitude
        field: npt.NDArray[np.float32] = fft.irfft2(waves, s=GRID, overwrite_x=True)
        if self.shift is None:
            return field
        field -= np.float32(self.variance / 2)
        np.expm1(field, out=field)
        field *= np.float32(self.shift)
        return field


def map_maker(point: Mapping[str, float], *, shift: float | None = SHIFT) -> MapMaker:
    """The maker of maps at a point that names all of `AXES`; Gaussian maps where `shift` is None.

    Raises
    ------
    SettingsError
        If the point is outside the table of power spectra.
    """
    return _maker(tuple(float(point[axis]) for axis in AXES), shift)


@lru_cache(maxsize=8)
def _maker(point: tuple[float, ...], shift: float | None) -> MapMaker:
    return maker_of(grid_spectrum(dict(zip(AXES, point, strict=True))), shift)


def grid_spectrum(
    point: Mapping[str, float], factor: Callable[[FloatArray], FloatArray] | None = None
) -> FloatArray:
    """C_ell in steradian at a point, times a `factor` of ell, as `maker_of` takes it.

    Raises
    ------
    SettingsError
        If the point is outside the table of power spectra.
    """
    ell, place = _multipoles()
    spectrum = np.zeros(ell.size)
    spectrum[1:] = shipped_spectra().spectrum(ell[1:], point)
    if factor is not None:
        spectrum[1:] *= factor(ell[1:])
    quarter: FloatArray = spectrum[place]
    return quarter


def maker_of(quarter: FloatArray, shift: float | None) -> MapMaker:
    """The maker of maps with C_ell in steradian on the quarter of the grid's frequencies that differ.

    `quarter` (GRID[0] // 2 + 1, GRID[1] // 2 + 1), zero at ell = 0.
    """
    cells = GRID[0] * GRID[1]
    # An even function's transform is a cosine transform of a quarter of it.
    xi = fft.dctn(quarter, type=1) / (cells * PIXEL**2)
    if shift is None:
        gaussian, variance, clipped = quarter, float(xi[0, 0]), 0.0
    else:
        log_xi = np.log1p(xi / shift**2)
        raw = fft.dctn(log_xi, type=1) * PIXEL**2
        gaussian, variance = np.maximum(raw, 0.0), float(log_xi[0, 0])
        weight = _copies()
        clipped = float((weight * (gaussian - raw)).sum() / (weight * gaussian).sum())
        # What was clipped is taken from all scales, so that the one-point function stays.
        gaussian = (1 - clipped) * gaussian
    rows = np.minimum(np.arange(GRID[0]), GRID[0] - np.arange(GRID[0]))
    amplitude = (np.sqrt(gaussian) / PIXEL)[rows].astype(np.float32)
    return MapMaker(amplitude, variance, shift, clipped)


def skewness(variance: float, shift: float = SHIFT) -> float:
    """<kappa^3> / <kappa^2>^(3/2) of a shifted lognormal convergence of the given variance."""
    ratio = 1 + variance / shift**2
    return float((ratio + 2) * np.sqrt(ratio - 1))


@lru_cache(maxsize=1)
def _multipoles() -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """The different |ell| of the grid, ascending from 0, and their place on the quarter of it."""
    square = np.add.outer(
        (np.arange(GRID[0] // 2 + 1) / GRID[0]) ** 2, (np.arange(GRID[1] // 2 + 1) / GRID[1]) ** 2
    )
    length = 2 * np.pi / PIXEL * np.sqrt(square)
    ell, place = np.unique(np.round(length, 6), return_inverse=True)
    return ell, place.reshape(length.shape)


@lru_cache(maxsize=1)
def _copies() -> FloatArray:
    """How often each frequency of the quarter is on the whole grid."""
    weights = [np.full(n // 2 + 1, 2.0) for n in GRID]
    for weight in weights:
        weight[[0, -1]] = 1.0
    copies: FloatArray = np.multiply.outer(*weights)
    return copies
