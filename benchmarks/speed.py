"""How fast: `python -m benchmarks.speed [--pool 5000000 50000000] [--json FILE]`.

Each row is a ratio of the peer (HiggsML 0.1.5, pandas) to sigma68 on the same rows in one run:
both warm, the two alternating, medians of `--repeats` (five), all cores. The peer is timed on
a DataFrame that is copied for it beforehand, so that it never pays for what it overwrites. Ours
is timed from columns in memory to columns in memory; what it costs to come from a DataFrame
and go back to one is shown apart, and so are the rates at which this machine moves memory.
"""

from __future__ import annotations

import argparse
import gc
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.events import made_columns
from sigma68.seeds import stream
from sigma68.tasks.higgs import compat, toys
from sigma68.tasks.higgs.bias import bias_columns
from sigma68.tasks.higgs.derived import derive
from sigma68.tasks.higgs.layout import EventLayout, build_layout
from sigma68.tasks.higgs.nuisance import process_scales
from sigma68.tasks.higgs.schema import FEATURES, PRIMARIES, PROCESSES
from sigma68.types import Observation

NUISANCES = {"tes": 1.02, "jes": 0.99, "soft_met": 1.0}
SCALES = {"ttbar_scale": 1.02, "diboson_scale": 1.2, "bkg_scale": 1.001}


@dataclass(frozen=True)
class Row:
    """One line of the table: seconds, medians."""

    what: str
    rows: int
    ours: float
    peer: float | None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        return None if self.peer is None else self.peer / self.ours


def alternating(
    repeats: int, *pairs: tuple[Callable[[], Any], Callable[[Any], Any]]
) -> list[float]:
    """Median seconds of each (prepare, run) pair, taken in turn after one warm-up each."""
    seconds: list[list[float]] = [[] for _ in pairs]
    for turn in range(repeats + 1):
        for (prepare, run), taken in zip(pairs, seconds, strict=True):
            argument = prepare()
            gc.collect()
            start = time.perf_counter()
            result = run(argument)
            elapsed = time.perf_counter() - start
            del argument, result
            if turn:
                taken.append(elapsed)
    return [statistics.median(taken) for taken in seconds]


def nothing() -> None:
    return None


def columns_benchmarks(n: int, repeats: int) -> list[Row]:
    """Derived columns and biasing of `n` rows."""
    from HiggsML.derived_quantities import DER_data
    from HiggsML.systematics import systematics

    values = made_columns(n, seed=1)[0]
    frame = pd.DataFrame(values.T, columns=list(PRIMARIES)).copy()
    key = stream("higgs", "benchmark", 1).key32
    memory = np.zeros((len(FEATURES) - len(PRIMARIES), n), np.float32)
    ours, given, peer, from_frame = alternating(
        repeats,
        (nothing, lambda _: derive(values)),
        (nothing, lambda _: derive(values, memory)),
        (frame.copy, DER_data),
        (frame.copy, compat.DER_data),
    )
    rows = [
        Row("derived columns", n, ours, peer),
        Row("derived columns, into given memory", n, given, peer),
        Row("derived columns, DataFrame to DataFrame", n, from_frame, peer),
    ]
    ours, peer, from_frame = alternating(
        repeats,
        (nothing, lambda _: bias_columns(values, key32=key, **NUISANCES)),
        (nothing, lambda _: systematics(frame, **NUISANCES)),
        (nothing, lambda _: compat.systematics(frame, **NUISANCES)),
    )
    rows += [
        Row("biasing with derived columns", n, ours, peer),
        Row("biasing with derived columns, DataFrame to DataFrame", n, from_frame, peer),
    ]
    features = bias_columns(values, key32=key, **NUISANCES)[0]
    (hand_over,) = alternating(
        repeats, (nothing, lambda _: Observation(FEATURES, features).frame())
    )
    return [*rows, Row("handing over a DataFrame", n, hand_over, None, "shares our memory")]


def pool_of(n: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int8], EventLayout]:
    """`n` rows in random order of processes, with weights of one pseudo-experiment."""
    base = min(n, 5_000_000)
    values, process, weights = made_columns(base, seed=2)
    copies = n // base
    if copies > 1:
        values = np.tile(values, (1, copies))
        process = np.tile(process, copies)
        weights = np.tile(weights / copies, copies)
    return values, process, build_layout(values, process, weights)


