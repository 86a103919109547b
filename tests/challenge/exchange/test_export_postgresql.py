"""From SQLite to PostgreSQL and back, bit for bit: skipped where it is not installed."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import create_engine, select, text

from sigma68.challenge.exchange.export import export_all
from sigma68.challenge.exchange.restore import import_all
from sigma68.challenge.rules import accounts
from sigma68.challenge.store.stores import Store, open_store
from sigma68.challenge.store.tables import User
from tests.challenge.exchange.conftest import NOW, OpenStore
from tests.challenge.exchange.test_export import contents
from tests.challenge.store.postgresql import cluster


def test_a_server_moves_to_postgresql_and_back(
    full_store: Store, new_store: OpenStore, tmp_path: Path
) -> None:
    export_all(full_store, tmp_path / "first", NOW, secrets=True)
    with cluster() as address:
        admin = create_engine(
            f"{address}/postgres".replace("postgresql:", "postgresql+psycopg:"),
            isolation_level="AUTOCOMMIT",
        )
        with admin.connect() as connection:
            connection.execute(text("CREATE DATABASE moved"))
        admin.dispose()
        moved = open_store(f"{address}/moved", str(tmp_path / "moved"))
        import_all(moved, tmp_path / "first")
        export_all(moved, tmp_path / "second", NOW, secrets=True)
        with moved.write() as session:
            last = max(session.scalars(select(User.id)))
            # The database counts on from what was imported.
            assert accounts.create(session, "Bob", "a third password", NOW).id == last + 1
        moved.close()
    assert contents(tmp_path / "first") == contents(tmp_path / "second")
    back = new_store("back")
    import_all(back, tmp_path / "second")
    export_all(back, tmp_path / "third", NOW, secrets=True)
    assert contents(tmp_path / "third") == contents(tmp_path / "first")
