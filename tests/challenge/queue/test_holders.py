"""A worker beside another sees whether it lives; of one elsewhere it believes nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta

import pytest

from sigma68.challenge.queue import holders, jobs
from sigma68.challenge.queue.holders import holder_name, is_dead
from sigma68.challenge.store.tables import Job
from tests.challenge.server_world import World
from tests.challenge.trivial_judge import trivial_judge

_SAY = "from sigma68.challenge.queue.holders import holder_name; print(holder_name(), flush=True)"


@pytest.fixture(scope="module")
def ended() -> str:
    """The name of a worker whose process has ended, and is no more."""
    done = subprocess.run([sys.executable, "-c", _SAY], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_the_living_and_the_dead_are_told_apart(ended: str) -> None:
    ours = holder_name()
    assert len(ours) <= 128
    assert ours != holder_name()
    assert not is_dead(ours)
    assert is_dead(ended)
    host, number, place, start, chance = ours.split(":")
    # The number of a process that ended may be another's by now.
    assert is_dead(f"{host}:{number}:{place}:{int(start) - 1}:{chance}")


def test_one_that_was_killed_and_not_yet_waited_for_is_dead() -> None:
    program = [sys.executable, "-c", f"{_SAY}; import time; time.sleep(60)"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        name = process.stdout.readline().strip()
        assert not is_dead(name)
        process.kill()
        # Until it has ended, without burying it.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert is_dead(name)


@pytest.mark.parametrize("change", ["other machine", "old name", "no start", "not a name"])
def test_of_others_nothing_is_believed(ended: str, change: str) -> None:
    host, number, _, start, chance = ended.split(":")
    name = {
        "other machine": f"{host}:{number}:00000000:{start}:{chance}",
        "old name": f"{host}:{number}:{chance}",
        "no start": f"{host}:{number}:{holders._place()}::{chance}",
        "not a name": ended.replace(number, "x"),
    }[change]
    assert not is_dead(name)


def test_the_job_of_a_dead_worker_is_taken_up_at_once(world: World, ended: str) -> None:
    one, two = world.submit("ann"), world.submit("bob")
    with world.store.write() as session:
        for name in (ended, holder_name()):
            assert jobs.lease(session, name, world.now) is not None
    world.later(seconds=1)
    world.work(trivial_judge)
    assert world.status(one) == "finished"
    assert world.status(two) == "running"  # its worker lives
    with world.store.read() as session:
        assert session.get_one(Job, 1).attempts == 2
    world.now += timedelta(minutes=2)
    world.work(trivial_judge)
    assert world.status(two) == "finished"