def toy_benchmark(n: int, repeats: int) -> list[Row]:
    """A whole pseudo-experiment from a pool of `n` rows."""
    from HiggsML.systematics import get_bootstrapped_dataset, get_systematics_dataset

    values, process, layout = pool_of(n)
    # The peer wants a DataFrame per process; primaries only, which spares it time and memory.
    pool = {}
    for p, name in enumerate(PROCESSES):
        mine = process == p
        pool[name] = pd.DataFrame(values[:, mine].T, columns=list(PRIMARIES))
        first, last = layout.starts[p : p + 2]
        pool[name]["weights"] = layout.weights[first:last].astype(np.float32)
    del values, process
    gc.collect()
    seeds = iter(range(10_000))
    scales = process_scales(1.0, {**NUISANCES, **SCALES})
    workspace = toys.Workspace()

    def ours(seed: int) -> npt.NDArray[np.float32]:
        return toys.draw(layout, scales, 1.02, 0.99, 1.0, stream("b", "toy", seed, 0, seed).key32)

    def reused(seed: int) -> npt.NDArray[np.float32]:
        key = stream("b", "toy", seed, 0, seed).key32
        return toys.draw(layout, scales, 1.02, 0.99, 1.0, key, workspace)

    def peer(seed: int) -> Any:
        events = get_bootstrapped_dataset(pool, mu=1.0, seed=seed, **SCALES)
        return get_systematics_dataset(events, **NUISANCES)

    def next_seed() -> int:
        return next(seeds)

    fresh, warm, theirs = alternating(
        repeats, (next_seed, ours), (next_seed, reused), (next_seed, peer)
    )
    size = f"{n / 1e6:g} million rows"
    return [
        Row(f"pseudo-experiment from {size}", n, fresh, theirs),
        Row(f"pseudo-experiment from {size}, as in a run", n, warm, theirs),
    ]


def memory_limits(repeats: int) -> list[Row]:
    """What moving the bytes alone would take: the floor under the rows above."""
    n = 1_000_000
    source = np.random.default_rng(0).random((28, n), dtype=np.float32)
    target = np.empty_like(source)
    (fill,) = alternating(repeats, (nothing, lambda _: np.copyto(target, source)))
    bytes_ = 2 * source.nbytes
    return [
        Row(
            "copying 28 columns of 1 million rows, one thread",
            n,
            fill,
            None,
            f"{bytes_ / fill / 1e9:.1f} GB/s",
        )
    ]


def help_time(repeats: int) -> Row:
    """`sigma68 --help`, as a process."""
    command = [str(Path(sys.executable).with_name("sigma68")), "--help"]
    (seconds,) = alternating(
        repeats, (nothing, lambda _: subprocess.run(command, check=True, capture_output=True))
    )
    return Row("sigma68 --help", 0, seconds, None)


def versions() -> dict[str, str]:
    names = ("sigma68", "HiggsML", "numpy", "numba", "pandas")
    found = {name: importlib.metadata.version(name) for name in names}
    return {"python": platform.python_version(), **found, "cores": str(os.cpu_count())}


def markdown(rows: list[Row]) -> str:
    lines = ["| what | sigma68 | HiggsML | ratio |", "| --- | ---: | ---: | ---: |"]
    for row in rows:
        peer = "" if row.peer is None else f"{row.peer * 1e3:,.0f} ms"
        ratio = row.note if row.ratio is None else f"{row.ratio:.1f}"
        ours = f"{row.ours * 1e3:,.1f} ms" if row.ours >= 1e-4 else f"{row.ours * 1e6:,.0f} µs"
        lines.append(f"| {row.what} | {ours} | {peer} | {ratio} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the column benchmarks")
    parser.add_argument(
        "--pool", type=int, nargs="*", default=[5_000_000], help="rows of the pools"
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the numbers here as well")
    arguments = parser.parse_args()
    # Deprecations and chained assignments inside the peer are not ours to mend.
    warnings.simplefilter("ignore")
    rows = columns_benchmarks(arguments.rows, arguments.repeats)
    for n in arguments.pool:
        rows += toy_benchmark(n, arguments.repeats)
    rows += [*memory_limits(arguments.repeats), help_time(arguments.repeats)]
    found = versions()
    print(markdown(rows))
    print(
        "\nMedians of",
        arguments.repeats,
        "in one run;",
        ", ".join(f"{k} {v}" for k, v in found.items()),
    )
    if arguments.json:
        document = {"versions": found, "rows": [{**asdict(r), "ratio": r.ratio} for r in rows]}
        arguments.json.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
