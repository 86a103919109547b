"""`counting`: one cut, one number, Poisson: the 1-bin baseline with statistical errors only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError, FitError
from sigma68.inference.poisson import fit_mu
from sigma68.learning.files import read_document, require_match, write_document
from sigma68.protocols import Pool, Progress, Task
from sigma68.types import AnswerKind, FloatArray, Labelled, Observation, Prediction

__all__ = ["Counting", "Cut", "best_cut"]

_FILE = "counting.json"
_MOST_THRESHOLDS = 1000


@dataclass(frozen=True)
class Cut:
    """Keep events with `feature` at or above ("above"), or below ("below"), `threshold`."""

    feature: str
    side: Literal["above", "below"]
    threshold: float

    def passes(self, column: FloatArray) -> npt.NDArray[np.bool_]:
        """Which events of a column, (n_events,), are kept."""
        # Compared in the column's own precision, in which the threshold was found.
        at_or_above = column >= column.dtype.type(self.threshold)
        kept: npt.NDArray[np.bool_] = at_or_above if self.side == "above" else ~at_or_above
        return kept


def best_cut(events: Labelled, *, min_effective: float = 25.0) -> Cut:
    """The single cut of largest expected sensitivity s / sqrt(s + b + v).

    s and b are the expected signal and background that pass, v the sum of their squared
    weights: the variance of the simulation itself, so that a cut on a handful of heavy events
    is not preferred. Both must keep `min_effective` effective simulated events, (sum w)^2 /
    sum w^2. Thresholds are at most 1,000 quantiles of each feature, signal and background
    weighing the same. Without a cut that satisfies this and gains anything, the cut returned
    keeps every event.

    Raises
    ------
    DataError
        If signal or background is missing or weighs nothing.
    FitError
        If a feature is NaN or infinite.
    """
    sums = {label: float(events.weights[events.labels == label].sum()) for label in (1, 0)}
    for label, name in ((1, "signal"), (0, "background")):
        if not sums[label] > 0:
            raise DataError(f"the training events hold no {name}: give a larger pool")
    balanced = events.weights / np.where(events.labels == 1, sums[1], sums[0])
    best = -np.inf
    chosen = Cut(events.names[0], "above", -np.inf)
    for name, column in zip(events.names, events.values, strict=True):
        _require_finite(name, column)
        thresholds = _thresholds(column, balanced)
        above = _passing(column, events, thresholds)
        for side, passing in (("above", above), ("below", above[..., :1] - above)):
            merit = _sensitivity(passing, min_effective)
            # The first threshold keeps everything (above) or nothing (below).
            at = int(np.argmax(merit))
            if merit[at] > best:
                best = float(merit[at])
                threshold = -np.inf if side == "above" and at == 0 else float(thresholds[at])
                chosen = Cut(name, "above" if side == "above" else "below", threshold)
    return chosen


def _thresholds(column: FloatArray, balanced: npt.NDArray[np.float64]) -> FloatArray:
    """Distinct values of a column, ascending from its lowest: quantiles where there are many."""
    order = np.argsort(column, kind="stable")
    cumulative = np.cumsum(balanced[order])
    wanted = np.arange(_MOST_THRESHOLDS) / _MOST_THRESHOLDS * cumulative[-1]
    at = np.minimum(np.searchsorted(cumulative, wanted, side="right"), column.size - 1)
    return np.unique(np.append(column[order[at]], column[order[0]]))


def _passing(
    column: FloatArray, events: Labelled, thresholds: FloatArray
) -> npt.NDArray[np.float64]:
    """Sums over events at or above each threshold: [class, power of the weight - 1, threshold]."""
    index = np.searchsorted(thresholds, column, side="right") - 1
    sums = np.empty((2, 2, thresholds.size))
    for label in (0, 1):
        rows = events.labels == label
        for power in (1, 2):
            weights = events.weights[rows] ** power
            histogram = np.bincount(index[rows], weights, minlength=thresholds.size)
            sums[label, power - 1] = np.cumsum(histogram[::-1])[::-1]
    return sums


def _sensitivity(passing: npt.NDArray[np.float64], min_effective: float) -> FloatArray:
    """Return s / sqrt(s + b + v) per threshold; minus infinity where too few simulated events pass."""
    (b, vb), (s, vs) = passing
    # Differences of sums can leave a rest of rounding: demand a real number of events.
    enough = (s > 0) & (b > 0)
    enough &= (s * s >= min_effective * vs) & (b * b >= min_effective * vb)
    merit: FloatArray = np.where(
        enough, s / np.sqrt(np.where(enough, s + b + vs + vb, 1.0)), -np.inf
    )
    return merit


def _require_finite(name: str, column: FloatArray) -> None:
    if not np.isfinite(column).all():
        at = int(np.argmin(np.isfinite(column)))
        raise FitError(f"{name} is {column[at]} in event {at}")


class Counting:
    """Counts the events that pass the best single cut; Poisson, statistical errors only.

    Fitting scans every feature of the training pool for the cut of largest expected
    sensitivity, then takes the expected signal S and background B that pass it from the
    calibration pool, which the scan never saw. An observation of n events that pass gives the
    likelihood interval on the parameter mu of Poisson(n | mu S + B).

    Parameters
    ----------
    task
        A task that asks for an interval on one parameter that scales the signal.
    nuisances
        The nuisance parameters at which events are simulated; those not named are off.
    max_train_rows
        At most so many training events are scanned; None for all.
    """

    name: ClassVar[str] = "counting"
    answer: ClassVar[AnswerKind] = "interval"

    def __init__(
        self,
        task: Task,
        *,
        nuisances: Mapping[str, float] | None = None,
        max_train_rows: int | None = 1_000_000,
    ) -> None:
        self.task = task
        self.nuisances = dict(nuisances or {})
        self.max_train_rows = max_train_rows
        self.cut: Cut | None = None
        self.signal = 0.0
        self.background = 0.0

    @classmethod
    def skip(cls, task: Task) -> str | None:
        """Why this method cannot do this task; None if it can."""
        if task.answer != "interval" or len(task.parameters) != 1:
            return "measures one signal strength"
        return None

    def fit(self, train: Pool, calibration: Pool, progress: Progress | None = None) -> None:
        """Choose the cut on `train`, count what passes it in `calibration`.

        Raises
        ------
        DataError
            If a pool has no signal or no background, or no signal passes the cut.
        """
        if progress is not None:
            progress("scanning for the best cut", 0.0)
        cut = best_cut(train.labelled(self.nuisances, max_rows=self.max_train_rows))
        if progress is not None:
            progress("counting calibration events", 0.9)
        events = calibration.labelled(self.nuisances)
        kept = cut.passes(events.observation()[cut.feature])
        signal = float(events.weights[kept & (events.labels == 1)].sum())
        background = float(events.weights[kept & (events.labels == 0)].sum())
        if not signal > 0:
            raise DataError(
                f"no signal among the {events.n_events} calibration events passes the cut on "
                f"{cut.feature}: give a larger pool"
            )
        self.cut, self.signal, self.background = cut, signal, background
        if progress is not None:
            progress("counting calibration events", 1.0)

    def predict(self, observation: Observation) -> Prediction:
        """The interval from the number of events that pass the cut.

        Raises
        ------
        FitError
            If the cut's feature is NaN or infinite, or the fit finds no interval.
        DataError
            If the observation has other features than the method was trained on.
        """
        if self.cut is None:
            raise FitError("counting is not trained yet: call fit or load a trained model")
        if self.cut.feature not in observation.names:
            raise DataError(f"the observation has no feature {self.cut.feature}")
        column = observation[self.cut.feature]
        _require_finite(self.cut.feature, column)
        count = float(np.count_nonzero(self.cut.passes(column)))
        interval = fit_mu([count], [self.signal], [self.background])
        return Prediction.interval(self.task.parameters[0].name, interval)

    def save(self, folder: Path) -> None:
        """Write `counting.json` into an existing folder.

        Raises
        ------
        FitError
            If it is not trained yet.
        OutputError
            If it cannot be written.
        """
        if self.cut is None:
            raise FitError("counting is not trained yet: there is nothing to save")
        cut: dict[str, Any] = asdict(self.cut)
        if not np.isfinite(self.cut.threshold):
            cut["threshold"] = None  # JSON has no infinity
        write_document(
            folder / _FILE,
            {
                "method": self.name,
                "task": self.task.name,
                "nuisances": self.nuisances,
                "max_train_rows": self.max_train_rows,
                "cut": cut,
                "signal": self.signal,
                "background": self.background,
            },
        )

    @classmethod
    def load(cls, folder: Path, task: Task) -> Counting:
        """The method that `save` wrote.

        Raises
        ------
        ModelMismatchError
            If it was trained for another task.
        DataError
            If the file is missing or damaged.
        """
        path = folder / _FILE
        document = read_document(path)
        keys = ("nuisances", "max_train_rows", "cut", "signal", "background")
        require_match(path, document, {"method": cls.name, "task": task.name}, keys)
        method = cls(
            task, nuisances=document["nuisances"], max_train_rows=document["max_train_rows"]
        )
        cut = document["cut"]
        threshold = -np.inf if cut["threshold"] is None else float(cut["threshold"])
        method.cut = Cut(cut["feature"], cut["side"], threshold)
        method.signal, method.background = float(document["signal"]), float(document["background"])
        return method
