"""Efficiencies and resolutions of the detector: the numbers of the Delphes card, as kernels.

All smearing is log-normal with the given mean and width (Delphes 3, JHEP 02 (2014) 057).
"""

from __future__ import annotations

import math
from typing import Any, Final

from numba import njit

__all__ = [
    "ELECTRON",
    "HADRON",
    "MUON",
    "ecal_sigma",
    "hcal_sigma",
    "identification_efficiency",
    "log_normal",
    "tag_probability",
    "tracking_efficiency",
    "tracking_resolution",
]

HADRON: Final = 0
ELECTRON: Final = 1
MUON: Final = 2


@njit(cache=True, nogil=True, inline="always")
def log_normal(mean: float, sigma: float, rng: Any) -> float:
    """A log-normal number of the given mean and standard deviation; 0 for a mean of 0."""
    if mean <= 0.0:
        return 0.0
    ratio = sigma / mean
    b2 = math.log1p(ratio * ratio)
    return mean * math.exp(math.sqrt(b2) * rng.standard_normal() - 0.5 * b2)


@njit(cache=True, nogil=True)
def tracking_efficiency(kind: int, pt: float, abs_eta: float) -> float:
    """Probability that a charged particle (pt in GeV, eta where it leaves) leaves a track."""
    if pt <= 0.1 or abs_eta > 2.5:
        return 0.0
    central = abs_eta <= 1.5
    if kind == HADRON:
        if pt <= 1.0:
            return 0.70 if central else 0.60
        return 0.95 if central else 0.85
    if kind == ELECTRON:
        if pt <= 1.0:
            return 0.73 if central else 0.50
        if pt <= 100.0:
            return 0.95 if central else 0.83
        return 0.99 if central else 0.90
    if pt <= 1.0:
        return 0.75 if central else 0.70
    return 0.99 if central else 0.98


@njit(cache=True, nogil=True)
def tracking_resolution(kind: int, pt: float, abs_eta: float) -> float:
    """sigma(pt) / pt of a track, at most 1."""
    ring = 0 if abs_eta <= 0.5 else (1 if abs_eta <= 1.5 else 2)
    if kind == HADRON:
        a = (0.06, 0.10, 0.25)[ring]
        b = (1.3e-3, 1.7e-3, 3.1e-3)[ring]
    elif kind == ELECTRON:
        a = (0.03, 0.05, 0.15)[ring]
        b = (1.3e-3, 1.7e-3, 3.1e-3)[ring]
    else:
        a = (0.01, 0.015, 0.025)[ring]
        b = (1.0e-4, 1.5e-4, 3.5e-4)[ring]
    return min(1.0, math.sqrt(a * a + b * b * pt * pt))


@njit(cache=True, nogil=True)
def identification_efficiency(kind: int, pt: float, abs_eta: float) -> float:
    """Of electrons (and photons) and muons, pt in GeV."""
    if pt <= 10.0:
        return 0.0
    if abs_eta <= 1.5:
        return 0.95
    return 0.85 if abs_eta <= (2.7 if kind == MUON else 2.5) else 0.0


@njit(cache=True, nogil=True)
def ecal_sigma(abs_eta: float, energy: float) -> float:
    """Resolution of an electromagnetic tower, GeV."""
    if abs_eta <= 3.2:
        return math.sqrt(0.0017**2 * energy * energy + 0.101**2 * energy)
    if abs_eta <= 4.9:
        return math.sqrt(0.035**2 * energy * energy + 0.285**2 * energy)
    return 0.0


@njit(cache=True, nogil=True)
def hcal_sigma(abs_eta: float, energy: float) -> float:
    """Resolution of a hadronic tower, GeV."""
    if abs_eta <= 1.7:
        return math.sqrt(0.0302**2 * energy * energy + 0.5205**2 * energy + 1.59**2)
    if abs_eta <= 3.2:
        return math.sqrt(0.05**2 * energy * energy + 0.706**2 * energy)
    if abs_eta <= 4.9:
        return math.sqrt(0.0942**2 * energy * energy + energy)
    return 0.0


@njit(cache=True, nogil=True, inline="always")
def tag_probability(from_tau: bool, n_tracks: int) -> float:
    """Probability that a jet with `n_tracks` tracks is tagged as a hadronic tau."""
    if n_tracks == 0:
        return 0.0
    if from_tau:
        return 0.70 if n_tracks == 1 else 0.60
    return 0.02 if n_tracks == 1 else 0.01
