"""Strata of observed events: the regions of the analysis, and what jets are seen in them.

The links of a chain are trained one by one, and nothing corrects in the whole what each gets
slightly wrong. So each stratum of each process has a factor, by which the chain's density is
multiplied there (`fit_strata` finds it). The stratum is a function of what is observed where all
nuisance parameters are off, so that what is integrated away does not see the factor.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt
from numba import njit

from sigma68.tasks.higgs.bias import (
    JET_THRESHOLD_GEV,
    LEPTON_THRESHOLD_GEV,
    TAU_THRESHOLD_GEV,
)
from sigma68.tasks.higgs.regions import (
    LEADING_GEV,
    MT_GEV,
    PT_H_GEV,
    REGIONS,
    SUBLEADING_GEV,
)
from sigma68.tasks.higgs.schema import (
    HAD_PHI,
    HAD_PT,
    JET1_ETA,
    JET1_PHI,
    JET1_PT,
    JET2_ETA,
    JET2_PHI,
    JET2_PT,
    LEP_PHI,
    LEP_PT,
    MET,
    MET_PHI,
)

__all__ = ["N_STRATA", "PER_REGION", "UNSEEN", "strata_of"]

UNSEEN: Final = 0
"""The stratum of events that the high thresholds remove."""

_MASSES_GEV: Final = (80.0, 120.0, 200.0, 300.0, 450.0, 700.0)
"""Edges in the mass of two jets: below, at and above that of a W or Z that decays to them."""

PER_REGION: Final = 2 + len(_MASSES_GEV) + 1
"""Strata of a region: no jet, one jet, two or more in each interval of their mass."""

N_STRATA: Final = 1 + len(REGIONS) * PER_REGION
"""`UNSEEN`, then the strata of each region."""


def strata_of(primaries: npt.NDArray[np.float32]) -> npt.NDArray[np.int8]:
    """The stratum of each event, int8, (n,), from its primaries, (16 or more, n).

    It is the same before the high thresholds and after them. The GIL is released.
    """
    stratum = np.empty(primaries.shape[1], np.int8)
    _strata(primaries, stratum)
    return stratum


@njit(cache=True, nogil=True, error_model="numpy")
def _strata(v, stratum):  # type: ignore[no-untyped-def]
    for e in range(v.shape[1]):
        if v[HAD_PT, e] < TAU_THRESHOLD_GEV or v[LEP_PT, e] < LEPTON_THRESHOLD_GEV:
            stratum[e] = UNSEEN
        else:
            stratum[e] = 1 + _region(v, e) * PER_REGION + _jets(v, e)


@njit
def _region(v, e):  # type: ignore[no-untyped-def]
    """An index into `REGIONS`."""
    lep, had, met = np.float64(v[LEP_PT, e]), np.float64(v[HAD_PT, e]), np.float64(v[MET, e])
    lep_phi, had_phi = np.float64(v[LEP_PHI, e]), np.float64(v[HAD_PHI, e])
    met_phi = np.float64(v[MET_PHI, e])
    high_mt = 2.0 * lep * met * (1.0 - math.cos(lep_phi - met_phi)) >= MT_GEV * MT_GEV
    if v[JET1_PT, e] > LEADING_GEV and v[JET2_PT, e] > SUBLEADING_GEV:
        return 1 if high_mt else 0
    if high_mt:
        return 4
    px = lep * math.cos(lep_phi) + had * math.cos(had_phi) + met * math.cos(met_phi)
    py = lep * math.sin(lep_phi) + had * math.sin(had_phi) + met * math.sin(met_phi)
    return 2 if px * px + py * py >= PT_H_GEV * PT_H_GEV else 3


@njit
def _jets(v, e):  # type: ignore[no-untyped-def]
    """Which of a region's strata."""
    if not v[JET1_PT, e] > JET_THRESHOLD_GEV:
        return 0
    if not v[JET2_PT, e] > JET_THRESHOLD_GEV:
        return 1
    d_eta = np.float64(v[JET1_ETA, e]) - np.float64(v[JET2_ETA, e])
    d_phi = np.float64(v[JET1_PHI, e]) - np.float64(v[JET2_PHI, e])
    pts = np.float64(v[JET1_PT, e]) * np.float64(v[JET2_PT, e])
    square = 2.0 * pts * (math.cosh(d_eta) - math.cos(d_phi))
    place = 2
    for edge in _MASSES_GEV:
        if square >= edge * edge:
            place += 1
    return place
