"""Workers as they are started: by the command line, as a pool, on a Dask cluster."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sigma68.challenge.queue.cluster import send_workers
from sigma68.challenge.queue.pool import Workers, WorkerSettings
from sigma68.challenge.queue.run import run_workers
from sigma68.challenge.rules import views
from sigma68.challenge.store.tables import Result, Submission
from sigma68.errors import IsolationError, SettingsError
from tests.challenge.conftest import GOOD
from tests.challenge.server_world import World, zipped


def settings_of(world: World) -> WorkerSettings:
    return WorkerSettings(
        world.store.database_url, world.store.files_url, world.folder / "work", trusted=True
    )


def wait_for(what: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            pytest.fail("it did not happen in time")
        time.sleep(0.1)


def children() -> set[int]:
    """The processes that this one started."""
    found = set()
    for listed in Path("/proc/self/task").glob("*/children"):
        found |= {int(pid) for pid in listed.read_text().split()}
    return found


def workers_among(pids: set[int]) -> set[int]:
    found = set()
    for pid in pids:
        if "--attached" in Path(f"/proc/{pid}/cmdline").read_text().split("\0"):
            found.add(pid)
    return found


def test_a_real_entry_is_judged_by_the_real_judge(world: World) -> None:
    one, two = world.submit("ann", zipped(GOOD)), world.submit("bob", zipped("1 / 0"))
    said: list[str] = []
    run_workers(settings_of(world), until_empty=True, say=said.append)
    with world.store.read() as session:
        good, bad = (session.get_one(Submission, i) for i in (one, two))
        assert (good.status, good.done) == ("finished", 6)
        result = session.get_one(Result, one)
        assert (result.n_toys, result.n_failed, result.flags) == (6, 0, [])
        assert result.cpu_seconds > 0
        assert result.energy_known in ("estimated", "measured")
        assert bad.status == "failed"
        assert "ZeroDivisionError" in (bad.reason or "") + "".join(
            line.text for line in views.latest_log(session, two)
        )
    assert list((world.folder / "work").iterdir()) == []


def test_a_pool_starts_again_what_dies_and_ends_what_lives(world: World) -> None:
    said: list[str] = []
    before = children()
    with Workers(settings_of(world), 1, say=said.append, output=subprocess.DEVNULL):
        wait_for(lambda: bool(workers_among(children() - before)))
        (first,) = workers_among(children() - before)
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: bool(workers_among(children() - before) - {first}))
        assert any("by signal 9" in line for line in said)
    assert workers_among(children() - before) == set()


def test_a_worker_ends_with_whoever_started_it(world: World) -> None:
    program = (
        "import sys, time\n"
        "from sigma68.challenge.queue.pool import WorkerSettings, start_worker\n"
        f"given = WorkerSettings({world.store.database_url!r}, {world.store.files_url!r}, "
        "trusted=True)\n"
        "print(start_worker(given).pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()

    def is_gone() -> bool:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except FileNotFoundError:
            return True
        return stat.rpartition(")")[2].split()[0] == "Z"

    wait_for(is_gone)


def test_without_a_sandbox_strangers_code_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from sigma68.challenge.sandbox import probe

    monkeypatch.setattr(probe, "probe", lambda: "bubblewrap is not installed")
    with pytest.raises(IsolationError, match="bubblewrap is not installed"):
        run_workers(replace(settings_of(world), trusted=False), until_empty=True)


def test_a_cluster_that_does_not_answer_is_named(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("distributed")
    from sigma68.challenge.queue import cluster

    monkeypatch.setattr(cluster, "_CONNECT_S", 0.2)
    with pytest.raises(SettingsError, match="no Dask scheduler"):
        send_workers(
            "tcp://127.0.0.1:9",
            world.store,
            settings_of(world),
            stop=lambda: False,
            say=lambda line: None,
        )


def test_a_cluster_works_off_what_waits(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    distributed = pytest.importorskip("distributed")
    monkeypatch.setenv("XDG_CACHE_HOME", str(world.folder / "cache"))
    one = world.submit("ann", zipped(GOOD))
    said: list[str] = []
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
    ) as local:
        send_workers(
            local.scheduler_address,
            world.store,
            settings_of(world),
            stop=lambda: False,
            say=said.append,
            poll=0.1,
            until_empty=True,
        )
    assert world.status(one) == "finished"
    assert said == []
