"""Whether events lie beyond the edges that the reference has: of the detector, in eta.

A smeared edge moves few events, which cumulative distributions hardly show, to where no event
can be, which trees find at once. Of k + 1 events that are outermost among both samples, all but the
last are tested ones with probability (N / (N + n))^k, if N tested and n reference events are drawn
from one distribution, whatever it is (Wilks, Ann. Math. Stat. 12 (1941) 91). Events count as
many as their weights at the edge say, hard events once.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import special

from sigma68.tasks.higgs.schema import FEATURES, HAD_ETA, JET1_ETA, JET2_ETA, LEP_ETA, UNDEFINED
from sigma68.tasks.higgs.validation.sample import Sample

__all__ = ["COLUMNS", "beyond_edge", "detectable_share", "edge_p_value"]

Floats = npt.NDArray[np.float64]

COLUMNS: Final = tuple(FEATURES[i] for i in (LEP_ETA, HAD_ETA, JET1_ETA, JET2_ETA))
"""Columns with an edge at the same distance to either side of 0."""

_OUTERMOST: Final = 50


def beyond_edge(
    tested: Sample, reference: Sample, column: str
) -> tuple[float, float, float] | None:
    """The share of tested events beyond the outermost reference event, and both numbers of events.

    None if fewer than 50 events of either have the column.
    """
    index = FEATURES.index(column)
    t, r = (sample.chosen(sample.values[index] != UNDEFINED) for sample in (tested, reference))
    if min(t.n_events, r.n_events) < _OUTERMOST:
        return None
    far_tested, far_reference = np.abs(t.values[index]), np.abs(r.values[index])
    beyond = far_tested > far_reference.max()
    share = float(t.weights[beyond].sum() / t.weights.sum())
    return share, _number(t, far_tested), _number(r, far_reference)


def _number(sample: Sample, distance: npt.NDArray[np.float32]) -> float:
    """As how many events a sample counts whose outermost hard events weigh what they do."""
    _, unit = np.unique(sample.unit, return_inverse=True)
    of_unit = np.bincount(unit, sample.weights)[unit]
    outermost = np.argsort(distance, kind="stable")[-_OUTERMOST:]
    return float(sample.weights.sum() / of_unit[outermost].mean())


def edge_p_value(share: float, n_tested: float, n_reference: float) -> float:
    """The probability that so large a share of the tested events lies beyond all the others."""
    p_value: float = (n_tested / (n_tested + n_reference)) ** (share * n_tested)
    return p_value


def detectable_share(n_tested: float, n_reference: float, level: float, power: float) -> float:
    """The share beyond the edge that a test at `level` finds with probability `power`."""
    needed = math.log(level) / math.log(n_tested / (n_tested + n_reference))
    # The root of a Poisson number scatters by a half.
    return (math.sqrt(needed) + 0.5 * float(special.ndtri(power))) ** 2 / n_tested
