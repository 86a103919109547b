"""Calorimeter towers of one event: true energies in, measured energies and neutral excess out.

Only towers that were hit are kept, each in a slot. The slots of the recoil (everything that does
not change from one decay of a hard event to the next) are filled once; a detector pass adds its
own deposits, measures, and takes its slots away again.

Towers and energy flow follow Delphes 3 (JHEP 02 (2014) 057), section 2.4: a measured energy is
log-normal; below a minimum energy or 2 sigma it is none; what exceeds the energy of the tracks
by more than that is a neutral energy-flow object, otherwise the tracks are rescaled to the best
estimate of tracks and tower together.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from sigma68.tasks.higgs.simulate.geometry import Rings, tower_of
from sigma68.tasks.higgs.simulate.response import ecal_sigma, hcal_sigma, log_normal

__all__ = ["MAX_HITS", "Towers", "clear_from", "deposit", "measure", "new_towers"]

MAX_HITS: Final = 8192
"""Most particles (and so most towers) of an event; more are an error."""

_SIGNIFICANCE: Final = 2.0


class Towers(NamedTuple):
    """Slots of the towers that were hit; all energies in GeV.

    Attributes
    ----------
    slot
        Slot of each tower of the detector, -1 if it was not hit, int32, shape (n_towers,).
    number, ring
        Tower and ring of each slot, int64, shape (MAX_HITS,).
    recoil, true
        Energy deposited by the recoil alone, and in this pass, float64, shape (MAX_HITS,).
    seen, sigma, eta, phi
        Measured energy (0 below the thresholds), its resolution, and position.
    track_energy, track_variance
        Of the tracks that point to the tower.
    neutral
        Neutral excess (0 if it is not significant).
    rescale
        Factor on the momenta of the tracks that point to the tower.
    """

    slot: npt.NDArray[np.int32]
    number: npt.NDArray[np.int64]
    ring: npt.NDArray[np.int64]
    recoil: npt.NDArray[np.float64]
    true: npt.NDArray[np.float64]
    seen: npt.NDArray[np.float64]
    sigma: npt.NDArray[np.float64]
    eta: npt.NDArray[np.float64]
    phi: npt.NDArray[np.float64]
    track_energy: npt.NDArray[np.float64]
    track_variance: npt.NDArray[np.float64]
    neutral: npt.NDArray[np.float64]
    rescale: npt.NDArray[np.float64]


def new_towers(rings: Rings) -> Towers:
    """Towers none of which was hit."""
    real = np.zeros((10, MAX_HITS))
    return Towers(
        np.full(int(rings.first[-1]), -1, np.int32),
        np.zeros(MAX_HITS, np.int64),
        np.zeros(MAX_HITS, np.int64),
        real[0],
        real[1],
        real[2],
        real[3],
        real[4],
        real[5],
        real[6],
        real[7],
        real[8],
        real[9],
    )


@njit(cache=True, nogil=True)
def deposit(
    towers: Any,
    rings: Any,
    n: int,
    eta: float,
    phi: float,
    energy: float,
    into: npt.NDArray[np.float64],
) -> tuple[int, int]:
    """Add energy at (eta, phi) to `into`: (number of slots now, slot or -1 outside)."""
    number, ring = tower_of(rings, eta, phi)
    if number < 0:
        return n, -1
    slot = towers.slot[number]
    if slot < 0:
        slot = n
        towers.slot[number] = slot
        towers.number[slot] = number
        towers.ring[slot] = ring
        towers.recoil[slot] = 0.0
        towers.true[slot] = 0.0
        n += 1
    into[slot] += energy
    return n, slot


@njit(cache=True, nogil=True)
def clear_from(towers: Any, first: int, n: int) -> None:
    """Forget the slots from `first` on."""
    for slot in range(first, n):
        towers.slot[towers.number[slot]] = -1


@njit(cache=True, nogil=True)
def measure(towers: Any, rings: Any, n: int, electromagnetic: bool, rng: Any) -> None:
    """Measure the `n` towers: fills `seen` ... `rescale` from `true` and the sums of tracks."""
    least = 0.5 if electromagnetic else 1.0
    for i in range(n):
        ring, true = towers.ring[i], towers.true[i]
        low, high = rings.edges[ring], rings.edges[ring + 1]
        centre = abs(0.5 * (low + high))
        if electromagnetic:
            energy = log_normal(true, ecal_sigma(centre, true), rng)
            sigma = ecal_sigma(centre, energy)
        else:
            energy = log_normal(true, hcal_sigma(centre, true), rng)
            sigma = hcal_sigma(centre, energy)
        if energy < least or energy < _SIGNIFICANCE * sigma:
            energy = 0.0
        towers.seen[i] = energy
        towers.sigma[i] = sigma
        towers.neutral[i] = 0.0
        towers.rescale[i] = 1.0
        if energy > 0.0:
            width = 2.0 * math.pi / rings.n_phi[ring]
            place = towers.number[i] - rings.first[ring]
            towers.eta[i] = low + (high - low) * rng.random()
            towers.phi[i] = -math.pi + width * (place + rng.random())
        _compare_with_tracks(towers, i, least)


@njit(cache=True, nogil=True, inline="always")
def _compare_with_tracks(towers: Any, i: int, least: float) -> None:
    energy, sigma = towers.seen[i], towers.sigma[i]
    tracks, variance = towers.track_energy[i], towers.track_variance[i]
    excess = energy - tracks
    if excess > least and excess > _SIGNIFICANCE * math.sqrt(variance + sigma * sigma):
        towers.neutral[i] = excess
    elif tracks > 0.0:
        weight_tracks = 1.0 / variance if variance > 0.0 else 0.0
        weight_tower = 1.0 / (sigma * sigma) if sigma > 0.0 else 0.0
        if weight_tracks + weight_tower > 0.0:
            best = (weight_tracks * tracks + weight_tower * energy) / (weight_tracks + weight_tower)
            towers.rescale[i] = best / tracks
