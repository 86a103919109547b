"""Which pool a row belongs to: a hash of (split seed, hard event or source row), nothing stored.

All rows of one hard event go to one pool, so that the several decays of a simulated collision
never sit on two sides. The first of two passes over a file: `take_census` counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from sigma68.seeds import stream
from sigma68.tasks.higgs.dataset import EventBatch, EventFile
from sigma68.tasks.higgs.schema import PROCESSES

__all__ = ["ROLES", "SHARES", "Census", "mixed", "role_of", "take_census"]

ROLES: Final = ("train", "calibration", "scoring", "final")
SHARES: Final = (0.5, 0.1, 0.2, 0.2)
"""The share of rows (of hard events, where they are numbered) in each role."""


def mixed(
    numbers: npt.NDArray[np.int64] | npt.NDArray[np.uint64], key: int
) -> npt.NDArray[np.uint64]:
    """A 64-bit hash of each number under `key`, uint64, shape (n,).

    Two rounds of the finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014), keyed before
    and between.
    """
    words = [np.uint64((key >> shift) & 0xFFFFFFFFFFFFFFFF) for shift in (0, 64)]
    z = numbers.astype(np.uint64)
    for word in words:
        z = z + (word | np.uint64(1))
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return z


def role_of(numbers: npt.NDArray[np.int64], split_seed: int) -> npt.NDArray[np.uint8]:
    """The role of each number (hard event, else source row), an index into `ROLES`, (n,)."""
    key = stream("higgs", "split", split_seed).key
    edges = np.array([int(edge * 2.0**53) << 11 for edge in np.cumsum(SHARES)[:-1]], np.uint64)
    return np.searchsorted(edges, mixed(numbers, key), side="right").astype(np.uint8)


@dataclass(frozen=True)
class Census:
    """What a file holds, counted: arrays of shape (role, process) = (4, 4).

    `role` is the role of each row, uint8, shape (n_rows,); `low` and `high` are the smallest and
    largest weight.
    """

    role: npt.NDArray[np.uint8]
    counts: npt.NDArray[np.int64]
    sumw: npt.NDArray[np.float64]
    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]


def numbers_of(batch: EventBatch) -> npt.NDArray[np.int64]:
    """What the split hashes: the hard events of a batch, else its row numbers."""
    if batch.hard_event is not None:
        return batch.hard_event
    return np.arange(batch.first_row, batch.first_row + batch.n_events, dtype=np.int64)


def take_census(file: EventFile, split_seed: int) -> Census:
    """Count the rows of a file and sum their weights, by role and process, in one pass.

    Reads weights and origin alone; takes one byte of memory a row.

    Raises
    ------
    DataError
        As `EventFile.iter_batches`.
    """
    shape = (len(ROLES), len(PROCESSES))
    n_slots = len(ROLES) * len(PROCESSES)
    role = np.empty(file.n_rows, np.uint8)
    counts, sumw = np.zeros(n_slots, np.int64), np.zeros(n_slots)
    low, high = np.full(n_slots, np.inf), np.full(n_slots, -np.inf)
    for batch in file.iter_batches(()):
        own = role_of(numbers_of(batch), split_seed)
        role[batch.first_row : batch.first_row + batch.n_events] = own
        slot = own * np.int64(len(PROCESSES)) + batch.process
        counts += np.bincount(slot, minlength=n_slots)
        sumw += np.bincount(slot, batch.weights, minlength=n_slots)
        for s in np.flatnonzero(np.bincount(slot)):
            weights = batch.weights[slot == s]
            low[s], high[s] = min(low[s], weights.min()), max(high[s], weights.max())
    return Census(
        role, counts.reshape(shape), sumw.reshape(shape), low.reshape(shape), high.reshape(shape)
    )
