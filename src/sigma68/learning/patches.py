"""Square pieces of images, wholly inside what is seen, and a network that squeezes and restores them.

Pieces are of block means in units of one scale, so that noise that is alike everywhere is of one
size. A restored piece lacks what a few numbers cannot carry; applying a network needs no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view
from safetensors import SafetensorError
from safetensors.numpy import load, save

from sigma68.errors import DataError, FitError
from sigma68.learning.image_sets import blocks, seen_share
from sigma68.learning.network import Layer

__all__ = ["PatchNetwork", "Patches"]

Float32 = npt.NDArray[np.float32]
_WHOLE = 0.999


@dataclass(frozen=True)
class Patches:
    """Where pieces are cut from images that are seen through one mask.

    Parameters
    ----------
    mask
        Which pixels are seen, (rows, columns).
    block
        Pieces are of means over so many pixels squared.
    side
        Blocks along each side of a piece. Pieces begin at every half of it.
    """

    mask: npt.NDArray[np.bool_]
    block: int
    side: int

    @cached_property
    def places(self) -> npt.NDArray[np.int64]:
        """First row and column, in blocks, of every piece that is seen wholly: (n_pieces, 2).

        Raises
        ------
        DataError
            If there is none.
        """
        seen = seen_share(self.mask, self.block) >= _WHOLE
        if min(seen.shape) >= self.side:
            windows = sliding_window_view(seen, (self.side, self.side))
            step = max(self.side // 2, 1)
            found = np.argwhere(np.all(windows[::step, ::step], axis=(2, 3))) * step
            if len(found):
                return found
        raise DataError(
            f"no piece of {self.side} x {self.side} blocks of {self.block} pixels is seen wholly: "
            "choose smaller ones"
        )

    def cut(self, image: npt.NDArray[np.floating]) -> Float32:
        """The pieces of an image, (n_pieces, side * side), noise keeping its standard deviation.

        Raises
        ------
        FitError
            If the image has not the mask's shape, or a pixel is not finite.
        """
        if image.shape != self.mask.shape:
            raise FitError(
                f"the image has shape {image.shape}, its mask {self.mask.shape}: open the source "
                "that it is from"
            )
        if not np.isfinite(image).all():
            raise FitError("the image has pixels that are no numbers")
        windows = sliding_window_view(blocks(image, self.block), (self.side, self.side))
        rows, columns = self.places.T
        pieces: Float32 = windows[rows, columns].reshape(len(self.places), -1)
        return pieces


@dataclass(frozen=True)
class PatchNetwork:
    """Dense layers that restore pieces (n, n_values) in units of `scale` from fewer numbers."""

    scale: float
    layers: tuple[Layer, ...]

    def lost(self, pieces: Float32) -> float:
        """Mean square of what is not restored, in units of `scale`.

        Raises
        ------
        FitError
            If it is not finite.
        """
        given = x = pieces / np.float32(self.scale)
        for layer in self.layers[:-1]:
            x = np.maximum(x @ layer.weights.T + layer.bias, 0)
        restored = x @ self.layers[-1].weights.T + self.layers[-1].bias
        lost = float(np.mean(np.square(given - restored, dtype=np.float64)))
        if not np.isfinite(lost):
            raise FitError("the network gave a piece that is NaN or infinite")
        return lost

    def to_bytes(self) -> bytes:
        """The network in the safetensors format."""
        arrays: dict[str, npt.NDArray[Any]] = {"scale": np.array([self.scale], np.float64)}
        for i, layer in enumerate(self.layers):
            arrays |= {f"weights{i}": layer.weights, f"bias{i}": layer.bias}
        return bytes(save({name: np.ascontiguousarray(a) for name, a in arrays.items()}))

    @classmethod
    def from_bytes(cls, content: bytes | bytearray, n_values: int) -> PatchNetwork:
        """The network of pieces of `n_values` that `to_bytes` wrote.

        Raises
        ------
        DataError
            If the content is damaged.
        """
        try:
            arrays = load(bytes(content))
            n = sum(name.startswith("bias") for name in arrays)
            layers = tuple(Layer(arrays[f"weights{i}"], arrays[f"bias{i}"]) for i in range(n))
            scale = float(arrays["scale"][0])
        except (SafetensorError, KeyError, IndexError, ValueError) as error:
            raise DataError(f"a saved network is damaged ({error}): train again") from error
        width = n_values
        for layer in layers:
            if layer.weights.ndim != 2 or layer.weights.shape != (len(layer.bias), width):
                raise DataError("a saved network is damaged, its layers do not fit: train again")
            width = len(layer.bias)
        finite = all(np.isfinite(a).all() for a in arrays.values())
        if not layers or width != n_values or not finite or scale <= 0:
            raise DataError("a saved network is damaged, its layers do not fit: train again")
        return cls(scale, layers)
