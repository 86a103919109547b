"""A worker: takes jobs as long as there are any, does them, and never leaves one behind."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sigma68.challenge.judge.plan import Candidate, Isolation, JudgingStopped, Plan, Verdict
from sigma68.challenge.queue import jobs
from sigma68.challenge.queue.holders import holder_name, is_dead
from sigma68.challenge.queue.jobs import LEASE, Lease
from sigma68.challenge.queue.merge import merge
from sigma68.challenge.queue.outcome import Costs, Outcome, outcome_of
from sigma68.challenge.queue.pulse import Pulse
from sigma68.challenge.queue.work import Work, Worked, end_judging, end_part, work_of
from sigma68.challenge.results.score import is_for_results, scored
from sigma68.challenge.rules import finals
from sigma68.errors import Sigma68Error
from sigma68.files import make_folder

if TYPE_CHECKING:
    from sigma68.challenge.store.stores import Store

__all__ = ["Judge", "Worker", "utc_now"]

_UPKEEP = timedelta(seconds=5)
_SWEEP = timedelta(hours=1)


class Judge(Protocol):
    """What judges entries: `sigma68.challenge.judge.judge`, or a test's own."""

    def __call__(
        self,
        entries: Sequence[Candidate],
        plan: Plan,
        *,
        folder: Path,
        progress: Callable[[int, int], None],
        log: Callable[[str, str], None],
        stop: Callable[[], bool],
    ) -> list[Verdict]: ...


def utc_now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


