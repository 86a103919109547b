"""Each event lies in one of the five regions, by the definitions of the specification."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.events import made_events

from sigma68.tasks.higgs.regions import PUBLISHED_YIELDS, REGION_LABELS, REGIONS, region_of
from sigma68.tasks.higgs.schema import EXPECTED_EVENTS, FEATURES, PROCESSES, UNDEFINED


def event(mt: float, leading: float, subleading: float, pt_h: float) -> int:
    features = np.full((28, 1), UNDEFINED, np.float32)
    for name, value in (
        ("DER_mass_transverse_met_lep", mt),
        ("PRI_jet_leading_pt", leading),
        ("PRI_jet_subleading_pt", subleading),
        ("DER_pt_h", pt_h),
    ):
        features[FEATURES.index(name)] = value
    return int(region_of(features)[0])


@pytest.mark.parametrize(
    ("values", "region"),
    [
        ((69.9, 50.1, 30.1, 10), "mT<70, VBFJet"),
        ((70.0, 50.1, 30.1, 200), "mT>=70, VBFJet"),
        ((69.9, 50.0, 40.0, 100), "mT<70, no VBFJet, ptH>=100"),
        ((69.9, 90.0, 30.0, 99.9), "mT<70, no VBFJet, ptH<100"),
        ((0.0, UNDEFINED, UNDEFINED, 0), "mT<70, no VBFJet, ptH<100"),
        ((70.0, 90.0, UNDEFINED, 500), "mT>=70, no VBFJet"),
        ((500.0, UNDEFINED, UNDEFINED, 0), "mT>=70, no VBFJet"),
    ],
)
def test_edges(values: tuple[float, float, float, float], region: str) -> None:
    assert REGIONS[event(*values)] == region


def test_equals_the_definitions_written_as_a_query() -> None:
    made = made_events(5_000, seed=1)
    region = region_of(np.ascontiguousarray(made[list(FEATURES)].to_numpy().T))
    made["vbf"] = (made.PRI_jet_leading_pt > 50) & (made.PRI_jet_subleading_pt > 30)
    queries = (
        "DER_mass_transverse_met_lep < 70 and vbf",
        "DER_mass_transverse_met_lep >= 70 and vbf",
        "DER_mass_transverse_met_lep < 70 and not vbf and DER_pt_h >= 100",
        "DER_mass_transverse_met_lep < 70 and not vbf and DER_pt_h < 100",
        "DER_mass_transverse_met_lep >= 70 and not vbf",
    )
    for r, query in enumerate(queries):
        assert np.array_equal(np.flatnonzero(region == r), made.query(query).index)
    assert region.dtype == np.int8


def test_published_yields_fit_the_expected_events() -> None:
    assert PUBLISHED_YIELDS.shape == (len(REGIONS), len(PROCESSES))
    assert len(REGION_LABELS) == len(REGIONS)
    # The high thresholds remove between 4 and 11 per cent of each process.
    fraction = PUBLISHED_YIELDS.sum(axis=0) / EXPECTED_EVENTS
    assert (fraction > 0.89).all()
    assert (fraction < 0.97).all()
