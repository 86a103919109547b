"""Make a sample of simulated events, shard by shard: begun, gone on with, or found finished.

In DIR lie simulation.json (what all shards have in common), shards/ (the finished ones, see
`sigma68.tasks.higgs.simulate.shards`) and workers.log (what the workers printed). A shard that
exists is whole: killed at any moment, a production loses what was being made and no more. One
program, holding a lock on DIR, writes.
"""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Final, Protocol

from sigma68.errors import DataError, OutputError, SettingsError
from sigma68.files import clean_parts, explained, make_folder, write_json
from sigma68.tasks.higgs.simulate.claims import loads
from sigma68.tasks.higgs.simulate.crew import Crew
from sigma68.tasks.higgs.simulate.plan import Goal, Ledger
from sigma68.tasks.higgs.simulate.shards import (
    GENERATOR,
    ShardAbout,
    ShardSpec,
    check_versions,
    read_about,
    shard_files,
    shard_name,
)

__all__ = ["FILE_NAME", "HARD_EVENTS", "LOG", "Advance", "Common", "Maker", "simulate"]

FILE_NAME: Final = "simulation.json"
LOG: Final = "workers.log"

HARD_EVENTS: Final = 5000
"""Hard events in a shard: about 25 seconds of one core."""

_LONGEST_LOG: Final = 10 << 20


@dataclass(frozen=True)
class Common:
    """What all shards of a folder have in common.

    `hard_events` are those of one shard; `generator` is "module:class" of what makes events.
    """

    seed: int
    hard_events: int = HARD_EVENTS
    enrich: bool = True
    generator: str = GENERATOR

    def __post_init__(self) -> None:
        if self.seed < 0 or self.hard_events < 1:
            raise SettingsError(
                "seed must be 0 or more and the hard events of a shard 1 or more, not "
                f"{self.seed} and {self.hard_events}"
            )


@dataclass(frozen=True)
class Advance:
    """How far a production is.

    `rows` and `hard_events` are those of all shards in the folder; `made_rows`, `made_hard` and
    `seconds` are this sitting's; `fraction` is the part of the goal that is reached.
    """

    shards: int
    rows: int
    hard_events: int
    made_rows: int
    made_hard: int
    seconds: float
    fraction: float
    seconds_left: float | None


class Maker(Protocol):
    """Who makes shards: local processes (`Crew`) or a cluster."""

    def run(self, following: Callable[[], ShardSpec | None]) -> Iterator[ShardAbout]:
        """Make what `following` asks for; each shard once it is in the folder."""
        ...


MakerFactory = Callable[[Path, Callable[[bytes], None]], contextlib.AbstractContextManager[Maker]]


def simulate(
    common: Common,
    goal: Goal,
    out: Path,
    *,
    workers: int = 1,
    maker: MakerFactory | None = None,
    progress: Callable[[Advance], None] | None = None,
) -> Ledger:
    """Make, or go on making, the shards that `goal` asks for; returns those of the folder.

    What a shard holds does not depend on `workers`, nor on how often this was interrupted.
    `maker` takes the place of local processes.

    Raises
    ------
    SettingsError
        If `out` holds shards of another seed or with other settings.
    OutputError
        If `out` cannot be written, or another program is writing to it.
    DataError
        If something in `out` is no shard, or damaged.
    SimulationError
        If a shard cannot be made.
    """
    if workers < 1:
        raise SettingsError(f"workers must be 1 or more, not {workers}")
    out = Path(out)
    make_folder(out)
    with _locked(out):
        folder = out / "shards"
        make_folder(folder)
        _clean(out, folder)
        ledger = _found(common, out, folder)
        write_json(out / FILE_NAME, asdict(common))
        if maker is None:

            def maker(folder: Path, log: Callable[[bytes], None]) -> Crew:
                return Crew(workers, folder, log)

        try:
            with _log(out) as log, maker(folder, log) as made:
                _make(common, goal, ledger, made, progress)
        finally:
            _clean(out, folder)
    return ledger


