"""What is unknown: the signal strength mu and the six nuisance parameters, with their priors.

tes, jes and soft_met change the events (see `bias`); the three scales, like mu, change weights
only: `process_scales` turns them into one factor per process.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from sigma68.errors import NuisanceError
from sigma68.types import Nuisance, Parameter

__all__ = ["BIASES", "FACTORS", "MU", "NUISANCES", "SCALES", "check_nuisances", "process_scales"]

MU: Final = Parameter("mu", 0.1, 3.0, label=r"$\mu$")
"""The signal strength: the factor on the standard-model rate of H -> tau tau."""

NUISANCES: Final[tuple[Nuisance, ...]] = (
    Nuisance("tes", 1.0, "normal", 1.0, 0.01, 0.9, 1.1, label="Tau energy scale"),
    Nuisance("jes", 1.0, "normal", 1.0, 0.01, 0.9, 1.1, label="Jet energy scale"),
    Nuisance("soft_met", 0.0, "lognormal", 0.0, 1.0, 0.0, 5.0, label="Soft MET", unit="GeV"),
    Nuisance("ttbar_scale", 1.0, "normal", 1.0, 0.02, 0.8, 1.2, label=r"$t\bar{t}$ scale"),
    Nuisance("diboson_scale", 1.0, "normal", 1.0, 0.25, 0.0, 2.0, label="Diboson scale"),
    Nuisance("bkg_scale", 1.0, "normal", 1.0, 0.001, 0.99, 1.01, label="Background scale"),
)
"""In the order in which they are drawn and listed."""

BIASES: Final = ("tes", "jes", "soft_met")
"""The nuisance parameters that change an event's columns."""
SCALES: Final = ("ttbar_scale", "diboson_scale", "bkg_scale")
"""The nuisance parameters that change an event's weight only."""

FACTORS: Final[Mapping[str, tuple[str, ...]]] = {
    "htautau": ("mu",),
    "ztautau": ("bkg_scale",),
    "ttbar": ("bkg_scale", "ttbar_scale"),
    "diboson": ("bkg_scale", "diboson_scale"),
}
"""What multiplies the weights of each process (see `process_scales`)."""


def check_nuisances(given: Mapping[str, float] | None = None) -> dict[str, float]:
    """Values of all six nuisance parameters, in declared order; those not in `given` are off.

    Raises
    ------
    NuisanceError
        If a name is unknown, or a value is not a finite number in the allowed range.
    """
    values = {nuisance.name: nuisance.off for nuisance in NUISANCES}
    allowed = {nuisance.name: nuisance for nuisance in NUISANCES}
    for name, value in (given or {}).items():
        if name not in allowed:
            raise NuisanceError(
                f"unknown nuisance parameter {name!r}: choose among {', '.join(allowed)}"
            )
        low, high = allowed[name].low, allowed[name].high
        if not (math.isfinite(value) and low <= value <= high):
            raise NuisanceError(
                f"{name} = {value:g} is outside its range: give a number from {low:g} to {high:g}"
            )
        values[name] = float(value)
    return values


def process_scales(
    mu: float, nuisances: Mapping[str, float] | None = None
) -> npt.NDArray[np.float64]:
    """The factor on the weights of each process, shape (4,), in the order of `PROCESSES`.

    mu scales the signal, `ttbar_scale` and `diboson_scale` their process, and `bkg_scale` all
    three backgrounds.

    Raises
    ------
    NuisanceError
        As `check_nuisances`; also if mu is negative or not finite.
    """
    if not (math.isfinite(mu) and mu >= 0):
        raise NuisanceError(f"mu = {mu:g} is no signal strength: give a number from 0 upwards")
    values = check_nuisances(nuisances)
    background = values["bkg_scale"]
    return np.array(
        [
            mu,
            background,
            background * values["ttbar_scale"],
            background * values["diboson_scale"],
        ]
    )
