"""What methods share that learn something and answer with one interval on one parameter.

What they can do, which nuisances they know, what observations they take, how intervals end at the
edge of the parameter's range, and what a saved model says of itself.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError, FitError, SettingsError
from sigma68.inference.edges import within
from sigma68.learning.files import read_document, require_match, write_document
from sigma68.protocols import Task
from sigma68.types import AnswerKind, Nuisance, Observation

__all__ = ["IntervalMethod", "clipped", "named_nuisances"]


class IntervalMethod(ABC):
    """A method that measures one signal strength.

    Parameters
    ----------
    task
        A task that asks for an interval on one parameter.
    """

    name: ClassVar[str]
    answer: ClassVar[AnswerKind] = "interval"

    def __init__(self, task: Task) -> None:
        self.task = task

    @classmethod
    def skip(cls, task: Task) -> str | None:
        """Why this method cannot do this task; None if it can."""
        if task.answer != "interval" or len(task.parameters) != 1:
            return "measures one signal strength"
        return None

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """The keyword arguments that this method was made with."""

    @property
    def features(self) -> tuple[str, ...]:
        """The names of what an event is known by, in their order."""
        return tuple(feature.name for feature in self.task.features)

    def values_of(self, observation: Observation) -> npt.NDArray[np.floating[Any]]:
        """The events of an observation, (n_features, n_events).

        Raises
        ------
        DataError
            If the observation has other features than the method was trained on.
        """
        if observation.names != self.features:
            raise DataError(
                f"the observation's features are not those {self.name} was trained on, in their "
                f"order: {', '.join(self.features)}"
            )
        return observation.values

    def untrained(self) -> FitError:
        """What to raise where something is asked for that training gives."""
        return FitError(f"{self.name} is not trained yet: call fit or load a trained model")

    def write(self, folder: Path, parts: Mapping[str, Any]) -> None:
        """Write `<name>.json`: what was trained for what, with which settings, and `parts`.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        document = {
            "method": self.name,
            "task": self.task.name,
            "features": list(self.features),
            "settings": self.settings(),
            **parts,
        }
        write_document(folder / f"{self.name}.json", document)

    @classmethod
    def read(
        cls, folder: Path, task: Task, parts: tuple[str, ...]
    ) -> tuple[Self, Path, dict[str, Any]]:
        """A method of the settings that `write` wrote, not trained; the file, and what it holds.

        Raises
        ------
        ModelMismatchError
            If it was trained for another task or other features.
        DataError
            If the file is missing or damaged, or lacks one of `parts`.
        """
        path = folder / f"{cls.name}.json"
        document = read_document(path)
        names = [feature.name for feature in task.features]
        expected = {"method": cls.name, "task": task.name, "features": names}
        require_match(path, document, expected, ("settings", *parts))
        try:
            method = cls(task, **document["settings"])
        except TypeError as error:
            raise DataError(
                f"{path} holds other settings than {cls.name} has: train again"
            ) from error
        return method, path, document


def named_nuisances(task: Task, named: Collection[str] | None) -> tuple[Nuisance, ...]:
    """The task's nuisances of these names, in its order; all for None.

    Raises
    ------
    SettingsError
        If there is no such nuisance.
    """
    known = [n.name for n in task.nuisances]
    for name in named or ():
        if name not in known:
            raise SettingsError(
                f"the task {task.name} has no nuisance parameter {name!r} to profile: "
                f"choose from {', '.join(known) or 'none'}"
            )
    return tuple(n for n in task.nuisances if named is None or n.name in named)


def clipped(task: Task, lower: float, upper: float) -> tuple[float, float]:
    """The ends of an interval cut at the range of the task's parameter."""
    ends = within(np.array([lower, upper]), task.parameters[0], "clip")
    return float(ends[0]), float(ends[1])
