"""Bring a database's tables up to date, once, however many processes start at the same time."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, text

from sigma68.challenge.store.tables import Base
from sigma68.errors import SettingsError

__all__ = ["differences", "upgrade"]

_LOCK = 6827
"""The number of PostgreSQL's advisory lock under which tables are changed."""


def upgrade(engine: Engine) -> None:
    """Make the tables, or change them to what this version needs, in one transaction.

    Raises
    ------
    SettingsError
        If the database was made by a newer version.
    """
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK})
        config = _config(connection)
        at = MigrationContext.configure(connection).get_current_revision()
        if at == ScriptDirectory.from_config(config).get_current_head():
            return
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise SettingsError(
                f"the database is at version {at}, which this sigma68 does not know: use the "
                "version of sigma68 that made it, or a newer one"
            ) from error


def differences(engine: Engine) -> list[str]:
    """What the migrated tables lack or have beyond the declared ones; empty if they agree."""
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return [str(found) for found in compare_metadata(context, Base.metadata)]


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
