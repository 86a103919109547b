"""Make the shipped table of power spectra: ``python -m sigma68.tasks.lensing.make_table OUT.npz``.

Needs CAMB and about five minutes of one core. For every node of a grid in (Omega_m, S8, T_AGN)
HMcode-2020 with feedback gives P(k, z), the stars' fraction f0 enters by `stars.Haloes`, and
Delta z by the projection. ln C_ell is fitted by polynomials (see `spectra.py`) and compared with
points of a random design that the fit has not seen.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.interpolate import RectBivariateSpline

from sigma68.files import replacing
from sigma68.seeds import stream
from sigma68.tasks.lensing.cosmology import N_S, OMEGA_B, H, MatterPower, convergence_spectrum
from sigma68.tasks.lensing.spectra import basis, scaled
from sigma68.tasks.lensing.stars import Haloes

__all__ = ["Matter", "main"]

FloatArray = npt.NDArray[np.float64]

LOW = np.array([0.085, 0.62, 7.0, 0.0, -0.12])
HIGH = np.array([0.65, 1.02, 8.7, 0.04, 0.12])
NODES = (14, 5, 6, 4, 4)
DEGREES = (11, 4, 5, 3, 3)
SPARSITY = 1.25
"""Terms are kept whose degrees, each over the largest of its axis, sum to at most this."""

ELL = np.geomspace(5, 12_000, 28)
REDSHIFTS = np.linspace(0.0, 1.65, 23)
K_MAX = 50.0
"""In h/Mpc; beyond, P(k) goes on as a power law."""

HELD_OUT = 40


@dataclass
class Matter:
    """CAMB's matter power of one Omega_m: transfer functions once, then any S8 and T_AGN."""

    omega_m: float
    k_max: float = K_MAX

    def __post_init__(self) -> None:
        import camb

        self._parameters = camb.CAMBparams()
        self._parameters.set_cosmology(
            H0=100 * H,
            ombh2=OMEGA_B * H**2,
            omch2=(self.omega_m - OMEGA_B) * H**2,
            mnu=0.0,
            omk=0.0,
        )
        self._parameters.InitPower.set_params(As=2e-9, ns=N_S)
        # Without these two it computes spectra of the CMB, and gives up at high amplitudes.
        self._parameters.WantCls = False
        self._parameters.DoLensing = False
        self._parameters.set_matter_power(
            redshifts=list(REDSHIFTS[::-1]), kmax=self.k_max * H, silent=True
        )
        self._parameters.NonLinear = camb.model.NonLinear_none
        results = camb.get_results(self._parameters)
        self._sigma_8 = float(results.get_sigma8_0())
        self.k, _, linear = results.get_linear_matter_power_spectrum()
        self._linear = linear[0]
        self._results = results

    def at(self, s8: float, log_t_agn: float) -> tuple[FloatArray, Haloes]:
        """P(k, z) on (`REDSHIFTS`, k) with HMcode's own f0, and the haloes that respond to f0."""
        import camb

        ratio = (s8 / np.sqrt(self.omega_m / 0.3) / self._sigma_8) ** 2
        # Given parameters it would compute the transfer functions again: they are set inside.
        inside = self._results.Params
        inside.NonLinear = camb.model.NonLinear_pk
        inside.NonLinearModel.set_params(
            halofit_version="mead2020_feedback", HMCode_logT_AGN=log_t_agn
        )
        initial = camb.InitialPowerLaw()
        initial.set_params(As=2e-9 * ratio, ns=N_S)
        self._results.power_spectra_from_transfer(initial)
        _, _, power = self._results.get_nonlinear_matter_power_spectrum()
        z, growth = _growth(self.omega_m)
        return power, Haloes(self.omega_m, self.k, ratio * self._linear, z, growth)

    def powers(self, s8: float, log_t_agn: float, stars: FloatArray) -> list[MatterPower]:
        """P(k, z) as a function, for each fraction f0 of `stars`."""
        power, haloes = self.at(s8, log_t_agn)
        sparse = np.geomspace(0.02, self.k_max, 40)
        z = REDSHIFTS[::2]
        response = np.stack([haloes.response(sparse, at, log_t_agn, stars) for at in z])
        out: list[MatterPower] = []
        for i in range(len(stars)):
            smooth = RectBivariateSpline(z, np.log(sparse), np.log(response[:, i]), kx=3, ky=3)
            logs = np.log(power) + smooth(REDSHIFTS, np.log(np.maximum(self.k, sparse[0])))
            out.append(_function(self.k, logs))
        return out


