"""How much memory and time a large file of events takes: `python -m benchmarks.memory --rows 50000000`.

Makes a Parquet file of stand-in events in row groups of a million (about 60 MB each on disk, and
80 MB more for its layout), then streams it, opens it as pools, and draws from them in a process that
has done nothing else. Anonymous memory is what the program itself holds; pages of the
memory-mapped layout are the system's to take back and count in the proportional set size only.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from sigma68.seeds import stream
from sigma68.tasks.higgs.dataset import open_parquet
from sigma68.tasks.higgs.pools import PoolWarning
from sigma68.tasks.higgs.schema import FEATURES
from sigma68.tasks.higgs.task import Higgs
from sigma68.tasks.higgs.writer import EventWriter
from sigma68.types import Truth

GROUP = 1_000_000


def write_events(path: Path, rows: int) -> None:
    """A file of `rows` made-up events whose weights sum to the expected yields."""
    from benchmarks.events import made_columns
    from sigma68.tasks.higgs.derived import derive

    with EventWriter(path) as writer:
        for group, first in enumerate(range(0, rows, GROUP)):
            n = min(GROUP, rows - first)
            primaries, process, weights = made_columns(n, seed=group)
            features = np.concatenate([primaries, derive(primaries)])
            writer.write(features, weights=weights * (n / rows), process=process)


def memory_mb(entry: str, file: str = "status") -> float:
    """A line of /proc/self/FILE, in MB (10^6 bytes)."""
    for line in Path(f"/proc/self/{file}").read_text().splitlines():
        if line.startswith(f"{entry}:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError(f"/proc/self/{file} has no {entry}: this needs Linux 4.14 or newer")


class Watch:
    """Samples the process every 20 ms; `peak` is the largest anonymous memory seen, in MB."""

    def __init__(self) -> None:
        self.peak = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def _sample(self) -> None:
        while not self._done.wait(0.02):
            self.peak = max(self.peak, memory_mb("RssAnon"))

    @contextmanager
    def running(self) -> Iterator[None]:
        self._thread.start()
        yield
        self._done.set()
        self._thread.join()
        self.peak = max(self.peak, memory_mb("RssAnon"))


def measured(what: str, step: Callable[[], Any]) -> Any:
    """Run a step and print a line of the table."""
    watch, begin = Watch(), time.perf_counter()
    with watch.running():
        result = step()
    seconds = time.perf_counter() - begin
    pss = memory_mb("Pss", "smaps_rollup")
    print(f"| {what:<34} | {seconds:9.2f} | {watch.peak:9.0f} | {pss:9.0f} |", flush=True)
    return result


def measure(path: Path) -> None:
    """Print the table for a file of events."""
    task = Higgs()
    print("| step                               |   seconds | anon, MB  |  PSS, MB  |")
    print("| ---------------------------------- | --------: | --------: | --------: |")
    measured("nothing (imports only)", lambda: None)
    file = open_parquet(path)
    rows = measured(
        "stream and check all 31 columns",
        lambda: sum(b.n_events for b in file.iter_batches(FEATURES)),
    )
    pools = measured("open, first time (convert)", lambda: task.open(str(path)))
    pools = measured("open, second time", lambda: task.open(str(path)))
    pool = pools.scoring
    truth = Truth({"mu": 1.0}, {"tes": 1.01, "jes": 0.99, "soft_met": 1.0})
    for name, toy in (("first (kernels loaded)", 0), ("second", 1), ("third", 2)):
        key = stream(task.name, "pseudo-experiment", 1, 0, toy)
        measured(f"toy, {name}", lambda key=key: task.pseudo_experiment(pool, truth, key).n_events)
    measured("statistics of the scoring pool", pool.statistics)
    measured("labelled, 1 million rows", lambda: pool.labelled(max_rows=1_000_000).n_events)
    size = path.stat().st_size / 1e9
    print(f"\n{rows} rows, {size:.2f} GB of Parquet, {pool.n_rows} rows in the scoring pool")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--folder", type=Path, help="where to make the files (deleted afterwards)")
    options = parser.parse_args()
    warnings.simplefilter("ignore", PoolWarning)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        os.environ["SIGMA68_CACHE"] = folder
        path = Path(folder) / "events.parquet"
        context = multiprocessing.get_context("spawn")
        for target, arguments in ((write_events, (path, options.rows)), (measure, (path,))):
            # Each in a process of its own, so that the one's memory is not counted as the other's.
            process = context.Process(target=target, args=arguments)
            process.start()
            process.join()
            if process.exitcode:
                raise SystemExit(process.exitcode)


if __name__ == "__main__":
    main()
