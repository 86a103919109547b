from __future__ import annotations

import threading
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import select, text

from sigma68.challenge.store import migrate
from sigma68.challenge.store.engine import open_engine, reading
from sigma68.challenge.store.migrate import differences, upgrade
from sigma68.challenge.store.stores import open_store
from sigma68.challenge.store.tables import Challenge, Team, User
from sigma68.errors import SettingsError
from tests.challenge.server_world import World


def test_migrated_tables_are_those_that_are_declared(world: World) -> None:
    assert differences(world.store.engine) == []


def test_many_processes_may_start_at_once(tmp_path: Path) -> None:
    url, errors = f"sqlite:///{tmp_path}/new.db", []

    def opens() -> None:
        try:
            open_store(url, str(tmp_path / "files")).close()
        except Exception as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=opens) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    engine = open_engine(url)
    assert differences(engine) == []
    engine.dispose()


def test_a_database_of_a_newer_version_is_refused(world: World) -> None:
    with world.store.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SettingsError, match="version 9999"):
        upgrade(world.store.engine)


def test_sqlite_keeps_its_promises(world: World) -> None:
    with world.store.engine.connect() as connection:
        asked = {name: connection.execute(text(f"PRAGMA {name}")).scalar() for name in _PRAGMAS}
    assert asked == _PRAGMAS


_PRAGMAS = {"journal_mode": "wal", "foreign_keys": 1, "synchronous": 2}


def test_a_reader_sees_one_state_and_writers_wait_for_none_of_it(world: World) -> None:
    with world.store.read() as session:
        before = session.scalars(select(User.name)).all()
        world.person("newcomer")
        assert session.scalars(select(User.name)).all() == before
    with world.store.read() as session:
        assert "newcomer" in session.scalars(select(User.name)).all()


def test_what_a_reading_session_changes_is_not_kept(world: World) -> None:
    world.person("ann")
    with world.store.read() as session:
        session.get_one(User, world.people["ann"]).pseudonym = "changed"
    with world.store.read() as session:
        assert session.get_one(User, world.people["ann"]).pseudonym != "changed"


def test_a_writing_session_that_raises_changes_nothing(world: World) -> None:
    world.team("ann")

    def breaks() -> None:
        with world.store.write() as session:
            session.scalars(select(Team)).one().name = "changed"
            session.flush()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        breaks()
    with world.store.read() as session:
        assert session.scalars(select(Team.name)).one() == "team ann"


def test_writers_one_after_the_other_lose_no_count(world: World) -> None:
    world.team("ann")

    def counts() -> None:
        for _ in range(10):
            with world.store.write() as session:
                team = session.scalars(select(Team)).one()
                team.name = str(int(team.name) + 1 if team.name.isdigit() else 1)

    threads = [threading.Thread(target=counts) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with world.store.read() as session:
        assert session.scalars(select(Team.name)).one() == "40"


@pytest.mark.parametrize(
    "url", ["nonsense", "mysql://root@localhost/x", "sqlite://", "sqlite:///:memory:", "x://y"]
)
def test_a_url_of_no_use_is_refused_with_examples(url: str) -> None:
    with pytest.raises(SettingsError, match="sqlite:////srv"):
        open_engine(url)


def test_a_password_is_not_shown() -> None:
    with pytest.raises(SettingsError) as told:
        open_engine("nonsense://me:secret@host/x")
    assert "secret" not in str(told.value)


def test_what_an_older_version_kept_is_brought_up_to_date(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/old.db")
    with engine.begin() as connection:
        command.upgrade(migrate._config(connection), "0002")
        connection.execute(
            text(
                "INSERT INTO challenges (slug, title, summary, task, predict_seconds, fit_seconds, "
                "memory_bytes, max_processes, disk_bytes, replay, bundle, visible, created) VALUES "
                "('old', 'Old', '', 'gaussian', 20, 60, 1, 1, 1, 0, '{}', 1, '2026-01-01 00:00:00')"
            )
        )
        connection.execute(
            text(
                "INSERT INTO phases (challenge_id, position, name, kind, opens, closes, sets, toys, "
                "nuisances, per_day, total, updates, hidden, parts, version) VALUES (1, 0, 'P', "
                "'public', '2026-01-01 00:00:00', '2026-02-01 00:00:00', 1, 1, '[]', 5, 100, "
                "'at once', 0, 1, 0)"
            )
        )
    upgrade(engine)
    assert differences(engine) == []
    with reading(engine) as session:
        (found,) = session.scalars(select(Challenge))
        assert (found.takes, len(found.phases)) == ("code", 1)
        assert found.phases[0].observations is None
    engine.dispose()
