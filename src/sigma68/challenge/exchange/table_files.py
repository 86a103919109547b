"""Tables as files: JSON with a row per line, Parquet, and CSV that a spreadsheet may open."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from sqlalchemy import Table

from sigma68.challenge.exchange.rows import arrow_schema, arrow_value, to_plain
from sigma68.files import replacing

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FORMATS", "Format", "table_files", "write_toys"]

Format = Literal["csv", "parquet", "json"]
FORMATS: Final[tuple[Format, ...]] = ("csv", "parquet", "json")
_FORMULA: Final = r"^([=+\-@\t\r])"

Take = Callable[[list[dict[str, Any]]], None]


@contextlib.contextmanager
def table_files(
    folder: Path, table: Table, formats: Sequence[Format], hidden: frozenset[str] = frozenset()
) -> Iterator[Take]:
    """What takes the rows of a table, some at a time, into the files `folder`/<table>.<format>.

    A row maps names of columns, those of `hidden` left out, to values as the database gives them.
    JSON is always written. If the block raises, there are no files.

    Raises
    ------
    ExchangeError
        If a row holds what JSON cannot.
    OutputError
        If a file cannot be written.
    """
    import pyarrow as pa
    import pyarrow.csv as pa_csv
    import pyarrow.parquet as pq

    schema = arrow_schema(table, hidden)
    path = folder / table.name
    with contextlib.ExitStack() as stack:
        text = stack.enter_context(_open(stack, path, "json").open("w", encoding="utf-8"))
        writers: list[Callable[[Any], None]] = []
        if "parquet" in formats:
            parquet = stack.enter_context(pq.ParquetWriter(_open(stack, path, "parquet"), schema))
            writers.append(parquet.write_table)
        if "csv" in formats:
            csv = stack.enter_context(pa_csv.CSVWriter(_open(stack, path, "csv"), _texts(schema)))
            writers.append(lambda rows: csv.write_table(_for_spreadsheets(rows)))
        count = 0

        def take(rows: list[dict[str, Any]]) -> None:
            nonlocal count
            for row in rows:
                plain = {name: to_plain(table.columns[name], row[name]) for name in row}
                text.write(",\n" if count else "[\n")
                text.write(json.dumps(plain, ensure_ascii=False, allow_nan=False))
                count += 1
            values = [{n: arrow_value(table.columns[n], row[n]) for n in row} for row in rows]
            batch = pa.Table.from_pylist(values, schema=schema)
            for write in writers:
                write(batch)

        yield take
        text.write("\n]\n" if count else "[]\n")


def _open(stack: contextlib.ExitStack, path: Path, ending: str) -> Path:
    """A temporary name for the file with that ending; it gets its own when the stack closes."""
    return stack.enter_context(replacing(path.with_name(f"{path.name}.{ending}"), sync=False))


def write_toys(source: Path, target: Path, formats: Sequence[Format]) -> None:
    """Write the table of toys in the Parquet file `source` as `target`.csv and `target`.json.

    The JSON maps the name of a column to its list of values; what is not a number there is null.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    import pyarrow.csv as pa_csv
    import pyarrow.parquet as pq

    toys = pq.read_table(source)
    if "csv" in formats:
        with replacing(target.with_name(f"{target.name}.csv"), sync=False) as part:
            pa_csv.write_csv(_for_spreadsheets(toys), part)
    if "json" in formats:
        columns = {
            name: [None if isinstance(v, float) and not math.isfinite(v) else v for v in values]
            for name, values in toys.to_pydict().items()
        }
        with replacing(target.with_name(f"{target.name}.json"), sync=False) as part:
            part.write_text(json.dumps(columns, allow_nan=False) + "\n", encoding="utf-8")


def _texts(schema: pa.Schema) -> pa.Schema:
    """The schema of a CSV file: bytes become texts in hex."""
    import pyarrow as pa

    return pa.schema(
        [pa.field(f.name, pa.string()) if pa.types.is_binary(f.type) else f for f in schema]
    )


def _for_spreadsheets(rows: pa.Table) -> pa.Table:
    """The same rows, but no text is a formula to a program that opens them, and bytes are hex."""
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = []
    for column in rows.columns:
        if pa.types.is_binary(column.type):
            hexed = [None if value is None else value.hex() for value in column.to_pylist()]
            column = pa.chunked_array([pa.array(hexed, pa.string())])
        elif pa.types.is_string(column.type):
            column = pc.replace_substring_regex(column, _FORMULA, r"'\1")
        columns.append(column)
    return pa.Table.from_arrays(columns, names=rows.column_names)
