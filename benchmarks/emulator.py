"""How fast events are emulated: `python -m benchmarks.emulator [--events 200000] [--json FILE]`.

The peer is zuko (extra `peer`), whose neural spline flows are the usual way to do this: 7
dimensions (tau, lepton, MET; 4 transforms of 64 x 64) beside our Z events, and 13 (two jets more;
6 transforms of 96 x 96) beside our ttbar events, most of which have two jets. Its weights are
untrained, which makes no difference to the speed. It draws coordinates alone, on one thread, in
chunks of the size that suits it best; ours are whole events, jets and all, rounded, before the high
thresholds.

All take turns in one run, after one round to warm up; medians of `--repeats`. The clock on the wall
says what others left of the machine, so processor time stands beside it: events per second of it are
what one core that is left alone makes. `load` is that of the machine before and after.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from sigma68.seeds import stream
from sigma68.tasks.higgs.bias import bias_columns
from sigma68.tasks.higgs.emulate.emulator import Emulator
from sigma68.tasks.higgs.emulate.pools import EmulatedPool
from sigma68.tasks.higgs.emulate.source import EmulatedSource
from sigma68.tasks.higgs.emulate.threads import in_order, threads_here
from sigma68.tasks.higgs.emulate.writing import emulate_file
from sigma68.tasks.higgs.schema import PROCESSES

CHUNK: Final = 8192
"""Events of one call."""

GOAL: Final = 200_000
"""Events a second on two cores."""

FLOWS: Final = {"7 dimensions": (7, 4, 64), "13 dimensions": (13, 6, 96)}
"""Dimensions, transforms and width of the peer's flows."""

BESIDE: Final = {"7 dimensions": "Z", "13 dimensions": "ttbar"}
SHORT: Final = dict(zip(PROCESSES, ("H", "Z", "ttbar", "VV"), strict=True))
SIZES: Final = (512, 1024, 4096)
"""Chunks that are tried for the peer."""

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Job:
    """Something to time: `run` handles `events` of them."""

    what: str
    kind: str
    threads: int
    events: int
    run: Callable[[], object]


@dataclass(frozen=True)
class Row:
    """Medians of a job: events per second, by the clock and by processor time."""

    what: str
    kind: str
    threads: int
    events: int
    per_second: float
    per_cpu_second: float


def timed(jobs: list[Job], repeats: int) -> list[Row]:
    """The jobs in turn, round by round, after a round that does not count."""
    taken: list[list[tuple[float, float]]] = [[] for _ in jobs]
    for turn in range(repeats + 1):
        for job, times in zip(jobs, taken, strict=True):
            wall, cpu = time.perf_counter(), time.process_time()
            job.run()
            if turn:
                times.append((time.perf_counter() - wall, time.process_time() - cpu))
    return [
        Row(job.what, job.kind, job.threads, job.events, *rates(job.events, times))
        for job, times in zip(jobs, taken, strict=True)
    ]


def rates(events: int, times: list[tuple[float, float]]) -> tuple[float, float]:
    """Events per second on the wall and of processor time, from the medians of both."""
    wall, cpu = (statistics.median(column) for column in zip(*times, strict=True))
    return events / wall, events / cpu


def each_chunk(work: Callable[[range], object], events: int, threads: int) -> None:
    """Do `work` on chunks of event numbers, by threads or, for one, without any."""
    spans = (range(first, min(first + CHUNK, events)) for first in range(0, events, CHUNK))
    if threads == 1:
        for span in spans:
            work(span)
        return
    for _ in in_order(work, spans, threads=threads, ahead=4 * threads):
        pass


def proportions(emulator: Emulator, events: int) -> list[int]:
    """How many of so many events are of each process, in natural proportion."""
    counts = np.maximum(1, emulator.expected / emulator.expected.sum() * events)
    return [int(count) for count in counts]


