"""The judge's lanes: threads with a process of each candidate, asking toy after toy.

A lane draws a toy, shows it to its candidates one after the other, so that they do not take
each other's time, and passes on what they said. It writes nothing and decides nothing. The work is done in the entries' processes;
a thread costs no second copy of the pool.
"""

from __future__ import annotations

import queue
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from sigma68.challenge.entry_process import EntryProcess
from sigma68.challenge.failures import EntryToyError
from sigma68.challenge.judge.plan import JudgingStopped, Plan
from sigma68.challenge.judge.replay import Key
from sigma68.challenge.opening import Entry
from sigma68.challenge.sandbox.box import Box
from sigma68.errors import EntryError
from sigma68.protocols import Pool, Task
from sigma68.run.results import judge as judge_answer
from sigma68.run.truth import draw_truth, toy_stream
from sigma68.types import Observation, Prediction, ToyResult, Truth

__all__ = ["Bench", "Hand", "Job", "Lane", "Replayer", "Shared", "Told", "process_maker"]

T = TypeVar("T")


@dataclass(frozen=True)
class Job:
    """A toy, and the candidates that are to see it."""

    key: Key
    ids: tuple[str, ...]


@dataclass(frozen=True)
class Told:
    """What a lane passes on: of which candidate, what, and its text or its toy.

    "refused": it cannot be judged, says `text`; "words", "traceback": something for its log;
    "toy": an answer, `is_first` if its process had seen no toy before; "again": an answer to a
    replay; "lost": no fresh process came up for the replay; "failed": the thread, with `error`.
    """

    kind: Literal["refused", "words", "traceback", "toy", "again", "lost", "failed"]
    id: str = ""
    text: str = ""
    result: ToyResult | None = None
    is_first: bool = False
    error: BaseException | None = None


class Bench:
    """What all lanes share: the truth's side of the table."""

    def __init__(
        self,
        plan: Plan,
        task: Task,
        pool: Pool,
        open_process: Callable[[Entry], EntryProcess],
    ) -> None:
        self.plan = plan
        self.task = task
        self.open_process = open_process
        self.stopping = threading.Event()
        self.told: queue.SimpleQueue[Told] = queue.SimpleQueue()
        self.speaking = threading.Lock()
        self.heard: set[str] = set()
        self._pool = pool
        self._drawing = threading.Lock()

    def draw(self, key: Key) -> tuple[Observation, Truth]:
        """The events of a toy, and its truth; one at a time, since kernels use all cores."""
        plan, task = self.plan, self.task
        with self._drawing:
            truth = draw_truth(task, plan.seed, *key, plan.nuisances)
            events = task.pseudo_experiment(self._pool, truth, toy_stream(task, plan.seed, *key))
        return events, truth


class Shared(Iterator[T]):
    """An iterator that several threads take from, each item once."""

    def __init__(self, items: Iterable[T]) -> None:
        self._items = iter(items)
        self._lock = threading.Lock()

    def __next__(self) -> T:
        with self._lock:
            return next(self._items)


class Hand(threading.Thread, ABC):
    """A thread that has processes of entries and tells what they say; ends them with itself.

    Sandboxes end with the thread that made them: each thread makes its own.
    """

    def __init__(self, bench: Bench, entries: Mapping[str, Entry]) -> None:
        super().__init__(daemon=True)
        self._bench = bench
        self._entries = entries
        self._processes: dict[str, EntryProcess] = {}
        self._spent: dict[str, float] = {}

    @abstractmethod
    def work(self) -> None:
        """What it is there for."""

    def cpu_seconds(self, id: str) -> float:
        """CPU time of a candidate's processes in this thread, in s."""
        process = self._processes.get(id)
        return self._spent.get(id, 0.0) + (0.0 if process is None else process.cpu_seconds)

    def interrupt(self) -> None:
        """End what the thread waits for; to be called when `stopping` is set."""
        for process in list(self._processes.values()):
            process.interrupt()

    def run(self) -> None:
        """Work; what goes wrong is for the main thread to raise."""
        try:
            self.work()
        except (JudgingStopped, threading.BrokenBarrierError):
            pass
        except BaseException as error:  # noqa: BLE001 (see above)
            self._tell(Told("failed", error=error))
        finally:
            for id in list(self._processes):
                self._close(id)

    def _begin(self, id: str) -> EntryProcess:
        """A fitted process of a candidate.

        Raises
        ------
        EntryError
            If it cannot be loaded or fitted; the process is still there to be asked why.
        """
        self._check()
        process = self._processes[id] = self._bench.open_process(self._entries[id])
        try:
            process.start()
            process.fit()
        except EntryError:
            self._check()
            raise
        return process

    def _ask(self, process: EntryProcess, key: Key, events: Observation, truth: Truth) -> ToyResult:
        prediction: Prediction | None = None
        seconds = 0.0
        try:
            process.ensure_ready()
            begin = time.perf_counter()
            try:
                prediction = process.predict(events)
            finally:
                seconds = time.perf_counter() - begin
        except EntryToyError as error:
            self._check()  # what was ended because somebody stopped us is no answer
            return ToyResult(*key, truth, None, error.status, seconds, str(error))
        status, message = judge_answer(self._bench.task, prediction)
        return ToyResult(*key, truth, prediction, status, seconds, message)

    def _check(self) -> None:
        if self._bench.stopping.is_set():
            raise JudgingStopped("the judging was stopped")

    def _tell(self, told: Told) -> None:
        self._bench.told.put(told)

    def _close(self, id: str) -> None:
        process = self._processes.pop(id, None)
        if process is not None:
            process.close()
            self._spent[id] = self._spent.get(id, 0.0) + process.cpu_seconds


