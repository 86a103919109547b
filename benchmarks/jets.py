"""How fast jets are found: `python -m benchmarks.jets [--particles 125 250 ...] [--json FILE]`.

The peer is FastJet (package fastjet, extra `peer`), anti-kt R = 0.6, jets above 20 GeV, on the same
made-up events in the same run, on one core, taking turns round by round. Two ways into FastJet are
timed: lists of PseudoJets made beforehand, event by event from Python, less what it takes to hand
such a list to C++ and do nothing (a selector that counts it), which leaves its C++ alone; and
arrays of many events (awkward), over which it loops in C++, copying them in and the jets out. Ours
loops over the events in a numba kernel, and says in addition which jet each particle belongs to.
Processor time is counted, and the smallest of the rounds: others may use the machine.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from sigma68.seeds import stream
from sigma68.tasks.higgs.simulate.jets import cluster, workspace

RADIUS, PT_MIN = 0.6, 20.0
Momenta = npt.NDArray[np.float64]


def momenta(pt: Momenta, y: Momenta, phi: Momenta, mass: Momenta | float = 0.0) -> Momenta:
    """(px, py, pz, E) in GeV, shape (4, n), from pt, rapidity, azimuth and mass."""
    transverse = np.hypot(pt, mass)
    return np.array(
        [pt * np.cos(phi), pt * np.sin(phi), transverse * np.sinh(y), transverse * np.cosh(y)]
    )


def collision(rng: np.random.Generator, n: int) -> Momenta:
    """`n` made-up towers, shape (4, n): a soft background to |y| = 4.9 and up to four jets.

    Momenta and numbers are tuned by eye to what a collision at 13 TeV leaves in a calorimeter.
    """
    hard = min(n // 4, 12 * int(rng.integers(1, 5)))
    jet = rng.integers(0, 1 + hard // 12, hard)
    y, phi = rng.uniform(-3.5, 3.5, 5)[jet], rng.uniform(-np.pi, np.pi, 5)[jet]
    soft = n - hard
    return momenta(
        np.concatenate([0.4 + rng.exponential(0.6, soft), 0.5 + rng.pareto(1.5, hard) * 2.5]),
        np.concatenate([rng.uniform(-4.9, 4.9, soft), y + rng.normal(0, 0.15, hard)]),
        np.concatenate([rng.uniform(-np.pi, np.pi, soft), phi + rng.normal(0, 0.15, hard)]),
    )


@njit
def _all_events(
    particles: Any, offsets: Any, space: Any, jets: Any, jet_of: Any, r: float, pt_min: float
) -> int:
    found = 0
    for i in range(offsets.size - 1):
        a, b = offsets[i], offsets[i + 1]
        found += cluster(
            particles[0, a:b], particles[1, a:b], particles[2, a:b], particles[3, a:b],
            b - a, space, jets, jet_of, r, pt_min,
        )  # fmt: skip
    return found


@dataclass(frozen=True)
class Row:
    """Microseconds per event; `handing` is what `pseudojets` spends outside FastJet's C++."""

    particles: int
    events: int
    ours: float
    pseudojets: float
    handing: float
    arrays: float


def ways(events: list[Momenta]) -> list[Callable[[], int]]:
    """What is timed, in the order of `Row`: all but `handing` return the number of jets."""
    import awkward as ak
    import fastjet

    n = max(event.shape[1] for event in events)
    space, jets, jet_of = workspace(n), np.empty((n, 4)), np.empty(n, np.int64)
    particles = np.concatenate(events, axis=1)
    counts = np.array([event.shape[1] for event in events])
    offsets = np.concatenate([[0], np.cumsum(counts)])
    definition = fastjet.JetDefinition(fastjet.antikt_algorithm, RADIUS)
    lists = [[fastjet.PseudoJet(*map(float, p)) for p in event.T] for event in events]
    fields = dict(zip(("px", "py", "pz", "E"), particles, strict=True))
    arrays = ak.unflatten(ak.zip(fields, with_name="Momentum4D"), counts)

    def ours() -> int:
        return int(_all_events(particles, offsets, space, jets, jet_of, RADIUS, PT_MIN))

    def pseudojets() -> int:
        return sum(
            len(fastjet.ClusterSequence(event, definition).inclusive_jets(PT_MIN))
            for event in lists
        )

    everything = fastjet.SelectorIdentity()

    def handing() -> int:
        return sum(everything.count(event) for event in lists)

    def many() -> int:
        found = fastjet.ClusterSequence(arrays, definition).inclusive_jets(PT_MIN)
        return int(ak.count(found.px))

    return [ours, pseudojets, handing, many]


def measure(particles: int, events: int, rounds: int) -> Row:
    """Time them on events of `particles` towers; all must find as many jets."""
    rng = stream("higgs", "jet benchmark", particles).generator()
    functions = ways([collision(rng, particles) for _ in range(events)])
    found = {functions[i]() for i in (0, 1, 3)}
    if len(found) != 1:
        raise AssertionError(f"the numbers of jets differ at {particles} particles: {found}")
    best = [float("inf")] * len(functions)
    for _ in range(rounds):
        for i, function in enumerate(functions):
            start = time.process_time()
            function()
            best[i] = min(best[i], time.process_time() - start)
    return Row(particles, events, *(1e6 * seconds / events for seconds in best))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--particles", type=int, nargs="+", default=[50, 125, 250, 500, 1000, 2000])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    version = importlib.metadata.version("fastjet")
    print(f"anti-kt R = {RADIUS}, jets above {PT_MIN:g} GeV, microseconds per event")
    print(f"{'particles':>9} {'sigma68':>9} {'C++ alone':>18} {'arrays':>18}   fastjet {version}")
    rows = []
    for particles in options.particles:
        row = measure(particles, max(4, 8_000 // particles), options.rounds)
        rows.append(row)
        times = row.pseudojets - row.handing, row.arrays
        ratios = " ".join(f"{t:9.1f} ({t / row.ours:5.2f}x)" for t in times)
        print(f"{row.particles:9d} {row.ours:9.1f} {ratios}", flush=True)
    if options.json is not None:
        about = {"python": platform.python_version(), "fastjet": version}
        options.json.write_text(json.dumps({**about, "rows": [asdict(r) for r in rows]}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
