"""Selected events per second and core, beside plain Pythia in the same run.

    python -m benchmarks.simulation [--hard-events 2000] [--plain 200] [--seed 1]

Plain Pythia decays everything itself and keeps every event; a selected event costs it one over
the share of hard processes that are selected, which the simulation measures. Its detector and
selection are taken to cost nothing. Rows of one hard event are not independent and weights are
not equal: beside the raw number stands the effective one, (sum w)^2 / sum w^2 with the rows of a
hard event added up, in all and where the measurement is decided (two hard jets, or a fast boson).
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pythia8mc

from sigma68.seeds import Stream, stream
from sigma68.tasks.higgs.bias import bias_columns
from sigma68.tasks.higgs.regions import region_of
from sigma68.tasks.higgs.schema import PROCESSES
from sigma68.tasks.higgs.simulate.block import Block
from sigma68.tasks.higgs.simulate.generator import Generator
from sigma68.tasks.higgs.simulate.streams import CROSS_SECTION_FB, SETTINGS

DECISIVE = (0, 1, 2)
"""Regions with two hard jets or a fast boson."""


@dataclass(frozen=True)
class Rates:
    """Per second of one core."""

    rows: float
    effective: float
    effective_decisive: float
    plain: float
    plain_decisive: float


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hard-events", type=int, default=2000, help="per process")
    parser.add_argument("--plain", type=int, default=200, help="plain Pythia events per process")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    print("| process | plain, selected / s | rows / s | ratio | effective / s | ratio "
          "| decisive regions: plain / s | effective / s | ratio |")  # fmt: skip
    print("| --- |" + " ---: |" * 8)
    for process in PROCESSES:
        r = measured(process, arguments.hard_events, arguments.plain, arguments.seed)
        print(
            f"| {process} | {r.plain:.2f} | {r.rows:.0f} | {r.rows / r.plain:.0f} "
            f"| {r.effective:.1f} | {r.effective / r.plain:.0f} "
            f"| {r.plain_decisive:.3f} | {r.effective_decisive:.1f} "
            f"| {r.effective_decisive / r.plain_decisive:.0f} |",
            flush=True,
        )


def measured(process: str, hard_events: int, plain: int, seed: int) -> Rates:
    """Both ways of one process, on this core, one after the other."""
    source = stream("higgs", "benchmark", seed, set=PROCESSES.index(process))
    generator = Generator(process, source)
    generator.block(20)  # compile
    begin = time.process_time()
    block = generator.block(hard_events)
    seconds = time.process_time() - begin
    seconds_plain = _plain_seconds(process, plain, source)
    weights, share = _weights(block)
    decisive = _decisive(block)
    return Rates(
        block.n_rows / seconds,
        _effective(weights, block.hard_event) / seconds,
        _effective(weights[decisive], block.hard_event[decisive]) / seconds,
        share / seconds_plain,
        share * weights[decisive].sum() / weights.sum() / seconds_plain,
    )


def _plain_seconds(process: str, n: int, source: Stream) -> float:
    """Seconds of an event of Pythia as it comes, taus decayed by itself."""
    pythia = pythia8mc.Pythia("", False)
    for setting in SETTINGS[process]:
        if not setting.startswith("15:"):
            pythia.readString(setting)
    pythia.readString("Random:setSeed = on")
    pythia.readString(f"Random:seed = {source.generator().integers(1, 900_000_000)}")
    pythia.init()
    pythia.next()
    begin = time.process_time()
    for _ in range(n):
        pythia.next()
    return (time.process_time() - begin) / n


def _weights(block: Block) -> tuple[npt.NDArray[np.float64], float]:
    """Expected events of each row per fb^-1, and the selected share of hard processes."""
    tries = {code: max(n, 1) for code, n in block.tries.items()}
    each = np.array([CROSS_SECTION_FB[int(code)] / tries[int(code)] for code in block.code])
    return block.weights * each, float(block.weights.sum() / sum(tries.values()))


def _effective(weights: npt.NDArray[np.float64], hard_event: npt.NDArray[np.int64]) -> float:
    by_event = np.bincount(hard_event, weights)
    return float(by_event.sum() ** 2 / (by_event**2).sum())


def _decisive(block: Block) -> npt.NDArray[np.int64]:
    """Rows that are above the thresholds and in a decisive region."""
    features, passed = bias_columns(block.primaries, 1.0, 1.0, 0.0, np.zeros(2, np.uint32))
    return np.asarray(passed)[np.isin(region_of(features), DECISIVE)]


if __name__ == "__main__":
    main()
