"""Tau decays and the decays of bosons, against formulae that are exact."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numba import njit

from sigma68.seeds import stream
from sigma68.tasks.higgs.simulate import tau_library
from sigma68.tasks.higgs.simulate.decays import (
    FROM_HIGGS,
    FROM_W,
    FROM_Z,
    Decays,
    draw_decays,
    fill_products,
    new_decays,
)
from sigma68.tasks.higgs.simulate.tau_library import TAU_MASS_GEV, TauDecays

_Z_GEV = 91.2
_PION_GEV = 0.13957


@pytest.fixture(scope="module")
def library() -> TauDecays:
    return tau_library.load()


def _pair(origin: int, boson: tuple[float, ...] = (0.0, 0.0, 0.0, _Z_GEV)) -> Decays:
    """A boson that went to a tau- along +x and a tau+ along -x."""
    taus = new_decays()
    mass = math.sqrt(boson[3] ** 2 - sum(p * p for p in boson[:3]))
    momentum = math.sqrt(0.25 * mass**2 - TAU_MASS_GEV**2)
    for t, sign in enumerate((1, -1)):
        taus.parent[t] = boson
        taus.rest[t] = (sign * momentum, 0.0, 0.0, 0.5 * mass)
        taus.sign[t] = sign
        taus.origin[t] = origin
        taus.again[t] = True
    return taus


@njit
def _drawn(taus, quark, library, rng, cosine, azimuth, label):  # type: ignore[no-untyped-def]
    for i in range(len(cosine)):
        draw_decays(taus, 2, 0, quark, library, rng)
        p = taus.turned[0]
        cosine[i] = p[2] / math.sqrt(p[0] ** 2 + p[1] ** 2 + p[2] ** 2)
        azimuth[i] = math.atan2(p[1], p[0])
        label[i, 0], label[i, 1] = taus.label[0], taus.label[1]


def _draws(
    origin: int, quark: int, library: TauDecays, n: int = 200_000
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    cosine, azimuth, label = np.empty(n), np.empty(n), np.empty((n, 2), np.int64)
    rng = stream("higgs", "test decays", quark + 10).generator()
    _drawn(_pair(origin), quark, library, rng, cosine, azimuth, label)
    return cosine, azimuth, label


def _couplings(charge: float, isospin: float) -> tuple[float, float]:
    """Vector and axial couplings of the Z, the other way to write the Born process."""
    return isospin - 2 * charge * 0.2315, isospin


@pytest.mark.parametrize("quark", [1, 2, -1, -2, 5, -4])
def test_z_decays_as_the_born_process(quark: int, library: TauDecays) -> None:
    cosine, azimuth, label = _draws(FROM_Z, quark, library)
    v, a = _couplings(2 / 3 if quark % 2 == 0 else -1 / 3, 0.5 if quark % 2 == 0 else -0.5)
    vt, at = _couplings(-1.0, -0.5)
    asymmetry_quark = 2 * v * a / (v * v + a * a)
    asymmetry_tau = 2 * vt * at / (vt * vt + at * at)
    # dN/dc = 3/8 (1 + c^2) + 3/4 A_q A_tau c, so <c> = A_q A_tau / 2 and <c^2> = 2/5.
    sign = 1 if quark > 0 else -1
    n = len(cosine)
    assert cosine.mean() == pytest.approx(
        sign * asymmetry_quark * asymmetry_tau / 2, abs=5 * 0.64 / n**0.5
    )
    assert (cosine**2).mean() == pytest.approx(0.4, abs=5 * 0.32 / n**0.5)
    # The polarisation of the tau- is -A_tau on average; both taus decay from the same list.
    assert 2 * label[:, 0].mean() - 1 == pytest.approx(-asymmetry_tau, abs=5 / n**0.5)
    np.testing.assert_array_equal(label[:, 0], label[:, 1])
    # P(c) = -(A_tau (1 + c^2) + 2 A_q c) / (1 + c^2 + 2 A_q A_tau c), weighted with c.
    spin = 2.0 * label[:, 0] - 1
    assert (spin * cosine).mean() == pytest.approx(
        -sign * asymmetry_quark / 2, abs=5 * 0.64 / n**0.5
    )
    assert np.cos(azimuth).mean() == pytest.approx(0.0, abs=5 / n**0.5)


def test_higgs_decays_isotropically_with_equal_helicities(library: TauDecays) -> None:
    cosine, _, label = _draws(FROM_HIGGS, 21, library)
    n = len(cosine)
    assert cosine.mean() == pytest.approx(0.0, abs=5 * 0.58 / n**0.5)
    assert (cosine**2).mean() == pytest.approx(1 / 3, abs=5 * 0.3 / n**0.5)
    # Equal helicities: a tau+ decays from the list of the opposite helicity.
    np.testing.assert_array_equal(label[:, 0], 1 - label[:, 1])
    assert label[:, 0].mean() == pytest.approx(0.5, abs=2.5 / n**0.5)


def test_a_w_gives_left_handed_taus(library: TauDecays) -> None:
    taus = _pair(FROM_W)
    taus.again[:] = False
    rng = stream("higgs", "test decays", 0).generator()
    for _ in range(50):
        draw_decays(taus, 2, 0, 0, library, rng)
        assert not taus.label[:2].any()
        np.testing.assert_array_equal(taus.turned[:2], taus.rest[:2])


@pytest.mark.parametrize(("helicity", "slope"), [(0, -1.0), (1, 1.0)])
def test_single_pions_show_the_helicity(helicity: int, slope: float, library: TauDecays) -> None:
    """tau -> pi nu is linear in the pion's angle to the flight: dN/dc = (1 + P c) / 2."""
    first = library.first[helicity]
    alone = np.flatnonzero(np.diff(first) == 1)
    pions = first[alone][np.abs(library.pdg[first[alone]]) == 211]
    p = library.momentum[pions]
    expected_p = (TAU_MASS_GEV**2 - _PION_GEV**2) / (2 * TAU_MASS_GEV)
    assert np.sqrt((p[:, :3] ** 2).sum(axis=1)) == pytest.approx(expected_p, abs=2e-4)
    cosine = p[:, 2] / expected_p
    assert cosine.mean() == pytest.approx(slope / 3, abs=5 * 0.48 / len(pions) ** 0.5)


