"""Families of strange maps: stress tests, not physics.

Each does one thing that no map of `lensing` does, and is otherwise made like one: a cosmology and
nuisance parameters from their ranges, the same mask, the same noise. They ask whether a
method notices what it has never been shown. What Nature would do instead of what simulations do, nobody knows:
to be good on these families is no promise for other ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sigma68.seeds import Stream
from sigma68.tasks.lensing.maps import (
    SHIFT as ORDINARY_SHIFT,
)
from sigma68.tasks.lensing.maps import (
    MapMaker,
    grid_spectrum,
    maker_of,
    map_maker,
)
from sigma68.tasks.lensing.sky import NOISE, survey_mask

__all__ = ["FAMILIES", "Family"]

SHIFT = 0.022
"""lambda of strange lognormal maps, of ordinary ones 0.015: skewness 1.8 instead of 2.8."""
SUPPRESSED, FROM_ELL = 1.0, 3000.0
"""Share of the power that feedback beyond its range takes away at small scales, and from where."""
REDSHIFT = 0.12
"""Shift of the sources' mean redshift, 5.5 standard deviations of its prior, to either side."""
MISJUDGED = 0.015
"""Share by which the noise is larger than it is said to be."""

Draw = Callable[[Mapping[str, float], Stream], MapMaker]


@dataclass(frozen=True)
class Family:
    """One way of being strange.

    Attributes
    ----------
    name, about
        For people.
    maker
        Of maps at a point that names all parameters and nuisances; the stream decides what is left
        open.
    noise
        Standard deviation of a pixel's noise.
    """

    name: str
    about: str
    maker: Draw
    noise: float = NOISE

    def draw(
        self, point: Mapping[str, float], sky: Stream, noise: Stream
    ) -> npt.NDArray[np.float32]:
        """The pixels of one noisy map inside the mask, (n_pixels,).

        Raises
        ------
        SettingsError
            If the point is outside the table of power spectra.
        """
        seen = self.maker(point, sky).draw(sky.generator())[survey_mask()]
        drawn = noise.generator().standard_normal(seen.size, dtype=np.float32)
        seen += np.float32(self.noise) * drawn
        return seen


def _gaussian(point: Mapping[str, float], sky: Stream) -> MapMaker:
    return map_maker(point, shift=None)


def _other_shift(point: Mapping[str, float], sky: Stream) -> MapMaker:
    return map_maker(point, shift=SHIFT)


def _suppressed(point: Mapping[str, float], sky: Stream) -> MapMaker:
    def factor(ell: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        x2 = (ell / FROM_ELL) ** 2
        return 1 - SUPPRESSED * x2 / (1 + x2)

    return maker_of(grid_spectrum(point, factor), ORDINARY_SHIFT)


def _other_redshifts(point: Mapping[str, float], sky: Stream) -> MapMaker:
    side = 1.0 if sky.child("side").generator().random() < 0.5 else -1.0
    return map_maker({**point, "Delta_z": side * REDSHIFT})


def _ordinary(point: Mapping[str, float], sky: Stream) -> MapMaker:
    return map_maker(point)


FAMILIES = (
    Family("gaussian", "a Gaussian field with the power spectrum of the map", _gaussian),
    Family("shift", f"a lognormal field with the shift {SHIFT:g}, not 0.015", _other_shift),
    Family(
        "feedback",
        f"feedback beyond its range: up to {SUPPRESSED:.0%} less power above ell = {FROM_ELL:,.0f}",
        _suppressed,
    ),
    Family(
        "redshift",
        f"sources whose mean redshift is off by {REDSHIFT:g}, 5.5 standard deviations",
        _other_redshifts,
    ),
    Family(
        "noise",
        f"noise that is {MISJUDGED:.1%} larger than it is said to be",
        _ordinary,
        noise=NOISE * (1 + MISJUDGED),
    ),
)
"""In the order in which the parameter `family` counts them."""
