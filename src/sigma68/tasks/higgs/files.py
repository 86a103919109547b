"""Whole files in, whole files out: biased copies of a data set, and pseudo-experiments on disk.

Both stream, so that memory does not grow with the file, and both give a result that is a
function of their arguments alone, however the input is cut into row groups.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sigma68 import __version__
from sigma68.errors import OutputError, SettingsError
from sigma68.protocols import Pool, Progress, Task
from sigma68.seeds import stream
from sigma68.tasks.higgs.bias import bias_columns
from sigma68.tasks.higgs.dataset import BATCH_ROWS, open_parquet
from sigma68.tasks.higgs.nuisance import check_nuisances, process_scales
from sigma68.tasks.higgs.schema import FEATURES, IS_SIGNAL, PROCESSES
from sigma68.tasks.higgs.writer import EventWriter, alone
from sigma68.types import Labelled, Truth

__all__ = ["TRUTH_FILE", "bias_file", "holds_toys", "labelled_chunks", "write_toys"]

TRUTH_FILE = "truth.json"
"""What the toys of a folder were made with; apart from them, since they hold features only."""

_UNFINISHED = f".{TRUTH_FILE}.partial"
_PEER_NOISE_SEED = 31415


def bias_file(
    source: str | Path,
    target: str | Path,
    nuisances: Mapping[str, float] | None = None,
    *,
    seed: int = 0,
    peer_compatible: bool = False,
    progress: Progress | None = None,
    batch_rows: int = BATCH_ROWS,
) -> int:
    """Write the events of `source` as the nuisance parameters change them; how many there are.

    Each event that passes the high thresholds appears once, in the order of `source`, with its
    28 biased features and its scaled weight. The soft-MET noise of an event is a function of
    `seed` and of its row number. With `peer_compatible` jets are counted as the peer counts
    them and the noise is the peer's, which knows no seed.

    Raises
    ------
    NuisanceError
        If a nuisance parameter is unknown or out of its range.
    DataError
        If `source` is not a file of events.
    OutputError
        If `target` cannot be written; nothing is left behind.
    SettingsError
        If `target` is the file that is read.
    """
    values = check_nuisances(nuisances)
    events = open_parquet(source)
    target = Path(target)
    if target.exists() and target.samefile(events.path):
        raise SettingsError(f"{target} is the input itself: give the output another name")
    scales = process_scales(1.0, values)
    soft_met = values["soft_met"]
    key = stream("higgs", "bias", seed).key32
    noise = PeerNoise(soft_met, events.n_rows) if peer_compatible and soft_met > 0 else None
    with EventWriter(target) as writer:
        for batch in events.iter_batches(batch_rows=batch_rows):
            features, rows = bias_columns(
                batch.values,
                values["tes"],
                values["jes"],
                soft_met,
                key,
                first_event=batch.first_row,
                peer_compatible=peer_compatible,
                noise=None if noise is None else noise(batch.n_events),
            )
            process = batch.process[rows]
            writer.write(features, weights=batch.weights[rows] * scales[process], process=process)
            if progress is not None:
                progress("", (batch.first_row + batch.n_events) / events.n_rows)
        return writer.n_rows


class PeerNoise:
    """The peer's soft-MET noise, in pieces: all events' x components, then all y components.

    The peer draws both arrays from one legacy generator; a second generator, wound forward past
    the x components, gives the y components without holding either array.
    """

    def __init__(self, soft_met_gev: float, n_events: int) -> None:
        self._width = soft_met_gev
        self._x = np.random.RandomState(_PEER_NOISE_SEED)
        self._y = np.random.RandomState(_PEER_NOISE_SEED)
        for first in range(0, n_events, BATCH_ROWS):
            self._y.standard_normal(min(BATCH_ROWS, n_events - first))

    def __call__(self, n: int) -> npt.NDArray[np.float64]:
        """The noise of the next `n` events in GeV, (2, n)."""
        return np.stack([self._x.normal(0, self._width, n), self._y.normal(0, self._width, n)])


def write_toys(
    task: Task,
    pool: Pool,
    truth: Truth,
    folder: str | Path,
    *,
    count: int,
    seed: int,
    settings: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Write `count` pseudo-experiments of one truth as toy_<n>.parquet, features only.

    Their truth, the seed and the fingerprint of the pool go to truth.json, which gets its name
    last: a folder with that file is complete. Toys that were there are removed. `settings` are
    further entries for it.

    Raises
    ------
    SettingsError
        If `count` is not positive or `seed` is negative.
    OutputError
        If the folder cannot be written.
    """
    if count < 1 or seed < 0:
        raise SettingsError(f"count must be 1 or more and seed 0 or more, not {count} and {seed}")
    folder = Path(folder)
    document = {
        "task": task.name,
        **truth.parameters,
        **truth.nuisances,
        "count": count,
        "seed": seed,
        "pool": pool.role,
        "fingerprint": pool.fingerprint,
        **(settings or {}),
        "sigma68": __version__,
    }
    paths = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # It stays where this is interrupted, and says so.
        with alone(folder / _UNFINISHED) as unfinished:
            unfinished.write((json.dumps(document, indent=2) + "\n").encode())
            unfinished.flush()
            for pattern in (TRUTH_FILE, "toy_*.parquet", ".toy_*.parquet.partial"):
                for old in folder.glob(pattern):
                    old.unlink(missing_ok=True)
            for n, values in enumerate(_toys(task, pool, truth, count, seed)):
                paths.append(folder / f"toy_{n}.parquet")
                with EventWriter(paths[-1], origin=False) as writer:
                    for first in range(0, values.shape[1], BATCH_ROWS):
                        writer.write(values[:, first : first + BATCH_ROWS])
                if progress is not None:
                    progress(paths[-1].name, (n + 1) / count)
            (folder / _UNFINISHED).replace(folder / TRUTH_FILE)
    except BlockingIOError as error:
        raise OutputError(
            f"another program is writing toys to {folder}: wait until it ends, or give another "
            "folder"
        ) from error
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be written ({error.strerror or error}): choose another folder"
        ) from error
    return paths


