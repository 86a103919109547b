"""Will this entry run? A few toys tell, and every finding says what to do about it."""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sigma68.challenge.entry_process import EntryProcess
from sigma68.challenge.failures import EntryToyError
from sigma68.challenge.imports import missing_packages
from sigma68.challenge.opening import Entry, open_entry
from sigma68.challenge.sandbox.box import Box, Sandbox, Trusted
from sigma68.challenge.sandbox.limits import Limits
from sigma68.challenge.sandbox.probe import require
from sigma68.errors import EntryError, SettingsError
from sigma68.protocols import Pools, Progress, Task
from sigma68.run.truth import draw_truth
from sigma68.seeds import stream
from sigma68.types import Interval, Observation, Truth

__all__ = ["Finding", "check_entry"]

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: `error` means that the entry will not run."""

    level: Level
    what: str
    words: str


def check_entry(
    path: Path,
    task: Task,
    *,
    data: str | None = None,
    toys: int = 5,
    seed: int = 0,
    fit_seconds: float = 3600.0,
    predict_seconds: float = 20.0,
    sandbox: bool = False,
    report: Callable[[Finding], None] | None = None,
    progress: Progress | None = None,
) -> list[Finding]:
    """Open, load, fit and ask the entry at `path` on a few toys of `task`.

    With `sandbox` it is shut in (`sigma68.challenge.sandbox`); without, it may do what this process
    may. `report` is called with each finding as it is made, `progress` while events are. Stops at the
    first error that makes going on pointless.

    Raises
    ------
    SettingsError
        If the task needs data and none is given, or `toys` is less than 1.
    DataError
        If the data is not what the task needs.
    IsolationError
        If `sandbox` is asked for and this machine has none.
    """
    if sandbox:
        require()
    if toys < 1:
        raise SettingsError(f"a check needs at least 1 toy, not {toys}")
    if data is None and task.default_source is None:
        raise SettingsError(
            f"the task {task.name!r} has no events of its own here: give --data PATH, or check "
            "the entry with --task gaussian, which needs none"
        )
    findings: list[Finding] = []

    def note(level: Level, what: str, words: str) -> None:
        finding = Finding(level, what, words)
        findings.append(finding)
        if report is not None:
            report(finding)

    with tempfile.TemporaryDirectory(prefix="sigma68-check-") as workdir:
        try:
            entry = open_entry(path, Path(workdir))
        except EntryError as error:
            note("error", "structure", str(error))
            return findings
        for level, what, words in _look_at_files(entry):
            note(level, what, words)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            pools = task.open(data)
            pools.prepare("train", "calibration", progress=progress)
        for warning in caught:
            note("warning", "data", str(warning.message))
        with EntryProcess(
            entry,
            task,
            pools.train,
            predict_seconds=predict_seconds,
            fit_seconds=fit_seconds,
            box=_box(Path(workdir)) if sandbox else Trusted(),
        ) as process:
            for level, what, words in _run(process, task, pools, toys, seed):
                note(level, what, words)
    return findings


_Words = tuple[Level, str, str]


def _box(workdir: Path) -> Box:
    code = workdir / "code"
    code.mkdir()
    return Sandbox(Limits(), code)


def _look_at_files(entry: Entry) -> Iterator[_Words]:
    where = "the folder itself" if str(entry.package) == "." else f"{entry.package}/"
    size = entry.n_bytes / 1e6
    yield "ok", "structure", f"model.py in {where}; {entry.n_files} files, {size:.3g} MB"
    missing = missing_packages(entry)
    if missing:
        listed = ", ".join(f"{name} ({place})" for name, place in missing.items())
        yield "warning", "packages", f"not installed here: {listed}"
    else:
        yield "ok", "packages", "everything it imports is installed here"


def _run(process: EntryProcess, task: Task, pools: Pools, toys: int, seed: int) -> Iterator[_Words]:
    step = "loading"
    try:
        process.start()
        yield "ok", step, f"Model was constructed in {process.seconds:.2f} s"
        step = "fit"
        process.fit()
    except EntryError as error:
        yield "error", step, str(error)
        return
    limit = process.fit_seconds
    slow = process.seconds > 0.5 * limit
    yield (
        "warning" if slow else "ok",
        "fit",
        f"took {process.seconds:.2f} s of {limit:g} s that it may"
        + (": a slower machine would not finish" if slow else ""),
    )
    drawn = [_draw(task, pools, seed, n) for n in range(toys)]
    intervals: dict[int, Interval] = {}
    slowest = 0.0
    for n, (observation, _) in enumerate(drawn):
        begin = time.perf_counter()
        try:
            process.ensure_ready()
            begin = time.perf_counter()
            intervals[n] = _interval(process, task, observation)
        except EntryToyError as error:
            yield "error", f"toy {n + 1}", f"{error.status}: {error}"
            if error.status in ("timeout", "crashed"):
                return
        except EntryError as error:
            yield "error", f"toy {n + 1}", str(error)
            return
        slowest = max(slowest, time.perf_counter() - begin)
    yield from _judge(process, intervals, [truth for _, truth in drawn], slowest)
    if 0 in intervals:
        yield from _ask_again(process, task, drawn[0][0], intervals[0])
    printed = len(process.log)
    if printed > 10_000 * (toys + 1):
        yield "warning", "printing", "it prints a lot: only the beginning and the end are kept"


def _judge(
    process: EntryProcess, intervals: dict[int, Interval], truths: list[Truth], slowest: float
) -> Iterator[_Words]:
    limit = process.predict_seconds
    slow = slowest > 0.5 * limit
    yield (
        "warning" if slow else "ok",
        "predict",
        f"the slowest toy took {slowest:.2f} s of {limit:g} s that it may"
        + (": a slower machine would not finish" if slow else ""),
    )
    if not intervals:
        return
    found = list(intervals.values())
    widths = [one.upper - one.lower for one in found]
    if len(intervals) == len(truths):
        yield "ok", "answer", f"{len(found)} intervals, {min(widths):.3g} to {max(widths):.3g} wide"
    if min(widths) == 0:
        yield "warning", "width", "an interval has no width: it can hardly contain the truth"
    outside = [n for n, one in intervals.items() if not one.lower <= one.mu_hat <= one.upper]
    if outside:
        one = intervals[outside[0]]
        yield (
            "warning",
            "mu_hat",
            f"mu_hat = {one.mu_hat:.4g} is outside [p16, p84] = [{one.lower:.4g}, "
            f"{one.upper:.4g}] (only p16 and p84 decide)",
        )
    if len(found) > 1 and len({(one.lower, one.upper) for one in found}) == 1:
        yield "warning", "events", "all toys got the same interval: does predict use the events?"
    inside = sum(
        intervals[n].lower <= next(iter(truths[n].parameters.values())) <= intervals[n].upper
        for n in intervals
    )
    yield "ok", "truth", f"{inside} of {len(found)} intervals contain it (too few to judge)"


def _ask_again(
    process: EntryProcess, task: Task, observation: Observation, first: Interval
) -> Iterator[_Words]:
    try:
        again = _interval(process, task, observation)
    except EntryError as error:
        yield "warning", "repeatable", f"the first toy, asked again, gave no answer: {error}"
        return
    if (again.lower, again.upper) == (first.lower, first.upper):
        yield "ok", "repeatable", "the first toy, asked again last, gives the same interval"
    else:
        yield (
            "warning",
            "repeatable",
            f"the first toy gave [{first.lower:.6g}, {first.upper:.6g}], asked again last "
            f"[{again.lower:.6g}, {again.upper:.6g}]: its answers depend on what it was asked "
            "before, so a run cannot be repeated exactly",
        )


def _draw(task: Task, pools: Pools, seed: int, n: int) -> tuple[Observation, Truth]:
    """The n-th toy of a check: a set of its own, all nuisance parameters switched on."""
    names = [nuisance.name for nuisance in task.nuisances]
    truth = draw_truth(task, seed, n, 0, names)
    events = task.pseudo_experiment(
        pools.calibration, truth, stream(task.name, "entry-check", seed, n, 0)
    )
    return events, truth


def _interval(process: EntryProcess, task: Task, observation: Observation) -> Interval:
    answer = process.predict(observation)[task.parameters[0].name]
    assert isinstance(answer, Interval)  # noqa: S101 (EntryProcess takes no other task)
    return answer
