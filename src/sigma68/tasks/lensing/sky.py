"""The piece of sky: 1424 x 176 pixels of 2 arcmin, about half of them seen.

The mask is our own: a field with ragged edges, a narrow waist and round holes around bright stars, drawn
from a fixed random stream. It looks like a survey's, and is nobody's.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from sigma68.seeds import stream

__all__ = ["COLUMNS", "NOISE", "PIXEL", "ROWS", "noise_sigma", "survey_mask"]

ROWS, COLUMNS = 1424, 176
PIXEL_ARCMIN = 2.0
PIXEL = PIXEL_ARCMIN / 60 * np.pi / 180
"""The side of a pixel in radian."""

SHAPE_ERROR, GALAXIES = 0.4, 30.0
"""Ellipticity of a galaxy, and galaxies per square arcmin."""


def noise_sigma(shape_error: float = SHAPE_ERROR, galaxies: float = GALAXIES) -> float:
    """The noise of the convergence in a pixel: sigma_e / sqrt(2 n A)."""
    return shape_error / float(np.sqrt(2 * galaxies * PIXEL_ARCMIN**2))


NOISE = noise_sigma()


@cache
def survey_mask() -> npt.NDArray[np.bool_]:
    """Which pixels are seen, (`ROWS`, `COLUMNS`); read-only."""
    draw = stream("lensing", "mask", 0).generator()
    row, column = np.mgrid[:ROWS, :COLUMNS].astype(np.float64)
    middle = 88 + _wander(draw, row, 14.0)
    half = 59 + _wander(draw, row, 12.0) - 26 * np.exp(-(((row - 640) / 90) ** 2))
    seen: npt.NDArray[np.bool_] = np.abs(column - middle) < half
    ends = 34 + _wander(draw, column, 10.0)
    seen &= (row > ends) & (row < ROWS - ends)
    for _ in range(500):
        centre = draw.uniform((0, 0), (ROWS, COLUMNS))
        radius = min(1.8 * (1 - draw.random()) ** (-1 / 1.8), 22.0)
        first, last = (int(max(centre[0] + side * radius, 0)) for side in (-1, 1))
        part = slice(first, last + 2)
        seen[part] &= (row[part] - centre[0]) ** 2 + (column[part] - centre[1]) ** 2 > radius**2
    seen.flags.writeable = False
    return seen


def _wander(
    draw: np.random.Generator, at: npt.NDArray[np.float64], size: float
) -> npt.NDArray[np.float64]:
    """A smooth random function of pixel numbers with standard deviation about `size`."""
    total = np.zeros_like(at)
    for _ in range(12):
        length, phase = draw.uniform(30, 500), draw.uniform(0, 2 * np.pi)
        total += np.cos(2 * np.pi * at / length + phase)
    wandering: npt.NDArray[np.float64] = size * total / np.sqrt(6)
    return wandering
