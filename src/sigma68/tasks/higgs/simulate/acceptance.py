"""How often a boson's decays can be selected, as a function of its motion.

A table made on the spot from the decays themselves; it only decides which hard events are worth
simulating in full, with weights that make up for it.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from numba import njit

from sigma68.tasks.higgs.simulate.decays import FROM_HIGGS, FROM_Z, draw_decays, new_decays
from sigma68.tasks.higgs.simulate.tau_library import TAU_MASS_GEV, TauDecays

__all__ = ["Acceptance"]

_PT_GEV: Final = np.array([0.0, 15.0, 30.0, 50.0, 80.0, 120.0, 200.0, 400.0])
_RAPIDITY: Final = np.arange(0.0, 5.01, 0.25)
_DRAWS: Final = 3000
_LEPTON_GEV: Final = 19.0
_TAU_GEV: Final = 20.0
_ETA: Final = 2.55


class Acceptance:
    """Share of decays of a boson that pass loose cuts on true momenta, relative to one at rest."""

    def __init__(self, mass_gev: float, higgs: bool, library: TauDecays, rng: Any) -> None:
        taus = new_decays()
        table = np.empty((len(_PT_GEV), len(_RAPIDITY)))
        for i, pt in enumerate(_PT_GEV):
            for j, rapidity in enumerate(_RAPIDITY):
                _set_boson(taus, mass_gev, pt, rapidity, higgs)
                table[i, j] = _share(taus, library, rng) / _DRAWS
        self._table: npt.NDArray[np.float64] = table / table[0, 0]

    def __call__(self, pt_gev: float, rapidity: float) -> float:
        """Relative acceptance, interpolated."""
        y = min(abs(rapidity) / 0.25, len(_RAPIDITY) - 1.001)
        j = int(y)
        i = int(np.searchsorted(_PT_GEV, pt_gev, side="right")) - 1
        i = min(i, len(_PT_GEV) - 2)
        x = min(1.0, (pt_gev - _PT_GEV[i]) / (_PT_GEV[i + 1] - _PT_GEV[i]))
        v = y - j
        t = self._table
        return float(
            (1 - x) * ((1 - v) * t[i, j] + v * t[i, j + 1])
            + x * ((1 - v) * t[i + 1, j] + v * t[i + 1, j + 1])
        )


def _set_boson(taus: Any, mass: float, pt: float, rapidity: float, higgs: bool) -> None:
    transverse = math.hypot(mass, pt)
    boson = (pt, 0.0, transverse * math.sinh(rapidity), transverse * math.cosh(rapidity))
    momentum = math.sqrt(0.25 * mass * mass - TAU_MASS_GEV**2)
    for t in range(2):
        taus.parent[t] = boson
        taus.rest[t] = (0.0, 0.0, momentum if t == 0 else -momentum, 0.5 * mass)
        taus.sign[t] = 1 if t == 0 else -1
        taus.origin[t] = FROM_HIGGS if higgs else FROM_Z
        taus.again[t] = True


@njit(cache=True, nogil=True)
def _share(taus: Any, library: Any, rng: Any) -> int:
    """How many of the draws pass."""
    passed = 0
    for _ in range(_DRAWS):
        draw_decays(taus, 2, 0, 2 if rng.random() < 0.5 else -2, library, rng)
        lepton = tau = False
        for t in range(2):
            p = taus.visible[t]
            pt = math.hypot(p[0], p[1])
            if abs(p[2]) > math.sinh(_ETA) * pt:
                continue
            if taus.leptonic[t] != 0:
                lepton = lepton or pt > _LEPTON_GEV
            else:
                tau = tau or pt > _TAU_GEV
        if lepton and tau:
            passed += 1
    return passed
