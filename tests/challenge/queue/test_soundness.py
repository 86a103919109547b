"""Whether a store agrees with itself is seen: nothing is said of a sound one, every break is found."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sigma68.challenge.queue import jobs
from sigma68.challenge.queue.soundness import faults
from sigma68.challenge.rules import submissions
from sigma68.challenge.store.tables import Submission, User
from sigma68.cli.app import app
from tests.challenge.server_world import CLOSES, World, make_world, zipped
from tests.challenge.trivial_judge import trivial_judge


def found(world: World) -> list[str]:
    return faults(world.store, world.now)


def test_a_sound_store_has_no_faults_however_far_it_is(world: World) -> None:
    assert found(world) == []
    for name in ("ann", "bob"):
        world.submit(name)
    world.submit("ann", zipped("# bad\nclass Model: pass"))
    taken_back = world.submit("bob")
    assert found(world) == []
    with world.store.write() as session:
        by = session.get_one(User, world.organiser_id)
        submissions.cancel(session, session.get_one(Submission, taken_back), by, "why", world.now)
    assert found(world) == []
    world.work(trivial_judge)
    assert found(world) == []
    world.now = CLOSES
    worker = world.worker(trivial_judge)
    worker.upkeep()  # the final begins
    assert found(world) == []
    while worker.do_one():
        assert found(world) == []
    assert world.finalists()["ann"].status == "finished"


BREAKS = {
    "runs, yet nobody holds it": "UPDATE jobs SET status='running' WHERE id=1",
    "submission 1 is finished, its job 1 queued": "UPDATE jobs SET status='queued' WHERE id=1",
    "failed without a reason": "UPDATE submissions SET reason=NULL WHERE id=2",
    "job 1 was begun 4 times": "UPDATE jobs SET attempts=4 WHERE id=1",
    "submission 1 is finished and has no result": "DELETE FROM results WHERE submission_id=1",
    "submission 1 is running and has a": "UPDATE submissions SET status='running' WHERE id=1",
    "is finished after 2 of 6 toys": "UPDATE submissions SET done=2 WHERE id=1",
    "submission 1 has 0 jobs": "DELETE FROM jobs WHERE id=1",
    "do not meet at set 2": "UPDATE jobs SET first_set=0 WHERE kind='final'",
    "hold 3 sets of 4": "UPDATE jobs SET n_sets=1 WHERE kind='final' AND first_set=2",
    "is merged by 0 jobs, not by 1": "DELETE FROM jobs WHERE kind='merge'",
    "has not begun, yet has 1 entries": "UPDATE phases SET started=NULL",
    "has not ended, yet found a piece": "UPDATE jobs SET status='queued' WHERE kind='final'",
    "names a row of jobs that is not there": "UPDATE pieces SET job_id=99 WHERE id=1",
    "no-such.parquet is not there": "UPDATE pieces SET toys='toys/no-such.parquet' WHERE id=1",
    "is not the one that was stored": "UPDATE results SET sha256='0' WHERE submission_id=1",
}


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A closed server whose final is over."""
    made = make_world(tmp_path_factory.mktemp("judged"))
    made.submit("ann")
    made.submit("bob", zipped("# bad\nclass Model: pass"))
    made.work(trivial_judge)
    made.now = CLOSES
    made.work(trivial_judge)
    made.store.close()
    return made


@pytest.mark.parametrize("said", BREAKS)
def test_every_break_is_found(judged: World, tmp_path: Path, said: str) -> None:
    shutil.copytree(judged.folder, tmp_path, dirs_exist_ok=True)
    with contextlib.closing(sqlite3.connect(tmp_path / "challenge.db")) as database:
        database.execute(BREAKS[said])
        database.commit()
    result = CliRunner().invoke(app, ["challenge", "check", str(tmp_path)])
    assert said in result.output
    assert result.exit_code == 1


def test_the_command_says_that_all_is_well(judged: World) -> None:
    result = CliRunner().invoke(app, ["challenge", "check", str(judged.folder)])
    assert result.output == "all that is kept agrees with itself\n"
    assert result.exit_code == 0
    result = CliRunner().invoke(app, ["challenge", "check", str(judged.folder / "none")])
    assert "there is no database at" in str(result.exception) + result.output
    assert result.exit_code != 0


def test_a_job_that_nobody_takes_up_again_is_named(world: World) -> None:
    world.submit("ann")
    worker = world.worker(trivial_judge)
    with world.store.write() as session:
        assert jobs.lease(session, worker.name, world.now) is not None
    assert found(world) == []
    (said,) = faults(world.store, world.now + timedelta(minutes=4))
    assert "job 1 was left by its worker at" in said
