"""The regions of the winners' analysis, and how one of them is split."""

from __future__ import annotations

import numpy as np
import pytest

from sigma68.discover import load_task
from sigma68.learning.regions import Regions
from sigma68.protocols import HasRegions
from sigma68.tasks.higgs.analysis import ANALYSIS_REGIONS, part_of
from sigma68.tasks.higgs.regions import REGIONS, region_of
from sigma68.tasks.higgs.schema import FEATURES


def test_regions_are_those_of_the_slides() -> None:
    assert tuple(region.name for region in ANALYSIS_REGIONS) == REGIONS
    regions = Regions.of(load_task("higgs"))
    assert regions.unbinned == (0, 1, 2)
    assert regions.split == (4,)
    assert len(regions.bins) == 7
    assert regions.bins[3] == REGIONS[3]


def test_the_task_tells_them() -> None:
    task = load_task("higgs")
    assert isinstance(task, HasRegions)
    values = np.full((len(FEATURES), 5), -25.0, np.float32)
    values[FEATURES.index("DER_mass_transverse_met_lep")] = [69, 71, 10, 10, 80]
    values[FEATURES.index("DER_pt_h")] = [10, 10, 101, 99, 101]
    values[FEATURES.index("PRI_jet_leading_pt"), :2] = 51
    values[FEATURES.index("PRI_jet_subleading_pt"), :2] = 31
    np.testing.assert_array_equal(task.region_of(values), [0, 1, 2, 3, 4])
    np.testing.assert_array_equal(task.region_of(values), region_of(values))


@pytest.mark.parametrize(
    ("ttbar", "diboson", "part"),
    [(0.41, 0.55, 0), (0.4, 0.51, 1), (0.4, 0.5, 2), (0.0, 0.0, 2), (0.9, 0.1, 0)],
)
def test_the_thresholds_of_the_split(ttbar: float, diboson: float, part: int) -> None:
    rest = 1 - ttbar - diboson
    shares = np.array([[rest / 2], [rest / 2], [ttbar], [diboson]], np.float64)
    assert part_of(shares)[0] == part
