"""Methods that misbehave on some toys, told apart by their number of events."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from sigma68.errors import FitError
from sigma68.types import Interval, Observation, Prediction


class Sized:
    """Answers with the number of events; what the others do where they behave."""

    name: ClassVar[str] = "sized"
    answer: ClassVar[Any] = "interval"

    def __init__(self, task: Any, *, marker: str = "", pause: float = 0.0) -> None:
        self.task = task
        self.marker = marker
        self.pause = pause

    @classmethod
    def skip(cls, task: Any) -> str | None:
        return "it wants one interval" if task.answer != "interval" else None

    def fit(self, train: Any, calibration: Any, progress: Any = None) -> None:
        if progress is not None:
            progress("nothing", 1.0)

    def predict(self, observation: Observation) -> Prediction:
        time.sleep(self.pause)
        return self.predict_number(observation.n_events)

    def predict_number(self, n: int) -> Prediction:
        value = n / 2000
        return Prediction.interval("mu", Interval(value, 0.1, value - 0.1, value + 0.1))

    def save(self, folder: Path) -> None:
        document = {"marker": self.marker, "pause": self.pause}
        (folder / "sized.json").write_text(json.dumps(document))

    @classmethod
    def load(cls, folder: Path, task: Any) -> Sized:
        return cls(task, **json.loads((folder / "sized.json").read_text()))


class Raising(Sized):
    """Raises on odd numbers."""

    name = "raising"

    def predict_number(self, n: int) -> Prediction:
        if n % 4 == 1:
            raise FitError("no minimum\nwas found")
        if n % 4 == 3:
            raise ZeroDivisionError("one over none")
        return super().predict_number(n)


class Hanging(Sized):
    """Hangs on every third number."""

    name = "hanging"

    def predict_number(self, n: int) -> Prediction:
        if n % 3 == 0:
            time.sleep(600)
        return super().predict_number(n)


class Dying(Sized):
    """Is killed on every third number: always, or once if there is a marker to remember it by."""

    name = "dying"

    def predict_number(self, n: int) -> Prediction:
        if n % 3 == 0:
            marker = Path(f"{self.marker}-{n}") if self.marker else None
            if marker is None or not marker.exists():
                if marker is not None:
                    marker.touch()
                print("farewell", file=sys.stderr)
                sys.stderr.flush()
                os.kill(os.getpid(), signal.SIGKILL)
        return super().predict_number(n)


class Talking(Sized):
    """Prints, also past Python, and reads from stdin."""

    name = "talking"

    def predict_number(self, n: int) -> Prediction:
        print("S68F" * 1000)
        os.write(1, b"straight to the descriptor\n")
        assert sys.stdin.read() == ""
        return super().predict_number(n)


class Odd(Sized):
    """Answers with what is no answer: NaN, reversed, infinite, of another kind, of NumPy."""

    name = "odd"

    def predict_number(self, n: int) -> Prediction:
        bounds = {0: (np.nan, 1.0), 1: (2.0, 1.0), 2: (-np.inf, np.inf)}
        if n % 6 in bounds:
            return Prediction.interval("mu", Interval(1.0, 0.1, *bounds[n % 6]))
        if n % 6 == 3:
            return None  # type: ignore[return-value]
        if n % 6 == 4:
            return Prediction({})
        one = np.float32(1.0)
        return Prediction.interval("mu", Interval(one, one, one, one + one))


class Exhausting(Sized):
    """Cannot be loaded in another process than the one it was trained in."""

    name = "exhausting"

    @classmethod
    def load(cls, folder: Path, task: Any) -> Sized:
        os._exit(7)
