"""Hidden layers on matrix units for bfloat16 (extra `torch`); see `rounding` for what they compute.

In training and in applying what was trained. Outputs are always float32: they are logarithms of
ratios.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from sigma68.learning.rounding import processor_has_units

if TYPE_CHECKING:
    from sigma68.learning.network import Layer

__all__ = ["BLOCK", "Products", "has_units", "outputs"]

Float32 = npt.NDArray[np.float32]

BLOCK = 2048
"""Events that are multiplied at a time, always so many: sums are then taken in one order."""


def has_units(device: torch.device) -> bool:
    """Whether a device has matrix units for bfloat16."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return processor_has_units()


def outputs(net: nn.Sequential, inputs: Tensor, *, rounded: bool) -> Tensor:
    """What a network of dense layers gives for inputs (n, n_in), both on one device.

    With `rounded`, hidden layers are taken in bfloat16 where the device has units for it.
    """
    device = inputs.device
    with torch.autocast(device.type, torch.bfloat16, enabled=rounded and has_units(device)):
        hidden = net[:-1](inputs)
    given: Tensor = net[-1](hidden.float())
    return given


@dataclass(frozen=True)
class Products:
    """A trained network's layers as torch takes them: weights and bias of each."""

    hidden: tuple[tuple[Tensor, Tensor], ...]
    last: tuple[Tensor, Tensor]

    @classmethod
    def of(cls, layers: Sequence[Layer]) -> Products:
        pairs = [(torch.from_numpy(x.weights), torch.from_numpy(x.bias)) for x in layers]
        hidden = tuple((w.bfloat16(), b.bfloat16()) for w, b in pairs[:-1])
        return cls(hidden, pairs[-1])

    def apply(self, inputs: Float32, out: Float32) -> None:
        """Write the outputs for inputs (N, n_in) to `out` (n_outputs, n), n <= N.

        N is a multiple of `BLOCK`. On the calling thread alone.
        """
        linear, (weights_out, bias_out) = nn.functional.linear, self.last
        with torch.inference_mode(), _one_thread:
            for first in range(0, out.shape[1], BLOCK):
                at = torch.from_numpy(inputs[first : first + BLOCK]).bfloat16()
                for weights, bias in self.hidden:
                    at = torch.relu_(linear(at, weights, bias))
                given = torch.addmm(bias_out[:, None], weights_out, at.float().T).numpy()
                part = out[:, first : first + BLOCK]
                part[...] = given[:, : part.shape[1]]


class _OneThread:
    """Torch on one thread while somebody is inside, on whichever thread; then as it was before."""

    def __init__(self) -> None:
        self.lock, self.inside, self.before = threading.Lock(), 0, 1

    def __enter__(self) -> None:
        with self.lock:
            if self.inside == 0:
                self.before = torch.get_num_threads()
            self.inside += 1
            # For every thread of its own, where it has been inside before.
            torch.set_num_threads(1)

    def __exit__(self, *error: object) -> None:
        with self.lock:
            self.inside -= 1
            if self.inside == 0:
                torch.set_num_threads(self.before)


_one_thread = _OneThread()
