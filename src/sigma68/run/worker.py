"""`python -m sigma68.run.worker`: a process that draws toys and has them answered.

It speaks `frames` over stdin and stdout and ends when stdin does, also in the middle of a
prediction. From the main process come one frame of the kind "start" (whose toys are a calibration's if it says "calibrating"), then "toy" frames; it
answers "ready", then for each toy "predicting" (the events are drawn, the clock runs) and
"result". "error" says that the run cannot go on; why is in its message.
"""

from __future__ import annotations

import faulthandler
import json
import os
import select
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

import numpy as np

from sigma68.discover import load_task
from sigma68.errors import EntryError, ProtocolError, Sigma68Error
from sigma68.protocols import Pool, Task
from sigma68.run.frames import read_frame, take_standard_streams, write_frame
from sigma68.run.models import load_model
from sigma68.run.results import judge, result_to_json
from sigma68.run.settings import RunSettings
from sigma68.run.truth import CALIBRATION, SCORED, Draws
from sigma68.types import Observation, Prediction, Status, ToyResult

if TYPE_CHECKING:
    from sigma68.challenge.entries import EntryProcess
    from sigma68.challenge.sandbox.box import Box

__all__ = ["Worker", "main"]

Predict = Callable[[Observation], Prediction]


class Worker:
    """One task, its pool and one predictor, ready for toys."""

    def __init__(
        self,
        settings: RunSettings,
        task: Task,
        pool: Pool,
        predict: Predict,
        ready: Callable[[], None] | None = None,
        draws: Draws = SCORED,
    ) -> None:
        self.settings = settings
        self.task = task
        self.pool = pool
        self.predict = predict
        self.ready = ready
        self.draws = draws

    def run(self, set: int, toy: int, predicting: Callable[[], None]) -> ToyResult:
        """Draw one toy and have it answered; whatever the predictor raises becomes its status.

        Before the clock runs, `ready` may bring a predictor back that the last toy cost.

        Raises
        ------
        EntryError
            If an entry cannot be brought back at all.
        """
        settings = self.settings
        truth = self.draws.truth(self.task, self.pool, settings.seed, set, toy, settings.nuisances)
        stream = self.draws.events(self.task, settings.seed, set, toy)
        observation = self.task.pseudo_experiment(self.pool, truth, stream)
        if self.ready is not None:
            try:
                self.ready()
            except EntryError as error:
                status, message = _failure(error)
                return ToyResult(set, toy, truth, None, status, 0.0, message)
        predicting()
        start = time.perf_counter()
        prediction: Prediction | None = None
        try:
            prediction = self.predict(observation)
            seconds = time.perf_counter() - start
            prediction = _plain(prediction)
        except Exception as error:  # noqa: BLE001  one failed toy never ends a run
            seconds = time.perf_counter() - start
            prediction = None
            status, message = _failure(error)
        else:
            status, message = judge(self.task, prediction)
        if settings.entry is None and seconds > settings.predict_seconds:
            status, message = "timeout", f"predict took {seconds:.1f} s"
        return ToyResult(set, toy, truth, prediction, status, seconds, message)


def _plain(prediction: Any) -> Prediction:
    """The prediction as JSON carries it: Python's numbers in place of NumPy's."""
    if not isinstance(prediction, Prediction):
        raise TypeError(f"predict returned a {type(prediction).__name__}, not a Prediction")
    return Prediction.from_json(json.loads(json.dumps(prediction.to_json(), default=_number)))


def _number(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"a prediction must hold numbers, not a {type(value).__name__}")


def _failure(error: Exception) -> tuple[Status, str]:
    """How the toy ended, and what to say of it; raises what is not about one toy."""
    status = getattr(error, "status", None)  # see sigma68.challenge.failures
    if isinstance(error, EntryError) and status not in get_args(Status):
        raise error
    traceback.print_exception(error, file=sys.stderr)
    # Our own errors are sentences already; of others the kind matters too.
    ours = isinstance(error, Sigma68Error)
    message = str(error) if ours else traceback.format_exception_only(error)[-1].strip()
    return (cast("Status", status) if isinstance(error, EntryError) else "failed"), message


