"""How fast trees score events: `python -m benchmarks.scoring [--events 1000000] [--json FILE]`.

The same trees, trained here on emulated events, score the same events in memory, features by events:
ours, and xgboost's `inplace_predict`, its fastest way without a copy. The margins are the same bits,
which is checked. Counting the scores in bins, what follows in a measurement, is held against NumPy's
`searchsorted` and `bincount`.

All take turns in one run, after one round to warm up; medians of `--repeats`. Ratios are given of the
clock on the wall and of processor time: on a machine that others use, the second says more. `load`
is that of the machine before and after.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.emulator import Job, load, timed
from sigma68 import load_task
from sigma68.learning.binning import count
from sigma68.learning.trees import Trees, TreeSettings, train_trees

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Line:
    """Medians of ours and of the peer, in milliseconds on the wall and of processor time."""

    what: str
    threads: int
    ours_ms: float
    peer_ms: float
    ours_cpu_ms: float
    peer_cpu_ms: float

    @property
    def ratio(self) -> float:
        return self.peer_ms / self.ours_ms

    @property
    def cpu_ratio(self) -> float:
        return self.peer_cpu_ms / self.ours_cpu_ms


def made(source: str, train_rows: int, n_events: int, settings: TreeSettings) -> tuple[Any, ...]:
    """Trees trained on events of a source, and other events of it, repeated to so many."""
    pools = load_task("higgs").open(source)
    trees = train_trees(pools.train.labelled({}, max_rows=train_rows), settings)
    values = pools.calibration.labelled({}, max_rows=n_events).values
    copies = -(-n_events // values.shape[1])
    return trees, np.ascontiguousarray(np.tile(values, (1, copies))[:, :n_events], np.float32)


def scoring(trees: Trees, values: Float32, threads: int) -> list[Job]:
    """Ours and xgboost's, on so many threads."""
    booster = trees.booster
    booster.set_param({"nthread": threads})
    forest, n = trees.forest, values.shape[1]

    def peer() -> Float32:
        margins: Float32 = booster.inplace_predict(values.T, predict_type="margin")
        return margins

    np.testing.assert_array_equal(forest.margins(values, threads=threads), peer())
    return [
        Job("scoring", "ours", threads, n, lambda: forest.margins(values, threads=threads)),
        Job("scoring", "peer", threads, n, peer),
    ]


def counting(scores: Float32, n_bins: int) -> list[Job]:
    """Counting in bins of equal content."""
    edges = np.quantile(scores, np.arange(1, n_bins) / n_bins).astype(np.float32)

    def peer() -> npt.NDArray[np.intp]:
        return np.bincount(np.searchsorted(edges, scores, side="right"), minlength=n_bins)

    np.testing.assert_array_equal(count(scores, edges), peer())
    what, n = f"counting in {n_bins} bins", len(scores)
    return [
        Job(what, "ours", 1, n, lambda: count(scores, edges)),
        Job(what, "peer", 1, n, peer),
    ]


def measure(trees: Trees, values: Float32, repeats: int) -> list[Line]:
    """All lines of the table."""
    jobs = [job for threads in (1, 2) for job in scoring(trees, values, threads)]
    jobs += counting(trees.score(values), 30)
    rows = timed(jobs, repeats)
    return [
        Line(
            ours.what,
            ours.threads,
            *(1e3 * row.events / row.per_second for row in (ours, peer)),
            *(1e3 * row.events / row.per_cpu_second for row in (ours, peer)),
        )
        for ours, peer in zip(rows[::2], rows[1::2], strict=True)
    ]


def markdown(lines: list[Line]) -> str:
    text = [
        "| what | threads | sigma68, ms (CPU ms) | peer, ms (CPU ms) | ratio | ratio of CPU time |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    text += [
        f"| {x.what} | {x.threads} | {x.ours_ms:,.1f} ({x.ours_cpu_ms:,.1f}) "
        f"| {x.peer_ms:,.1f} ({x.peer_cpu_ms:,.1f}) | {x.ratio:.1f} | {x.cpu_ratio:.1f} |"
        for x in lines
    ]
    return "\n".join(text)


def versions() -> dict[str, str]:
    names = ("sigma68", "xgboost-cpu", "numpy", "numba")
    found = {name: importlib.metadata.version(name) for name in names}
    return {"python": platform.python_version(), **found, "cores": str(os.cpu_count())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", default="emulated:1:2M", help="of the task higgs")
    parser.add_argument("--train-rows", type=int, default=500_000)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--json", type=Path, help="write the numbers here as well")
    given = parser.parse_args()
    before = load()
    trees, values = made(given.source, given.train_rows, given.events, TreeSettings())
    lines = measure(trees, values, given.repeats)
    about = {**versions(), "trees": str(trees.n_trees), "load": f"{before}, {load()}"}
    print(markdown(lines))
    print(f"\n{given.events:,} events, medians of {given.repeats} in one run;", end=" ")
    print(", ".join(f"{k} {v}" for k, v in about.items()))
    if given.json:
        rows = [{**asdict(x), "ratio": x.ratio, "cpu_ratio": x.cpu_ratio} for x in lines]
        given.json.write_text(json.dumps({"about": about, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
