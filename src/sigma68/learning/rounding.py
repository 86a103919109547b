"""Networks whose hidden layers are rounded to bfloat16: what that means, and who computes it.

The numbers that go into a layer, and the weights and biases of all layers but the last, are rounded
to the 8 significant bits of a bfloat16; products, sums and the last layer are float32. That is what
matrix units of processors (AMX) compute, several times as fast as float32, and where there are none
the kernel of `dense` computes the same: the two differ by the order of sums alone, which now and
then rounds a number the other way.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from sigma68.learning.bfloat16 import Products
    from sigma68.learning.network import Layer

__all__ = ["processor_has_units", "products", "to_bfloat16"]

Float32 = npt.NDArray[np.float32]


def to_bfloat16(values: Float32) -> Float32:
    """The nearest bfloat16 of finite values, as float32; of two as near the one that is even."""
    bits = np.ascontiguousarray(values).view(np.uint32)
    up = np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    rounded: Float32 = ((bits + up) & np.uint32(0xFFFF0000)).view(np.float32)
    return rounded


def products(layers: Sequence[Layer]) -> Products | None:
    """What applies layers on the processor's matrix units; None without these, or without torch."""
    if not processor_has_units():
        return None
    try:
        from sigma68.learning.bfloat16 import Products
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        return None
    return Products.of(layers)


@cache
def processor_has_units() -> bool:
    """Whether this processor has matrix units for bfloat16.

    Asked of Linux and not of torch, whose import takes seconds; on other systems there are none.
    """
    try:
        return "amx_bf16" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False
