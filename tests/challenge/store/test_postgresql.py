"""What is tested on SQLite, on PostgreSQL: skipped where it is not installed."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from sigma68.challenge.store.migrate import differences
from sigma68.challenge.store.stores import open_store
from tests.challenge.queue import test_jobs as of_jobs
from tests.challenge.queue import test_worker as of_workers
from tests.challenge.rules import test_finals as of_finals
from tests.challenge.rules import test_leaderboards as of_leaderboards
from tests.challenge.rules import test_submissions as of_submissions
from tests.challenge.server_world import World, furnish
from tests.challenge.store.postgresql import cluster

_NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with cluster() as url:
        yield url


@pytest.fixture(scope="module")
def original(address: str, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A closed server to copy."""
    _make_database(address, "original")
    folder = tmp_path_factory.mktemp("original")
    store = open_store(f"{address}/original", str(folder / "files"))
    made = furnish(World(folder, store))
    store.close()
    return made


@pytest.fixture
def world(original: World, address: str, tmp_path: Path) -> Iterator[World]:
    name = f"world{next(_NUMBERS)}"
    _make_database(address, f"{name} TEMPLATE original")
    store = open_store(f"{address}/{name}", str(tmp_path / "files"))
    yield replace(original, folder=tmp_path, store=store, people=dict(original.people))
    store.close()


def _make_database(address: str, what: str) -> None:
    admin = create_engine(
        f"{address}/postgres".replace("postgresql:", "postgresql+psycopg:"),
        isolation_level="AUTOCOMMIT",
    )
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {what}"))
    admin.dispose()


def test_the_tables_are_those_that_are_declared(world: World) -> None:
    assert differences(world.store.engine) == []


@pytest.mark.parametrize(
    "story",
    [
        of_jobs.test_a_lease_lasts_as_long_as_its_heart_beats,
        of_jobs.test_who_lost_the_lease_can_neither_end_nor_fail_nor_give_back,
        of_jobs.test_a_job_whose_worker_is_lost_three_times_failed,
        of_jobs.test_a_result_is_written_once_whatever_is_tried,
        of_jobs.test_many_takers_never_share_a_job,
        of_workers.test_a_submission_is_judged_and_its_result_written_once,
        of_workers.test_a_result_that_comes_after_the_lease_was_given_away_is_dropped,
        of_finals.test_scores_of_the_final_are_hidden_until_it_closes,
        of_leaderboards.test_a_board_follows_what_is_judged_and_cancelled,
        of_submissions.test_five_a_day_and_the_day_is_that_of_utc,
        of_submissions.test_two_uploads_at_once_do_not_pass_a_limit,
        of_submissions.test_what_an_organiser_cancels_is_refunded,
    ],
)
def test_it_is_the_same_on_postgresql(world: World, story: Callable[[World], None]) -> None:
    story(world)
