"""Features that symmetries leave as they are, on events that are turned and mirrored."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from benchmarks.events import made_columns

from sigma68.discover import load_task
from sigma68.protocols import HasInvariants
from sigma68.tasks.higgs import schema
from sigma68.tasks.higgs.derived import derive
from sigma68.tasks.higgs.invariants import invariants

PHIS = (schema.LEP_PHI, schema.HAD_PHI, schema.JET1_PHI, schema.JET2_PHI, schema.MET_PHI)
ETAS = (schema.LEP_ETA, schema.HAD_ETA, schema.JET1_ETA, schema.JET2_ETA)
ROWS = {feature.name: i for i, feature in enumerate(schema.INVARIANTS)}

Float32 = npt.NDArray[np.float32]
PRIMARIES: Float32 = np.ascontiguousarray(made_columns(3_000, 3)[0], np.float32)


def of(primaries: Float32) -> Float32:
    return np.concatenate([primaries, derive(np.ascontiguousarray(primaries))])


def test_a_task_that_knows_them_says_so() -> None:
    higgs, gaussian = load_task("higgs"), load_task("gaussian")
    assert isinstance(higgs, HasInvariants)
    assert not isinstance(gaussian, HasInvariants)
    np.testing.assert_array_equal(higgs.invariant(of(PRIMARIES)), invariants(of(PRIMARIES)))
    assert len(schema.INVARIANTS) == len(invariants(of(PRIMARIES)))
    assert np.isfinite(invariants(of(PRIMARIES))).all()


@pytest.mark.parametrize("symmetry", ["turned", "mirrored", "swapped"])
def test_symmetries_change_nothing(symmetry: str) -> None:
    moved = PRIMARIES.copy()
    there = PRIMARIES != schema.UNDEFINED
    if symmetry == "swapped":
        for eta in ETAS:
            moved[eta] = np.where(there[eta], -PRIMARIES[eta], PRIMARIES[eta])
    else:
        for phi in PHIS:
            new = PRIMARIES[phi] + 1.3 if symmetry == "turned" else -PRIMARIES[phi]
            new = np.remainder(new + np.pi, 2 * np.pi) - np.pi
            moved[phi] = np.where(there[phi], new, PRIMARIES[phi])
    before, after = invariants(of(PRIMARIES)), invariants(of(moved))
    # Where tau and lepton are in line, or the tau is at eta = 0, rounding says which side is which.
    sure = (np.sin(before[ROWS["lep_phi"]]) > 0.05) & (before[ROWS["had_eta"]] > 0)
    np.testing.assert_allclose(after[:, sure], before[:, sure], rtol=2e-3, atol=5e-3)


def test_the_collinear_mass_is_that_of_neutrinos_along_lepton_and_tau() -> None:
    """Events whose MET is made of two such neutrinos give their mass back."""
    v = PRIMARIES.astype(np.float64)
    a, b = 12.0, 30.0
    x = a * np.cos(v[schema.LEP_PHI]) + b * np.cos(v[schema.HAD_PHI])
    y = a * np.sin(v[schema.LEP_PHI]) + b * np.sin(v[schema.HAD_PHI])
    v[schema.MET], v[schema.MET_PHI] = np.hypot(x, y), np.arctan2(y, x)
    found = invariants(of(v.astype(np.float32)))
    apart = np.sin(found[ROWS["lep_phi"]]) > 0.05
    np.testing.assert_allclose(np.sinh(found[ROWS["neutrino_lep"], apart]) * 20, a, rtol=0.02)
    np.testing.assert_allclose(np.sinh(found[ROWS["neutrino_had"], apart]) * 20, b, rtol=0.02)
    lep = v[schema.LEP_PT] + a
    had = v[schema.HAD_PT] + b
    mass = np.sqrt(
        2 * lep * had * (np.cosh(v[schema.LEP_ETA] - v[schema.HAD_ETA])
                         - np.cos(v[schema.LEP_PHI] - v[schema.HAD_PHI]))
    )  # fmt: skip
    np.testing.assert_allclose(
        np.exp(found[ROWS["log_mass_collinear"], apart]), mass[apart], rtol=0.02
    )


def test_what_is_not_there_stays_undefined() -> None:
    found = invariants(of(PRIMARIES))
    none = PRIMARIES[schema.N_JETS] == 0
    assert none.any()
    for name in ("log_jet1_pt", "jet1_eta", "jet1_cos", "jet2_sin"):
        assert (found[ROWS[name]][none] == schema.UNDEFINED).all()
