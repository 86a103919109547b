"""A small convolutional network of images; applying a trained one needs no torch.

Averages over blocks of pixels, and the share of each block that is seen, go through layers of strided
convolutions. What they say is averaged over the image after every layer, so that a feature is a
mean over the sky of something local, at one scale: 16 averages of the first layer, and so on.
Features, and summaries of the observation where the network was given them, go into dense layers.
`fit_images` trains it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view
from safetensors import SafetensorError
from safetensors.numpy import load, save

from sigma68.errors import DataError, FitError, SettingsError
from sigma68.learning.image_sets import blocks
from sigma68.learning.network import Layer

__all__ = ["Convolution", "ImageNetwork", "ImageSettings"]

Float32 = npt.NDArray[np.float32]
FloatArray = npt.NDArray[np.float64]
STRIDE = 2


@dataclass(frozen=True)
class ImageSettings:
    """What is trained and how.

    Images are averaged over blocks of `block` x `block` pixels. Convolutions with a stride of 2 have
    so many `channels`, the first 5 x 5 and the others 3 x 3 wide; `units` in each of `hidden_layers`
    dense layers follow. Adam with decoupled weight decay makes `passes` over the training images
    in batches of `batch`, at a learning rate that rises and falls; each image has its noise drawn
    `drawings` times, one drawing a pass, and is mirrored at random with its mask. What is kept is a
    running mean of the weights at the pass with the lowest loss on images kept out; training
    ends when that has not improved for `patience` passes. `device` is cpu, cuda, or auto: cuda where
    there is one.
    """

    block: int = 3
    channels: tuple[int, ...] = (16, 32, 64, 64)
    units: int = 128
    hidden_layers: int = 2
    drawings: int = 2
    passes: int = 16
    batch: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    averaging: float = 0.99
    patience: int = 6
    seed: int = 1
    device: str = "auto"

    def __post_init__(self) -> None:
        whole = (self.block, *self.channels, self.units, self.drawings, self.passes, self.batch)
        if min(whole) < 1 or not self.channels or self.hidden_layers < 0:
            raise SettingsError(
                f"block, channels, units, drawings, passes and batch of a network of images must "
                f"be at least 1, found {whole}"
            )
        if self.device not in ("auto", "cpu", "cuda"):
            raise SettingsError(f"device={self.device!r}: give auto, cpu or cuda")


@dataclass(frozen=True)
class Convolution:
    """Weights (n_out, n_in, k, k) and bias (n_out,) of one layer, float32; k is odd."""

    weights: Float32
    bias: Float32


@dataclass(frozen=True)
class ImageNetwork:
    """A trained network of images.

    `share` (rows, columns) says how much of each block of `block` x `block` pixels is seen, `scale`
    is what blocks are divided by. `shift` and `spread` (n_features + n_summaries,) standardise what
    goes into the dense `layers`.
    """

    block: int
    scale: float
    share: Float32
    convolutions: tuple[Convolution, ...]
    shift: Float32
    spread: Float32
    layers: tuple[Layer, ...]

    @property
    def n_features(self) -> int:
        """Averages over the image that the convolutions give."""
        return sum(len(c.bias) for c in self.convolutions)

    @property
    def n_summaries(self) -> int:
        """How many summaries `outputs` wants beside the image."""
        return len(self.shift) - self.n_features

    @property
    def n_outputs(self) -> int:
        return len(self.layers[-1].bias)

    def features(self, image: npt.NDArray[np.floating]) -> Float32:
        """Averages over an image (rows, columns) of what each channel says, (n_features,).

        Raises
        ------
        FitError
            If the image has another shape than the network learned from, or a pixel of it is not
            finite.
        """
        cells = blocks(image, self.block)
        if cells.shape != self.share.shape:
            raise FitError(
                f"the image gives {cells.shape} blocks of pixels, the network learned from "
                f"{self.share.shape}: open the source that it was trained on"
            )
        return self.features_of_blocks(cells / np.float32(self.scale))

    def features_of_blocks(self, cells: Float32) -> Float32:
        """As `features`, of blocks in units of `scale`, in the shape of `share`.

        Raises
        ------
        FitError
            If a block is not finite.
        """
        if not np.isfinite(cells).all():
            raise FitError("the image has pixels that are no numbers")
        x = np.stack([cells, self.share])
        means: list[Float32] = []
        for convolution in self.convolutions:
            x = _convolve(x, convolution)
            means.append(x.mean(axis=(1, 2)))
        return np.concatenate(means)

    def outputs(
        self, image: npt.NDArray[np.floating], summary: npt.NDArray[np.floating] | None = None
    ) -> FloatArray:
        """What the dense layers make of the features of an image, (n_outputs,).

        `summary` (n_summaries,) are the summaries of the same observation.

        Raises
        ------
        FitError
            As `features` and `outputs_of_features`.
        """
        return self.outputs_of_features(self.features(image), summary)

    def outputs_of_features(
        self, features: Float32, summary: npt.NDArray[np.floating] | None = None
    ) -> FloatArray:
        """The outputs for features (n_features,) and summaries (n_summaries,), (n_outputs,).

        Raises
        ------
        FitError
            If the summaries are not those that the network wants, or a number is not finite.
        """
        beside = np.zeros(0) if summary is None else np.asarray(summary)
        if beside.shape != (self.n_summaries,) or not np.isfinite(beside).all():
            raise FitError(
                f"the network wants {self.n_summaries} finite summaries beside an image, found "
                f"{beside.tolist()}"
            )
        x = (np.concatenate([features, beside]) - self.shift) / self.spread
        x = x.astype(np.float32)
        for layer in self.layers[:-1]:
            x = np.maximum(layer.weights @ x + layer.bias, 0)
        outputs: FloatArray = self.layers[-1].weights @ x + self.layers[-1].bias
        if not np.isfinite(outputs).all():
            raise FitError("the network gave an output that is NaN or infinite")
        return outputs.astype(np.float64)

    def to_bytes(self) -> bytes:
        """The network in the safetensors format."""
        arrays = {
            "block": np.array([self.block], np.int64),
            "scale": np.array([self.scale], np.float64),
            "share": self.share.astype(np.float16),
            "shift": self.shift,
            "spread": self.spread,
        }
        for i, convolution in enumerate(self.convolutions):
            arrays |= {f"kernel{i}": convolution.weights, f"offset{i}": convolution.bias}
        for i, layer in enumerate(self.layers):
            arrays |= {f"weights{i}": layer.weights, f"bias{i}": layer.bias}
        return bytes(save({name: np.ascontiguousarray(a) for name, a in arrays.items()}))

    @classmethod
    def from_bytes(cls, content: bytes | bytearray) -> ImageNetwork:
        """The network that `to_bytes` wrote.

        Raises
        ------
        DataError
            If the content is damaged.
        """
        try:
            arrays = load(bytes(content))
            n_convolutions, n_layers = (
                sum(name.startswith(prefix) for name in arrays) for prefix in ("offset", "bias")
            )
            network = cls(
                block=int(arrays["block"][0]),
                scale=float(arrays["scale"][0]),
                share=arrays["share"].astype(np.float32),
                convolutions=tuple(
                    Convolution(arrays[f"kernel{i}"], arrays[f"offset{i}"])
                    for i in range(n_convolutions)
                ),
                shift=arrays["shift"],
                spread=arrays["spread"],
                layers=tuple(
                    Layer(arrays[f"weights{i}"], arrays[f"bias{i}"]) for i in range(n_layers)
                ),
            )
        except (SafetensorError, KeyError, IndexError, TypeError, ValueError) as error:
            raise DataError("the saved network of images is damaged: train again") from error
        if not (_whole(arrays) and _chained(network)):
            raise DataError(
                "the saved network of images is damaged, its parts do not fit: train again"
            )
        return network


def _convolve(x: Float32, convolution: Convolution) -> Float32:
    """max(0, w * x + b) with a stride of 2, zeros around: (n_in, r, c) to (n_out, (r+1)//2, (c+1)//2)."""
    n_out, n_in, width, _ = convolution.weights.shape
    edge = width // 2
    x = np.pad(x, ((0, 0), (edge, edge), (edge, edge)))
    seen = sliding_window_view(x, (width, width), axis=(1, 2))[:, ::STRIDE, ::STRIDE]
    rows, columns = seen.shape[1:3]
    patches = seen.transpose(0, 3, 4, 1, 2).reshape(n_in * width**2, rows * columns)
    said = convolution.weights.reshape(n_out, -1) @ patches + convolution.bias[:, None]
    result: Float32 = np.maximum(said, 0).reshape(n_out, rows, columns)
    return result


def _whole(arrays: dict[str, npt.NDArray[np.generic]]) -> bool:
    return all(np.isfinite(a).all() for a in arrays.values())


def _chained(network: ImageNetwork) -> bool:
    """Whether each layer takes what the one before gives."""
    given = 2
    for convolution in network.convolutions:
        shape, n_out = convolution.weights.shape, len(convolution.bias)
        if len(shape) != 4 or shape[:2] != (n_out, given) or shape[2] != shape[3]:
            return False
        given = n_out
    given = len(network.shift)
    if given < network.n_features or network.spread.shape != network.shift.shape:
        return False
    for layer in network.layers:
        if layer.weights.shape != (len(layer.bias), given):
            return False
        given = len(layer.bias)
    return bool(network.convolutions and network.layers) and network.share.ndim == 2