def sampling(emulator: Emulator, events: int, threads: int) -> Iterator[Job]:
    """Whole events: of each process, and in natural proportion."""
    own = stream("higgs", "emulator benchmark", 1)

    def sampler(process: int) -> Callable[[range], Float32]:
        return lambda span: emulator.sample(process, np.arange(span.start, span.stop), own)

    def natural(threads: int) -> None:
        for process, count in enumerate(proportions(emulator, events)):
            each_chunk(sampler(process), count, threads)

    for process, name in enumerate(PROCESSES):
        run = lambda process=process: each_chunk(sampler(process), events, 1)  # noqa: E731
        yield Job(SHORT[name], "events", 1, events, run)
    for n in dict.fromkeys((1, threads)):
        run = lambda n=n: natural(n)  # noqa: E731
        yield Job("natural mixture", "events", n, sum(proportions(emulator, events)), run)


def densities(emulator: Emulator, events: int, threads: int) -> Iterator[Job]:
    """The densities of observed events in natural proportion, under each process and all four."""
    own = stream("higgs", "emulator benchmark", 2)
    drawn = [
        emulator.sample(process, np.arange(count), own)
        for process, count in enumerate(proportions(emulator, events))
    ]
    seen = bias_columns(np.concatenate(drawn, axis=1))[0]
    chunks = [
        np.ascontiguousarray(seen[:16, i : i + CHUNK]) for i in range(0, seen.shape[1], CHUNK)
    ]
    n = seen.shape[1]

    def under(processes: tuple[int, ...], threads: int) -> None:
        def work(chunk: Float32) -> None:
            for process in processes:
                emulator.log_density(process, chunk)

        for _ in in_order(work, chunks, threads=threads, ahead=4 * threads):
            pass

    for process, name in enumerate(PROCESSES):
        run = lambda process=process: under((process,), 1)  # noqa: E731
        yield Job(SHORT[name], "densities", 1, n, run)
    for count in dict.fromkeys((1, threads)):
        run = lambda count=count: under((0, 1, 2, 3), count)  # noqa: E731
        yield Job("all four", "densities", count, n, run)


def peers(events: int) -> Iterator[Job]:
    """The peer's coupling flows: draws and logarithms of densities; autoregressive ones: draws."""
    import torch
    from zuko.flows import NSF

    torch.set_num_threads(1)
    for name, (dimensions, transforms, width) in FLOWS.items():
        for style, passes in (("coupling", 2), ("autoregressive", None)):
            torch.manual_seed(1)
            flow = NSF(
                dimensions, transforms=transforms, hidden_features=(width, width), passes=passes
            ).eval()
            # An autoregressive flow finds densities as fast as a coupling flow, and draws slowly.
            for kind in ("events", "densities") if passes else ("events",):
                size = best_size(flow, dimensions, kind)
                run = peer_run(flow, dimensions, kind, events, size)
                yield Job(f"zuko, {name}, {style}", kind, 1, events, run)


def peer_run(flow: Any, dimensions: int, kind: str, events: int, size: int) -> Callable[[], None]:
    """Draw, or find the density of, `events` points in chunks of `size`, on one thread."""
    import torch

    points = torch.randn(size, dimensions)

    def run() -> None:
        with torch.no_grad():
            law = flow()
            for first in range(0, events, size):
                n = min(size, events - first)
                if kind == "events":
                    law.sample((n,))
                else:
                    law.log_prob(points[:n])

    return run


def best_size(flow: Any, dimensions: int, kind: str) -> int:
    """The chunk, of `SIZES`, in which it needs the least processor time an event."""
    taken = {}
    for size in SIZES:
        run = peer_run(flow, dimensions, kind, size, size)
        run()
        begin = time.process_time()
        run()
        taken[size] = (time.process_time() - begin) / size
    return min(taken, key=lambda size: taken[size])


