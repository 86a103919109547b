"""Judge entries: toys are drawn once, shown to all candidates, and scored for each.

In the folder lie plan.json (the plan without its seed) and a folder for each candidate with its
shards (`sigma68.run.shards`), toys.parquet and verdict.json, which is written last. Killed at any
moment and called again, the judging goes on: a toy is a function of its numbers alone, and what a
candidate has answered is not asked again.
"""

from __future__ import annotations

import contextlib
import json
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from sigma68.challenge.judge.energy import EnergyMeter
from sigma68.challenge.judge.events import Events
from sigma68.challenge.judge.lane import (
    Bench,
    Hand,
    Job,
    Lane,
    Replayer,
    Shared,
    Told,
    process_maker,
)
from sigma68.challenge.judge.plan import Candidate, JudgingStopped, Plan, Verdict
from sigma68.challenge.judge.record import Record, interval, read_verdict, write_reason
from sigma68.challenge.judge.replay import Key, choose, flags_of, judging_order
from sigma68.challenge.opening import open_entry
from sigma68.challenge.sandbox.box import Box, Sandbox, Trusted
from sigma68.challenge.sandbox.limits import Limits
from sigma68.challenge.sandbox.probe import require
from sigma68.challenge.train_set import export_train
from sigma68.discover import load_task
from sigma68.errors import DataError, EntryError, SettingsError
from sigma68.files import make_folder, write_json
from sigma68.protocols import Task
from sigma68.run.folders import locked, scratch_folder
from sigma68.run.team import threads_per_worker
from sigma68.run.truth import active_nuisances

__all__ = ["judge"]

_PLAN = "plan.json"
_POLL_S = 0.1
_SAVE_S = 5.0

Progress = Callable[[int, int], None]
Log = Callable[[str, str], None]
Stop = Callable[[], bool]


def judge(
    candidates: Sequence[Candidate],
    plan: Plan,
    *,
    folder: Path,
    workers: int = 1,
    at_once: int = 8,
    progress: Progress | None = None,
    log: Log | None = None,
    stop: Stop | None = None,
    events: Events | None = None,
) -> list[Verdict]:
    """Judge the candidates, or go on with it, in `folder`; the verdicts in their order.

    Each of `workers` lanes holds a process of each of `at_once` candidates and shows them toy
    after toy; with more candidates the same toys are drawn again for the next group. No answer
    depends on these numbers. All three callbacks are called from the calling thread.

    Parameters
    ----------
    progress
        Takes how many answers are there, of how many; replays count.
    log
        Takes a candidate's id and a text that its author may read.
    stop
        Asked several times a second; True ends all processes.
    events
        Keeps the events for the next judging; None to read them for this one alone.

    Raises
    ------
    IsolationError
        If the plan asks for a sandbox and this machine has none.
    JudgingStopped
        If `stop` said so.
    SettingsError
        If two candidates have one name, the folder holds another judging, or the task asks for
        no interval.
    DataError, OutputError, MissingExtraError, NuisanceError
        If the data cannot be used, or the folder not written.
    """
    if plan.isolate == "sandbox":
        require()
    task = load_task(plan.task)
    _check(candidates, plan, task, workers, at_once)
    make_folder(folder)
    with locked(folder), scratch_folder() as scratch:
        _same_plan(folder / _PLAN, plan)
        sitting = _Sitting(plan, task, folder, scratch, progress, log, stop, events or Events())
        verdicts = {
            c.id: found for c in candidates if (found := read_verdict(folder / c.id)) is not None
        }
        left = [c for c in candidates if c.id not in verdicts]
        sitting.total = len(left) * (plan.n_toys + min(plan.replay, plan.n_toys))
        for begin in range(0, len(left), at_once):
            for verdict in sitting.group(left[begin : begin + at_once], workers):
                verdicts[verdict.id] = verdict
    return [verdicts[c.id] for c in candidates]


