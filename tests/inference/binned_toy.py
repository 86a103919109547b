"""A small binned measurement: three components, a shift, a noise that is lognormal, two scales."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from sigma68.inference.binned import BinnedLikelihood
from sigma68.inference.factors import Factors
from sigma68.inference.surfaces import Surfaces
from sigma68.types import Nuisance, Parameter

Floats = npt.NDArray[np.float64]

MU = Parameter("mu", 0.1, 3.0)
SHIFT = Nuisance("shift", 1.0, "normal", 1.0, 0.01, 0.9, 1.1)
NOISE = Nuisance("noise", 0.0, "lognormal", 0.0, 1.0, 0.0, 5.0)
OWN = Nuisance("own", 1.0, "normal", 1.0, 0.2, 0.0, 2.0)
ALL = Nuisance("all", 1.0, "normal", 1.0, 0.01, 0.95, 1.05)
NUISANCES = (SHIFT, NOISE, OWN, ALL)
FACTORS = Factors((("mu",), ("all",), ("own", "all")))
N_BINS = 8


def surfaces(size: float = 1.0) -> Surfaces:
    """Expected events that fall with the bin, but for the signal, and respond to two nuisances."""
    x = np.linspace(0, 1, N_BINS)
    nominal = size * np.array([400 * x**2 + 4, 5000 * (1 - x) ** 2 + 60, 900 * (1 - 0.7 * x)])
    exponents = np.array([[1, 0], [2, 0], [3, 0], [0, 1], [0, 2], [0, 3], [1, 1]])
    coefficients = np.zeros((3, N_BINS, 7))
    coefficients[0, :, 0] = 0.02 * (x - 0.3)
    coefficients[1, :, 0], coefficients[1, :, 1] = 0.03 * (0.2 + x), 0.002 * x
    coefficients[2, :, 3], coefficients[2, :, 4] = 0.1 * (x - 0.5), -0.02 * x
    coefficients[1, :, 3], coefficients[1, :, 6] = 0.06 * x, 0.004 * x
    return Surfaces(
        ("shift", "noise"),
        np.array([1.0, 0.0]),
        np.array([0.01, 2.5]),
        exponents,
        nominal,
        nominal * 0.3,
        coefficients,
    )


def likelihood(
    size: float = 1.0, *, mc_errors: bool = True, profiled: tuple[Nuisance, ...] = NUISANCES
) -> BinnedLikelihood:
    fixed = {n.name: n.off for n in NUISANCES if n not in profiled}
    return BinnedLikelihood(surfaces(size), FACTORS, MU, profiled, fixed, mc_errors=mc_errors)


def without_signal() -> BinnedLikelihood:
    bare = surfaces()
    nominal = bare.nominal.copy()
    nominal[0] = 0.0
    return BinnedLikelihood(replace(bare, nominal=nominal), FACTORS, MU, NUISANCES, {})


def drawn(model: BinnedLikelihood, mu: float, values: Mapping[str, float], seed: int) -> Floats:
    """Counts of a pseudo-experiment."""
    expected = model.expected(model.point(mu, values))
    return np.random.default_rng(seed).poisson(expected).astype(np.float64)
