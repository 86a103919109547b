"""The database and the files of one server, opened together."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from sigma68.challenge.store.engine import open_engine, reading, writing
from sigma68.challenge.store.files import ORPHAN_AGE, Files, open_files
from sigma68.challenge.store.migrate import upgrade
from sigma68.challenge.store.tables import (
    Challenge,
    Entry,
    Observations,
    ObservationTruths,
    Piece,
    Result,
)

__all__ = ["Store", "open_store"]


@dataclass(frozen=True)
class Store:
    """Where a server keeps everything.

    `database_url` and `files_url` are what another process opens the same store with.
    """

    engine: Engine
    files: Files
    database_url: str
    files_url: str

    @contextlib.contextmanager
    def read(self) -> Iterator[Session]:
        """A session that sees one state throughout and keeps no change."""
        with reading(self.engine) as session:
            yield session

    @contextlib.contextmanager
    def write(self) -> Iterator[Session]:
        """A session whose changes are kept at the end of the block, or none if it raises."""
        with writing(self.engine) as session:
            yield session

    def sweep(self, now: datetime, *, age: timedelta = ORPHAN_AGE) -> list[str]:
        """Remove files that no row names: what a kill left between a file and its row."""
        with self.read() as session:
            wanted = {
                key
                for column in (
                    *(Entry.file, Result.toys, Piece.toys, Challenge.logo),
                    *(Observations.file, ObservationTruths.file),
                )
                for key in session.scalars(select(column))
                if key is not None
            }
        return self.files.sweep(wanted, now, age=age)

    def close(self) -> None:
        """Close the database's connections."""
        self.engine.dispose()


def open_store(database_url: str, files_url: str) -> Store:
    """Open a store, made or brought up to date where needed.

    Raises
    ------
    SettingsError
        If a URL is not understood, or the database was made by a newer version.
    OutputError
        If a folder cannot be made.
    """
    files = open_files(files_url)
    engine = open_engine(database_url)
    upgrade(engine)
    return Store(engine, files, database_url, files_url)
