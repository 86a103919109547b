"""At which cosmologies the training maps are made, and with which nuisances.

101 points in (Omega_m, S8), denser near a fiducial one: the fiducial, 16 on the edge of the ranges
(so that their hull is the whole rectangle), and the rest by halves from a uniform and from a
concentrated design, both from one quasi-random sequence.

Reference: M. Roberts, "The unreasonable effectiveness of quasirandom sequences" (2018), the R2
sequence.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sigma68.seeds import Stream, stream
from sigma68.types import Nuisance, Parameter

__all__ = ["FIDUCIAL", "NUISANCES", "PARAMETERS", "design", "draw_nuisances"]

FloatArray = npt.NDArray[np.float64]

FIDUCIAL = (0.279, 0.79)

PARAMETERS = (
    Parameter("Omega_m", 0.09, 0.62, label=r"$\Omega_m$"),
    Parameter("S8", 0.68, 0.96, label="$S_8$"),
)

NUISANCES = (
    Nuisance(
        "log10_T_AGN",
        off=7.8,
        prior="uniform",
        location=7.85,
        width=0.65,
        low=7.2,
        high=8.5,
        label=r"$\log_{10}(T_{\mathrm{AGN}} / \mathrm{K})$",
    ),
    Nuisance(
        "f0",
        off=0.0201,
        prior="uniform",
        location=0.01325,
        width=0.01325,
        low=0.0,
        high=0.0265,
        label="$f_0$",
    ),
    Nuisance(
        "Delta_z",
        off=0.0,
        prior="normal",
        location=0.0,
        width=0.022,
        low=-0.11,
        high=0.11,
        label=r"$\Delta z$",
    ),
)
"""AGN heating, mass fraction in stars, and the shift of the sources' mean redshift."""

_EDGE = 16
_WIDTH = 0.17
"""Standard deviation of the concentrated half, in units of each range."""


def design(n_points: int) -> FloatArray:
    """(Omega_m, S8) of the training points, (n_points, 2); at least 17."""
    low = np.array([p.low for p in PARAMETERS])
    span = np.array([p.high - p.low for p in PARAMETERS])
    fiducial = (np.array(FIDUCIAL) - low) / span
    rest = n_points - 1 - _EDGE
    golden = 1.32471795724474602596
    steps = np.arange(1, max(rest, 0) + 1)[:, None] / golden ** np.arange(1, 3)
    uniform = (0.5 + steps) % 1
    n_wide = (rest + 1) // 2
    unit = np.concatenate(
        [fiducial[None], _edge(), uniform[:n_wide], _concentrated(uniform[n_wide:], fiducial)]
    )
    points: FloatArray = low + span * unit
    return points


def _edge() -> FloatArray:
    """Sixteen points on the edge of the unit square, evenly spaced, the corners among them."""
    side = np.arange(4) / 4
    zero, one = np.zeros(4), np.ones(4)
    sides = [(side, zero), (one, side), (1 - side, one), (zero, 1 - side)]
    return np.concatenate([np.stack(pair, axis=1) for pair in sides])


def _concentrated(unit: FloatArray, centre: FloatArray) -> FloatArray:
    """Points of the unit square as normal ones about `centre`, cut off at its edges."""
    from scipy.special import ndtr, ndtri

    first, last = ndtr((0 - centre) / _WIDTH), ndtr((1 - centre) / _WIDTH)
    inside: FloatArray = centre + _WIDTH * ndtri(first + unit * (last - first))
    return inside


def draw_nuisances(role: str, split_seed: int, point: int, realisation: int) -> dict[str, float]:
    """The nuisances of one training map, drawn from their priors."""
    draw = stream("lensing", f"nuisances {role}", split_seed, point, realisation).generator()
    z = draw.standard_normal(len(NUISANCES))
    return {n.name: n.from_z(float(at)) for n, at in zip(NUISANCES, z, strict=True)}


def map_stream(role: str, split_seed: int, point: int, realisation: int) -> Stream:
    """The stream that draws the sky of one training map."""
    return stream("lensing", f"sky {role}", split_seed, point, realisation)
