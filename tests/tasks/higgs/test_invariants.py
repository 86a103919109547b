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
    for name in ("log_jet1_pt", "jet1_eta", "jet1_cos", "jet2_sin", "deltar_jets", "log_pt_h_jet1"):
        assert (found[ROWS[name]][none] == schema.UNDEFINED).all()


def four_momenta(
    v: npt.NDArray[np.float64], pt: int, eta: int, phi: int
) -> list[npt.NDArray[np.float64]]:
    """(E, px, py, pz) of a massless object."""
    size = v[pt]
    return [
        size * np.cosh(v[eta]),
        size * np.cos(v[phi]),
        size * np.sin(v[phi]),
        size * np.sinh(v[eta]),
    ]


def test_jets_are_seen_from_the_lepton_the_tau_and_what_they_recoil_against() -> None:
    found = invariants(of(PRIMARIES))
    both = PRIMARIES[schema.N_JETS] >= 2
    v = PRIMARIES[:, both].astype(np.float64)
    found = found[:, both].astype(np.float64)
    assert both.sum() > 200
    jets = [(schema.JET1_PT, schema.JET1_ETA, schema.JET1_PHI)]
    jets += [(schema.JET2_PT, schema.JET2_ETA, schema.JET2_PHI)]
    others = {
        "lep": (schema.LEP_PT, schema.LEP_ETA, schema.LEP_PHI),
        "had": (schema.HAD_PT, schema.HAD_ETA, schema.HAD_PHI),
    }
    x = v[schema.MET] * np.cos(v[schema.MET_PHI])
    y = v[schema.MET] * np.sin(v[schema.MET_PHI])
    for pt, _, phi in others.values():
        x, y = x + v[pt] * np.cos(v[phi]), y + v[pt] * np.sin(v[phi])
    for n, jet in enumerate(jets, 1):
        own = four_momenta(v, *jet)
        for name, other in others.items():
            pair = [a + b for a, b in zip(own, four_momenta(v, *other), strict=True)]
            mass = np.sqrt(np.maximum(pair[0] ** 2 - sum(p**2 for p in pair[1:]), 0))
            turn = np.remainder(v[jet[2]] - v[other[2]] + np.pi, 2 * np.pi) - np.pi
            np.testing.assert_allclose(
                found[ROWS[f"deltar_jet{n}_{name}"]],
                np.hypot(v[jet[1]] - v[other[1]], turn),
                atol=5e-3,
            )
            np.testing.assert_allclose(
                np.exp(found[ROWS[f"log_mass_jet{n}_{name}"]]) - 5, mass, rtol=1e-3, atol=0.05
            )
        cosine = (own[1] * x + own[2] * y) / v[jet[0]] / np.hypot(x, y)
        np.testing.assert_allclose(found[ROWS[f"jet{n}_recoil_cos"]], cosine, atol=1e-3)
        sine = found[ROWS[f"jet{n}_recoil_sin"]]
        np.testing.assert_allclose(sine**2 + cosine**2, 1, atol=3e-3)
        x, y = x + own[1], y + own[2]
        if n == 1:
            after = np.exp(found[ROWS["log_pt_h_jet1"]]) - 5
            np.testing.assert_allclose(after, np.hypot(x, y), rtol=1e-3, atol=0.05)
    apart = np.cos(v[schema.JET1_PHI] - v[schema.JET2_PHI])
    np.testing.assert_allclose(found[ROWS["jets_cos"]], apart, atol=1e-3)
    more = v[schema.N_JETS] > 2
    rest = v[schema.JET_ALL_PT] - v[schema.JET1_PT] - v[schema.JET2_PT]
    mean = rest[more] / (v[schema.N_JETS][more] - 2)
    np.testing.assert_allclose(np.exp(found[ROWS["log_further_pt"]][more]), mean, rtol=1e-3)
    assert (found[ROWS["log_further_pt"]][~more] == schema.UNDEFINED).all()
