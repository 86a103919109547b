"""Power spectra of noisy, masked maps in bins of multipole: the summary that analyses start from.

The two-dimensional transform of the map, zero where nothing is seen, is squared and averaged in
logarithmic bins; the area seen replaces the whole. Neither noise nor the mixing of multipoles by the mask is taken
out: whoever compares maps compares maps with the same noise and mask.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import fft

from sigma68.tasks.lensing.sky import COLUMNS, PIXEL, ROWS

__all__ = ["BINS", "ELL_EDGES", "bin_centres", "log_bandpowers"]

BINS = 10
ELL_EDGES = np.geomspace(100.0, 10_000.0, BINS + 1)
"""Edges of the bins; a map of 2 arcmin pixels has modes up to ell = 7,637."""


def log_bandpowers(sky: npt.NDArray[np.floating], share: float) -> npt.NDArray[np.float64]:
    """log10 of C_ell in steradian in the ten bins, (10,).

    `sky` (`ROWS`, `COLUMNS`) is zero outside the mask, `share` the fraction of it that is seen. NaN
    where a bin has no power at all.
    """
    bins, modes = _bins()
    waves = fft.rfft2(np.asarray(sky, dtype=np.float32))
    power = waves.real.astype(np.float64) ** 2 + waves.imag.astype(np.float64) ** 2
    weights = np.full(power.shape, 2.0)
    weights[:, [0, -1]] = 1.0
    total = np.bincount(bins.ravel(), weights=(power * weights).ravel(), minlength=BINS + 2)
    spectrum = total[1:-1] / modes * PIXEL**2 / (ROWS * COLUMNS * share)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log10(spectrum)
    logs[~np.isfinite(logs)] = np.nan
    return logs


def bin_centres() -> npt.NDArray[np.float64]:
    """The geometric middle of each bin in ell, (10,)."""
    middle: npt.NDArray[np.float64] = np.sqrt(ELL_EDGES[1:] * ELL_EDGES[:-1])
    return middle


@lru_cache(maxsize=1)
def _bins() -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """The bin of each mode of the half plane (0 and the last: none), and modes per bin."""
    ell = 2 * np.pi / PIXEL * np.hypot(fft.fftfreq(ROWS)[:, None], fft.rfftfreq(COLUMNS))
    bins: npt.NDArray[np.int64] = np.digitize(ell, ELL_EDGES).astype(np.int64)
    weights = np.full(ell.shape, 2.0)
    weights[:, [0, -1]] = 1.0
    modes = np.bincount(bins.ravel(), weights=weights.ravel(), minlength=BINS + 2)[1:-1]
    return bins, modes.astype(np.float64)
