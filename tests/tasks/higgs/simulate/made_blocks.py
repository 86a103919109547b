"""A generator that makes blocks at once, from stand-in events; and some that misbehave."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from benchmarks.events import made_columns

from sigma68.seeds import Stream
from sigma68.tasks.higgs.schema import PROCESSES
from sigma68.tasks.higgs.simulate.block import Block
from sigma68.tasks.higgs.simulate.streams import CODES

ROOT = Path(__file__).resolve().parents[4]
HERE = "tests.tasks.higgs.simulate.made_blocks"
MADE = f"{HERE}:MadeGenerator"


class MadeGenerator:
    """Blocks in which three of ten hard events have rows, one or two each.

    Tries are three times the hard events, spread over the codes of the process; the accepted
    fraction of each code is known (`TRUE_YIELD`), enriched or not.
    """

    def __init__(self, process: str, stream: Stream, *, enrich: bool = True) -> None:
        self.process = process
        self.pythia_seed = 7
        self.enrich = enrich
        self._dice = stream.generator()

    def block(self, hard_events: int) -> Block:
        dice = self._dice
        codes = np.array(CODES[self.process], np.int16)
        of_try = dice.choice(codes, 3 * hard_events, p=shares(self.process))
        kept = np.sort(dice.choice(3 * hard_events, hard_events, replace=False))
        rows_each = dice.choice(3, hard_events, p=(0.7, 0.2, 0.1))
        hard_event = np.repeat(np.arange(hard_events), rows_each)
        n = len(hard_event)
        weight = dice.choice([0.5, 2.0], hard_events) if self.enrich else np.ones(hard_events)
        mean = 1.25 if self.enrich else 1.0
        return Block(
            primaries(n, int(dice.integers(1 << 31))),
            3.0 * weight[hard_event] / mean,
            of_try[kept][hard_event],
            hard_event.astype(np.int64),
            np.concatenate([np.arange(k) for k in rows_each]).astype(np.int16),
            {int(c): int((of_try == c).sum()) for c in codes},
            hard_events,
        )


MEAN_ROWS = 0.4
"""Per hard event: with a mean weight of 3 per hard event, also what a try expects."""


def shares(process: str) -> np.ndarray:
    """How often each code of a process is tried."""
    falling = 1.0 / np.arange(1, len(CODES[process]) + 1)
    return falling / falling.sum()


def primaries(n: int, seed: int) -> np.ndarray:
    return made_columns(max(n, len(PROCESSES)), seed)[0][:, :n].copy()


class SlowGenerator(MadeGenerator):
    """A fifth of a second for each block."""

    def block(self, hard_events: int) -> Block:
        time.sleep(0.2)
        return super().block(hard_events)


class DyingGenerator(MadeGenerator):
    """Takes its process with it, as often as MADE_DEATHS says; each time leaves a file in MADE_MARKS."""

    def block(self, hard_events: int) -> Block:
        marks = Path(os.environ["MADE_MARKS"])
        deaths = len(list(marks.iterdir()))
        if self.process == "ttbar" and deaths < int(os.environ["MADE_DEATHS"]):
            (marks / str(deaths)).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().block(hard_events)


class RaisingGenerator(MadeGenerator):
    """Never makes anything."""

    def block(self, hard_events: int) -> Block:
        raise ValueError("no phase space is left")


class EmptyGenerator(MadeGenerator):
    """Selects nothing."""

    def block(self, hard_events: int) -> Block:
        return rows_of(super().block(hard_events), slice(0, 0))


def rows_of(block: Block, rows: slice) -> Block:
    """A block with some of its rows and all of its tries."""
    return replace(
        block,
        primaries=block.primaries[:, rows],
        **{n: getattr(block, n)[rows] for n in ("weights", "code", "hard_event", "decay")},
    )
