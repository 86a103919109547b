"""Small labelled samples for the tests of learning and methods."""

from __future__ import annotations

import numpy as np

from sigma68.types import Labelled


def overlapping(n_events: int, seed: int, *, hard_events: bool = False) -> Labelled:
    """Signal N(1.5, 1) on background N(0, 1) in `x`, and pure noise in `noise`.

    Weights vary and sum to 100 signal and 2,000 background events. With `hard_events`, rows come
    in identical pairs.
    """
    rng = np.random.default_rng(seed)
    labels = (rng.random(n_events) < 0.4).astype(np.int8)
    weights = rng.uniform(0.5, 1.5, n_events)
    for label, total in ((1, 100.0), (0, 2000.0)):
        weights[labels == label] *= total / weights[labels == label].sum()
    values = rng.normal(size=(2, n_events)).astype(np.float32)
    values[0] += np.float32(1.5) * labels
    hard = None
    if hard_events:
        values, labels = np.repeat(values, 2, axis=1), np.repeat(labels, 2)
        weights = np.repeat(weights / 2, 2)
        hard = np.repeat(np.arange(n_events, dtype=np.int64), 2)
    return Labelled(("x", "noise"), values, weights, labels, labels, ("background", "signal"), hard)
