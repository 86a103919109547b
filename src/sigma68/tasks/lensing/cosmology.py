"""From P(k, z) to the angular power spectrum of the convergence, in the Limber approximation.

Flat LCDM with fixed h, Omega_b and n_s; lengths are comoving and in Mpc/h. With q the lensing
efficiency of a source distribution n(z),

    q(chi) = 3/2 Omega_m (H0/c)^2 (1 + z) chi  int dz' n(z') (1 - chi / chi(z')),  chi(z') > chi
    C_ell  = int dchi q(chi)^2 / chi^2 P((ell + 1/2) / chi, z(chi)).

References: D. N. Limber, ApJ 117 (1953) 134; M. LoVerde and N. Afshordi, Phys. Rev. D 78 (2008)
123506; M. Kilbinger, Rep. Prog. Phys. 78 (2015) 086901.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

__all__ = [
    "MEAN_Z",
    "N_S",
    "OMEGA_B",
    "WIDTH_Z",
    "H",
    "comoving_distance",
    "convergence_spectrum",
    "source_density",
]

FloatArray = npt.NDArray[np.float64]
MatterPower = Callable[[FloatArray, FloatArray], FloatArray]
"""P(k, z) in (Mpc/h)^3 of pairs of k in h/Mpc and z, arrays of one shape."""

H = 0.7
OMEGA_B = 0.046
N_S = 0.97
HUBBLE_LENGTH = 2997.92458
"""c / H0 in Mpc/h."""

MEAN_Z, WIDTH_Z = 0.77, 0.15
"""The sources: normal in redshift, cut off at zero. A stand-in for one bin of a survey."""


def comoving_distance(omega_m: float, z: FloatArray) -> FloatArray:
    """Comoving distance to `z` in flat LCDM, Mpc/h; radiation is left out."""
    fine = np.linspace(0.0, max(float(np.max(z)), 1e-3), 2049)
    speed = 1 / np.sqrt(omega_m * (1 + fine) ** 3 + 1 - omega_m)
    steps = 0.5 * (speed[1:] + speed[:-1]) * np.diff(fine)
    distance: FloatArray = HUBBLE_LENGTH * np.interp(z, fine, np.r_[0.0, np.cumsum(steps)])
    return distance


def source_density(z: FloatArray, delta_z: float) -> FloatArray:
    """The normalised distribution n(z) of sources whose mean redshift is `MEAN_Z` + `delta_z`.

    `z` is a regular grid that holds all of it.
    """
    density = np.where(z > 0, np.exp(-0.5 * ((z - MEAN_Z - delta_z) / WIDTH_Z) ** 2), 0.0)
    normalised: FloatArray = density / np.trapezoid(density, z)
    return normalised


def convergence_spectrum(
    ell: FloatArray, omega_m: float, delta_z: float, power: MatterPower, *, points: int = 120
) -> FloatArray:
    """C_ell of the convergence in steradian, of the shape of `ell`."""
    z_source = np.linspace(0.0, MEAN_Z + delta_z + 5 * WIDTH_Z, 401)
    chi_source = comoving_distance(omega_m, z_source)
    density = source_density(z_source, delta_z)
    # The middles of steps in z: the integrand vanishes at both ends.
    step = z_source[-1] / points
    z = (np.arange(points) + 0.5) * step
    chi = comoving_distance(omega_m, z)
    with np.errstate(divide="ignore"):
        nearer = 1 - chi[:, None] / chi_source
    weight = np.where(chi_source > chi[:, None], nearer, 0.0)
    efficiency = np.trapezoid(weight * density, z_source, axis=1)
    q = 1.5 * omega_m / HUBBLE_LENGTH**2 * (1 + z) * chi * efficiency
    dchi = step * HUBBLE_LENGTH / np.sqrt(omega_m * (1 + z) ** 3 + 1 - omega_m)
    k = (ell[:, None] + 0.5) / chi
    matter = power(k, np.broadcast_to(z, k.shape))
    spectrum: FloatArray = matter @ (dchi * q**2 / chi**2)
    return spectrum
