"""From a file of events to the layouts of its four pools: in memory, or converted once to disk.

Small files are laid out in memory. Larger ones are streamed twice (count, then place) into a
folder of memory-mapped files in the cache, so that opening them again costs nothing, processes
share their pages, and anonymous memory stays flat. A folder that exists under its name is whole.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import numpy as np

from sigma68.errors import OutputError
from sigma68.tasks.higgs.dataset import EventFile
from sigma68.tasks.higgs.layout import (
    ArrayStore,
    EventLayout,
    FolderStore,
    LayoutBuilder,
    MemoryStore,
    load_layout,
    save_index,
)
from sigma68.tasks.higgs.split import ROLES, SHARES, Census, take_census

__all__ = ["IN_MEMORY_ROWS", "cache_folder", "content_identity", "made_once", "open_layouts"]

IN_MEMORY_ROWS: Final = 4_000_000
"""Files with more rows than this are laid out on disk."""

_VERSION: Final = "1"  # of the layout on disk: part of its name
_READ_WHOLE: Final = 200 << 20
_BLOCK: Final = 1 << 20
_BLOCKS: Final = 64


def cache_folder() -> Path:
    """Where layouts are kept: $SIGMA68_CACHE, else sigma68 in the user's cache folder."""
    if own := os.environ.get("SIGMA68_CACHE"):
        return Path(own)
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "sigma68"
    return Path.home() / ".cache" / "sigma68"


def content_identity(file: EventFile) -> str:
    """A hash of what a file holds, wherever it lies and whenever it was written.

    Small files are read whole; of large ones the size, the Parquet footer (which has counts,
    offsets and extremes of every column of every row group) and 64 blocks spread over the file.
    """
    digest = hashlib.blake2b(digest_size=16, person=b"sigma68-data")
    size = file.path.stat().st_size
    digest.update(f"{size} {file.n_rows} {file.sum_weights}".encode())
    with file.path.open("rb") as stream:
        if size <= _READ_WHOLE:
            while block := stream.read(_BLOCK):
                digest.update(block)
        else:
            stream.seek(-8, os.SEEK_END)
            footer = int.from_bytes(stream.read(4), "little")
            stream.seek(-8 - footer, os.SEEK_END)
            digest.update(stream.read(footer))
            for offset in np.linspace(0, size - _BLOCK, _BLOCKS).astype(np.int64):
                stream.seek(int(offset))
                digest.update(stream.read(_BLOCK))
    return digest.hexdigest()


def open_layouts(
    file: EventFile, identity: str, split_seed: int, *, in_memory_rows: int = IN_MEMORY_ROWS
) -> tuple[dict[str, EventLayout], np.ndarray]:
    """The layout of each role, and the rows' sums of weights as the file has them, (4, 4).

    Raises
    ------
    DataError
        As `EventFile.iter_batches`.
    OutputError
        If the cache cannot be written.
    """
    if file.n_rows <= in_memory_rows:
        census = take_census(file, split_seed)
        return _lay_out(file, census, {role: MemoryStore() for role in ROLES}), census.sumw
    stat = file.path.stat()
    name = f"{file.path.resolve()} {stat.st_size} {stat.st_mtime_ns} {identity} {split_seed}"
    key = hashlib.blake2b(f"{name} {SHARES} {_VERSION}".encode(), digest_size=16).hexdigest()
    folder = cache_folder() / "layouts" / key
    try:
        made_once(folder, lambda temporary: _convert(file, split_seed, temporary))
        sums = np.array(json.loads((folder / "sums.json").read_text(encoding="utf-8")))
        return {role: load_layout(folder / role) for role in ROLES}, sums
    except OSError as error:
        raise OutputError(
            f"the events of {file.path.name} cannot be laid out in {folder.parent} "
            f"({error.strerror or error}): set SIGMA68_CACHE to a folder with space for "
            f"{file.n_rows * 88 / 1e9:.1f} GB"
        ) from error


def made_once(
    folder: Path,
    make: Callable[[Path], None],
    *,
    waiting: Callable[[], None] = lambda: None,
) -> None:
    """Make a folder of the cache, unless it is there: whole or not at all, by one at a time.

    `make` fills an empty folder, which gets its name at the end. `waiting` is called if another
    program is making the same one.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    if folder.exists():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.with_suffix(".lock"), waiting):
        if folder.exists():
            return
        temporary = folder.with_suffix(".partial")
        shutil.rmtree(temporary, ignore_errors=True)  # of one that was killed
        try:
            temporary.mkdir()
            make(temporary)
            temporary.replace(folder)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise


@contextlib.contextmanager
def _locked(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Let one process at a time in; the lock goes with the process that holds it."""
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _convert(file: EventFile, split_seed: int, folder: Path) -> None:
    stores: dict[str, ArrayStore] = {}
    for role in ROLES:
        (folder / role).mkdir()
        stores[role] = FolderStore(folder / role)
    census = take_census(file, split_seed)
    for role, layout in _lay_out(file, census, stores).items():
        save_index(layout, folder / role)
    (folder / "sums.json").write_text(json.dumps(census.sumw.tolist()), encoding="utf-8")


def _lay_out(
    file: EventFile, census: Census, stores: dict[str, ArrayStore]
) -> dict[str, EventLayout]:
    """The second pass: place every event, its weight rescaled to the whole file's sum."""
    whole = census.sumw.sum(axis=0) * normalisation(file, census.sumw)
    builders = []
    for r, role in enumerate(ROLES):
        own = census.sumw[r]
        scale = np.divide(whole, own, out=np.zeros_like(whole), where=own > 0)
        uniform = ~(census.low[r] < census.high[r])
        sumw = np.where(own > 0, whole, 0.0)
        builders.append(
            LayoutBuilder(
                census.counts[r],
                scale,
                sumw,
                uniform,
                stores[role],
                hard_event=file.has_hard_event,
            )
        )
    for batch in file.iter_batches():
        roles = census.role[batch.first_row : batch.first_row + batch.n_events]
        for r, builder in enumerate(builders):
            builder.add(batch, roles == r)
    return {role: builder.finish() for role, builder in zip(ROLES, builders, strict=True)}


def normalisation(file: EventFile, sumw: np.ndarray) -> float:
    """The factor on all weights: 1, unless the metadata promises a sum that is over 1% off."""
    total = float(sumw.sum())
    if file.sum_weights is None or total <= 0 or abs(total / file.sum_weights - 1) <= 0.01:
        return 1.0
    return file.sum_weights / total