def holds_toys(folder: Path) -> bool:
    """Whether there are toys in `folder` that an interrupted `write_toys` did not leave there."""
    return any(folder.glob("toy_*.parquet")) and not (folder / _UNFINISHED).exists()


def _toys(
    task: Task, pool: Pool, truth: Truth, count: int, seed: int
) -> Iterator[npt.NDArray[np.float32]]:
    for n in range(count):
        # Not the stream of a run's toys: who has these files knows nothing of those.
        toy = task.pseudo_experiment(pool, truth, stream(task.name, "toys", seed, 0, n))
        yield toy.values.astype(np.float32, copy=False)


def labelled_chunks(
    source: str | Path,
    shifts: Mapping[str, Mapping[str, float]],
    *,
    seed: int = 0,
    batch_rows: int = BATCH_ROWS,
) -> Iterator[dict[str, Labelled]]:
    """Stream the events of `source` under several shifts at once, high thresholds applied.

    `shifts` names the nuisance parameters of each; every item has the same events (those that
    pass) under each name. Weights are those of the file.

    Raises
    ------
    NuisanceError
        If a nuisance parameter is unknown or out of its range.
    DataError
        If `source` is not a file of events.
    """
    checked = {name: check_nuisances(values) for name, values in shifts.items()}
    events = open_parquet(source)
    key = stream("higgs", "bias", seed).key32
    for batch in events.iter_batches(batch_rows=batch_rows):
        chunk = {}
        for name, values in checked.items():
            features, rows = bias_columns(
                batch.values,
                values["tes"],
                values["jes"],
                values["soft_met"],
                key,
                first_event=batch.first_row,
            )
            process = batch.process[rows]
            weights = batch.weights[rows] * process_scales(1.0, values)[process]
            labels = np.array(IS_SIGNAL, np.int8)[process]
            chunk[name] = Labelled(FEATURES, features, weights, labels, process, PROCESSES)
        yield chunk
