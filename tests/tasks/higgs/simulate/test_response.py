"""Efficiencies and resolutions against the table of the specification."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit

from sigma68.seeds import stream
from sigma68.tasks.higgs.simulate.response import (
    ELECTRON,
    HADRON,
    MUON,
    ecal_sigma,
    hcal_sigma,
    identification_efficiency,
    log_normal,
    tag_probability,
    tracking_efficiency,
    tracking_resolution,
)


@njit
def _many(mean, sigma, rng, out):  # type: ignore[no-untyped-def]
    for i in range(len(out)):
        out[i] = log_normal(mean, sigma, rng)


@pytest.mark.parametrize(("mean", "sigma"), [(10.0, 0.5), (3.0, 2.5), (0.5, 1.6)])
def test_log_normal_has_its_mean_and_width(mean: float, sigma: float) -> None:
    rng = stream("higgs", "test log-normal", 1).generator()
    out = np.empty(400_000)
    _many(mean, sigma, rng, out)
    assert out.min() > 0.0
    assert out.mean() == pytest.approx(mean, abs=5 * sigma / len(out) ** 0.5)
    logs = np.log(out)
    width = np.sqrt(np.log1p((sigma / mean) ** 2))
    assert logs.std() == pytest.approx(width, rel=5 / (2 * len(out)) ** 0.5)
    assert logs.mean() == pytest.approx(
        np.log(mean) - width**2 / 2, abs=5 * width / len(out) ** 0.5
    )


def test_no_energy_stays_none() -> None:
    assert log_normal(0.0, 1.6, stream("higgs", "test", 0).generator()) == 0.0


@pytest.mark.parametrize(
    ("kind", "pt", "eta", "expected"),
    [
        (HADRON, 0.1, 0.0, 0.0),
        (HADRON, 1.0, 1.5, 0.70),
        (HADRON, 1.01, 1.5, 0.95),
        (HADRON, 1.0, 1.51, 0.60),
        (HADRON, 50.0, 2.5, 0.85),
        (HADRON, 50.0, 2.51, 0.0),
        (ELECTRON, 0.5, 0.5, 0.73),
        (ELECTRON, 100.0, 0.5, 0.95),
        (ELECTRON, 100.1, 0.5, 0.99),
        (ELECTRON, 0.5, 2.0, 0.50),
        (ELECTRON, 20.0, 2.0, 0.83),
        (ELECTRON, 200.0, 2.0, 0.90),
        (MUON, 0.5, 0.5, 0.75),
        (MUON, 20.0, 0.5, 0.99),
        (MUON, 0.5, 2.0, 0.70),
        (MUON, 20.0, 2.0, 0.98),
    ],
)
def test_tracking_efficiency(kind: int, pt: float, eta: float, expected: float) -> None:
    assert tracking_efficiency(kind, pt, eta) == expected


def test_tracking_resolution() -> None:
    table = {
        HADRON: ((0.06, 1.3e-3), (0.10, 1.7e-3), (0.25, 3.1e-3)),
        ELECTRON: ((0.03, 1.3e-3), (0.05, 1.7e-3), (0.15, 3.1e-3)),
        MUON: ((0.01, 1e-4), (0.015, 1.5e-4), (0.025, 3.5e-4)),
    }
    for kind, rings in table.items():
        for eta, (a, b) in zip((0.5, 1.5, 2.5), rings, strict=True):
            for pt in (0.3, 20.0, 300.0):
                assert tracking_resolution(kind, pt, eta) == pytest.approx(np.hypot(a, b * pt))
    assert tracking_resolution(HADRON, 1e4, 2.0) == 1.0


def test_identification() -> None:
    for kind in (ELECTRON, MUON):
        assert identification_efficiency(kind, 10.0, 0.0) == 0.0
        assert identification_efficiency(kind, 11.0, 1.5) == 0.95
        assert identification_efficiency(kind, 11.0, 2.5) == 0.85
        assert identification_efficiency(kind, 11.0, 2.71) == 0.0
    assert identification_efficiency(ELECTRON, 11.0, 2.6) == 0.0
    assert identification_efficiency(MUON, 11.0, 2.6) == 0.85


def test_calorimeter_resolutions() -> None:
    for e in (0.5, 20.0, 400.0):
        assert ecal_sigma(3.2, e) == pytest.approx(np.sqrt((0.0017 * e) ** 2 + 0.101**2 * e))
        assert ecal_sigma(4.9, e) == pytest.approx(np.sqrt((0.035 * e) ** 2 + 0.285**2 * e))
        assert hcal_sigma(1.7, e) == pytest.approx(
            np.sqrt((0.0302 * e) ** 2 + 0.5205**2 * e + 1.59**2)
        )
        assert hcal_sigma(3.2, e) == pytest.approx(np.sqrt((0.05 * e) ** 2 + 0.706**2 * e))
        assert hcal_sigma(4.9, e) == pytest.approx(np.sqrt((0.0942 * e) ** 2 + e))


def test_tau_tag() -> None:
    assert [tag_probability(True, n) for n in range(4)] == [0.0, 0.70, 0.60, 0.60]
    assert [tag_probability(False, n) for n in range(4)] == [0.0, 0.02, 0.01, 0.01]
