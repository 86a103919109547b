"""A neural network of events; applying a trained one needs no torch.

Features go through monotone maps (`input_maps`) into hidden layers of ReLU units. As a score it has
one output, the log odds of signal for equal amounts of signal and background, and `fit_network`
trains it; `ratios` gives a network of many outputs its meaning.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from sigma68.errors import DataError, FitError, MissingExtraError
from sigma68.learning.dense import apply_maps, apply_network, padded
from sigma68.learning.input_maps import CHUNK, InputMaps, on_threads, seen_by_kernels
from sigma68.learning.rounding import products, to_bfloat16
from sigma68.protocols import Progress
from sigma68.types import FloatArray, Labelled

if TYPE_CHECKING:
    from sigma68.learning.bfloat16 import Products

__all__ = ["Layer", "Network", "NetworkSettings", "train"]

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class NetworkSettings:
    """What is trained: by default the network of the challenge's baseline, 3 layers of 100 units.

    At most `passes` over the training events in batches of `batch` (smaller ones where events are
    few), and at most `steps` batches, by Adam with decoupled weight decay (the L2 regularisation)
    at a learning rate that rises and falls. What is kept is a running mean of the weights, at the
    pass that had the lowest weighted log loss on `validation_share` of the hard events; training
    ends when that has not improved for `patience` passes. `threads` is the number of threads that
    apply the network, 0 for all cores; training takes one.
    """

    units: int = 100
    hidden_layers: int = 3
    passes: int = 20
    steps: int = 20_000
    batch: int = 2048
    learning_rate: float = 3e-3
    weight_decay: float = 0.1
    averaging: float = 0.995
    validation_share: float = 0.2
    patience: int = 4
    seed: int = 1
    threads: int = 0


@dataclass(frozen=True)
class Layer:
    """Units w x + b: `weights` (n_out, n_in) and `bias` (n_out,), float32."""

    weights: Float32
    bias: Float32


@dataclass(frozen=True)
class Network:
    """A trained network. A score is the log odds for equal amounts of signal and background.

    `threads` is the number of threads that evaluate, 0 for all cores; scores do not depend on it.
    With `rounded`, what goes into a layer is rounded to bfloat16 (see `rounding`).
    """

    names: tuple[str, ...]
    maps: InputMaps
    layers: tuple[Layer, ...]
    threads: int = 0
    rounded: bool = False

    def score(self, values: FloatArray) -> Float32:
        """The score of events, (n_features, n_events) to (n_events,).

        Raises
        ------
        FitError
            If a feature or a score is NaN or infinite.
        """
        scores: Float32 = self.outputs(values)[0]
        return scores

    @property
    def n_outputs(self) -> int:
        return len(self.layers[-1].bias)

    def outputs(self, values: FloatArray) -> Float32:
        """All outputs for events, (n_features, n_events) to (n_outputs, n_events).

        Raises
        ------
        FitError
            If a feature or an output is NaN or infinite.
        """
        out = np.empty((self.n_outputs, values.shape[1]), np.float32)
        if out.shape[1] == 0:
            return out
        seen = seen_by_kernels(values)
        units = self._products
        work = self._by_kernel if units is None else partial(self._on_units, units)
        on_threads(partial(work, seen, out), seen, self.names, self.threads)
        if not np.isfinite(out).all():
            raise FitError("the network gave a score that is NaN or infinite")
        return out

    def _by_kernel(self, seen: Float32, out: Float32, first: int, last: int) -> int:
        """The outputs of events first to last - 1, and what `on_threads` asks for."""
        wrong: int = apply_network(seen, first, last, *self._kernel, self.rounded, out)
        return wrong

    def _on_units(self, units: Products, seen: Float32, out: Float32, first: int, last: int) -> int:
        """The same on the processor's matrix units."""
        inputs = np.zeros((CHUNK, self.maps.n_features), np.float32)
        wrong: int = apply_maps(seen, first, last, *self.maps.arrays, inputs)
        if wrong < 0:
            units.apply(inputs, out[:, first:last])
        return wrong

    def to_bytes(self) -> bytes:
        """The network in the safetensors format."""
        arrays = {field.name: getattr(self.maps, field.name) for field in fields(self.maps)}
        for i, layer in enumerate(self.layers):
            arrays |= {f"weights{i}": layer.weights, f"bias{i}": layer.bias}
        return bytes(save({name: np.ascontiguousarray(a) for name, a in arrays.items()}))

    @classmethod
    def from_bytes(
        cls,
        content: bytes | bytearray,
        names: tuple[str, ...],
        *,
        n_outputs: int = 1,
        threads: int = NetworkSettings.threads,
        rounded: bool = False,
    ) -> Network:
        """The network that `to_bytes` wrote, to be evaluated on so many threads, or rounded.

        Raises
        ------
        DataError
            If the content is damaged or has another number of features or outputs.
        """
        try:
            arrays = load(bytes(content))
            n_layers = sum(name.startswith("bias") for name in arrays)
            maps = InputMaps(**{field.name: arrays.pop(field.name) for field in fields(InputMaps)})
            layers = tuple(
                Layer(arrays.pop(f"weights{i}"), arrays.pop(f"bias{i}")) for i in range(n_layers)
            )
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise DataError("the saved network is damaged: train again") from error
        if arrays or not _fits(maps) or not _chained(layers, maps.n_features, n_outputs):
            raise DataError("the saved network is damaged, its parts do not fit: train again")
        if maps.n_features != len(names):
            raise DataError(
                f"the saved network takes {maps.n_features} features, not {len(names)}: train again"
            )
        return cls(names, maps, layers, threads, rounded)

    @cached_property
    def _products(self) -> Products | None:
        return products(self.layers) if self.rounded else None

    @cached_property
    def _kernel(self) -> tuple[npt.NDArray[Any], ...]:
        """What the kernel takes besides events: maps, shapes of the layers, all their numbers."""
        shapes = [
            (padded(w.shape[1]), padded(w.shape[0])) for w in (x.weights for x in self.layers)
        ]
        parts = []
        for layer, (n_in, n_out) in zip(self.layers, shapes, strict=True):
            weights, bias = np.zeros((n_out, n_in), np.float32), np.zeros(n_out, np.float32)
            weights[: layer.weights.shape[0], : layer.weights.shape[1]] = layer.weights
            bias[: len(layer.bias)] = layer.bias
            if self.rounded and layer is not self.layers[-1]:
                weights, bias = to_bfloat16(weights), to_bfloat16(bias)
            parts += [weights.ravel(), bias]
        return (*self.maps.arrays, np.array(shapes, np.int64), np.concatenate(parts))


