"""From an export back to a server that holds nothing yet: every row and file as it was.

Everything is checked before anything is written: sums of files, names of columns, types and
lengths of values; the database checks what belongs together.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Table, func, insert, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from sigma68.challenge.exchange.export import NEVER, SECRET_COLUMNS
from sigma68.challenge.exchange.manifest import Manifest, read_manifest
from sigma68.challenge.exchange.rows import from_plain
from sigma68.challenge.store.tables import Base, Observations, Phase, PhaseSecret
from sigma68.errors import ExchangeError

if TYPE_CHECKING:
    from sigma68.challenge.store.stores import Store
    from sigma68.protocols import Progress

__all__ = ["import_all"]

_ROWS: Final = 500
_SEED_BYTES: Final = 32
_CODE_BYTES: Final = 16


def import_all(store: Store, folder: Path, *, progress: Progress | None = None) -> Manifest:
    """Take the export in `folder` into `store`, which must be empty.

    Users come without passwords. Where the export has no secrets, teams get new invite codes, and
    phases new seeds, but for a final that had begun and a phase that gave observations away: what
    they show was drawn from the old one.

    Raises
    ------
    ExchangeError
        If the store holds something already, or the export is damaged or does not fit together;
        the store is then as it was.
    OutputError
        If the store cannot be written.
    """
    tell: Progress = progress or (lambda what, fraction: None)
    tell("sums", 0.0)
    manifest = read_manifest(folder)
    tables = list(Base.metadata.sorted_tables)
    known = {table.name for table in tables} - set(NEVER)
    for name in manifest.tables:
        if name not in known:
            raise ExchangeError(f"the export has a table {name!r}: a newer version wrote it")
    put: list[str] = []
    try:
        with store.write() as session:
            _require_empty(session, tables)
            _require_no_files(store, manifest)
            for i, (key, name) in enumerate(manifest.stored.items()):
                tell("files", 0.5 * i / len(manifest.stored))
                _put(store, key, folder / name)
                put.append(key)
            for i, table in enumerate(tables):
                if table.name in manifest.tables:
                    tell(table.name, 0.5 + 0.5 * i / len(tables))
                    _fill(session, table, folder, manifest)
            if "phase_secrets" not in manifest.tables:
                _new_seeds(session)
            _set_counters(session, tables)
    except BaseException:
        for key in put:
            store.files.remove(key)
        raise
    return manifest


def _require_empty(session: Session, tables: list[Table]) -> None:
    for table in tables:
        if session.scalar(select(func.count()).select_from(table)):
            raise ExchangeError(
                f"the server holds {table.name} already: import into one that has never been used"
            )


def _require_no_files(store: Store, manifest: Manifest) -> None:
    """Another server's files must be neither replaced nor, if this fails, removed."""
    there = sorted(set(store.files.stored()) & set(manifest.stored))
    if there:
        raise ExchangeError(
            f"the store of files holds {there[0]} already: import into one of its own"
        )


def _put(store: Store, key: str, path: Path) -> None:
    try:
        store.files.put(key, path)
    except ValueError as error:
        raise ExchangeError(
            f"the export holds a file that is none of a server's: {error}"
        ) from error


def _fill(session: Session, table: Table, folder: Path, manifest: Manifest) -> None:
    """All rows of one table; pointers within the table are set when all rows are there."""
    own = [c.name for c in table.columns if any(f.column.table is table for f in c.foreign_keys)]
    pointers: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    count = 0
    try:
        for row in _rows(table, folder, manifest):
            count += 1
            kept = {name: row[name] for name in own if row.get(name) is not None}
            if kept:
                pointers.append({"id": row["id"], **kept})
                row |= dict.fromkeys(kept)
            rows.append(row)
            if len(rows) == _ROWS:
                session.execute(insert(table), rows)
                rows = []
        if rows:
            session.execute(insert(table), rows)
        for pointer in pointers:
            number = pointer.pop("id")
            session.execute(update(table).where(table.c.id == number).values(**pointer))
    except IntegrityError as error:
        raise ExchangeError(
            f"the rows of {table.name} do not fit together ({error.orig}): export again"
        ) from error
    if count != manifest.tables[table.name]:
        raise ExchangeError(
            f"{table.name} has {count:,} rows, and the manifest says "
            f"{manifest.tables[table.name]:,}: export again"
        )


def _rows(table: Table, folder: Path, manifest: Manifest) -> Iterator[dict[str, Any]]:
    """The rows of the table's JSON, checked; what was secret is made anew.

    All of them have the same columns, so that they can be written together.
    """
    name = f"tables/{table.name}.json"
    if name not in manifest.files:
        raise ExchangeError(f"the manifest lists no {name}: export again")
    try:
        found = json.loads((folder / name).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ExchangeError(f"{name} cannot be read ({error}): export again") from error
    if not isinstance(found, list):
        raise ExchangeError(f"{name} must hold a list of rows: export again")
    new = frozenset() if manifest.secrets else SECRET_COLUMNS.get(table.name, frozenset())
    columns: set[str] = set()
    for i, plain in enumerate(found):
        if not isinstance(plain, dict):
            raise ExchangeError(f"{name}, row {i}: must be a row: export again")
        fresh = {column: secrets.token_urlsafe(_CODE_BYTES) for column in new}
        row = from_plain(table, {**plain, **fresh}, f"{name}, row {i}")
        if columns and set(row) != columns:
            raise ExchangeError(f"{name}, row {i}: has other columns than the rows before")
        columns = set(row)
        yield row


def _new_seeds(session: Session) -> None:
    phases = session.execute(select(Phase.id, Phase.kind, Phase.started)).all()
    given_away = set(session.scalars(select(Observations.phase_id)))
    for number, kind, started in phases:
        # What was given away came from the old seed.
        if number not in given_away and (kind == "public" or started is None):
            session.add(PhaseSecret(phase_id=number, seed=secrets.token_hex(_SEED_BYTES)))
    session.flush()


def _set_counters(session: Session, tables: list[Table]) -> None:
    """Let the next row of each table get the next number; SQLite does by itself."""
    if session.get_bind().dialect.name != "postgresql":
        return
    for table in tables:
        column = table.autoincrement_column
        if column is None:
            continue
        highest = session.scalar(select(func.max(column)))
        if highest is not None:
            session.execute(
                text("SELECT setval(pg_get_serial_sequence(:table, :column), :highest)"),
                {"table": table.name, "column": column.name, "highest": highest},
            )