class _Sitting:
    """One sitting of a judging whose folder is locked; runs in the calling thread."""

    def __init__(
        self,
        plan: Plan,
        task: Task,
        folder: Path,
        scratch: Path,
        progress: Progress | None,
        log: Log | None,
        stop: Stop | None,
        events: Events,
    ) -> None:
        self.events = events
        self.plan = plan
        self.task = task
        self.folder = folder
        self.scratch = scratch
        self.progress = progress
        self.log = log
        self.stop = stop
        self.total = 0
        self.done = 0
        self.energy = EnergyMeter()
        self._hands: list[Hand] = []
        self._train: Path | None = None
        self._pool: Any = None

    def group(self, candidates: Sequence[Candidate], workers: int) -> list[Verdict]:
        """The verdicts on candidates that see the toys together."""
        records: dict[str, Record] = {}
        verdicts: list[Verdict] = []
        for candidate in candidates:
            home = self.folder / candidate.id
            try:
                entry = open_entry(candidate.path, self.scratch / "entries")
            except EntryError as error:
                self._say(candidate.id, str(error))
                verdicts.append(write_reason(candidate, home, str(error), self.energy.price()))
                self._count(self._per_candidate)
                continue
            records[candidate.id] = Record(candidate, entry, home, self.task)
            self._count(len(records[candidate.id].shards.done))
        if records:
            self._run(records, workers)
        return [*verdicts, *self._conclude(records)]

    @property
    def _per_candidate(self) -> int:
        return self.plan.n_toys + min(self.plan.replay, self.plan.n_toys)

    def _run(self, records: dict[str, Record], workers: int) -> None:
        plan = self.plan
        bench = self._bench(workers)
        entries = {id: record.entry for id, record in records.items()}
        jobs = _jobs(plan, self.task, records)
        if jobs:
            meeting, shared = threading.Barrier(workers), Shared(jobs)
            refused: set[str] = set()
            self._hear(
                bench,
                records,
                [Lane(bench, entries, shared, meeting, refused) for _ in range(workers)],
            )
        replays = _replays(plan, self.task, records)
        if replays:
            sample = Shared(replays)
            self._hear(bench, records, [Replayer(bench, entries, sample) for _ in range(workers)])

    def _hear(self, bench: Bench, records: dict[str, Record], hands: Sequence[Hand]) -> None:
        """Start the threads, and take down what they tell until they have ended."""
        self._hands += hands
        saved = time.monotonic()
        try:
            for hand in hands:
                hand.start()
            while self._take_all(bench, records, any(hand.is_alive() for hand in hands)):
                if self.stop is not None and self.stop():
                    raise JudgingStopped("the judging was stopped: call it again to go on")
                if time.monotonic() - saved > _SAVE_S:
                    saved = time.monotonic()
                    self._save(records)
                    self.energy.look()
        except BaseException:
            bench.stopping.set()
            raise
        finally:
            while any(hand.is_alive() for hand in hands):
                for hand in hands:
                    if bench.stopping.is_set():
                        hand.interrupt()  # again and again: it may just be starting a process
                    hand.join(_POLL_S)
            self._save(records)

    def _take_all(self, bench: Bench, records: dict[str, Record], wait: bool) -> bool:
        """Take down what was told so far; whether there may be more."""
        with contextlib.suppress(queue.Empty):
            self._take(bench.told.get(timeout=_POLL_S if wait else 0.0), records)
            return True
        return wait

    def _save(self, records: dict[str, Record]) -> None:
        for id, record in records.items():
            record.save(self._cpu(id))

    def _take(self, told: Told, records: dict[str, Record]) -> None:
        if told.error is not None:
            raise told.error
        record = records[told.id]
        result = told.result
        if told.kind == "words" or (told.kind == "traceback" and record.wants_traceback):
            self._say(told.id, record.note(told.text))
        elif told.kind == "refused" and record.reason is None:
            record.reason = told.text
            self._say(told.id, record.note(told.text))
            self._count(self._per_candidate - len(record.shards.done))
        elif told.kind == "lost":
            record.flags = ("not_repeatable",)
            self._say(told.id, record.note(f"it could not be started again: {told.text}"))
        elif told.kind == "toy" and result is not None:
            if told.is_first:
                record.firsts.add((result.set, result.toy))
            self._say(told.id, record.add(result, self.plan.toys))
            self._count(1)
        elif told.kind == "again" and result is not None:
            answer = interval(self.task, result)
            if answer is not None:
                record.again[result.set, result.toy] = answer
            self._count(1)

    def _conclude(self, records: dict[str, Record]) -> Iterator[Verdict]:
        price = self.energy.price()
        for id, record in records.items():
            if record.again:
                found = flags_of(record.known_answers(), record.again, record.firsts)
                record.flags = tuple(sorted({*record.flags, *found}))
            yield record.conclude(self.plan, self._cpu(id), price)

    def _cpu(self, id: str) -> float:
        return sum(hand.cpu_seconds(id) for hand in self._hands)

    def _say(self, id: str, text: str | None) -> None:
        if self.log is not None and text:
            self.log(id, text)

    def _count(self, n: int) -> None:
        self.done += n
        if self.progress is not None:
            self.progress(min(self.done, self.total), self.total)

    def _bench(self, workers: int) -> Bench:
        plan, task = self.plan, self.task
        if self._train is None:
            pools = self.events.pools(task, plan)
            self._pool = pools[plan.pool]
            self._train = export_train(pools.train, self.scratch / "train.arrow")
        threads = threads_per_worker(workers)
        make = process_maker(task, self._train, plan, self._box(), threads)
        return Bench(plan, task, self._pool, make)

    def _box(self) -> Box:
        if self.plan.isolate == "trusted":
            return Trusted()
        code = self.scratch / "code"
        code.mkdir(exist_ok=True)
        plan = self.plan
        return Sandbox(Limits(plan.memory_bytes, plan.max_processes, plan.disk_bytes), code)


