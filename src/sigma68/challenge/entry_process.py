"""Running an entry in a process of its own: events go in, an interval comes out, nothing else.

The process gets a copy of the entry's files as its working folder, an empty home, an environment
made from nothing, and the training events. A toy it hangs or dies on costs that toy: the process
group is killed, and the next toy meets a fresh process, fitted again. What the process is started
in, a sandbox or nothing, is its `box`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import site
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sigma68
from sigma68.challenge.answers import plain_number, to_interval
from sigma68.challenge.failures import EntryCrashed, EntryFailed, EntryTimeout, EntryToyError
from sigma68.challenge.log import Log
from sigma68.challenge.old_modules import write_old_modules
from sigma68.challenge.opening import Entry
from sigma68.challenge.sandbox.box import Box, Trusted
from sigma68.challenge.sandbox.command import Places
from sigma68.challenge.sandbox.running import Running
from sigma68.challenge.strays import end_strays
from sigma68.challenge.train_set import compat_module, export_train
from sigma68.errors import EntryError, ProtocolError
from sigma68.printable import printable
from sigma68.protocols import Pool, Task
from sigma68.run.frames import observation_to_arrow, read_frame, write_frame
from sigma68.types import Labelled, Observation, Prediction

__all__ = ["EntryProcess"]

_MAX_HEADER = 1 << 20
_MAX_BODY = 1 << 10
_REFITS = 3
_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ", "CUDA_VISIBLE_DEVICES")
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


class EntryProcess:
    """An entry at work on one task.

    Parameters
    ----------
    entry:
        What `open_entry` returned; its files are copied, never changed.
    task:
        A task that asks for one interval.
    train:
        The training events: a file that `export_train` wrote, or what it can be written from.
    predict_seconds, fit_seconds:
        Wall-clock limits for one `predict`, and for constructing and fitting the model.
    box:
        What the process is started in; `Trusted()`, without walls, if left out.
    threads:
        How many threads numerical libraries in the process may use; None for their default.

    Raises
    ------
    EntryError
        If the task does not ask for one interval.
    """

    def __init__(
        self,
        entry: Entry,
        task: Task,
        train: Path | Labelled | Pool,
        predict_seconds: float = 20.0,
        fit_seconds: float = 3600.0,
        *,
        box: Box | None = None,
        threads: int | None = None,
    ) -> None:
        if task.answer != "interval" or len(task.parameters) != 1:
            raise EntryError(
                f"entries answer with one interval, and the task {task.name!r} asks for something "
                "else: choose another task"
            )
        self.entry = entry
        self.predict_seconds = predict_seconds
        self.fit_seconds = fit_seconds
        self.seconds = 0.0
        """How long the last step took inside the process, in s."""
        self.traceback = ""
        """The author's traceback of the last exception; empty if there was none."""
        self._parameter = task.parameters[0].name
        self._compat = compat_module(task)
        self._box = Trusted() if box is None else box
        self._threads = threads
        # Below the caller's folder, which goes even if this process is killed.
        self._private = Path(tempfile.mkdtemp(prefix="process-", dir=entry.root.parent))
        self._train = (
            train.resolve()
            if isinstance(train, Path)
            else export_train(train, self._private / "train.arrow")
        )
        self._running: Running | None = None
        self._cpu_seconds = 0.0
        self._log: Log | None = None
        self._asked = 0
        self._failed_refits = 0
        self._fit_seconds_left = fit_seconds

    def __enter__(self) -> EntryProcess:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def log(self) -> str:
        """What the entry has printed, its beginning and its end."""
        return "" if self._log is None else self._log.text()

    @property
    def cpu_seconds(self) -> float:
        """CPU time of all processes that were started so far, in s."""
        return self._cpu_seconds + (0.0 if self._running is None else self._running.cpu_seconds)

    @property
    def is_ready(self) -> bool:
        """Whether a fitted model waits for a toy."""
        return self._running is not None

    def start(self) -> None:
        """Start the process: import model.py, construct Model.

        Raises
        ------
        EntryError
            If that fails or takes longer than `fit_seconds`; the entry's own words are in it.
        """
        self._stop()
        self._fresh_folders()
        outside = self._places()
        inside = self._box.inside(outside)
        self._running = self._box.start(
            ["-P", "-s", "-m", "sigma68.challenge.entry_child"],
            outside,
            _environment(inside, self._threads),
        )
        assert self._running.process.stderr is not None  # noqa: S101 (a pipe was asked for)
        self._log = Log(self._running.process.stderr)
        self._fit_seconds_left = self.fit_seconds
        request = {
            "op": "start",
            "train": str(inside.train),
            "compat": self._compat,
            "private": str(inside.home.parent),
        }
        self._prepare("loading model.py", request)

    def fit(self) -> None:
        """Let the entry learn.

        Raises
        ------
        EntryError
            If it raises, dies or takes longer than `fit_seconds`; the author's line is named.
        """
        self._prepare("fit", {"op": "fit"})

    def ensure_ready(self) -> None:
        """Start and fit again if the process was lost; quick if not.

        Raises
        ------
        EntryCrashed
            If that fails; after several failures in a row it is not tried any more.
        """
        if self.is_ready:
            return
        if self._failed_refits >= _REFITS:
            raise EntryCrashed(f"it could not be started again {_REFITS} times in a row")
        try:
            self.start()
            self.fit()
        except EntryError as error:
            self._failed_refits += 1
            raise EntryCrashed(f"after a crash it could not be started again: {error}") from error
        self._failed_refits = 0

    def predict(self, observation: Observation) -> Prediction:
        """The entry's answer to one toy.

        Raises
        ------
        EntryToyError
            `EntryTimeout`, `EntryCrashed` (the next call starts afresh), `EntryFailed` (predict
            raised) or `EntryInvalid` (no interval): its `status` is that of the toy.
        """
        self.ensure_ready()
        pieces = observation_to_arrow(observation)
        reply = self._ask({"op": "predict"}, pieces, self.predict_seconds, "predict")
        if not reply["ok"]:
            raise EntryFailed(f"predict failed: {printable(reply.get('error'))}")
        answer = reply.get("answer")
        interval = to_interval(answer if isinstance(answer, Mapping) else {})
        return Prediction.interval(self._parameter, interval)

    def interrupt(self) -> None:
        """Kill the process, from any thread: whoever waits for its answer learns of its end."""
        running = self._running
        if running is not None:
            running.kill()

    def close(self) -> None:
        """End the process and remove its folders."""
        self._stop()
        with contextlib.suppress(OSError):  # what is left goes with the caller's folder
            _remove(self._private)

    def _prepare(self, step: str, request: dict[str, Any]) -> None:
        if self._running is None:
            raise EntryError("the entry's process was not started")
        name = self.entry.name
        begin = time.monotonic()
        try:
            reply = self._ask(request, b"", self._fit_seconds_left, step)
        except EntryToyError as error:
            tail = printable(self.log.strip()[-500:])
            printed = f"; it printed: {tail}" if tail else ""
            raise EntryError(f"{name}: {error}{printed}") from error
        self._fit_seconds_left -= time.monotonic() - begin
        if not reply["ok"]:
            self._stop()
            raise EntryError(f"{name}: {step} failed: {printable(reply.get('error'))}")

    def _ask(self, request: dict[str, Any], body: Any, seconds: float, step: str) -> dict[str, Any]:
        """One request and its reply; whatever goes wrong on the way ends the process."""
        process = None if self._running is None else self._running.process
        if process is None or process.stdin is None or process.stdout is None:
            raise EntryCrashed("the entry's process is not there")
        self._asked += 1
        self.traceback = ""
        deadline = time.monotonic() + seconds
        try:
            write_frame(process.stdin, {**request, "n": self._asked}, body, timeout=seconds)
            frame = read_frame(
                process.stdout,
                max(deadline - time.monotonic(), 0.001),
                max_header=_MAX_HEADER,
                max_body=_MAX_BODY,
            )
        except TimeoutError as error:
            self._stop()
            raise EntryTimeout(f"{step} took longer than {seconds:.4g} s and was ended") from error
        except (ProtocolError, OSError) as error:
            end = self._end_of_process()
            raise EntryCrashed(f"{step}: {end or f'it broke the protocol ({error})'}") from error
        if frame is None:
            raise EntryCrashed(f"{step}: {self._end_of_process() or 'it closed its output'}")
        reply, _ = frame
        if reply.get("n") != self._asked or not isinstance(reply.get("ok"), bool):
            self._stop()
            raise EntryCrashed(f"{step}: it answered out of step")
        self.seconds = plain_number(reply.get("seconds"))
        self.traceback = str(reply.get("traceback", ""))
        return reply

    def _end_of_process(self) -> str:
        """How the process ended, in words (empty if it had not), after ending what is left."""
        if self._running is None:
            return ""
        words = self._running.exit_words()
        self._stop()
        return words

    def _stop(self) -> None:
        running, self._running = self._running, None
        if running is None:
            return
        running.end()
        if not running.is_sandboxed:
            end_strays(self._private)
        self._cpu_seconds += running.cpu_seconds
        for stream in (running.process.stdin, running.process.stdout):
            if stream is not None:
                stream.close()
        if self._log is not None:
            self._log.close()

    def _places(self) -> Places:
        private = self._private
        return Places(
            entry=private / "entry",
            package=self.entry.package,
            modules=private / "modules",
            train=self._train,
            home=private / "home",
            code=Path(sigma68.__file__).parents[1],
        )

    def _fresh_folders(self) -> None:
        """A new copy of the entry, the modules it may import, an empty home, and one for scraps."""
        private = self._private
        try:
            for name in ("entry", "home", "modules"):
                _remove(private / name)
            shutil.copytree(self.entry.root, private / "entry")
            (private / "home" / "tmp").mkdir(parents=True)
            (private / "modules").mkdir()
            if self._compat is not None:
                write_old_modules(private / "modules", self._compat)
        except OSError as error:
            raise EntryError(
                f"{self.entry.name} cannot be copied to a folder of its own "
                f"({error.strerror or error}): make room in {private.parent}"
            ) from error


def _remove(folder: Path) -> None:
    """Remove a folder of the entry's, whatever permissions it has left there."""
    if not folder.exists():
        return
    folder.chmod(0o700)
    for where, folders, _ in os.walk(folder):
        for inner in (Path(where, name) for name in folders):
            if not inner.is_symlink():
                inner.chmod(0o700)
    shutil.rmtree(folder)


def _environment(places: Places, threads: int | None) -> dict[str, str]:
    """What the process may know of the world: nothing that a run has put there."""
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    environment |= {
        "HOME": str(places.home),
        "TMPDIR": str(places.temporary),
        "PYTHONHASHSEED": "0",
        "PYTHONUNBUFFERED": "1",
        "MPLBACKEND": "Agg",
        # The layer that survives a fork: entries use multiprocessing after calling systematics.
        "NUMBA_THREADING_LAYER": "workqueue",
    }
    # The process sees our packages wherever ours did: an editable or a user's installation.
    paths = [str(places.modules), str(places.code)]
    if site.ENABLE_USER_SITE:
        paths.append(site.getusersitepackages())
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    if threads is not None:
        environment |= dict.fromkeys(_THREADS, str(threads))
    return environment
