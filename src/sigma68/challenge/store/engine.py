"""A database by its URL, and its two kinds of transactions: those that read, those that write.

SQLite in WAL mode: readers never wait, writers wait for each other from their first statement on
(BEGIN IMMEDIATE), so that what was read in a writing transaction is still true when it commits,
and no transaction fails half-way because another one was quicker. PostgreSQL gets what it needs
from the row locks that the rules ask for.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.engine import Connection
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.orm import Session

from sigma68.errors import MissingExtraError, SettingsError
from sigma68.files import explained

__all__ = ["open_engine", "reading", "writing"]

_BUSY_SECONDS = 60
_READS = "sigma68_reads"


def open_engine(url: str) -> Engine:
    """An engine for a URL such as `sqlite:////srv/challenge.db` or `postgresql+psycopg://...`.

    Raises
    ------
    SettingsError
        If it is no URL of SQLite or PostgreSQL.
    MissingExtraError
        If the database's driver is not installed.
    OutputError
        If the folder of an SQLite file cannot be made.
    """
    try:
        parsed = make_url(url)
        if parsed.drivername in ("postgresql", "postgres"):
            parsed = parsed.set(drivername="postgresql+psycopg")
        kind = parsed.get_backend_name()
        if kind == "sqlite":
            return _sqlite(parsed.database, str(parsed))
        if kind == "postgresql":
            return create_engine(parsed, pool_pre_ping=True)
    except (ArgumentError, NoSuchModuleError) as error:
        raise SettingsError(f"{_shown(url)} is no URL of a database: {_EXAMPLES}") from error
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"the database needs the package {error.name!r}, which is not installed: "
            "install sigma68[server]"
        ) from error
    raise SettingsError(f"a database of kind {kind!r} is not known: {_EXAMPLES}")


@contextlib.contextmanager
def reading(engine: Engine) -> Iterator[Session]:
    """A session that sees one state of the database throughout and keeps no change."""
    with Session(
        engine.execution_options(**{_READS: True}), expire_on_commit=False, autoflush=False
    ) as session:
        yield session


@contextlib.contextmanager
def writing(engine: Engine) -> Iterator[Session]:
    """A session whose changes are kept together at the end of the block, or not at all."""
    with Session(engine, expire_on_commit=False) as session, session.begin():
        yield session


_EXAMPLES = (
    "give one such as sqlite:////srv/challenge/challenge.db (four slashes for an absolute path) "
    "or postgresql://name:password@host/database"
)


def _shown(url: str) -> str:
    """The URL without a password."""
    head, at, tail = url.rpartition("@")
    scheme, colon, _ = head.partition("://")
    return f"{scheme}{colon}...{at}{tail}" if at else url


def _sqlite(database: str | None, url: str) -> Engine:
    if not database or database == ":memory:":
        raise SettingsError(
            f"a database in memory is lost with its process, and workers cannot see it: {_EXAMPLES}"
        )
    folder = Path(database).resolve().parent
    with explained(folder, "give a database file in a folder that can be written to"):
        folder.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, connect_args={"timeout": _BUSY_SECONDS})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, record: Any) -> None:
    # Transactions are begun by `_begin_sqlite` alone.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    reads = connection.get_execution_options().get(_READS, False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")
