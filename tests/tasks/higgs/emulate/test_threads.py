"""Jobs on threads: results in order, no further ahead than allowed, errors where they are due."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numba
import pytest

from sigma68.tasks.higgs.emulate.threads import in_order, threads_here


def test_results_come_in_the_order_of_the_jobs() -> None:
    def work(job: int) -> int:
        time.sleep(0.002 * (job % 3))
        return job * job

    for threads, ahead in ((1, 0), (2, 1), (4, 100)):
        found = list(in_order(work, range(20), threads=threads, ahead=ahead))
        assert found == [job * job for job in range(20)]
    assert list(in_order(work, [], threads=2, ahead=3)) == []


def test_it_runs_only_so_far_ahead() -> None:
    begun: list[int] = []

    def jobs() -> Iterator[int]:
        for job in range(100):
            begun.append(job)
            yield job

    results = in_order(lambda job: job, jobs(), threads=2, ahead=5)
    assert begun == []
    assert next(results) == 0
    assert len(begun) == 6
    results.close()
    assert len(begun) == 6


def test_an_error_comes_where_its_result_was_due_and_ends_the_work() -> None:
    done = threading.Event()

    def work(job: int) -> int:
        if job == 3:
            raise ZeroDivisionError(job)
        if job == 50:
            done.set()
        return job

    results = in_order(work, range(100), threads=2, ahead=4)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert not done.is_set()
    assert not any(t.name.startswith("emulate") for t in threading.enumerate())


def test_a_worker_uses_its_share_of_the_cores() -> None:
    before = numba.get_num_threads()
    assert threads_here() == before
    numba.set_num_threads(1)
    try:
        assert threads_here() == 1
    finally:
        numba.set_num_threads(before)