def _make(
    common: Common,
    goal: Goal,
    ledger: Ledger,
    maker: Maker,
    progress: Callable[[Advance], None] | None,
) -> None:
    def following() -> ShardSpec | None:
        job = goal.following(ledger)
        if job is None:
            return None
        ledger.under_way.add(job)
        return ShardSpec(job[0], common.seed, job[1], **_settings(common))

    clock = _Clock(goal, ledger)
    if progress is not None:
        progress(clock.read())
    for about in maker.run(following):
        ledger.add(about)
        clock.count(about)
        if progress is not None:
            progress(clock.read())


class _Clock:
    """Counts what this sitting makes."""

    def __init__(self, goal: Goal, ledger: Ledger) -> None:
        self._goal, self._ledger = goal, ledger
        self._start, self._began = goal.fraction(ledger), time.monotonic()
        self._rows = self._hard = 0
        every = [about for of in ledger.done.values() for about in of.values()]
        self._before = (
            len(every),
            sum(a.rows for a in every),
            sum(a.hard_events for a in every),
        )
        self._shards = 0

    def count(self, about: ShardAbout) -> None:
        self._shards += 1
        self._rows += about.rows
        self._hard += about.hard_events

    def read(self) -> Advance:
        seconds = time.monotonic() - self._began
        fraction = self._goal.fraction(self._ledger)
        gained = fraction - self._start
        left = seconds * (1 - fraction) / gained if gained > 0 else None
        return Advance(
            self._before[0] + self._shards,
            self._before[1] + self._rows,
            self._before[2] + self._hard,
            self._rows,
            self._hard,
            seconds,
            fraction,
            left,
        )


def _settings(common: Common) -> dict[str, Any]:
    return {
        "hard_events": common.hard_events,
        "enrich": common.enrich,
        "generator": common.generator,
    }


def _found(common: Common, out: Path, folder: Path) -> Ledger:
    """The shards that are there already; all must be of this production."""
    ledger = Ledger()
    for path in shard_files(folder):
        if not ledger.done:
            _check_common(common, out)
        about = read_about(path)
        same = (about.seed, about.enrich) == (common.seed, common.enrich)
        if not same or path.name != shard_name(about.process, about.number):
            raise DataError(
                f"{path} is shard {about.number} of {about.process} with seed {about.seed}: it "
                "does not belong here; remove it, or give another folder"
            )
        check_versions(about, str(path))
        ledger.add(about)
    return ledger


def _check_common(common: Common, out: Path) -> None:
    path = out / FILE_NAME
    try:
        before = Common(**loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, SettingsError) as error:
        raise SettingsError(
            f"{path} cannot be read ({error}), so what the shards of {out} are is not known: "
            "give another folder"
        ) from error
    now = asdict(common)
    for name, value in asdict(before).items():
        if value != now[name]:
            raise SettingsError(
                f"{out} holds shards with {name}={value!r}, not {now[name]!r}: go on with the "
                "settings they were begun with, or give another folder"
            )


@contextlib.contextmanager
def _locked(out: Path) -> Iterator[None]:
    path = out / "lock"
    with explained(path):
        stream = path.open("a")
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputError(
                f"another program is simulating into {out}: wait until it ends, or give another "
                "folder"
            ) from error
        except OSError as error:
            raise OutputError(
                f"{path} cannot be locked ({error.strerror}): give a folder on another file system"
            ) from error
        yield


def _clean(out: Path, folder: Path) -> None:
    """Remove what interrupted writing left."""
    clean_parts(out)
    clean_parts(folder)
    for part in folder.glob(".*.partial"):
        with explained(part):
            part.unlink()


@contextlib.contextmanager
def _log(out: Path) -> Iterator[Callable[[bytes], None]]:
    """Where what the workers print goes, up to 10 MiB."""
    path = out / LOG
    with explained(path):
        stream: IO[bytes] = path.open("ab", buffering=0)
    with stream:

        def write(words: bytes) -> None:
            with explained(path):
                if stream.tell() < _LONGEST_LOG:
                    stream.write(words)

        yield write
