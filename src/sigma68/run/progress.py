"""How a run says how far it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["ProgressCallback", "RunProgress"]


@dataclass(frozen=True)
class RunProgress:
    """How far a run is.

    `stage` says what is being done ("training: ..." or "toys"); while the stage is "toys",
    `done` of `total` toys are finished, those of earlier sittings included, `failed` of them
    without a valid answer, and `rate` is in toys per second in this sitting. While training,
    `done` of `total` are per cent. `message` is what the last toy that failed said.
    """

    stage: str
    done: int
    total: int
    failed: int = 0
    rate: float = 0.0
    message: str = ""


ProgressCallback = Callable[[RunProgress], None]
"""Called with how far a run is, often; must be quick."""
