"""Events without what they have by symmetry alone: coordinates in which distances mean something.

Nothing distinguishes a direction around the beam, its two senses, or its two ends: the tau is turned
to phi = 0, the lepton reflected to its left, the tau to positive eta. Momenta are logarithms, MET has
components along and across the tau, compressed where it is large, and angles of jets stand as
cosine and sine.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from sigma68.tasks.higgs.schema import (
    HAD_ETA,
    HAD_PHI,
    HAD_PT,
    JET1_ETA,
    JET1_PHI,
    JET1_PT,
    JET2_ETA,
    JET2_PHI,
    JET2_PT,
    JET_ALL_PT,
    LEP_ETA,
    LEP_PHI,
    LEP_PT,
    MET,
    MET_PHI,
    N_JETS,
)

__all__ = ["JET_NUMBERS", "canonical", "jet_number"]

Floats = npt.NDArray[np.float64]

JET_NUMBERS: Final = ("no jet", "one jet", "two or more jets")
"""Events with different numbers of listed jets have different numbers of coordinates."""

_SOFT_MET_GEV: Final = 30.0


def jet_number(values: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """How many jets are listed, 0 to 2, for events (16 or more columns, n)."""
    listed: npt.NDArray[np.int64] = np.minimum(values[N_JETS], 2).astype(np.int64)
    return listed


def canonical(values: npt.NDArray[np.float32], n_jets: int) -> Floats:
    """Coordinates of events that list `n_jets` jets, (n, 7), (n, 11) or (n, 17).

    `values` are primary columns in the order of the schema, (16 or more, n).
    """
    v = values.astype(np.float64)
    lepton = _turned(v[LEP_PHI] - v[HAD_PHI])
    side = np.where(lepton < 0, -1.0, 1.0)
    end = np.where(v[HAD_ETA] < 0, -1.0, 1.0)
    met = v[MET_PHI] - v[HAD_PHI]
    found = [
        np.log(v[HAD_PT]),
        end * v[HAD_ETA],
        np.log(v[LEP_PT]),
        end * v[LEP_ETA],
        side * lepton,
        np.arcsinh(v[MET] * np.cos(met) / _SOFT_MET_GEV),
        side * np.arcsinh(v[MET] * np.sin(met) / _SOFT_MET_GEV),
    ]
    jets = ((JET1_PT, JET1_ETA, JET1_PHI), (JET2_PT, JET2_ETA, JET2_PHI))
    for pt, eta, phi in jets[:n_jets]:
        angle = v[phi] - v[HAD_PHI]
        found += [np.log(v[pt]), end * v[eta], np.cos(angle), side * np.sin(angle)]
    if n_jets == 2:
        found += [np.log(v[N_JETS]), np.log(v[JET_ALL_PT])]
    return np.ascontiguousarray(np.stack(found, axis=1))


def _turned(angle: Floats) -> Floats:
    """The same angle from -pi to pi."""
    turned: Floats = np.remainder(angle + np.pi, 2 * np.pi) - np.pi
    return turned