def test_branching_ratios(library: TauDecays) -> None:
    n = library.leptonic.size
    for kind, expected in ((11, 0.1782), (13, 0.1739)):  # Particle Data Group
        share = (library.leptonic == kind).mean()
        assert share == pytest.approx(expected, abs=5 * (expected / n) ** 0.5)


def test_what_comes_out_is_what_is_visible(library: TauDecays) -> None:
    """Products add up to the visible momentum; charges and frames are right."""
    boson = (30.0, -12.0, 140.0, math.sqrt(30.0**2 + 12.0**2 + 140.0**2 + _Z_GEV**2))
    taus = _pair(FROM_Z, boson)
    rng = stream("higgs", "test decays", 3).generator()
    pdg, momentum = np.zeros(64, np.int64), np.zeros((64, 4))
    for _ in range(200):
        draw_decays(taus, 2, 0, 2, library, rng)
        n = fill_products(taus, 2, 0, library, pdg, momentum)
        np.testing.assert_allclose(
            momentum[:n].sum(axis=0), taus.visible[:2].sum(axis=0), rtol=1e-6, atol=1e-6
        )
        charge = np.select([np.isin(np.abs(pdg[:n]), (11, 13)), np.isin(np.abs(pdg[:n]), (211, 321))],
                           [-np.sign(pdg[:n]), np.sign(pdg[:n])], 0)  # fmt: skip
        assert charge.sum() == 0
        mass2 = momentum[:n, 3] ** 2 - (momentum[:n, :3] ** 2).sum(axis=1)
        assert np.all(mass2 > -1e-3)
        assert np.all(taus.visible[:2, 3] < boson[3])


def test_radiation_turns_with_the_taus(library: TauDecays) -> None:
    taus = _pair(FROM_HIGGS, (0.0, 0.0, 0.0, 125.0))
    taus.radiated[0] = (3.0, 0.5, 0.0, math.hypot(3.0, 0.5))
    taus.radiated_pdg[0] = 22
    rng = stream("higgs", "test decays", 4).generator()
    pdg, momentum = np.zeros(64, np.int64), np.zeros((64, 4))
    before = taus.rest[0, :3] @ taus.radiated[0, :3]
    for _ in range(50):
        draw_decays(taus, 2, 1, 21, library, rng)
        n = fill_products(taus, 2, 1, library, pdg, momentum)
        assert pdg[n - 1] == 22
        assert taus.turned[0, :3] @ momentum[n - 1, :3] == pytest.approx(before)
        assert momentum[n - 1, 3] == pytest.approx(math.hypot(3.0, 0.5))
