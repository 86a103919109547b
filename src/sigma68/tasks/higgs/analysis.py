"""What becomes of events in each region: measured one by one, or counted.

The scheme of the winners of the challenge (Ghosh, Benato et al., arXiv:2505.05544; the organisers'
slides): three regions are unbinned, low ptH is one bin, and high mT without VBF jets is split by a
classifier of the four processes into what looks like ttbar, like dibosons, and the rest.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from sigma68.protocols import Region
from sigma68.tasks.higgs.regions import REGIONS
from sigma68.tasks.higgs.schema import PROCESSES

__all__ = ["ANALYSIS_REGIONS", "part_of"]

_TTBAR: Final = PROCESSES.index("ttbar")
_DIBOSON: Final = PROCESSES.index("diboson")
_TTBAR_LIKE: Final = 0.4
_DIBOSON_LIKE: Final = 0.5
_PARTS: Final = ("ttbar-like", "diboson-like", "neither")


def part_of(probabilities: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """0 where f_tt > 0.4; 1 where f_tt <= 0.4 and f_VV > 0.5; else 2; (4, n) to (n,)."""
    part: npt.NDArray[np.int64] = np.where(
        probabilities[_TTBAR] > _TTBAR_LIKE,
        0,
        np.where(probabilities[_DIBOSON] > _DIBOSON_LIKE, 1, 2),
    ).astype(np.int64)
    return part


ANALYSIS_REGIONS: Final = (
    Region(REGIONS[0], unbinned=True),
    Region(REGIONS[1], unbinned=True),
    Region(REGIONS[2], unbinned=True),
    Region(REGIONS[3], unbinned=False),
    Region(REGIONS[4], unbinned=False, parts=_PARTS, part_of=part_of),
)
"""In the order of `REGIONS`."""
