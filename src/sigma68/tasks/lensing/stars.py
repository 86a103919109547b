"""What the fraction of mass in stars does to the matter power spectrum: a small halo model.

CAMB's HMcode-2020 takes the temperature of the AGN and sets all else from it, the fraction f0 of
a halo's mass that is in stars at z = 0 among the rest. To vary f0 by itself, the halo model that
HMcode puts its feedback into is written out here, and P(k) is multiplied by its response,

    R(k, z) = [P_2h + P_1h(T_AGN, f0)] / [P_2h + P_1h(T_AGN, f0(T_AGN))].

Haloes: Sheth-Tormen mass function and virial overdensity of the spherical collapse, NFW profiles with the
concentration B (1 + z_c) / (1 + z). Their profile with feedback is

    W = [Omega_c / Omega_m + f_gas(M)] W_nfw + f_stars,
    f_gas = (Omega_b / Omega_m - f_stars) (M / M_b)^2 / (1 + (M / M_b)^2).

References: A. J. Mead et al., MNRAS 502 (2021) 1401 (sections 2 and 6, table 4); R. K. Sheth and
G. Tormen, MNRAS 308 (1999) 119; J. S. Bullock et al., MNRAS 321 (2001) 559; G. L. Bryan and
M. L. Norman, ApJ 495 (1998) 80.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import sici

from sigma68.tasks.lensing.cosmology import OMEGA_B

__all__ = ["Haloes", "default_stars"]

FloatArray = npt.NDArray[np.float64]
CRITICAL_DENSITY = 2.77536627e11
"""In (Msun/h) / (Mpc/h)^3."""

COLLAPSE = 1.686


def default_stars(log_t_agn: float) -> float:
    """The fraction of mass in stars at z = 0 that HMcode-2020 sets for a temperature."""
    return 0.01 * (2.01 - 0.30 * (log_t_agn - 7.8))


@dataclass(frozen=True)
class Haloes:
    """The haloes of one cosmology.

    `k` in h/Mpc and `linear` in (Mpc/h)^3, (n_k,), are the linear power spectrum at z = 0;
    `growth` maps z to the linear growth, 1 at z = 0.
    """

    omega_m: float
    k: FloatArray
    linear: FloatArray
    z_growth: FloatArray
    growth: FloatArray

    def response(self, k: FloatArray, z: float, log_t_agn: float, stars: FloatArray) -> FloatArray:
        """R(k, z) at each fraction f0 in `stars`, shape (n_stars, n_k)."""
        powers = self.power(k, z, log_t_agn, np.r_[default_stars(log_t_agn), stars])
        ratio: FloatArray = powers[1:] / powers[0]
        return ratio

    def suppression(self, k: FloatArray, z: float, log_t_agn: float) -> FloatArray:
        """P with feedback over P without, (n_k,): what HMcode multiplies its spectrum by."""
        feedback = self.power(k, z, log_t_agn, np.array([default_stars(log_t_agn)]))[0]
        ratio: FloatArray = feedback / self.power(k, z, None, np.zeros(1))[0]
        return ratio

    def power(
        self, k: FloatArray, z: float, log_t_agn: float | None, stars: FloatArray
    ) -> FloatArray:
        """The halo model's P(k), (n_stars, n_k); without feedback where there is no temperature."""
        density = CRITICAL_DENSITY * self.omega_m
        mass = np.logspace(8, 16.3, 100)
        radius = np.cbrt(3 * mass / (4 * np.pi * density))
        sigma_0 = self._sigma(radius)
        growth = float(np.interp(z, self.z_growth, self.growth))
        nu = COLLAPSE / (sigma_0 * growth)
        weight = _sheth_tormen(nu) * np.gradient(nu, np.log(mass)) * mass / density
        theta = 0.0 if log_t_agn is None else log_t_agn - 7.8
        amplitude = (
            4.0
            if log_t_agn is None
            else (3.44 - 0.496 * theta) * 10 ** (z * (-0.0671 - 0.0371 * theta))
        )
        profile = self._nfw(k, z, mass, radius, amplitude * self._formation(mass, z) / (1 + z))
        two = np.exp(np.interp(np.log(k), np.log(self.k), np.log(self.linear))) * growth**2
        spectra = []
        for fraction in stars:
            if log_t_agn is None:
                seen = profile
            else:
                now = min(fraction * 10 ** (z * (0.409 + 0.0224 * theta)), OMEGA_B / self.omega_m)
                bound = (mass / 10 ** (13.87 + 1.81 * theta + z * (0.195 * theta - 0.108))) ** 2
                gas = (OMEGA_B / self.omega_m - now) * bound / (1 + bound)
                seen = (1 - OMEGA_B / self.omega_m + gas) * profile + now
            spectra.append(two + np.trapezoid(weight * seen**2, np.log(mass), axis=1))
        return np.array(spectra)

    def _sigma(self, radius: FloatArray) -> FloatArray:
        """Standard deviation of the linear density in spheres of `radius` at z = 0."""
        x = self.k[:, None] * radius
        top_hat = np.where(x < 0.02, 1 - x**2 / 10, 3 * (np.sin(x) - x * np.cos(x)) / x**3)
        integrand = (self.k**3 * self.linear / (2 * np.pi**2))[:, None] * top_hat**2
        sigma: FloatArray = np.sqrt(np.trapezoid(integrand, np.log(self.k), axis=0))
        return sigma

    def _formation(self, mass: FloatArray, z: float) -> FloatArray:
        """1 + z_c: when a hundredth of the mass had collapsed, never later than `z`."""
        sigma = self._sigma(
            np.cbrt(3 * 0.01 * mass / (4 * np.pi * CRITICAL_DENSITY * self.omega_m))
        )
        at = np.interp(COLLAPSE / sigma, self.growth[::-1], self.z_growth[::-1])
        formed: FloatArray = 1 + np.maximum(at, z)
        return formed

    def _nfw(
        self, k: FloatArray, z: float, mass: FloatArray, radius: FloatArray, c: FloatArray
    ) -> FloatArray:
        """The Fourier transform of NFW profiles, 1 at k = 0, (n_k, n_mass)."""
        cubed = self.omega_m * (1 + z) ** 3
        at_z = cubed / (cubed + 1 - self.omega_m)
        x = at_z - 1
        overdensity = (18 * np.pi**2 + 82 * x - 39 * x**2) / at_z
        scale = radius / np.cbrt(overdensity) / c
        t = k[:, None] * scale
        sine_far, cosine_far = sici(t * (1 + c))
        sine, cosine = sici(t)
        value: FloatArray = (
            np.sin(t) * (sine_far - sine)
            + np.cos(t) * (cosine_far - cosine)
            - np.sin(c * t) / (t * (1 + c))
        ) / (np.log1p(c) - c / (1 + c))
        return value


def _sheth_tormen(nu: FloatArray) -> FloatArray:
    """The mass function f(nu), which integrates to one."""
    a, p, norm = 0.707, 0.3, 0.2161645
    value: FloatArray = norm * (1 + (a * nu**2) ** -p) * np.exp(-a * nu**2 / 2)
    return value
