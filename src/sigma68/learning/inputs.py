"""What of an event a network is given: its features, or what a task's symmetries leave of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sigma68.protocols import HasInvariants, Task

__all__ = ["Inputs"]

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Inputs:
    """Names of the inputs, and the function from features (n_features, n) to them, (n_inputs, n)."""

    names: tuple[str, ...]
    function: Callable[[Float32], Float32]

    def __call__(self, values: npt.NDArray[np.floating[Any]]) -> Float32:
        return self.function(values.astype(np.float32, copy=False))

    @classmethod
    def of(cls, task: Task) -> Inputs:
        """The task's invariants where it knows symmetries (`HasInvariants`), else its features."""
        if isinstance(task, HasInvariants):
            return cls(tuple(f.name for f in task.invariants), task.invariant)
        return cls(tuple(f.name for f in task.features), _themselves)


def _themselves(values: Float32) -> Float32:
    return values
