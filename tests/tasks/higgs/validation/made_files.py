"""Files and samples with known answers: stand-in events, shared out or changed on purpose."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from benchmarks.events import made_events

from sigma68.tasks.higgs.dataset import EventBatch
from sigma68.tasks.higgs.schema import DERIVED, EXPECTED_EVENTS, FEATURES, PRIMARIES, PROCESSES
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


def shared_out(n: int, seed: int) -> dict[str, pd.DataFrame]:
    """Made-up events as if emulated (half of them), held out and trained on (a quarter each).

    All of the same physics, each with the whole expected yields and with its own hard events.
    """
    frame = made_events(n, seed=seed)
    place = np.random.default_rng(seed).random(n)
    frame["hard_event"] = np.arange(n)
    edges = {"emulated": (0.0, 0.5), "held out": (0.5, 0.75), "training": (0.75, 1.0)}
    parts = {}
    for name, (low, high) in edges.items():
        part = frame[(place >= low) & (place < high)].reset_index(drop=True)
        sums = part.groupby("detailed_labels", observed=False)["weights"].transform("sum")
        expected = (
            part["detailed_labels"]
            .astype(str)
            .map(dict(zip(PROCESSES, EXPECTED_EVENTS, strict=True)))
        )
        part["weights"] = (part["weights"] / sums * expected).astype(np.float32)
        parts[name] = part
    parts["emulated"] = parts["emulated"].drop(columns="hard_event")
    return parts


def smeared(frame: pd.DataFrame, column: str, width: float, seed: int) -> pd.DataFrame:
    """The same events with noise added to a primary column where it is defined."""
    changed = frame.copy()
    defined = changed[column] != -25
    noise = np.random.default_rng(seed).normal(0, width, len(frame)).astype(np.float32)
    changed.loc[defined, column] = (changed[column] + noise)[defined].clip(-4.9, 4.9)
    return scaled(changed, column, 1.0)


def with_copies(
    frame: pd.DataFrame, training: pd.DataFrame, share: float, seed: int
) -> pd.DataFrame:
    """The same events, some of them replaced by training events, turned around the beam."""
    rng = np.random.default_rng(seed)
    changed = frame.copy()
    for process in changed["detailed_labels"].unique():
        own = np.flatnonzero((changed["detailed_labels"] == process).to_numpy())
        own = own[rng.random(len(own)) < share]
        source = training[training["detailed_labels"] == process]
        drawn = source.sample(len(own), weights="weights", random_state=rng, replace=True)
        for name in PRIMARIES:
            values = drawn[name].to_numpy(np.float64)
            if name.endswith("_phi"):
                turned = np.remainder(values + 1.234 + np.pi, 2 * np.pi) - np.pi
                values = np.where(values == -25, -25, turned.round(3))
            changed.iloc[own, changed.columns.get_loc(name)] = values.astype(np.float32)
    return scaled(changed, "PRI_met", 1.0)
