"""Have a method or an entry answer all toys of a run: begun, continued, or found finished.

In DIR lie settings.json (what was asked), provenance.json (what it was made from), pool.json
(what the pools can support), best_widths.json (how narrow intervals could be), calibration.json (how a
calibrated method's intervals were corrected), workers.log (what workers printed), shards/ (finished pieces, see
`sigma68.run.shards`), failures.jsonl, and toys.parquet, written last. Killed at any moment, the
run goes on where it was: every toy is a function of its numbers alone, and one process, holding
a lock on DIR, writes.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from sigma68.discover import load_task, method_class
from sigma68.errors import SettingsError
from sigma68.files import clean_parts, explained, make_folder, write_json
from sigma68.protocols import Pool, Pools, Progress, Task
from sigma68.run import provenance, results
from sigma68.run import settings as settings_file
from sigma68.run.calibration import FILE_NAME as CALIBRATION
from sigma68.run.calibration import ensure_calibrated, write_calibration
from sigma68.run.folders import LOG, locked, log_of, scratch_folder
from sigma68.run.models import ensure_trained, model_key, settings_in_run
from sigma68.run.progress import ProgressCallback, RunProgress
from sigma68.run.settings import RunSettings, check_same, read_settings
from sigma68.run.shards import FAILURES, Shards
from sigma68.run.team import Team, finished_toys
from sigma68.run.truth import active_nuisances, scored_truth
from sigma68.score import best_widths as best
from sigma68.seeds import stream
from sigma68.types import Truth

__all__ = ["LOG", "POOL", "ProgressCallback", "RunProgress", "evaluate"]

POOL = "pool.json"
_ENTRY_SECONDS = 30.0
_BESIDE = (POOL, best.FILE_NAME, provenance.FILE_NAME, FAILURES)
_DERIVED = ("score.json", "report.html", results.FILE_NAME)


def evaluate(
    settings: RunSettings,
    out: Path,
    *,
    workers: int = 1,
    progress: ProgressCallback | None = None,
    models: Path | None = None,
    retrain: bool = False,
    sandbox: bool = False,
) -> Path:
    """Run, or go on with, all toys of `settings` in the folder `out`; returns the folder.

    The toys do not depend on `workers`, nor on how often the run was interrupted. `models`
    takes the place of the model cache; `retrain` trains again though a model is there, and is
    refused once toys of the earlier model are. With `sandbox` an entry is shut in
    (`sigma68.challenge.sandbox`); without, it may do what this process may.

    Raises
    ------
    SettingsError
        If `out` holds a run of other settings, data, model or entry.
    OutputError
        If `out` cannot be written, or another run is writing to it.
    DataError, EntryError, ModelMismatchError, MissingExtraError
        If what the run needs cannot be used.
    IsolationError
        If `sandbox` is asked for and this machine has none.
    """
    if sandbox:
        from sigma68.challenge.sandbox.probe import require

        require()
    if workers < 1:
        raise SettingsError(f"workers must be 1 or more, not {workers}")
    out = Path(out)
    task = load_task(settings.task)
    active_nuisances(task, ",".join(settings.nuisances))  # raises for an unknown one
    if settings.method is not None:
        method_class(settings.method)
    make_folder(out)
    with locked(out):
        if _finished(settings, out):
            _write_settings(settings, out)
            return out
        clean_parts(out)
        with scratch_folder() as scratch:
            run = _Run(settings, out, task, progress, sandbox)
            run.prepare(scratch, models, retrain, workers)
            _write_settings(settings, out)
            run.all_toys(scratch, workers)
    return out


class _Run:
    """One sitting of a run whose folder is locked."""

    def __init__(
        self,
        settings: RunSettings,
        out: Path,
        task: Task,
        progress: ProgressCallback | None,
        sandbox: bool,
    ) -> None:
        self.settings = settings
        self.out = out
        self.task = task
        self.progress = progress
        self.sandbox = sandbox
        self.start: dict[str, Any] = {}
        self.pool: Pool

    def prepare(self, scratch: Path, models: Path | None, retrain: bool, workers: int) -> None:
        """Open the data, train and calibrate or open the entry, and write down what they were."""
        settings, task = self.settings, self.task
        pools = task.open(settings.data, split_seed=settings.split_seed)
        self.pool = pools[settings.pool]
        self._truth(settings.sets - 1, settings.toys - 1)  # raises before anything is trained
        self.start = {"kind": "start", "settings": settings.to_json()}
        about: dict[str, Any] = {
            "data_fingerprint": pools.fingerprint,
            "model_key": None,
            "entry_fingerprint": None,
        }
        self._same(about, ("data_fingerprint",))
        if settings.entry is not None:
            about["entry_fingerprint"] = self._open_entry(pools, scratch)
        else:
            folder = self._train(pools, models, retrain)
            if settings.calibration is not None:
                folder = self._calibrate(folder, pools, models, retrain, scratch, workers)
            write_calibration(folder, self.out)
            about["model_key"] = model_key(folder, task, pools)
            self.start["model"] = str(folder)
        self._same(about, ("data_fingerprint", "model_key", "entry_fingerprint"))
        module = None if settings.method is None else method_class(settings.method).__module__
        about["versions"] = provenance.versions(module)
        about["leaves_out"] = self._left_out()
        self._write_pool_error(pools)
        self._write_best_widths(pools)
        if provenance.read_provenance(self.out) is None:
            write_json(self.out / provenance.FILE_NAME, about)

    def all_toys(self, scratch: Path, workers: int) -> None:
        """Run what is not done yet, set by set, and merge what is complete."""
        settings = self.settings
        shards = Shards(self.out, self.task)
        todo = [
            (s, t)
            for s in range(settings.sets)
            for t in range(settings.toys)
            if (s, t) not in shards.done
        ]
        limit = settings.predict_seconds
        if settings.entry is not None:
            limit += _ENTRY_SECONDS  # it keeps its own time, and has to be killed and cleaned up
            # An entry that remembers what it saw could average over a set, whose toys share mu.
            stream(self.task.name, "order", settings.seed).generator().shuffle(todo)
        begun, done, message = time.monotonic(), settings.n_toys - len(todo), ""
        self._tell(RunProgress("toys", done, settings.n_toys, shards.n_failed))

        with log_of(self.out) as log, Team(self.start, workers, limit, log, scratch) as team:
            for count, result in enumerate(finished_toys(team, todo, self._truth), start=1):
                shards.add(result)
                shards.merge(result.set, settings.toys)
                message = result.message or message
                rate = count / (time.monotonic() - begun)
                self._tell(
                    RunProgress(
                        "toys", done + count, settings.n_toys, shards.n_failed, rate, message
                    )
                )
        shards.finish(settings.sets, settings.toys)

    def _truth(self, set: int, toy: int) -> Truth:
        settings = self.settings
        return scored_truth(self.task, self.pool, settings.seed, set, toy, settings.nuisances)

    def _train(self, pools: Pools, models: Path | None, retrain: bool) -> Path:
        settings = self.settings
        if settings.model is not None:
            return Path(settings.model)
        if retrain and any((self.out / "shards").glob("set-*")):
            raise SettingsError(
                f"{self.out} holds toys of the model trained earlier: train again in another "
                "output folder"
            )
        return ensure_trained(
            str(settings.method),
            self.task,
            pools,
            folder=models,
            settings=settings_in_run(
                str(settings.method), settings.method_settings, settings.nuisances
            ),
            retrain=retrain,
            progress=self._step("training"),
        )

    def _calibrate(
        self,
        model: Path,
        pools: Pools,
        models: Path | None,
        again: bool,
        scratch: Path,
        workers: int,
    ) -> Path:
        pools.prepare("calibration", progress=self._step("calibration events"))
        with log_of(self.out) as log:
            return ensure_calibrated(
                model,
                self.task,
                pools,
                self.settings,
                folder=models,
                again=again,
                hire=lambda start: Team(
                    start, workers, self.settings.predict_seconds, log, scratch
                ),
                progress=self._step("calibration"),
            )

    def _open_entry(self, pools: Pools, scratch: Path) -> str:
        from sigma68.challenge.entries import open_entry
        from sigma68.challenge.train_set import export_train

        entry = open_entry(Path(str(self.settings.entry)), scratch)
        pools.prepare("train", progress=self._step("training events"))
        self.start["workdir"] = str(scratch)
        self.start["sandbox"] = self.sandbox
        self.start["train"] = str(export_train(pools.train, scratch / "train.arrow"))
        return entry.fingerprint

    def _same(self, about: dict[str, Any], names: tuple[str, ...]) -> None:
        old = provenance.read_provenance(self.out)
        if old is not None:
            provenance.check_provenance(
                {n: old.get(n) for n in names}, {n: about[n] for n in names}, self.out
            )

    def _write_pool_error(self, pools: Pools) -> None:
        from sigma68.score.pool_error import pool_error

        # Methods fill their templates from the calibration pool; an entry has the training events.
        templates = "calibration" if self.settings.entry is None else "train"
        roles = (templates, self.settings.pool) if self._needs_events else (self.settings.pool,)
        pools.prepare(*roles, progress=self._step("events"))
        of_templates = pools[templates].statistics() if self._needs_events else None
        error = pool_error(of_templates, pools[self.settings.pool].statistics())
        write_json(self.out / POOL, error.to_json())

    def _write_best_widths(self, pools: Pools) -> None:
        settings, task = self.settings, self.task
        truths = [self._truth(s, 0).parameters for s in range(settings.sets)]
        found = best.best_widths(task, pools[settings.pool], truths, settings.nuisances)
        write_json(self.out / best.FILE_NAME, None if found is None else found.to_json())

    @property
    def _needs_events(self) -> bool:
        """Whether an entry or the method learns from events (see `protocols.Method`)."""
        method = self.settings.method
        return method is None or bool(getattr(method_class(method), "needs_events", True))

    def _left_out(self) -> str | None:
        """What the method says it does not account for where these nuisances vary."""
        if self.settings.method is None:
            return None
        say = getattr(method_class(self.settings.method), "leaves_out", None)
        return None if say is None else say(self.task, self.settings.nuisances)

    def _step(self, stage: str) -> Progress:
        """What takes the progress of a step before the toys."""
        return lambda what, fraction: self._tell(
            RunProgress(f"{stage}: {what}", round(100 * fraction), 100)
        )

    def _tell(self, how_far: RunProgress) -> None:
        if self.progress is not None:
            self.progress(how_far)


def _finished(settings: RunSettings, out: Path) -> bool:
    """Whether all that a run of `settings` leaves is in `out`; nothing of another run may be."""
    old = read_settings(out)
    if not ((out / results.FILE_NAME).exists() or any((out / "shards").glob("set-*"))):
        # A run that ended before its first toy (say, for a wrong --data) binds nobody.
        for name in (provenance.FILE_NAME, settings_file.FILE_NAME):
            with explained(out / name):
                (out / name).unlink(missing_ok=True)
        return False
    if old is None:
        raise SettingsError(
            f"{out} holds toys but no {settings_file.FILE_NAME}: give another output folder"
        )
    check_same(old, settings, out)
    beside = _BESIDE if settings.calibration is None else (*_BESIDE, CALIBRATION)
    whole = all((out / name).exists() for name in (results.FILE_NAME, *beside))
    return whole and old.n_toys == settings.n_toys


def _write_settings(settings: RunSettings, out: Path) -> None:
    """Put down what is asked for, once it is known that it can be done."""
    old = read_settings(out)
    if old is not None and old.n_toys != settings.n_toys:
        # The table goes before the settings change: it is never less than they say.
        for name in _DERIVED:
            with explained(out / name):
                (out / name).unlink(missing_ok=True)
    if old != settings:
        write_json(out / settings_file.FILE_NAME, settings.to_json())