class Lane(Hand):
    """Has a process of each candidate and shows them the toys of `jobs`.

    Nobody is asked before all are fitted in all lanes, which `meeting` sees to: whoever fails in
    one lane is `refused` in all.
    """

    def __init__(
        self,
        bench: Bench,
        entries: Mapping[str, Entry],
        jobs: Iterator[Job],
        meeting: threading.Barrier,
        refused: set[str],
    ) -> None:
        super().__init__(bench, entries)
        self._jobs = jobs
        self._meeting = meeting
        self._refused = refused
        self._fresh: set[str] = set()

    def interrupt(self) -> None:
        """End what the thread waits for, the other lanes included."""
        self._meeting.abort()
        super().interrupt()

    def work(self) -> None:
        """Load and fit all candidates, then ask toy after toy."""
        try:
            for id in self._entries:
                self._bring(id)
        except BaseException:
            self._meeting.abort()
            raise
        self._meeting.wait()
        for job in self._jobs:
            self._check()
            ids = [id for id in job.ids if id not in self._refused]
            events, truth = self._bench.draw(job.key)
            for id in ids:
                self._show(id, job.key, events, truth)

    def _bring(self, id: str) -> None:
        try:
            process = self._begin(id)
        except EntryError as error:
            process = self._processes[id]
            self._refused.add(id)
            self._say_once(id, f"{process.log}\n{process.traceback}")
            self._tell(Told("refused", id, str(error)))
            self._close(id)
            return
        self._fresh.add(id)
        self._say_once(id, f"{process.log}\nfit took {process.seconds:.2f} s")

    def _say_once(self, id: str, text: str) -> None:
        """What a candidate printed while it began: all lanes would say the same."""
        with self._bench.speaking:
            if id not in self._bench.heard:
                self._bench.heard.add(id)
                self._tell(Told("words", id, text))

    def _show(self, id: str, key: Key, events: Observation, truth: Truth) -> None:
        process = self._processes[id]
        result = self._ask(process, key, events, truth)
        fresh = id in self._fresh
        self._fresh.discard(id)
        if result.status == "failed":
            self._tell(Told("traceback", id, process.traceback))
        self._tell(Told("toy", id, result=result, is_first=fresh))


class Replayer(Hand):
    """Asks candidates again, each in a fresh process: (candidate, toys in their new order)."""

    def __init__(
        self,
        bench: Bench,
        entries: Mapping[str, Entry],
        replays: Iterator[tuple[str, Sequence[Key]]],
    ) -> None:
        super().__init__(bench, entries)
        self._replays = replays

    def work(self) -> None:
        """Load, fit and ask candidate after candidate."""
        for id, keys in self._replays:
            try:
                process = self._begin(id)
            except EntryError as error:
                self._tell(Told("lost", id, str(error)))
            else:
                for key in keys:
                    self._check()
                    result = self._ask(process, key, *self._bench.draw(key))
                    self._tell(Told("again", id, result=result))
            self._close(id)


def process_maker(
    task: Task, train: Path, plan: Plan, box: Box, threads: int
) -> Callable[[Entry], EntryProcess]:
    """What opens a process for an entry, as the plan wants it."""

    def open_process(entry: Entry) -> EntryProcess:
        return EntryProcess(
            entry,
            task,
            train,
            predict_seconds=plan.predict_seconds,
            fit_seconds=plan.fit_seconds,
            box=box,
            threads=threads,
        )

    return open_process