def _entry(settings: RunSettings, task: Task, start: dict[str, Any]) -> EntryProcess:
    from sigma68.challenge.entries import EntryProcess, open_entry

    return EntryProcess(
        open_entry(Path(str(settings.entry)), Path(start["workdir"])),
        task,
        Path(start["train"]),
        predict_seconds=settings.predict_seconds,
        fit_seconds=settings.fit_seconds,
        box=_box(start),
        threads=int(os.environ["OMP_NUM_THREADS"]),  # this worker's share of the cores
    )


def _box(start: dict[str, Any]) -> Box:
    from sigma68.challenge.sandbox.box import Sandbox, Trusted
    from sigma68.challenge.sandbox.limits import Limits

    if not start["sandbox"]:
        return Trusted()
    return Sandbox(Limits(), Path(tempfile.mkdtemp(prefix="code-", dir=start["workdir"])))


class _CleanUp:
    """What must be closed before this process ends, closed once, from whichever thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pending: list[Callable[[], None]] = []

    def add(self, close: Callable[[], None]) -> None:
        self._pending.append(close)

    def __call__(self) -> None:
        with self._lock:
            while self._pending:
                self._pending.pop()()


def _watch(reading: int, clean_up: _CleanUp) -> None:
    """End this process as soon as the main one has closed its end of stdin, or died."""
    poll = select.poll()
    poll.register(reading, 0)  # only a hang-up counts; the frames are read by the main thread
    poll.poll()
    clean_up()
    os._exit(0)


def _serve(reading: int, writing: int, clean_up: _CleanUp) -> None:
    frame = read_frame(reading)
    if frame is None:
        return
    start, _ = frame
    if start.get("kind") != "start":
        raise ProtocolError(f"a worker is begun with a frame 'start', not {start.get('kind')!r}")
    settings = RunSettings.from_json(start["settings"])
    task = load_task(settings.task)
    pools = task.open(settings.data, split_seed=settings.split_seed)
    # Toys that a calibration learns from may not be of the events that will test it.
    calibrating = bool(start.get("calibrating"))
    pool = pools["calibration" if calibrating else settings.pool]
    if settings.entry is not None:
        process = _entry(settings, task, start)
        clean_up.add(process.close)
        process.start()
        process.fit()
        worker = Worker(settings, task, pool, process.predict, process.ensure_ready)
    else:
        method = load_model(Path(start["model"]), task, pools)
        draws = CALIBRATION if calibrating else SCORED
        worker = Worker(settings, task, pool, method.predict, draws=draws)
    write_frame(writing, {"kind": "ready"})
    while (frame := read_frame(reading)) is not None:
        job, _ = frame
        result = worker.run(
            job["set"], job["toy"], lambda: write_frame(writing, {"kind": "predicting"})
        )
        sys.stdout.flush()
        write_frame(writing, {"kind": "result", **result_to_json(result)})


def main() -> int:
    """Serve until stdin ends; the exit status."""
    faulthandler.enable()
    reading, writing = take_standard_streams()
    clean_up = _CleanUp()
    threading.Thread(target=_watch, args=(reading, clean_up), daemon=True).start()
    try:
        _serve(reading, writing, clean_up)
    except BrokenPipeError:
        return 1
    except Exception as error:  # noqa: BLE001  told to the main process, which raises it
        traceback.print_exc()
        kind = type(error).__name__ if isinstance(error, Sigma68Error) else ""
        text = str(error) if kind else traceback.format_exc()
        write_frame(writing, {"kind": "error", "error": kind, "message": text})
        return 1
    finally:
        clean_up()
    return 0


if __name__ == "__main__":
    sys.exit(main())
