"""What the contract suite runs over: every discovered plug-in, and the small ones of the tests."""

from __future__ import annotations

from typing import NamedTuple

from sigma68.discover import load_task, method_class, method_names, task_names
from sigma68.protocols import Method, Task
from tests.contract.emulated_task import Emulated
from tests.contract.small_tasks import Lump, Lumpiness, Moments, Peak

SMALL_TASKS: dict[str, type[Task]] = {"peak": Peak, "lump": Lump, "emulated": Emulated}
SMALL_METHODS: dict[str, type[Method]] = {"moments": Moments, "lumpiness": Lumpiness}

TASKS = (*task_names(), *SMALL_TASKS)
METHODS = (*method_names(), *SMALL_METHODS)


class Case(NamedTuple):
    """A method on a task."""

    method: str
    task: str


def build_task(name: str) -> Task:
    return SMALL_TASKS[name]() if name in SMALL_TASKS else load_task(name)


def build_method(name: str) -> type[Method]:
    return SMALL_METHODS[name] if name in SMALL_METHODS else method_class(name)


NOT_ITS_DATA = {("oracle", "higgs")}
"""Methods and tasks that go together, but not on the stand-in for the task's data."""


def can(method: str, task: str) -> bool:
    if (method, task) in NOT_ITS_DATA:
        return False
    cls, what = build_method(method), build_task(task)
    return cls.answer == what.answer and cls.skip(what) is None


CASES = tuple(Case(m, t) for m in METHODS for t in TASKS if can(m, t))
