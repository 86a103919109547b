"""The generator: geometry, power spectrum, one-point function, streams."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import fft

from sigma68.errors import SettingsError
from sigma68.seeds import stream
from sigma68.tasks.lensing.design import FIDUCIAL, NUISANCES, PARAMETERS, design
from sigma68.tasks.lensing.maps import GRID, SHIFT, MapMaker, map_maker, skewness
from sigma68.tasks.lensing.sky import COLUMNS, NOISE, PIXEL, ROWS, survey_mask
from sigma68.tasks.lensing.spectra import shipped_spectra

POINT = {"Omega_m": 0.279, "S8": 0.79, "log10_T_AGN": 7.8, "f0": 0.0201, "Delta_z": 0.0}


def grids(maker: MapMaker, n: int) -> np.ndarray:
    return np.array(
        [maker.grid(stream("lensing", "test", 0, i, 0).generator()) for i in range(n)]
    ).astype(np.float64)


def ells() -> np.ndarray:
    return 2 * np.pi / PIXEL * np.hypot(fft.fftfreq(GRID[0])[:, None], fft.rfftfreq(GRID[1]))


def test_the_mask_shows_half_and_is_always_the_same() -> None:
    mask = survey_mask()
    assert mask.shape == (ROWS, COLUMNS)
    assert mask.sum() == 127_612
    assert not mask.flags.writeable


def test_noise_of_a_pixel() -> None:
    assert pytest.approx(0.02582, abs=5e-6) == NOISE


@pytest.mark.parametrize("s8", [0.68, 0.96])
def test_power_spectrum_of_the_maps(s8: float) -> None:
    point = {**POINT, "S8": s8}
    fields = grids(map_maker(point), 12)
    power = np.mean([np.abs(fft.rfft2(f)) ** 2 for f in fields], axis=0)
    power *= PIXEL**2 / (GRID[0] * GRID[1])
    ell = ells()
    expected = shipped_spectra().spectrum(np.maximum(ell, 1), point)
    for low, high in ((300, 1000), (1000, 2000), (2000, 4000), (4000, 7000)):
        inside = (ell >= low) & (ell < high)
        ratio = power[inside].mean() / expected[inside].mean()
        # Modes of a lognormal field scatter more than Gaussian ones.
        assert ratio == pytest.approx(1, abs=0.01 + 3 / np.sqrt(12 * inside.sum()))


def test_one_point_function_is_the_lognormal_one() -> None:
    maker = map_maker(POINT)
    fields = grids(maker, 16)
    variance = SHIFT**2 * np.expm1(maker.variance)
    assert fields.var() == pytest.approx(variance, rel=0.02)
    assert fields.min() >= -SHIFT
    assert abs(fields.mean()) < 1e-4
    third = np.mean(fields * fields * fields) / fields.var() ** 1.5
    assert third == pytest.approx(skewness(variance), rel=0.04)


def test_gaussian_maps_have_no_skewness_and_the_same_power() -> None:
    fields = grids(map_maker(POINT, shift=None), 8)
    lognormal = map_maker(POINT)
    assert fields.var() == pytest.approx(SHIFT**2 * np.expm1(lognormal.variance), rel=0.03)
    assert abs(np.mean(fields * fields * fields) / fields.var() ** 1.5) < 0.05


@pytest.mark.parametrize("corner", [(0.09, 0.68), (0.09, 0.96), (0.62, 0.68), (0.62, 0.96)])
def test_hardly_any_power_is_lost_where_a_spectrum_comes_out_negative(
    corner: tuple[float, float],
) -> None:
    point = {**POINT, "Omega_m": corner[0], "S8": corner[1]}
    assert 0 <= map_maker(point).clipped < 1e-3


def test_a_cosmology_out_of_reach_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"Omega_m = 0\.9"):
        map_maker({**POINT, "Omega_m": 0.9})


def test_the_design_covers_the_ranges_and_is_denser_near_the_fiducial() -> None:
    points = design(101)
    assert points.shape == (101, 2)
    assert tuple(points[0]) == pytest.approx(FIDUCIAL)
    assert len(np.unique(points, axis=0)) == 101
    for axis, p in enumerate(PARAMETERS):
        assert points[:, axis].min() == pytest.approx(p.low)
        assert points[:, axis].max() == pytest.approx(p.high)
    span = np.array([p.high - p.low for p in PARAMETERS])
    near = (np.abs(points - FIDUCIAL) < 0.15 * span).all(axis=1).sum()
    assert near > 2 * 101 * 0.3**2


def test_nuisances_follow_their_priors() -> None:
    heat, stars, shift = NUISANCES
    assert heat.from_z(0) == pytest.approx(7.85)
    assert heat.from_z(-40) == 7.2
    assert heat.to_z(8.5) == np.inf
    assert stars.from_z(1.0) == pytest.approx(0.0265 * 0.8413447)
    assert shift.from_z(1.0) == pytest.approx(0.022)
