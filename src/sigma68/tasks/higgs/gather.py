"""Making one file of events, with its metadata beside it, of what a data set's archive holds.

The public archive holds one Parquet file and one metadata file, which are taken as they are.
Several Parquet files are put together in the order of their names; CSV files with the same
columns are turned into Parquet first. Everything streams.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from sigma68.errors import DataError
from sigma68.files import explained, replacing
from sigma68.meter import Meter, Report
from sigma68.tasks.higgs.dataset import EventFile, EventWriter, open_parquet
from sigma68.tasks.higgs.schema import FEATURES

__all__ = ["gather"]

_LARGEST_METADATA: Final = 1 << 20
_CSV_BLOCK: Final = 1 << 24


def gather(
    files: Sequence[Path],
    folder: Path,
    stem: str,
    *,
    room: Callable[[int], None] | None = None,
    report: Report | None = None,
) -> EventFile:
    """Make `folder`/`stem`.parquet and `stem`_metadata.json of the unpacked `files`.

    Files that are taken as they are move; those that were put together are removed at the end.

    Parameters
    ----------
    room
        Called with the bytes to be written, where there are any; raises if there is no room.

    Raises
    ------
    DataError
        If there are no events among the files, they are not what the task needs, or the
        metadata contradict them.
    OutputError
        If the disk is full or cannot be written.
    """
    events = [path for path in files if path.suffix.lower() in (".parquet", ".csv")]
    if not events:
        names = ", ".join(path.name for path in files[:5]) or "nothing"
        raise DataError(f"the archive holds no Parquet or CSV file ({names}): it is another one")
    metadata = _take_metadata(files, folder / f"{stem}_metadata.json")
    target = folder / f"{stem}.parquet"
    csv_bytes = sum(path.stat().st_size for path in events if path.suffix.lower() == ".csv")
    if room is not None:
        room(csv_bytes + sum(p.stat().st_size for p in events) * (len(events) > 1))
    tables = [_as_parquet(path, report) for path in events]
    if len(tables) == 1:
        with explained(target):
            tables[0].replace(target)
    else:
        _join(tables, target, report)
    found = open_parquet(target)
    promised = metadata.get("total_rows", found.n_rows)
    if promised != found.n_rows:
        raise DataError(
            f"{target} holds {found.n_rows:,} events, but its metadata promise {promised!a}: "
            "get it again"
        )
    return found


def _take_metadata(files: Sequence[Path], target: Path) -> dict[str, Any]:
    """Move the metadata file to `target`; its content, empty if there is none."""
    found = [path for path in files if path.name.lower().endswith("metadata.json")]
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise DataError(f"the archive holds several metadata files ({names}): it is another one")
    if not found:
        with explained(target):
            target.unlink(missing_ok=True)
        return {}
    path = found[0]
    try:
        if path.stat().st_size > _LARGEST_METADATA:
            raise ValueError("it is larger than 1 MiB")
        document = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(document, dict):
            raise ValueError("it is not a JSON object")
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{path} cannot be read as the metadata of the events ({error}): get it again"
        ) from error
    with explained(target):
        path.replace(target)
    return document


def _as_parquet(path: Path, report: Report | None) -> Path:
    """`path`, or the Parquet file made of it if it is CSV."""
    if path.suffix.lower() != ".csv":
        return path
    target = path.with_name(f"{path.name}.parquet")
    meter = Meter("reading CSV", path.stat().st_size, report)
    numbers = dict.fromkeys((*FEATURES, "weights", "labels"), pa.float32())
    try:
        with path.open("rb") as stream:
            header = stream.readline(1 << 16).decode().replace('"', "").strip().split(",")
        extra = [name for name in ("hard_event", "decay") if name in header]
        kinds = {**numbers, "detailed_labels": pa.string(), **dict.fromkeys(extra, pa.int64())}
        with (
            path.open("rb") as stream,
            pa.csv.open_csv(
                stream,
                pa.csv.ReadOptions(use_threads=False, block_size=_CSV_BLOCK),
                convert_options=pa.csv.ConvertOptions(
                    column_types=kinds, include_columns=list(kinds)
                ),
            ) as reader,
            replacing(target, sync=False) as part,
            pq.ParquetWriter(part, reader.schema, compression="zstd") as writer,
        ):
            for batch in reader:
                writer.write_batch(batch)
                meter(stream.tell())
    except (pa.ArrowException, KeyError, UnicodeDecodeError) as error:
        reason = str(error).split("\n", 1)[0].rstrip(".")
        raise DataError(
            f"{path} cannot be read as a table of events ({reason}): get it again"
        ) from (error)
    with explained(path):
        path.unlink()
    return target


def _join(tables: Sequence[Path], target: Path, report: Report | None) -> None:
    parts = [open_parquet(path) for path in tables]
    numbered = [part.path.name for part in parts if part.has_hard_event]
    if numbered:
        raise DataError(
            f"{numbered[0]} numbers its hard events, as other files of the archive may with the "
            "same numbers: put the files together by hand"
        )
    meter = Meter("putting together", sum(path.stat().st_size for path in tables), report)
    done = 0
    with EventWriter(target) as writer:
        for part in parts:
            size = part.path.stat().st_size
            for batch in part.iter_batches(FEATURES):
                writer.write(batch.values, weights=batch.weights, process=batch.process)
                share = (batch.first_row + batch.n_events) / part.n_rows
                meter(done + int(size * share))
            done += size
    for path in tables:
        with explained(path):
            path.unlink()