def _function(k: FloatArray, logs: FloatArray) -> MatterPower:
    """Ln P on (`REDSHIFTS`, k) as a function that goes on as a power law at both ends of k."""
    log_k = np.log(k)
    spline = RectBivariateSpline(REDSHIFTS, log_k, logs, kx=3, ky=3)

    def power(k: FloatArray, z: FloatArray) -> FloatArray:
        at = np.log(k)
        inside = np.clip(at, log_k[0], log_k[-1] - 0.05)
        high = spline(z, inside, dy=1, grid=False) if np.any(at > inside) else 0.0
        slope = np.where(at < inside, N_S, high)
        value: FloatArray = np.exp(spline(z, inside, grid=False) + slope * (at - inside))
        return value

    return power


def _growth(omega_m: float) -> tuple[FloatArray, FloatArray]:
    """Z and the linear growth in flat LCDM, 1 at z = 0 (D. J. Heath, MNRAS 179 (1977) 351)."""
    a = np.linspace(1e-3, 1, 4000)
    hubble = np.sqrt(omega_m * a**-3 + 1 - omega_m)
    growth = hubble * np.cumsum((a * hubble) ** -3.0)
    return 1 / a[::-1] - 1, (growth / growth[-1])[::-1]


def _nodes() -> list[FloatArray]:
    """Chebyshev nodes of the five axes, each within its range."""
    axes = []
    for i, n in enumerate(NODES):
        x = np.cos(np.pi * (np.arange(n) + 0.5) / n)
        low, high = (np.log(v[i]) if i == 0 else v[i] for v in (LOW, HIGH))
        at = (low + high + x * (high - low)) / 2
        axes.append(np.exp(at) if i == 0 else at)
    return axes


def _grid() -> tuple[FloatArray, FloatArray]:
    """Points (n, 5) of the grid and their ln C_ell, (n, n_ell)."""
    axes = _nodes()
    points, logs = [], []
    for omega_m in axes[0]:
        matter = Matter(float(omega_m))
        for s8, log_t in product(axes[1], axes[2]):
            powers = matter.powers(float(s8), float(log_t), axes[3])
            for (stars, power), delta_z in product(zip(axes[3], powers, strict=True), axes[4]):
                points.append((omega_m, s8, log_t, stars, delta_z))
                logs.append(np.log(convergence_spectrum(ELL, omega_m, delta_z, power)))
        print(f"Omega_m = {omega_m:.3f} done", file=sys.stderr, flush=True)  # noqa: T201
    return np.array(points), np.array(logs)


def _held_out() -> tuple[FloatArray, FloatArray]:
    """Points uniform in the ranges, two at each of `HELD_OUT` values of Omega_m."""
    draw = stream("lensing", "held-out spectra", 0).generator()
    points, logs = [], []
    for _ in range(HELD_OUT):
        first = draw.uniform(LOW, HIGH)
        matter = Matter(float(first[0]))
        for point in (first, draw.uniform(LOW, HIGH)):
            point[0] = first[0]
            (power,) = matter.powers(point[1], point[2], point[3:4])
            points.append(point)
            logs.append(np.log(convergence_spectrum(ELL, point[0], point[4], power)))
    return np.array(points), np.array(logs)


def main(arguments: list[str] | None = None) -> None:
    """Make the table, and print how well it closes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    out = parser.parse_args(arguments).out
    points, logs = _grid()
    every = np.array(list(product(*(range(d + 1) for d in DEGREES))), dtype=np.int64)
    powers = every[(every / np.array(DEGREES)).sum(axis=1) <= SPARSITY]
    design = basis(scaled(points, LOW, HIGH), powers)
    coefficients = np.linalg.lstsq(design, logs, rcond=None)[0].astype(np.float32)
    at, truth = _held_out()
    error = basis(scaled(at, LOW, HIGH), powers) @ coefficients.astype(float) - truth
    report = _report(points, logs, design @ coefficients, error, powers)
    with replacing(out) as part, part.open("wb") as file:
        np.savez_compressed(
            file,
            ell=ELL,
            powers=powers.astype(np.int8),
            coefficients=coefficients,
            low=LOW,
            high=HIGH,
        )
    report["sha256"] = hashlib.sha256(out.read_bytes()).hexdigest()
    print(json.dumps(report, indent=2))  # noqa: T201


def _report(
    points: FloatArray, logs: FloatArray, fitted: FloatArray, error: FloatArray, powers: Any
) -> dict[str, Any]:
    import camb

    return {
        "camb": camb.__version__,
        "nodes": len(points),
        "terms": len(powers),
        "rms_at_nodes": float(np.std(fitted - logs)),
        "rms_held_out": float(np.sqrt(np.mean(error**2))),
        "largest_held_out": float(np.abs(error).max()),
        "percentile_95_held_out": float(np.percentile(np.abs(error), 95)),
    }


if __name__ == "__main__":
    main()
