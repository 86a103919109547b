"""What is kept of one candidate while it is judged: its toys, its log, its time, its verdict."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from sigma68.challenge.judge.energy import Price
from sigma68.challenge.judge.plan import Candidate, Plan, Verdict
from sigma68.challenge.judge.replay import Key
from sigma68.challenge.opening import Entry
from sigma68.errors import DataError, SettingsError
from sigma68.files import make_folder, write_json
from sigma68.printable import printable
from sigma68.protocols import Task
from sigma68.run import results
from sigma68.run.shards import Shards
from sigma68.score.files import score_document, strict
from sigma68.types import Interval, ToyResult

__all__ = ["Record", "interval", "read_verdict", "write_reason"]

_VERDICT, _STATE = "verdict.json", "state.json"
_LONGEST_LOG = 8000
_MOST_FAILURES_SHOWN = 20
_MOST_TRACEBACKS = 3


class Record:
    """One candidate's folder: begun, or gone on with.

    Raises
    ------
    SettingsError
        If the folder holds toys of another entry.
    DataError, OutputError
        If it cannot be read, or written.
    """

    def __init__(self, candidate: Candidate, entry: Entry, folder: Path, task: Task) -> None:
        self.id = candidate.id
        self.entry = entry
        self.reason: str | None = None
        self.flags: tuple[str, ...] = ()
        self.firsts: set[Key] = set()
        """Toys that a process was asked first of all."""
        self.again: dict[Key, Interval] = {}
        """Answers when asked again, in that order."""
        self._task = task
        self._folder = folder
        self._log = ""
        self._failures_shown = 0
        self._cpu_before = 0.0
        make_folder(folder)
        self._read_state()
        self.shards = Shards(folder, task)

    def add(self, result: ToyResult, toys: int) -> str | None:
        """Keep one answered toy; what its author may read of it, if it failed."""
        self.shards.add(result)
        self.shards.merge(result.set, toys)
        if result.status == "ok" or self._failures_shown >= _MOST_FAILURES_SHOWN:
            return None
        self._failures_shown += 1
        # Not which toy: its set says what other toys share its truth.
        return self.note(f"a toy ended as {result.status}: {printable(result.message, 500)}")

    @property
    def wants_traceback(self) -> bool:
        """Whether the next failed toy's traceback is for the log: that of the first few."""
        return self._failures_shown < _MOST_TRACEBACKS

    def note(self, text: str) -> str:
        """Add to the log; returns the text as it may be shown."""
        shown = printable(text, _LONGEST_LOG).strip()
        self._log = f"{self._log}{shown}\n"[-_LONGEST_LOG:]
        return shown

    def known_answers(self) -> dict[Key, Interval]:
        """The intervals it gave, of all sittings."""
        known = {}
        for row in self.shards.rows():
            name = self._task.parameters[0].name
            if row["status"] == "ok" and math.isfinite(row["p16"]):
                known[row["set"], row["toy"]] = Interval(
                    row[f"{name}_hat"], row[f"delta_{name}_hat"], row["p16"], row["p84"]
                )
        return known

    def cpu_seconds(self, now: float) -> float:
        """CPU time of all sittings, in s, `now` being that of this one."""
        return self._cpu_before + now

    def save(self, cpu_now: float) -> None:
        """Write down what a later sitting cannot find in the toys."""
        state = {
            "fingerprint": self.entry.fingerprint,
            "cpu_seconds": self.cpu_seconds(cpu_now),
            "firsts": sorted(self.firsts),
            "log": self._log,
        }
        write_json(self._folder / _STATE, state, sync=False)

    def conclude(self, plan: Plan, cpu_now: float, price: Price) -> Verdict:
        """The verdict, written whole before it is returned; nothing changes it afterwards."""
        cpu = self.cpu_seconds(cpu_now)
        verdict = Verdict(
            id=self.id,
            score=None,
            toys=None,
            cpu_seconds=cpu,
            energy_joules=cpu * price.joules_per_cpu_second,
            energy=price.known,
            flags=self.flags,
            reason=self.reason,
            log_tail=self._log,
        )
        if self.reason is None:
            self.shards.finish(plan.sets, plan.toys)
            toys = results.read_toys(self._folder)
            _, score = score_document(toys, self._task, epsilon=plan.epsilon)
            failed = {k: v for k, v in score["status"].items() if k != "ok"}
            verdict = replace(
                verdict,
                score=strict(score),
                toys=self._folder / results.FILE_NAME,
                failures=failed,
            )
        document = {**asdict(verdict), "toys": None if verdict.toys is None else verdict.toys.name}
        write_json(self._folder / _VERDICT, document)
        return verdict

    def _read_state(self) -> None:
        path = self._folder / _STATE
        if not path.exists():
            return
        try:
            state = json.loads(path.read_text(encoding="utf-8"))
            same = state["fingerprint"] == self.entry.fingerprint
            self._cpu_before = float(state["cpu_seconds"])
            self.firsts = {(int(s), int(t)) for s, t in state["firsts"]}
            self._log = str(state["log"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path} is damaged: judge in another folder") from error
        if not same:
            raise SettingsError(
                f"{self._folder} holds toys of another entry than {self.entry.name}: judge in "
                "another folder"
            )


def interval(task: Task, result: ToyResult) -> Interval | None:
    """The interval of a toy that has one."""
    if result.status != "ok" or result.prediction is None:
        return None
    answer = result.prediction[task.parameters[0].name]
    return answer if isinstance(answer, Interval) else None


def read_verdict(folder: Path) -> Verdict | None:
    """The verdict that was concluded in a candidate's folder; None if there is none yet.

    Raises
    ------
    DataError
        If it is damaged.
    """
    path = folder / _VERDICT
    if not path.exists():
        return None
    try:
        given: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        toys = None if given["toys"] is None else folder / given["toys"]
        return Verdict(**{**given, "toys": toys, "flags": tuple(given["flags"])})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is damaged: judge in another folder") from error


def write_reason(candidate: Candidate, folder: Path, reason: str, price: Price) -> Verdict:
    """The verdict on a candidate that could not even be opened."""
    make_folder(folder)
    verdict = Verdict(candidate.id, None, None, 0.0, 0.0, price.known, reason=printable(reason))
    write_json(folder / _VERDICT, asdict(verdict))
    return verdict
