"""The five analysis regions, and the yields the real data has in them.

Regions and yields: the organisers' slides, "Analysis Regions". mT is
`DER_mass_transverse_met_lep`; a VBF jet pair has a leading jet above 50 and a subleading one above
30 GeV; ptH is `DER_pt_h`.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from sigma68.tasks.higgs.schema import JET1_PT, JET2_PT, MASS_TRANSVERSE, PT_H

__all__ = ["PUBLISHED_YIELDS", "REGIONS", "REGION_LABELS", "region_of"]

REGIONS: Final = (
    "mT<70, VBFJet",
    "mT>=70, VBFJet",
    "mT<70, no VBFJet, ptH>=100",
    "mT<70, no VBFJet, ptH<100",
    "mT>=70, no VBFJet",
)
REGION_LABELS: Final = (
    r"low $m_T$, VBF jets",
    r"high $m_T$, VBF jets",
    r"low $m_T$, no VBF jets, high $p_T^H$",
    r"low $m_T$, no VBF jets, low $p_T^H$",
    r"high $m_T$, no VBF jets",
)

PUBLISHED_YIELDS: Final = np.array(
    [
        [225.8, 41280.4, 15425.9, 313.4],
        [14.7, 721.7, 16768.6, 193.2],
        [57.0, 17379.8, 674.6, 79.0],
        [642.5, 837928.7, 3360.1, 1438.5],
        [26.0, 3826.9, 5054.3, 1409.4],
    ]
)
"""Expected events of the real data at 10 fb^-1 after the high thresholds, (region, process)."""
PUBLISHED_YIELDS.flags.writeable = False

MT_GEV: Final = 70.0
LEADING_GEV: Final = 50.0
SUBLEADING_GEV: Final = 30.0
PT_H_GEV: Final = 100.0


def region_of(features: npt.NDArray[np.floating]) -> npt.NDArray[np.int8]:
    """The region of each event, an index into `REGIONS`, int8, shape (n,).

    `features` has shape (28, n) in the order of the schema, high thresholds applied.
    """
    high_mt = features[MASS_TRANSVERSE] >= MT_GEV
    vbf = (features[JET1_PT] > LEADING_GEV) & (features[JET2_PT] > SUBLEADING_GEV)
    low_pt_h = features[PT_H] < PT_H_GEV
    region: npt.NDArray[np.int8] = np.where(
        vbf, high_mt, np.where(high_mt, 4, 2 + low_pt_h)
    ).astype(np.int8)
    return region
