"""Labelled events made ready for training: balanced weights, and hard events kept out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError

__all__ = ["balanced_weights", "held_out"]


def balanced_weights(
    weights: npt.NDArray[np.float64], labels: npt.NDArray[np.int8]
) -> npt.NDArray[np.float32]:
    """Weights (n_events,) rescaled to equal sums of signal and background and a mean of 1.

    Raises
    ------
    DataError
        If signal or background is missing or weighs nothing.
    """
    balanced = np.empty(weights.shape, np.float32)
    for label, name in ((1, "signal"), (0, "background")):
        chosen = labels == label
        total = float(weights[chosen].sum())
        if not total > 0:
            raise DataError(
                f"the {labels.size} training events hold no {name}: training needs both signal "
                "and background; give a larger pool"
            )
        balanced[chosen] = weights[chosen] * (0.5 * labels.size / total)
    return balanced


def held_out(
    n_events: int, hard_event: npt.NDArray[np.int64] | None, share: float
) -> npt.NDArray[np.bool_]:
    """Which events, (n_events,), are kept out of training: a hash of the hard event decides.

    Events without a hard event are each their own.
    """
    ids = np.arange(n_events, dtype=np.int64) if hard_event is None else hard_event
    # SplitMix64's finaliser; the added constant parts this split from any other by the same ids.
    x = ids.astype(np.uint64) + np.uint64(0x5369676D61363874)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    kept_out: npt.NDArray[np.bool_] = (x >> np.uint64(11)) * 2.0**-53 < share
    return kept_out