@dataclass
class Worker:
    """Takes jobs from `store` and has `judge` do them.

    `folder` is where work in progress lies: a job that was broken off on this machine goes on
    from there. `stop` is asked between toys; once it says yes, the job is given back. `say` gets
    a line for whatever the machine's owner should know.
    """

    store: Store
    judge: Judge
    folder: Path
    isolate: Isolation = "sandbox"
    stop: Callable[[], bool] = lambda: False
    say: Callable[[str], None] = lambda line: None
    clock: Callable[[], datetime] = utc_now
    duration: timedelta = LEASE
    beat: float = 0.5
    name: str = field(default_factory=holder_name)

    def work(self, *, poll: float = 1.0, until_empty: bool = False) -> int:
        """Work until `stop` says yes, or until no job waits if `until_empty`; how many jobs it did."""
        from sqlalchemy.exc import OperationalError

        make_folder(self.folder)
        is_busy, count, last_upkeep = False, 0, datetime.min.replace(tzinfo=UTC)
        last_sweep = self.clock()
        while not self.stop():
            try:
                # The last entry of a public phase is what a final waits for.
                if is_busy or self.clock() - last_upkeep >= _UPKEEP:
                    self.upkeep()
                    last_upkeep = self.clock()
                if self.clock() - last_sweep >= _SWEEP:
                    last_sweep = self.clock()
                    self.store.sweep(last_sweep)
                is_busy = self.do_one()
            except OperationalError as error:
                # A database that is being restarted: what is held is taken back by then.
                self.say(f"the database cannot be reached: {error.orig}")
                is_busy = False
            count += is_busy
            if not is_busy:
                if until_empty:
                    break
                time.sleep(poll)
        return count

    def upkeep(self) -> None:
        """What nobody asks for: lost workers' jobs taken back, finals that begin."""
        with self.store.write() as session:
            jobs.reclaim(session, self.clock(), is_dead=is_dead)
            for final in finals.start_due(session, self.clock()):
                self.say(f"{final.name!r} begins")

    def do_one(self) -> bool:
        """Take one job and do it; False if none waits."""
        with self.store.write() as session:
            held = jobs.lease(session, self.name, self.clock(), duration=self.duration)
        if held is None:
            return False
        self.say(f"job {held.job_id} ({held.kind}, attempt {held.attempt}) begins")
        try:
            ended = self._do(held)
        except JudgingStopped:
            self._give_back(held)
        except Sigma68Error as error:
            self._fail(held, str(error))
        except Exception as error:  # noqa: BLE001 (a job's error must not end the worker)
            self.say(traceback.format_exc())
            self._fail(
                held,
                f"the judging broke off by an error of the server's ({type(error).__name__}): an "
                "organiser finds it in the worker's log",
            )
        except BaseException:
            self._give_back(held)
            raise
        else:
            self.say(f"job {held.job_id} " + ("is done" if ended else "is somebody else's now"))
        return True

    def _do(self, held: Lease) -> bool:
        pulse = Pulse(self.store, held, self.clock, duration=self.duration, step=self.beat)

        def stop() -> bool:
            return pulse.is_lost or self.stop()

        if held.kind == "merge":
            with self._workplace(f"merge-{held.name}") as folder, pulse:
                outcomes = merge(self.store, held, folder, stop)
                return self._end_judging(held, outcomes, stop)
        with self.store.read() as session:
            work = None if is_for_results(session, held) else work_of(session, held, self.isolate)
        if work is None:
            with self._workplace(f"results-{held.name}") as folder, pulse:
                key = f"toys/results-{held.job_id}-{held.name[:12]}.parquet"
                outcome = scored(self.store, held, folder, key)
                return self._end_judging(held, [] if outcome is None else [outcome], stop)
        # Named after the seed, which nothing else has: not after a number that another has, too.
        with self._workplace(f"job-{work.plan.to_json()['seed_fingerprint']}") as folder, pulse:
            verdicts = self._judged(work, held.total, folder, pulse, stop) if work.entries else []
            pulse.flush()
            if held.kind == "judge":
                outcomes = [self._outcome(held, work, one, v) for one, v in verdicts]
                return self._end_judging(held, outcomes, stop)
            return self._end_part(held, [self._piece(held, one, v) for one, v in verdicts])

    def _judged(
        self, work: Work, toys: int, folder: Path, pulse: Pulse, stop: Callable[[], bool]
    ) -> list[tuple[Worked, Verdict]]:
        by_name = {one.name: one for one in work.entries}
        with contextlib.ExitStack() as files:
            candidates = [
                Candidate(one.name, files.enter_context(self.store.files.local(one.file)))
                for one in work.entries
            ]
            verdicts = self.judge(
                candidates,
                work.plan,
                folder=folder,
                # In toys, whatever the judge counts: with all entries, and asked again.
                progress=lambda done, total: pulse.progress(toys * done // max(total, 1)),
                log=lambda name, text: pulse.log(
                    by_name[name].submission_id, _told(by_name[name], text)
                ),
                stop=stop,
            )
        return [(by_name[verdict.id], verdict) for verdict in verdicts]

    def _outcome(self, held: Lease, work: Work, one: Worked, verdict: Verdict) -> Outcome:
        from sigma68.discover import load_task

        if verdict.reason is not None or verdict.toys is None or verdict.score is None:
            why = verdict.reason or "it could not be judged"
            return Outcome.failed(one.submission_id, _told(one, why), _told(one, verdict.log_tail))
        key = _key(held, one)
        outcome = outcome_of(
            one.submission_id,
            verdict.toys,
            key,
            load_task(work.plan.task),
            verdict.score,
            _costs(verdict),
            epsilon=work.plan.epsilon,
            log=_told(one, verdict.log_tail),
        )
        self.store.files.put(key, verdict.toys)
        return outcome

    def _piece(
        self, held: Lease, one: Worked, verdict: Verdict
    ) -> tuple[int, str | None, Costs, str | None, str]:
        key = None
        if verdict.toys is not None and verdict.reason is None:
            key = _key(held, one)
            self.store.files.put(key, verdict.toys)
        reason = None if key is not None else verdict.reason or "it could not be judged"
        told = None if reason is None else _told(one, reason)
        return one.submission_id, key, _costs(verdict), told, _told(one, verdict.log_tail)

    def _end_judging(
        self, held: Lease, outcomes: Sequence[Outcome], stop: Callable[[], bool]
    ) -> bool:
        if held.kind == "merge" and stop():
            raise JudgingStopped("the merging was asked to stop")
        ended = end_judging(self.store, held, outcomes, self.clock())
        if not ended:
            self._remove([o.result["toys"] for o in outcomes if o.result is not None])
        return ended

    def _end_part(
        self, held: Lease, pieces: Sequence[tuple[int, str | None, Costs, str | None, str]]
    ) -> bool:
        ended = end_part(self.store, held, pieces, self.clock())
        if not ended:
            self._remove([key for _, key, *_ in pieces if key is not None])
        return ended

    def _remove(self, keys: Sequence[str]) -> None:
        for key in keys:
            self.store.files.remove(key)

    def _fail(self, held: Lease, reason: str) -> None:
        self.say(f"job {held.job_id} broke off: {reason}")
        with self.store.write() as session:
            jobs.fail(session, held, reason, self.clock())

    def _give_back(self, held: Lease) -> None:
        with self.store.write() as session:
            if jobs.give_back(session, held, self.clock()):
                self.say(f"job {held.job_id} is given back")

    @contextlib.contextmanager
    def _workplace(self, name: str) -> Iterator[Path]:
        """A folder for a job that nobody else works in, removed when the job has ended.

        What a worker that was killed left there is gone on from. One that is alive and does not
        know yet that it lost its lease has it locked: then the job gets another.
        """
        place = self.folder / name
        with contextlib.ExitStack() as opened:
            if not _locked(place, opened):
                place = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))
                _locked(place, opened)
            try:
                yield place / "work"
            except (JudgingStopped, KeyboardInterrupt, SystemExit):
                raise  # it goes on from what is here
            except BaseException:
                shutil.rmtree(place, ignore_errors=True)
                raise
            shutil.rmtree(place, ignore_errors=True)


def _locked(place: Path, opened: contextlib.ExitStack) -> bool:
    """Make the folder ours for as long as `opened` is open; False if it is somebody's."""
    make_folder(place / "work")
    lock = opened.enter_context((place / "lock").open("w"))
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _key(held: Lease, one: Worked) -> str:
    # The lease is in the name, so that two who think they hold a job write two files.
    return f"toys/{one.name}-{held.job_id}-{held.name[:12]}.parquet"


def _told(one: Worked, text: str) -> str:
    """What its author reads, who does not know what an entry is called in here."""
    for name in (one.name, Path(one.file).name, Path(one.file).stem):
        text = text.removeprefix(f"{name}: ").replace(name, "the entry")
    return text


def _costs(verdict: Verdict) -> Costs:
    return Costs(
        cpu_seconds=verdict.cpu_seconds,
        energy_joules=verdict.energy_joules,
        energy_known=verdict.energy or "",
        flags=verdict.flags,
        failures=verdict.failures,
    )
