"""The shipped table against an independent library and against what it was made from."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from sigma68.errors import DataError, SettingsError
from sigma68.tasks.lensing.cosmology import (
    MEAN_Z,
    N_S,
    OMEGA_B,
    WIDTH_Z,
    H,
    comoving_distance,
    convergence_spectrum,
    source_density,
)
from sigma68.tasks.lensing.spectra import AXES, Spectra, basis, scaled, shipped_spectra
from sigma68.tasks.lensing.stars import default_stars

POINT = {"Omega_m": 0.279, "S8": 0.79, "log10_T_AGN": 7.8, "f0": 0.0201, "Delta_z": 0.0}
ELL = np.geomspace(100, 7000, 12)


def imported(name: str) -> object:
    """The package; where it is missing the test is skipped, but for continuous integration."""
    if os.environ.get("CI") == "true":
        return __import__(name)
    return pytest.importorskip(name)


def library(omega_m: float = 0.279, s8: float = 0.79, matter: str = "halofit") -> tuple:
    ccl = imported("pyccl")
    settings = (
        {}
        if matter != "camb"
        else {
            "extra_parameters": {
                "camb": {"halofit_version": "mead2020_feedback", "HMCode_logT_AGN": 7.8}
            }
        }
    )
    cosmology = ccl.Cosmology(
        Omega_c=omega_m - OMEGA_B,
        Omega_b=OMEGA_B,
        h=H,
        n_s=N_S,
        sigma8=s8 / np.sqrt(omega_m / 0.3),
        Omega_g=0,
        transfer_function="boltzmann_camb" if matter == "camb" else "eisenstein_hu",
        matter_power_spectrum=matter,
        **settings,
    )
    z = np.linspace(0, 1.6, 801)
    tracer = ccl.WeakLensingTracer(cosmology, dndz=(z, source_density(z, 0.0)))
    return ccl, cosmology, tracer


def test_the_ratio_of_the_ends_of_a_polynomial() -> None:
    low, high = np.array([0.1, 0.0, 0, 0, 0]), np.array([0.4, 2.0, 1, 1, 1])
    x = scaled(np.array([[0.2, 0.5, 0, 1, 0.5]]), low, high)
    np.testing.assert_allclose(x, [[0.0, -0.5, -1, 1, 0]], atol=1e-12)
    powers = np.array([[0, 0, 0, 0, 0], [0, 2, 1, 0, 0]])
    # T_2(-0.5) T_1(-1) = (2/4 - 1)(-1)
    np.testing.assert_allclose(basis(x, powers), [[1.0, 0.5]])


def test_distances_agree_with_the_closed_form_without_dark_energy() -> None:
    z = np.array([0.3, 1.0, 2.0])
    exact = 2 * 2997.92458 * (1 - 1 / np.sqrt(1 + z))
    np.testing.assert_allclose(comoving_distance(1.0, z), exact, rtol=1e-5)


def test_projection_against_pyccl_with_the_same_matter_power() -> None:
    ccl, cosmology, tracer = library()

    def power(k: np.ndarray, z: np.ndarray) -> np.ndarray:
        flat = [
            cosmology.nonlin_matter_power(one * H, 1 / (1 + at)) * H**3
            for one, at in zip(k.ravel(), z.ravel(), strict=True)
        ]
        return np.reshape(flat, k.shape)

    ours = convergence_spectrum(ELL, 0.279, 0.0, power, points=60)
    theirs = ccl.angular_cl(cosmology, tracer, tracer, ELL)
    # pyccl's shear has sqrt((l+2)!/(l-2)!)/(l+1/2)^2, which is one at these ell.
    np.testing.assert_allclose(ours, theirs, rtol=0.03)


@pytest.mark.parametrize("point", [(0.279, 0.79), (0.4, 0.85), (0.2, 0.75)])
def test_table_against_pyccl_with_its_own_matter_power(point: tuple[float, float]) -> None:
    ccl, cosmology, tracer = library(*point, matter="halofit")
    # halofit knows no baryons: they are left as weak as they can be.
    at = {**POINT, "Omega_m": point[0], "S8": point[1], "log10_T_AGN": 7.2}
    ours = shipped_spectra().spectrum(ELL, at)
    np.testing.assert_allclose(ours, ccl.angular_cl(cosmology, tracer, tracer, ELL), rtol=0.10)


def test_table_against_pyccl_with_camb_inside() -> None:
    imported("camb")
    ccl, cosmology, tracer = library(matter="camb")
    ours = shipped_spectra().spectrum(ELL, {**POINT, "f0": default_stars(7.8)})
    np.testing.assert_allclose(ours, ccl.angular_cl(cosmology, tracer, tracer, ELL), rtol=0.03)


def test_stars_and_their_absence_against_the_halo_model_of_camb() -> None:
    camb = imported("camb")
    assert camb
    from sigma68.tasks.lensing.make_table import Matter

    matter = Matter(0.3, k_max=20.0)
    with_heat, haloes = matter.at(0.8, 7.8)
    parameters = matter._parameters.copy()
    parameters.NonLinear = camb.model.NonLinear_pk  # type: ignore[attr-defined]
    parameters.InitPower.set_params(As=2e-9 * (0.8 / matter._sigma_8) ** 2, ns=N_S)
    parameters.NonLinearModel.set_params(halofit_version="mead2020")
    without = camb.get_results(parameters).get_nonlinear_matter_power_spectrum()[2]  # type: ignore[attr-defined]
    use = (matter.k > 0.2) & (matter.k < 15)
    ours = haloes.suppression(matter.k[use], 0.0, 7.8)
    np.testing.assert_allclose(ours, (with_heat / without)[0, use], rtol=0.02)
    # The response is one at HMcode's own fraction, and more stars mean more power.
    k = np.array([1.0, 5.0])
    response = haloes.response(k, 0.5, 7.8, np.array([0.0, default_stars(7.8), 0.0265]))
    np.testing.assert_allclose(response[1], 1.0)
    assert (response[0] < 1).all()
    assert (response[2] > 1).all()


def test_every_parameter_does_what_it_should() -> None:
    table, ell = shipped_spectra(), np.array([1000.0, 3000.0])
    start = table.spectrum(ell, POINT)
    for name, value in {"S8": 0.9, "f0": 0.0265, "Delta_z": 0.05}.items():
        assert (table.spectrum(ell, {**POINT, name: value}) > start).all()
    assert (table.spectrum(ell, {**POINT, "log10_T_AGN": 8.5}) < start).all()


def test_beyond_the_tabulated_ell_it_goes_on_smoothly() -> None:
    table = shipped_spectra()
    for edge in (table.ell[0], table.ell[-1]):
        near = table.spectrum(edge * np.array([0.999, 1.0, 1.001]), POINT)
        assert near[1] ** 2 / (near[0] * near[2]) == pytest.approx(1, abs=1e-4)


def test_a_point_outside_the_table_is_refused() -> None:
    with pytest.raises(SettingsError, match="S8 = 2"):
        shipped_spectra().spectrum(np.array([100.0]), {**POINT, "S8": 2.0})
    with pytest.raises(SettingsError, match="f0 = nan"):
        shipped_spectra().spectrum(np.array([100.0]), {**POINT, "f0": np.nan})


def test_a_damaged_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "spectra.npz"
    with pytest.raises(DataError):
        Spectra.read(path)
    path.write_bytes(b"no table")
    with pytest.raises(DataError):
        Spectra.read(path)
    np.savez(path, ell=np.ones(3))
    with pytest.raises(DataError, match="powers"):
        Spectra.read(path)


def test_the_table_is_small_and_has_the_ranges_of_the_priors() -> None:
    table = shipped_spectra()
    assert len(AXES) == table.low.size
    assert table.ell[0] < 2 * np.pi / (1536 * 2 / 60 * np.pi / 180)
    assert MEAN_Z + table.high[4] + 5 * WIDTH_Z < 1.65