def train(
    events: Labelled, settings: NetworkSettings | None = None, progress: Progress | None = None
) -> Network:
    """A network that separates signal from background in `events`: `fit_network.train_network`.

    Raises
    ------
    MissingExtraError
        If torch is not installed.
    DataError
        If the events kept for training, or those kept out, hold only one class.
    FitError
        If a feature is NaN or infinite.
    """
    try:
        from sigma68.learning.fit_network import train_network
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise MissingExtraError(
            "training a network needs torch, which is not installed: pip install 'sigma68[torch]'"
        ) from error
    return train_network(events, settings, progress)


def _fits(maps: InputMaps) -> bool:
    """Whether the maps are of one shape and finite."""
    pieces = {maps.starts.shape, maps.widths.shape, maps.slopes.shape}
    return (
        len(pieces) == 1
        and maps.low.ndim == 1
        and maps.starts.ndim == 2
        and len(maps.starts) == len(maps.low)
        and maps.starts.shape[1] == padded(maps.starts.shape[1])
        and all(a.dtype == np.float32 and np.isfinite(a).all() for a in maps.arrays)
    )


def _chained(layers: tuple[Layer, ...], n_inputs: int, n_outputs: int) -> bool:
    """Whether each layer takes what the one before gives, the last gives the outputs, all finite."""
    given = n_inputs
    for layer in layers:
        arrays = (layer.weights, layer.bias)
        if not all(a.dtype == np.float32 and np.isfinite(a).all() for a in arrays):
            return False
        if layer.weights.shape != (len(layer.bias), given) or layer.bias.ndim != 1:
            return False
        given = len(layer.bias)
    return bool(layers) and given == n_outputs
