"""Leptons are made harder with the MET that balances them, and all else follows."""

from __future__ import annotations

import numpy as np
from benchmarks.distortions import harder_leptons
from benchmarks.events import made_columns

from sigma68.tasks.higgs import schema
from sigma68.tasks.higgs.derived import derive


def made(n: int) -> np.ndarray:
    primaries = np.ascontiguousarray(made_columns(n, seed=5)[0], np.float32)
    return np.concatenate([primaries, derive(primaries)])


def momenta(values: np.ndarray) -> np.ndarray:
    """x and y of lepton and MET together."""
    pt, phi = values[schema.LEP_PT].astype(float), values[schema.LEP_PHI].astype(float)
    met, met_phi = values[schema.MET].astype(float), values[schema.MET_PHI].astype(float)
    return np.array(
        [pt * np.cos(phi) + met * np.cos(met_phi), pt * np.sin(phi) + met * np.sin(met_phi)]
    )


def test_the_lepton_is_harder_and_the_event_balanced() -> None:
    before = made(2000)
    after = harder_leptons(before, 1.05)
    np.testing.assert_allclose(after[schema.LEP_PT], 1.05 * before[schema.LEP_PT], rtol=1e-6)
    np.testing.assert_allclose(momenta(after), momenta(before), atol=2e-3)
    others = [
        r
        for r in range(len(schema.PRIMARIES))
        if r not in (schema.LEP_PT, schema.MET, schema.MET_PHI)
    ]
    np.testing.assert_array_equal(after[others], before[others])
    primaries = np.ascontiguousarray(after[:16])
    np.testing.assert_array_equal(after[16:], derive(primaries))


def test_a_factor_of_one_changes_nothing_but_rounding() -> None:
    before = made(500)
    np.testing.assert_allclose(harder_leptons(before, 1.0)[:16], before[:16], atol=1e-3)
