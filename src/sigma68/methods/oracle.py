"""The best interval that can be had where the density of every component of the events is known."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import ClassVar

from sigma68.errors import DataError, ModelMismatchError
from sigma68.inference.factors import normalisations
from sigma68.inference.fitting import profile_interval
from sigma68.inference.interval_method import named_nuisances
from sigma68.inference.likelihood import ConstrainedLikelihood
from sigma68.inference.unbinned import MixtureLikelihood
from sigma68.learning.files import read_document, require_match, write_document
from sigma68.protocols import ComponentSource, KnownComponents, Pool, Progress, Task
from sigma68.types import LEVEL, AnswerKind, Nuisance, Observation, Prediction

__all__ = ["Oracle"]

_FILE = "oracle.json"


class Oracle:
    """Unbinned likelihood of the true densities: the narrowest interval statistics allow.

    It knows statistics and normalisations only: of the nuisances in `profiled`, those that scale
    components are fitted with their constraints; the others stand at their "off", since the
    densities say nothing of them. Where others vary, it is wrong about the events and does not
    cover; the width it has where they do not is what other methods are measured by. Intervals may
    reach below the parameter's range, and below 0: cut there, they would not cover.

    Parameters
    ----------
    task
        A task that asks for one interval and knows the components of its events (`components()`).
    profiled
        Names of the nuisances that vary; None for all.
    level
        Confidence level of the intervals.

    Raises
    ------
    SettingsError
        If `profiled` names a nuisance that the task does not have.
    """

    name: ClassVar[str] = "oracle"
    answer: ClassVar[AnswerKind] = "interval"
    needs_events: ClassVar[bool] = False

    def __init__(
        self, task: Task, *, profiled: Collection[str] | None = None, level: float = LEVEL
    ) -> None:
        self.task = task
        self.level = level
        self.varied = tuple(n.name for n in named_nuisances(task, profiled))
        self._likelihood: MixtureLikelihood | None = None

    @classmethod
    def skip(cls, task: Task) -> str | None:
        """Why this method cannot do this task; None if it can."""
        if task.answer != "interval" or len(task.parameters) != 1:
            return "answers with one interval on one parameter"
        if not isinstance(task, ComponentSource):
            return "the densities of the task's events are not known"
        return None

    @classmethod
    def leaves_out(cls, task: Task, varied: Collection[str]) -> str | None:
        """What the method does not account for where the nuisances `varied` vary, as a sentence.

        None if there is nothing.
        """
        if not isinstance(task, ComponentSource):
            return None
        fitted = normalisations(task.components().factors, task.nuisances, varied)
        left = [n.name for n in task.nuisances if n.name in varied and n not in fitted]
        if not left:
            return None
        return (
            "The oracle knows statistics and normalisations only: it takes "
            f"{_listed(left)} to be off, so where {'they vary' if len(left) > 1 else 'it varies'} "
            "its intervals are too narrow and off."
        )

    def fit(self, train: Pool, calibration: Pool, progress: Progress | None = None) -> None:
        """Take the densities from the pool; there is nothing to learn.

        Raises
        ------
        DataError
            If the pool does not know the densities of its events.
        """
        if not isinstance(train, ComponentSource):
            raise DataError(
                f"the densities of the events in the {train.role} pool are not known, which the "
                "method oracle needs: give a data source that knows them (see the task's "
                "description), or choose another method"
            )
        self._know(train.components())
        if progress is not None:
            progress("nothing to learn: the densities are known", 1.0)

    def predict(self, observation: Observation) -> Prediction:
        """The interval on the parameter, and every fitted normalisation with its error.

        Raises
        ------
        FitError
            If there are events that no component can give, or no fit converges.
        DataError
            If a feature is missing.
        """
        if self._likelihood is None:
            raise ModelMismatchError(
                "the method oracle has not been fitted: call fit or load first"
            )
        missing = [f.name for f in self.task.features if f.name not in observation.names]
        if missing:
            raise DataError(f"the observation has no column {missing[0]!r}")
        profiled = self.profiled
        target = ConstrainedLikelihood(
            likelihood=self._likelihood,
            observation=observation,
            parameters=(self.task.parameters[0].name,),
            profiled=profiled,
            fixed={n.name: n.off for n in self.task.nuisances if n not in profiled},
        )
        note = self.leaves_out(self.task, self.varied) or ""
        interval = profile_interval(target, self.task.parameters[0], self.level, note)
        return Prediction.interval(target.parameters[0], interval)

    @property
    def profiled(self) -> tuple[Nuisance, ...]:
        """The normalisations that are fitted; none before the method is fitted or loaded."""
        if self._likelihood is None:
            return ()
        factors = self._likelihood.components.factors
        return normalisations(factors, self.task.nuisances, self.varied)

    def save(self, folder: Path) -> None:
        """Write oracle.json into an existing folder: the settings, and which densities they are of.

        Raises
        ------
        ModelMismatchError
            If the method has not been fitted.
        OutputError
            If it cannot be written.
        """
        if self._likelihood is None:
            raise ModelMismatchError("the method oracle has not been fitted: call fit first")
        document = {
            "method": self.name,
            "task": self.task.name,
            "components": self._likelihood.components.fingerprint,
            "profiled": list(self.varied),
            "level": self.level,
        }
        write_document(folder / _FILE, document)

    @classmethod
    def load(cls, folder: Path, task: Task) -> Oracle:
        """The method that `save` wrote, with the densities the task knows.

        Raises
        ------
        ModelMismatchError
            If it is a model of another task or other densities, or the task knows none.
        DataError
            If the file is missing or damaged.
        """
        path = folder / _FILE
        document = read_document(path)
        expected = {"method": cls.name, "task": task.name}
        require_match(path, document, expected, ("components", "profiled", "level"))
        if not isinstance(task, ComponentSource):
            raise ModelMismatchError(f"the task {task.name} no longer knows its densities")
        components = task.components()
        require_match(path, document, {"components": components.fingerprint}, ())
        method = cls(task, profiled=document["profiled"], level=float(document["level"]))
        method._know(components)
        return method

    def _know(self, components: KnownComponents) -> None:
        self._likelihood = MixtureLikelihood(components)


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
