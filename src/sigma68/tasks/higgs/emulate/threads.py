"""Emulating on several cores: threads take jobs, and their results come back in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

__all__ = ["in_order", "threads_here"]

Job = TypeVar("Job")
Result = TypeVar("Result")


def threads_here() -> int:
    """How many threads this process may use: its cores, or a worker's share of them."""
    from numba import get_num_threads

    return int(get_num_threads())


def in_order(
    work: Callable[[Job], Result], jobs: Iterable[Job], *, threads: int, ahead: int
) -> Generator[Result, None, None]:
    """The result of each job, in the order of the jobs, as far as `ahead` of who takes them.

    An error of a job is raised where its result was due; then, and when the generator is closed,
    no further job is begun.
    """
    executor = ThreadPoolExecutor(threads, thread_name_prefix="emulate")
    under_way: deque[Future[Result]] = deque()
    try:
        for job in jobs:
            under_way.append(executor.submit(work, job))
            if len(under_way) > ahead:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