def files(emulator: Emulator, rows: int, folder: Path, threads: int) -> Iterator[Job]:
    """A Parquet file in natural proportion, and a pool laid out in the cache."""
    path = folder / "events.parquet"
    yield Job(
        f"a file of {rows / 1e6:g} million rows",
        "whole",
        threads,
        rows,
        lambda: emulate_file(path, emulator, rows, threads=threads),
    )
    seeds = iter(range(1, 10_000))

    def pool() -> None:
        # Each seed is another pool: what lies in the cache already would cost nothing.
        source = EmulatedSource(next(seeds), rows)
        EmulatedPool("scoring", source, emulator).prepare()

    yield Job(f"a pool of {rows / 1e6:g} million rows", "whole", threads, rows, pool)


def markdown(rows: list[Row], threads: int) -> str:
    """A table for each kind: per second of one core, per second on the wall, ratios."""
    lines = []
    for kind, title in (
        ("events", "events drawn"),
        ("densities", "densities of events"),
        ("whole", "all in all"),
    ):
        own = [row for row in rows if row.kind == kind]
        if not own:
            continue
        lines += [
            f"| {title} | threads | thousands / CPU s | thousands / s | ours over it |",
            "| --- | ---: | ---: | ---: | ---: |",
        ]
        for row in own:
            lines.append(
                f"| {row.what} | {row.threads} | {row.per_cpu_second / 1e3:,.1f} "
                f"| {row.per_second / 1e3:,.1f} | {ratio(row, own)} |"
            )
        lines.append("")
    goal = [row for row in rows if row.what == "natural mixture" and row.threads == threads]
    for row in goal:
        lines.append(
            f"goal: {GOAL:,} events/s on two cores; {row.per_second:,.0f} by the clock, "
            f"{2 * row.per_cpu_second:,.0f} in two seconds of processor time"
        )
    return "\n".join(lines)


def ratio(row: Row, rows: list[Row]) -> str:
    """Ours over the peer's, by processor time of one thread; nothing for other rows.

    Densities are those of the natural mixture, whose events mostly have no jet: nothing to hold
    against 13 dimensions.
    """
    if row.kind == "densities" and "13 dimensions" in row.what:
        return ""
    beside = next((ours for name, ours in BESIDE.items() if name in row.what), None)
    own = [r for r in rows if r.what == beside and r.threads == row.threads == 1]
    return f"{own[0].per_cpu_second / row.per_cpu_second:.1f} ({beside})" if own else ""


def load() -> str:
    return " ".join(f"{value:.1f}" for value in os.getloadavg())


def versions() -> dict[str, str]:
    names = ("sigma68", "torch", "zuko", "numpy", "numba", "pyarrow")
    found = {name: importlib.metadata.version(name) for name in names}
    return {"python": platform.python_version(), **found, "cores": str(os.cpu_count())}


def measure(
    emulator: Emulator, events: int, peer_events: int, rows: int, repeats: int, folder: Path
) -> list[Row]:
    """All rows of the tables."""
    threads = threads_here()
    jobs = [*sampling(emulator, events, threads), *densities(emulator, events, threads)]
    jobs += peers(peer_events)
    found = timed(jobs, repeats)
    return found + timed(list(files(emulator, rows, folder, threads)), repeats)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--peer-events", type=int, default=16_384)
    parser.add_argument("--rows", type=int, default=2_000_000, help="of the file and the pool")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--weights", type=Path, help="the emulator's; the package's if left out")
    parser.add_argument("--json", type=Path, help="write the numbers here as well")
    given = parser.parse_args()
    emulator, before = Emulator.load(given.weights), load()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SIGMA68_CACHE"] = folder
        rows = measure(
            emulator, given.events, given.peer_events, given.rows, given.repeats, Path(folder)
        )
    about = {**versions(), "weights": emulator.fingerprint[:12], "load": f"{before}, {load()}"}
    print(markdown(rows, threads_here()))
    print(
        "\nMedians of",
        given.repeats,
        "in one run;",
        ", ".join(f"{k} {v}" for k, v in about.items()),
    )
    if given.json:
        document = {"about": about, "rows": [asdict(row) for row in rows]}
        given.json.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
