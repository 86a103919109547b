"""Everything a server knows, as files that people and programs can read.

In a folder: `tables/<table>.json`, `.parquet` and `.csv`; `files/<key>`, the files of the store
as they are (entries, tables of toys, logos); `toys/<submission>.csv` and `.json`, the tables of
toys once more; and `manifest.json`. What an import reads is the JSON of the tables and the files.
The database is read in one transaction, so that rows belong together while the server runs.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from sqlalchemy import Table, select
from sqlalchemy.orm import Session

import sigma68
from sigma68.challenge.exchange.fields import utc
from sigma68.challenge.exchange.manifest import Listed, Manifest, listed, write_manifest
from sigma68.challenge.exchange.table_files import FORMATS, Format, table_files, write_toys
from sigma68.challenge.store.tables import Base, Challenge, Entry, Observations, Piece, Result
from sigma68.errors import ExchangeError
from sigma68.files import explained, make_folder, replacing

if TYPE_CHECKING:
    from sigma68.challenge.store.stores import Store
    from sigma68.protocols import Progress

__all__ = ["NEVER", "SECRET_COLUMNS", "SECRET_TABLES", "export_all"]

NEVER: Final = ("credentials", "tokens", "observation_truths")
"""Tables that no export holds: hashes of passwords and keys, and truths that a seed gives again."""

SECRET_TABLES: Final = ("phase_secrets",)
SECRET_COLUMNS: Final = {"teams": frozenset({"invite_code"})}
"""What an export holds only where secrets are asked for."""

_ROWS: Final = 1000
_PRIVATE: Final = 0o700


def export_all(
    store: Store,
    folder: Path,
    now: datetime,
    *,
    secrets: bool = False,
    formats: Sequence[Format] = FORMATS,
    progress: Progress | None = None,
) -> Manifest:
    """Write all that `store` knows into the new or empty `folder`, which becomes its owner's alone.

    Hashes of passwords and tokens are never among it, seeds of phases and invite codes only with
    `secrets`. The tables' JSON is always written: it is what an import reads.

    Raises
    ------
    ExchangeError
        If the folder holds something already.
    DataError
        If a file of the store is missing.
    OutputError
        If something cannot be written.
    """
    make_folder(folder)
    if any(folder.iterdir()):
        raise ExchangeError(f"{folder} is not empty: give a new folder for the export")
    with explained(folder):
        folder.chmod(_PRIVATE)  # truths are in it
    tell: Progress = progress or (lambda what, fraction: None)
    tables = [t for t in Base.metadata.sorted_tables if _is_exported(t, secrets)]
    counts: dict[str, int] = {}
    make_folder(folder / "tables")
    with store.read() as session:
        if store.engine.dialect.name == "postgresql":
            # Else every statement would see a state of its own.
            session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        for i, table in enumerate(tables):
            tell(table.name, 0.5 * i / len(tables))
            hidden = frozenset() if secrets else SECRET_COLUMNS.get(table.name, frozenset())
            counts[table.name] = _write_table(session, table, folder / "tables", formats, hidden)
        keys = _keys(session)
        toys = _tables_of_toys(session)
    stored = {}
    for i, key in enumerate(keys):
        tell("files", 0.5 + 0.5 * i / len(keys))
        stored[key] = str(PurePosixPath("files") / key)
        with store.files.local(key) as path:
            _copy(path, folder / stored[key])
            if key in toys:
                make_folder(folder / "toys")
                write_toys(path, folder / "toys" / toys[key], formats)
    tell("sums", 1.0)
    manifest = Manifest(
        made=utc(now).isoformat(timespec="seconds"),
        version=sigma68.__version__,
        secrets=secrets,
        tables=counts,
        files=dict(_sums(folder)),
        stored=stored,
        left_out=_left_out(secrets),
    )
    write_manifest(folder, manifest)
    return manifest


def _is_exported(table: Table, secrets: bool) -> bool:
    return table.name not in NEVER and (secrets or table.name not in SECRET_TABLES)


def _left_out(secrets: bool) -> tuple[str, ...]:
    always = ("hashes of passwords and of API tokens", "truths of observations given away")
    return always if secrets else (*always, "seeds of phases", "invite codes of teams")


def _keys(session: Session) -> list[str]:
    """The keys of all files that rows name, each once, in order."""
    columns = (Entry.file, Result.toys, Piece.toys, Challenge.logo, Observations.file)
    found: set[str] = set()
    for column in columns:
        found |= {key for key in session.scalars(select(column)) if key is not None}
    return sorted(found)


def _tables_of_toys(session: Session) -> dict[str, str]:
    """The number of the submission of each finished table of toys, by its key."""
    return {
        key: f"{number}"
        for key, number in session.execute(select(Result.toys, Result.submission_id))
    }


def _write_table(
    session: Session, table: Table, folder: Path, formats: Sequence[Format], hidden: frozenset[str]
) -> int:
    """Write one table; how many rows it has."""
    columns = [column for column in table.columns if column.name not in hidden]
    names = [column.name for column in columns]
    query = select(*columns).order_by(*table.primary_key.columns)
    found = session.execute(query, execution_options={"yield_per": _ROWS})
    count = 0
    with table_files(folder, table, formats, hidden) as take:
        for part in found.partitions():
            take([dict(zip(names, row, strict=True)) for row in part])
            count += len(part)
    return count


def _copy(source: Path, target: Path) -> None:
    make_folder(target.parent)
    with replacing(target, sync=False) as part:
        shutil.copyfile(source, part)


def _sums(folder: Path) -> Iterator[tuple[str, Listed]]:
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        yield path.relative_to(folder).as_posix(), listed(path)
