"""How much memory and time a large file of events takes: `python -m benchmarks.memory --rows 50000000`.

Makes a Parquet file of stand-in events in row groups of a million (about 60 MB each on disk, and
80 MB more for its layout), or takes one that is there (`--file`). Then it streams it, splits it,
opens it as pools, describes it and draws from it in a process that has done nothing else.
Anonymous memory is what the program itself holds; pages of the memory-mapped layout are the
system's to take back and count in the proportional set size only. Ends with exit code 1 if the
anonymous memory of any step was over the limit.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import multiprocessing
import os
import shutil
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
from sigma68.tasks.higgs.split import take_census
from sigma68.tasks.higgs.task import Higgs
from sigma68.tasks.higgs.writer import EventWriter
from sigma68.types import Truth

GROUP = 1_000_000
BYTES_A_ROW = 160
"""Of the file and of its layout together, with a little to spare."""


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


class Table:
    """Measures steps and prints a line for each; `peak` is the largest anonymous memory, in MB."""

    def __init__(self) -> None:
        self.peak = 0.0
        self.seconds = 0.0
        print("| step                               |   seconds | anon, MB  |  PSS, MB  |")
        print("| ---------------------------------- | --------: | --------: | --------: |")

    def step(self, what: str, work: Callable[[], Any]) -> Any:
        watch, begin = Watch(), time.perf_counter()
        with watch.running():
            result = work()
        seconds = time.perf_counter() - begin
        self.seconds += seconds
        self.peak = max(self.peak, watch.peak)
        pss = memory_mb("Pss", "smaps_rollup")
        print(f"| {what:<34} | {seconds:9.2f} | {watch.peak:9.0f} | {pss:9.0f} |", flush=True)
        return result


def describe(path: Path) -> str:
    """What `sigma68 data describe` prints."""
    from sigma68.cli import app

    with contextlib.redirect_stdout(io.StringIO()) as shown:
        app(["data", "describe", str(path)], standalone_mode=False)
    return shown.getvalue()


def measure(path: Path, limit_mb: float) -> bool:
    """Print the table for a file of events; whether all of it stayed under the limit."""
    task = Higgs()
    table = Table()
    step = table.step
    step("nothing (imports only)", lambda: None)
    file = open_parquet(path)
    step(
        "stream and check all 31 columns",
        lambda: sum(b.n_events for b in file.iter_batches(FEATURES)),
    )
    census = step("split (count rows of each pool)", lambda: take_census(file, 0))
    pools = step("open, first time (convert)", lambda: task.open(str(path)))
    pools = step("open, second time", lambda: task.open(str(path)))
    shown = step("sigma68 data describe", lambda: describe(path))
    pool = pools.scoring
    truth = Truth({"mu": 1.0}, {"tes": 1.01, "jes": 0.99, "soft_met": 1.0})
    for name, toy in (("first (kernels loaded)", 0), ("second", 1), ("third", 2)):
        key = stream(task.name, "pseudo-experiment", 1, 0, toy)
        step(f"toy, {name}", lambda key=key: task.pseudo_experiment(pool, truth, key).n_events)
    step("statistics of the scoring pool", pool.statistics)
    step("labelled, 1 million rows", lambda: pool.labelled(max_rows=1_000_000).n_events)
    size = path.stat().st_size / 1e9
    if f"{file.n_rows:,} rows" not in shown or census.counts.sum() != file.n_rows:
        raise RuntimeError(f"not all of the {file.n_rows} rows were counted")
    under = table.peak < limit_mb
    print(
        f"\n{file.n_rows:,} rows, {size:.2f} GB of Parquet, {pool.n_rows:,} rows in the scoring "
        f"pool; {table.seconds:.0f} s in all, at most {table.peak:.0f} MB of anonymous memory, "
        f"{'under' if under else 'OVER'} the limit of {limit_mb:.0f}",
        flush=True,
    )
    return under


def measure_or_exit(path: Path, limit_mb: float) -> None:
    warnings.simplefilter("ignore", PoolWarning)
    if not measure(path, limit_mb):
        raise SystemExit(1)


def check_disk(folder: str | None, rows: int) -> None:
    """Leave at once if there is no room for the file and its layout."""
    place = Path(folder or tempfile.gettempdir())
    free, need = shutil.disk_usage(place).free, rows * BYTES_A_ROW
    if free < need:
        raise SystemExit(
            f"{place} has room for {free / 1e9:.1f} GB, but {rows:,} rows take {need / 1e9:.1f} GB: "
            "give another --folder"
        )


def apart(target: Callable[..., None], *arguments: Any) -> None:
    """Run in a process of its own, so that nobody else's memory is counted."""
    process = multiprocessing.get_context("spawn").Process(target=target, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(process.exitcode)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--folder", help="where to make the files (deleted afterwards)")
    parser.add_argument("--file", type=Path, help="a file of events to take instead of making one")
    parser.add_argument("--limit-mb", type=float, default=1000, help="anonymous memory, at most")
    options = parser.parse_args()
    rows = open_parquet(options.file).n_rows if options.file else options.rows
    check_disk(options.folder, rows)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        os.environ["SIGMA68_CACHE"] = folder
        path = options.file
        if path is None:
            path = Path(folder) / "events.parquet"
            begin = time.perf_counter()
            apart(write_events, path, rows)
            print(f"made {rows:,} rows in {time.perf_counter() - begin:.0f} s\n", flush=True)
        apart(measure_or_exit, path, options.limit_mb)


if __name__ == "__main__":
    main()
