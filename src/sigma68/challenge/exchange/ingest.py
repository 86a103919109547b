"""What the ingestion program of a bundle does: one submission, all toys of its phase.

It runs in a container of somebody else's. Where that can, the submission runs in a sandbox; where
not, beside this program and as the same user, so that nothing is left about: the seed is removed
before the submission's first line runs, truths stay in memory until its last process has ended,
toys come in an order that tells nothing, and what it may have put among the results is swept away.
"""

from __future__ import annotations

import ctypes
import secrets
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sigma68.challenge.exchange.phase_settings import SEED, SETTINGS, PhaseSettings
from sigma68.errors import ExchangeError, Sigma68Error
from sigma68.files import explained, make_folder, replacing, write_json

if TYPE_CHECKING:
    import pandas as pd

    from sigma68.challenge.sandbox.box import Box
    from sigma68.protocols import Pools, Task
    from sigma68.types import ToyResult

__all__ = ["FAILURE", "TOYS", "ask", "main"]

FAILURE: Final = "failure.json"
TOYS: Final = "toys.parquet"
_PR_SET_DUMPABLE: Final = 4
_SEED_BITS: Final = 256


def main(program: Path, submission: Path, output: Path) -> int:
    """Run the submission in a folder or zip; the exit code of the program.

    Into `output` go `result_<set>.json`, `test_settings.json`, `ingestion_duration.json` (in
    minutes) and the table of toys; or `failure.json` with the reason why there are none.
    """
    try:
        _hide()
        settings, seed = _settings(program)
        toys, task = ask(settings, submission, seed)
        _empty(output)
        _write(toys, task, settings, output)
    except Sigma68Error as error:
        _empty(output)
        write_json(output / FAILURE, {"reason": str(error)})
        print(f"the submission could not be judged: {error}", file=sys.stderr)  # noqa: T201
        return 1
    failed = int((toys["status"] != "ok").sum())
    print(f"{len(toys):,} toys, {failed:,} of them without an answer")  # noqa: T201
    return 0


def ask(settings: PhaseSettings, submission: Path, seed: int) -> tuple[pd.DataFrame, Task]:
    """Have the submission answer every toy; the table of toys, and the task.

    Raises
    ------
    EntryError
        If the submission cannot be opened, loaded or fitted.
    Sigma68Error
        If the task, its events or the settings are not what they should be.
    """
    from sigma68.discover import load_task
    from sigma68.run.results import table

    task = load_task(settings.task)
    pools = task.open(settings.source)
    pools.prepare("train", settings.pool)
    with tempfile.TemporaryDirectory(prefix="sigma68-ingestion-") as scratch:
        found = _answers(settings, task, pools, submission, seed, Path(scratch))
    ordered = sorted(found, key=lambda toy: (toy.set, toy.toy))
    return table(task, ordered), task


def _answers(
    settings: PhaseSettings, task: Task, pools: Pools, submission: Path, seed: int, scratch: Path
) -> list[ToyResult]:
    from sigma68.challenge.entries import EntryProcess, export_train, open_entry
    from sigma68.run.settings import RunSettings
    from sigma68.run.worker import Worker

    entry = open_entry(submission, scratch)
    train = export_train(pools.train, scratch / "train.arrow")
    asked = RunSettings(
        task=task.name,
        entry=entry.name,
        sets=settings.sets,
        toys=settings.toys,
        seed=seed,
        nuisances=settings.nuisances,
        predict_seconds=settings.predict_seconds,
        fit_seconds=settings.fit_seconds,
        pool=settings.pool,
    )
    order = [(s, t) for s in range(settings.sets) for t in range(settings.toys)]
    secrets.SystemRandom().shuffle(order)
    with EntryProcess(
        entry,
        task,
        train,
        predict_seconds=settings.predict_seconds,
        fit_seconds=settings.fit_seconds,
        box=_box(settings, scratch / "code"),
    ) as process:
        process.start()
        process.fit()
        worker = Worker(asked, task, pools[settings.pool], process.predict, process.ensure_ready)
        return [worker.run(s, t, lambda: None) for s, t in order]


def _box(settings: PhaseSettings, folder: Path) -> Box:
    """A sandbox if this container can make one; its code is copied to `folder`."""
    from sigma68.challenge.sandbox.box import Sandbox, Trusted
    from sigma68.challenge.sandbox.limits import Limits
    from sigma68.challenge.sandbox.probe import probe

    why = probe()
    if why is not None:
        print(f"the submission runs without a sandbox: {why}", file=sys.stderr)  # noqa: T201
        return Trusted()
    folder.mkdir()
    names = ("memory_bytes", "max_processes", "disk_bytes")
    told = {name: settings.server[name] for name in names if name in settings.server}
    return Sandbox(Limits(**told), folder)


def _write(toys: pd.DataFrame, task: Task, settings: PhaseSettings, output: Path) -> None:
    from sigma68.score.peer_files import write_results

    write_results(output, toys, task, settings.nuisances)
    minutes = float(toys["seconds"].sum()) / 60
    write_json(output / "ingestion_duration.json", {"ingestion_duration": minutes})
    with replacing(output / TOYS) as part:
        toys.to_parquet(part, index=False)


def _settings(program: Path) -> tuple[PhaseSettings, int]:
    """The phase's settings, and its seed: the common one, or one that nobody has seen before."""
    path = program / SETTINGS
    try:
        settings = PhaseSettings.from_text(path.read_text(encoding="utf-8"), SETTINGS)
    except OSError as error:
        raise ExchangeError(f"{path} cannot be read ({error}): export the bundle again") from error
    secret = program / SEED
    if not secret.exists():
        return settings, secrets.randbits(_SEED_BITS)
    with explained(secret, "a submission could read it there; let the program's folder be written"):
        text = secret.read_text(encoding="utf-8").strip()
        secret.unlink()
    try:
        return settings, int(text, 16)
    except ValueError:
        raise ExchangeError(f"{SEED} is not a number in hex: export the bundle again") from None


def _hide() -> None:
    """Keep other processes of this user from reading this one's memory and files in /proc."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0):
        raise ExchangeError("this process cannot hide its memory from submissions: use Linux")


def _empty(output: Path) -> None:
    make_folder(output)
    with explained(output):
        for path in output.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
