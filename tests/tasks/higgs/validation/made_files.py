"""Files and samples with known answers: stand-in events, shared out or changed on purpose."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from benchmarks.events import made_events

from sigma68.tasks.higgs.dataset import EventBatch
from sigma68.tasks.higgs.schema import DERIVED, FEATURES, PRIMARIES
from sigma68.tasks.higgs.validation.sample import Sample

Floats = npt.NDArray[np.float64]


def batch(
    values: npt.NDArray[np.floating],
    weights: Floats | None = None,
    process: npt.NDArray[np.int8] | None = None,
) -> EventBatch:
    """Columns as a batch of a file; all of the first process if nothing else is said."""
    n = values.shape[1]
    return EventBatch(
        0,
        FEATURES,
        values.astype(np.float32),
        np.ones(n) if weights is None else weights,
        np.zeros(n, np.int8) if process is None else process,
    )


def sample(frame: pd.DataFrame) -> Sample:
    """A frame of made-up events as a sample; every row is its own hard event."""
    values = np.ascontiguousarray(frame[list(FEATURES)].to_numpy(np.float32).T)
    process = np.asarray(frame["detailed_labels"].cat.codes, np.int8)
    weights = frame["weights"].to_numpy(np.float64)
    return Sample(values, weights, process, np.arange(len(frame)))


def halves(n: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Made-up events in two halves of the same physics, each with the whole expected yield.

    The second is the smaller one, a tenth, as real events are.
    """
    frame = made_events(n, seed=seed)
    second = np.random.default_rng(seed).random(n) < 0.1
    parts = frame[~second].copy(), frame[second].copy()
    for part, share in zip(parts, (0.9, 0.1), strict=True):
        part["weights"] = (part["weights"] / share).astype(np.float32)
    return parts


def scaled(frame: pd.DataFrame, column: str, factor: float) -> pd.DataFrame:
    """The same events with one primary column scaled, and what follows from it."""
    from sigma68.tasks.higgs.derived import derive

    changed = frame.copy()
    defined = changed[column] != -25
    changed.loc[defined, column] = (changed.loc[defined, column] * factor).round(3)
    primaries = np.ascontiguousarray(changed[list(PRIMARIES)].to_numpy(np.float32).T)
    for name, values in zip(DERIVED, derive(primaries), strict=True):
        changed[name] = values
    return changed


def write(frame: pd.DataFrame, path: Path) -> Path:
    """The frame as a file of events."""
    frame.to_parquet(path, index=False)
    return path
