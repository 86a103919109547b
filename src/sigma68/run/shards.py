"""The finished pieces of a run on disk, from one toy to the whole table.

Below DIR, written by one process only, each file under a temporary name that is then renamed::

    shards/set-<n>/toy-<m>.json   one finished toy
    shards/set-<n>.parquet        a finished set; its folder is removed afterwards
    failures.jsonl                what the toys that failed said
    toys.parquet                  everything, sorted by set and toy; written last

Whatever instant a run is killed at, each toy is in at least one of these places, and where it
is in two the rows are the same.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sigma68.errors import DataError
from sigma68.files import clean_parts, explained, make_folder, replacing
from sigma68.printable import printable
from sigma68.protocols import Task
from sigma68.run import results
from sigma68.types import ToyResult

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FAILURES", "Shards"]

FAILURES = "failures.jsonl"
_MESSAGE = "message"
_SET = re.compile(r"set-(\d+)")
_TOY = re.compile(r"toy-(\d+)\.json")


class Shards:
    """The toys of the run in `out` that are finished.

    Making it removes what an interrupted run left half-written and notes what is there.

    Raises
    ------
    OutputError
        If the folder cannot be made or cleaned.
    DataError
        If a finished set cannot be read.
    """

    def __init__(self, out: Path, task: Task) -> None:
        self.out = out
        self.task = task
        self.folder = out / "shards"
        self.n_failed = 0
        self.done: set[tuple[int, int]] = set()
        self._columns = (*results.toy_columns(task), _MESSAGE)
        self._open: dict[int, dict[int, dict[str, Any]]] = {}  # set -> toy -> row not yet merged
        self._counts: dict[int, int] = {}
        make_folder(self.folder)
        clean_parts(out)
        clean_parts(self.folder)
        for path in sorted(self.folder.glob("set-*")):
            if path.is_dir() and _SET.fullmatch(path.name):
                self._read_folder(path)
        for path in sorted(self.folder.glob("set-*.parquet")):
            if _SET.fullmatch(path.stem):
                self._read_merged(path)

    def add(self, result: ToyResult) -> None:
        """Keep one finished toy.

        Raises
        ------
        OutputError
            If it cannot be written; the toy is then not finished.
        """
        row = {**results.row(self.task, result), _MESSAGE: printable(result.message)}
        folder = self.folder / f"set-{result.set}"
        if not self._open.get(result.set):
            make_folder(folder)
        # Not synced: a file that a power cut damages is not JSON, and its toy is run again.
        with replacing(folder / f"toy-{result.toy}.json", sync=False) as part:
            part.write_text(json.dumps(row), encoding="utf-8")
        self._note(row)
        self._open.setdefault(result.set, {})[result.toy] = row

    def merge(self, set: int, toys: int) -> None:
        """Write set number `set` as one table if its first `toys` toys are all there.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        rows = self._open.get(set, {})
        if self._counts.get(set, 0) < toys:
            return
        path = self.folder / f"set-{set}.parquet"
        if rows:
            merged = {r["toy"]: r for r in self._rows_of(path)} if path.exists() else {}
            everything = list({**rows, **merged}.values())
            with replacing(path) as part:
                results.write_rows(self.task, everything, part, extra=(_MESSAGE,))
        self._open.pop(set, None)
        folder = self.folder / f"set-{set}"
        if folder.exists():
            with explained(folder):
                shutil.rmtree(folder)

    def rows(self) -> Iterator[dict[str, Any]]:
        """All finished toys as rows of the table, in no particular order.

        Raises
        ------
        DataError
            If a finished set cannot be read.
        """
        for rows in self._open.values():
            yield from rows.values()
        for path in sorted(self.folder.glob("set-*.parquet")):
            taken = self._open.get(int(path.stem.removeprefix("set-")), {})
            yield from (row for row in self._rows_of(path) if row["toy"] not in taken)

    def finish(self, sets: int, toys: int) -> None:
        """Write the failures and then the table of all toys, from finished sets.

        Raises
        ------
        DataError
            If a toy is missing or there twice: the files in `shards` were changed by hand.
        OutputError
            If they cannot be written.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        for number in range(sets):
            self.merge(number, toys)
        table = pa.concat_tables([self._table(number) for number in range(sets)])
        table = table.sort_by([("set", "ascending"), ("toy", "ascending")])
        found = list(zip(table["set"].to_pylist(), table["toy"].to_pylist(), strict=True))
        if found != [(s, t) for s in range(sets) for t in range(toys)]:
            raise DataError(
                f"{self.folder} does not hold each of the {sets} x {toys} toys once: it was "
                "changed from outside; give another output folder"
            )
        import pyarrow.compute as pc

        failed = table.filter(pc.not_equal(table["status"], "ok"))
        lines = failed.select(["set", "toy", "status", _MESSAGE]).to_pylist()
        with replacing(self.out / FAILURES) as part:
            part.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        with replacing(self.out / results.FILE_NAME) as part:
            pq.write_table(table.drop_columns([_MESSAGE]), part)

    def _note(self, row: Mapping[str, Any]) -> None:
        key = (row["set"], row["toy"])
        if key not in self.done:
            self.done.add(key)
            self._counts[key[0]] = self._counts.get(key[0], 0) + 1
            self.n_failed += row["status"] != "ok"

    def _read_folder(self, folder: Path) -> None:
        clean_parts(folder)
        number = int(folder.name.removeprefix("set-"))
        for path in folder.glob("toy-*.json"):
            match = _TOY.fullmatch(path.name)
            row = _parse(path, self._columns) if match else None
            if row is None or (row["set"], row["toy"]) != (number, int(match[1]) if match else -1):
                with explained(path):
                    path.unlink()  # damaged by a power cut: the toy is not done
                continue
            self._note(row)
            self._open.setdefault(number, {})[row["toy"]] = row

    def _read_merged(self, path: Path) -> None:
        for row in self._rows_of(path):
            self._note(row)
            self._open.get(row["set"], {}).pop(row["toy"], None)

    def _table(self, set: int) -> pa.Table:
        return self._read(self.folder / f"set-{set}.parquet")

    def _rows_of(self, path: Path) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._read(path).to_pylist()
        return rows

    def _read(self, path: Path) -> pa.Table:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pq.read_table(path, partitioning=None)
        except (pa.ArrowException, OSError) as error:
            raise DataError(
                f"{path} cannot be read ({error}): remove it, and its toys are run again"
            ) from error
        if tuple(table.column_names) != self._columns:
            raise DataError(
                f"{path} has other columns than this run's: remove it, and its toys are run again"
            )
        return table


def _parse(path: Path, columns: tuple[str, ...]) -> dict[str, Any] | None:
    """The row in a toy's file; None if it is damaged."""
    try:
        row = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError):
        return None
    return row if isinstance(row, dict) and tuple(row) == columns else None
