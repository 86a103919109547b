"""One-point statistics of an image at several scales: what a power spectrum does not say.

The image is averaged over blocks of 1, 2, 4, ... pixels squared. Of the block means x, over the
parts of the image that are seen and in units of their standard deviation: the logarithms of
the variance and of the mean of x^4, arsinh of the skewness, and the square roots of the shares of blocks above three
standard deviations and below minus two. So transformed, they scatter more like normal numbers: a
few bright peaks make the fourth power of x a hundred times what it is elsewhere.

Reference: D. Munshi et al., Phys. Rep. 462 (2008) 67, on what non-Gaussian statistics of the
convergence know.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError
from sigma68.learning.image_sets import blocks, seen_share

__all__ = ["ImageStatistics"]

FloatArray = npt.NDArray[np.float64]

_SEEN = 0.75
"""Share of a block that must be seen for it to count."""
_FEWEST = 200
"""Blocks at a scale at least: with fewer, one says nothing there."""


@dataclass(frozen=True)
class ImageStatistics:
    """Statistics of images that are seen through one mask.

    Parameters
    ----------
    mask
        Which pixels are seen, (rows, columns).
    n_scales
        Blocks of 1, 2, 4, ... pixels, so many of them at most.
    """

    mask: npt.NDArray[np.bool_]
    n_scales: int = 5

    @cached_property
    def scales(self) -> tuple[int, ...]:
        """Sides of the blocks in pixels, of which there are enough.

        Raises
        ------
        DataError
            If nothing is seen of the image, or too little.
        """
        every = (2**i for i in range(self.n_scales))
        enough = tuple(
            s for s in every if np.count_nonzero(seen_share(self.mask, s) >= _SEEN) >= _FEWEST
        )
        if not enough:
            raise DataError(
                f"{int(self.mask.sum()):,} pixels are seen of the image: too few for statistics"
            )
        return enough

    @cached_property
    def _shares(self) -> tuple[npt.NDArray[np.float32], ...]:
        return tuple(seen_share(self.mask, s) for s in self.scales)

    @property
    def names(self) -> tuple[str, ...]:
        """What each number is."""
        kinds = ("ln variance", "arsinh skewness", "ln fourth moment", "root share > 3", "root share < -2")  # fmt: skip
        return tuple(f"{kind}, {s} pixels" for s in self.scales for kind in kinds)

    def of(self, image: npt.NDArray[np.floating]) -> FloatArray:
        """The statistics of an image (rows, columns), 0 where nothing is seen: (n_statistics,).

        All NaN where a pixel is not finite; NaN where nothing scatters.

        Raises
        ------
        DataError
            If the image has not the mask's shape.
        """
        if image.shape != self.mask.shape:
            raise DataError(
                f"the image has shape {image.shape}, its mask {self.mask.shape}: open the source "
                "that it is from"
            )
        if not np.isfinite(image).all():
            return np.full(len(self.names), np.nan)
        found = []
        for scale, share in zip(self.scales, self._shares, strict=True):
            kept = share >= _SEEN
            x = (blocks(image, scale)[kept] / share[kept]).astype(np.float64)
            x -= x.mean()
            variance = float(np.mean(x * x))
            with np.errstate(divide="ignore", invalid="ignore"):
                x /= np.sqrt(variance)
                square = x * x
                found += [
                    np.log(variance),
                    np.arcsinh(np.mean(square * x)),
                    np.log(np.mean(square * square)),
                    np.sqrt(np.mean(x > 3)),
                    np.sqrt(np.mean(x < -2)),
                ]
        return np.array(found)
