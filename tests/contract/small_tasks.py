"""Two small tasks, and a method for each, that keep the contracts honest.

`Peak` asks for two parameters with errors, `Lump` for a score of strangeness: neither looks like
a signal strength, and whatever assumes one shows here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from sigma68.errors import DataError, FitError, ModelMismatchError, NuisanceError
from sigma68.protocols import Pool, Pools, Progress, Task
from sigma68.score.estimates import score_toys
from sigma68.seeds import Stream, stream
from sigma68.types import (
    AnswerKind,
    Estimate,
    Feature,
    Labelled,
    Nuisance,
    Observation,
    Parameter,
    PoolStatistics,
    Prediction,
    Score,
    Strangeness,
    Truth,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Lump", "Lumpiness", "Moments", "Peak"]

ROLES = ("train", "calibration", "scoring", "final")
ROWS = 4000


@dataclass
class RowPool:
    """Rows drawn once for a role, weighted to the expectation; the nuisance `scale` widens x."""

    role: str
    fingerprint: str
    rows: np.ndarray
    weights: np.ndarray
    labels: np.ndarray
    n_rows: int = ROWS

    def labelled(
        self, nuisances: Mapping[str, float] | None = None, *, max_rows: int | None = None
    ) -> Labelled:
        given = dict(nuisances or {})
        scale = given.pop("scale", 1.0)
        if given:
            raise NuisanceError(f"there is no nuisance parameter {next(iter(given))!r}")
        keep = slice(0, max_rows)
        labels, weights = self.labels[keep], self.weights[keep].copy()
        for label in np.unique(labels):
            part = labels == label
            weights[part] *= self.weights[self.labels == label].sum() / weights[part].sum()
        return Labelled(
            ("x",), self.rows[None, keep] * scale, weights, labels, labels, ("flat", "peaked")
        )

    def statistics(self) -> PoolStatistics | None:
        part = [self.weights[self.labels == label] for label in (0, 1)]
        return PoolStatistics(
            regions=("everywhere",),
            processes=("flat", "peaked"),
            is_signal=(False, True),
            sumw=np.array([[w.sum() for w in part]]),
            sumw2=np.array([[(w**2).sum() for w in part]]),
            n_rows=self.n_rows,
        )


class _Small:
    """What the two tasks share: one column x, one nuisance, events from nothing but formulae."""

    name: str
    title: str
    answer: AnswerKind
    parameters: tuple[Parameter, ...]
    nuisances: tuple[Nuisance, ...] = (
        Nuisance("scale", 1.0, "normal", 1.0, 0.01, 0.5, 1.5, label="scale of x"),
    )
    features: tuple[Feature, ...] = (Feature("x", label="$x$", unit="cm"),)
    default_source: str | None = "made"

    def events(self, rng: np.random.Generator, parameters: Mapping[str, float]) -> np.ndarray:
        raise NotImplementedError

    def open(self, source: str | None = None, *, split_seed: int = 0) -> Pools:
        if source not in (None, "made"):
            raise DataError(f"the task {self.name} has no data source {source!r}")
        return Pools(
            **{role: self._pool(role, split_seed) for role in ROLES},
            fingerprint=f"{self.name}-{split_seed}",
        )

    def _pool(self, role: str, split_seed: int) -> Pool:
        rng = stream(self.name, f"pool {role}", split_seed).generator()
        flat, peaked = self.shares()
        labels = (rng.random(ROWS) < 0.5).astype(np.int8)
        rows = np.where(labels == 1, rng.normal(size=ROWS), rng.uniform(-5, 5, ROWS))
        share = np.where(labels == 1, peaked, flat) / np.bincount(labels)[labels]
        return RowPool(role, f"{self.name}-{split_seed}-{role}", rows, share, labels)

    def shares(self) -> tuple[float, float]:
        """Expected flat and peaked events at parameter values of 1."""
        raise NotImplementedError

    def pseudo_experiment(self, pool: Pool, truth: Truth, stream: Stream) -> Observation:
        events = self.events(stream.generator(), truth.parameters)
        return Observation(("x",), truth.nuisances.get("scale", 1.0) * events[None, :])

    def score(self, toys: pd.DataFrame, *, epsilon: float | None = None) -> Score:
        return score_toys(toys, self.answer, self.parameters, epsilon=epsilon)


class Peak(_Small):
    """A normal peak of width 1: how many hundred events, and where?"""

    name = "peak"
    title = "Rate and position of a peak"
    answer: AnswerKind = "estimates"
    parameters = (Parameter("rate", 0.5, 2.0, unit="hundred events"), Parameter("place", -2, 2))

    def shares(self) -> tuple[float, float]:
        return 0.0, 100.0

    def _pool(self, role: str, split_seed: int) -> Pool:
        rng = stream(self.name, f"pool {role}", split_seed).generator()
        return RowPool(
            role,
            f"{self.name}-{split_seed}-{role}",
            rng.normal(1.0, 1.0, ROWS),
            np.full(ROWS, 100.0 / ROWS),
            np.ones(ROWS, dtype=np.int8),
        )

    def events(self, rng: np.random.Generator, parameters: Mapping[str, float]) -> np.ndarray:
        return rng.normal(parameters["place"], 1.0, rng.poisson(100 * parameters["rate"]))


class Lump(_Small):
    """A flat spectrum that may hide a lump at 0: how strange does it look?"""

    name = "lump"
    title = "Strangeness of a spectrum"
    answer: AnswerKind = "strangeness"
    parameters = (Parameter("lump", 0.0, 4.0),)

    def shares(self) -> tuple[float, float]:
        return 200.0, 20.0

    def events(self, rng: np.random.Generator, parameters: Mapping[str, float]) -> np.ndarray:
        flat = rng.uniform(-5, 5, rng.poisson(200))
        peaked = rng.normal(0, 1, rng.poisson(20 * parameters["lump"]))
        return rng.permutation(np.concatenate([flat, peaked]))


class _SmallMethod:
    """A method whose training is one number."""

    name: ClassVar[str]
    answer: ClassVar[AnswerKind]

    def __init__(self, task: Task) -> None:
        self.task = task
        self.learnt: float | None = None

    @classmethod
    def skip(cls, task: Task) -> str | None:
        if task.answer != cls.answer:
            return f"answers with {cls.answer}"
        return None if isinstance(task, _Small) else "knows the small tasks only"

    def fit(self, train: Pool, calibration: Pool, progress: Progress | None = None) -> None:
        events = train.labelled()
        peaked = events.labels == 1
        self.learnt = float(np.std(events.values[0][peaked]))
        if progress is not None:
            progress("measuring the peak's width", 1.0)

    def column(self, observation: Observation) -> np.ndarray:
        if self.learnt is None:
            raise ModelMismatchError(f"{self.name} is not trained yet")
        x = observation["x"]
        if x.size < 2 or not np.isfinite(x).all():
            raise FitError("fewer than two events, or one that is not finite")
        return x

    def save(self, folder: Path) -> None:
        document = {"task": self.task.name, "learnt": self.learnt}
        (folder / "model.json").write_text(json.dumps(document))

    @classmethod
    def load(cls, folder: Path, task: Task) -> _SmallMethod:
        path = folder / "model.json"
        if not path.is_file():
            raise DataError(f"{folder} holds no saved model")
        document = json.loads(path.read_text())
        if document["task"] != task.name:
            raise ModelMismatchError(f"made for task {document['task']}, not {task.name}")
        method = cls(task)
        method.learnt = document["learnt"]
        return method


class Moments(_SmallMethod):
    """Count and mean: the efficient estimates of a peak's rate and place."""

    name = "moments"
    answer: ClassVar[AnswerKind] = "estimates"

    def predict(self, observation: Observation) -> Prediction:
        x = self.column(observation)
        n = x.size
        assert self.learnt is not None
        # The scale's 1% moves the mean by 1% of itself.
        error = math.hypot(self.learnt / math.sqrt(n), 0.01 * float(np.mean(x)))
        return Prediction(
            {
                "rate": Estimate(n / 100, math.sqrt(n) / 100),
                "place": Estimate(float(np.mean(x)), error),
            }
        )


class Lumpiness(_SmallMethod):
    """The excess of the middle over the sides, in standard deviations."""

    name = "lumpiness"
    answer: ClassVar[AnswerKind] = "strangeness"

    def predict(self, observation: Observation) -> Prediction:
        x = self.column(observation)
        assert self.learnt is not None
        middle = np.abs(x) < 1.5 * self.learnt
        share = 3 * self.learnt / 10
        excess = middle.sum() - x.size * share
        return Prediction({"lump": Strangeness(float(excess / math.sqrt(x.size * share)))})