def _jobs(plan: Plan, task: Task, records: dict[str, Record]) -> list[Job]:
    """What is left to ask."""
    asked = [
        Job(key, tuple(id for id, record in records.items() if key not in record.shards.done))
        for key in judging_order(task, plan.seed, plan.sets, plan.toys)
    ]
    return [job for job in asked if job.ids]


def _replays(plan: Plan, task: Task, records: dict[str, Record]) -> list[tuple[str, Sequence[Key]]]:
    """Who is asked again, and what."""
    order = judging_order(task, plan.seed, plan.sets, plan.toys)
    chosen = [
        (id, choose(task, plan.seed, order, {*record.known_answers()}, record.firsts, plan.replay))
        for id, record in records.items()
        if record.reason is None
    ]
    return [(id, keys) for id, keys in chosen if keys]


def _check(
    candidates: Sequence[Candidate], plan: Plan, task: Task, workers: int, at_once: int
) -> None:
    if workers < 1 or at_once < 1:
        raise SettingsError(f"workers and at_once must be 1 or more, not {workers} and {at_once}")
    if task.answer != "interval" or len(task.parameters) != 1:
        raise SettingsError(f"task {task.name!r} asks for no interval, which entries answer with")
    active_nuisances(task, ",".join(plan.nuisances))  # raises for an unknown one
    names = [c.id for c in candidates]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SettingsError(f"two candidates are called {twice[0]!r}: give each its own name")
    if plan.data is None and task.default_source is None:
        raise SettingsError(f"the task {task.name!r} has no events of its own here: give data")


def _same_plan(path: Path, plan: Plan) -> None:
    """Refuse a folder that was begun with another plan; write the plan into a new one."""
    document = json.loads(json.dumps(plan.to_json()))
    if not path.exists():
        write_json(path, document)
        return
    try:
        old = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}): judge in another folder") from error
    differ = [name for name in document if old.get(name) != document[name]]
    if differ:
        raise SettingsError(
            f"{path.parent} holds a judging with another {differ[0]}: judge in another folder"
        )
