"""Strangeness as a chi-squared: how far summaries are from what any parameters would give.

Mean and covariance of the summaries follow the parameters (`summary_likelihood`), learned from
ordinary simulations alone. An observation is given the parameters that describe it best; how badly
they still do is its strangeness. What comes out is as good as the summaries that go in.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError, FitError, ModelMismatchError, SettingsError
from sigma68.inference.summarised import summarised
from sigma68.inference.summary_likelihood import SummaryLikelihood, fit_summary_likelihood
from sigma68.learning.files import read_document, require_match, write_document
from sigma68.protocols import Pool, Progress, Task
from sigma68.types import AnswerKind, Observation, Parameter, Prediction, Strangeness

__all__ = ["ChiSquaredMethod", "fitted_by", "least_chi_squared", "skipped"]

FloatArray = npt.NDArray[np.float64]
_STARTS = 21
"""Points along each parameter at which a fit looks first."""
_FEW_PARAMETERS = 3


class ChiSquaredMethod(ABC):
    """A method that knows ordinary observations by their summaries.

    The first of the task's parameters says what is strange; the others are those that ordinary
    observations differ by, and are fitted.

    Parameters
    ----------
    task
        A task that asks for a strangeness.
    degree, covariance_degree
        Of the polynomials of mean and covariance.
    """

    name: ClassVar[str]
    answer: ClassVar[AnswerKind] = "strangeness"

    def __init__(self, task: Task, *, degree: int, covariance_degree: int) -> None:
        if not 1 <= degree <= 8 or not 0 <= covariance_degree <= 4:
            raise SettingsError(
                f"degree={degree} and covariance_degree={covariance_degree}: give 1 to 8 and 0 to 4"
            )
        self.task = task
        self.degree, self.covariance_degree = degree, covariance_degree
        self.likelihood: SummaryLikelihood | None = None

    @classmethod
    def skip(cls, task: Task) -> str | None:
        """Why this method cannot do this task; None if it can."""
        return skipped(task)

    @abstractmethod
    def summary(self, observation: Observation) -> FloatArray:
        """The numbers that an observation is known by, (n_summaries,)."""

    @property
    def fitted(self) -> tuple[Parameter, ...]:
        """What ordinary observations differ by."""
        return fitted_by(self.task)

    def fit(self, train: Pool, calibration: Pool, progress: Progress | None = None) -> None:
        """Summarise the ordinary observations of both pools, and fit mean and covariance to them.

        Raises
        ------
        DataError
            If a pool has no observations, or there are too few.
        """
        names = [p.name for p in self.fitted]
        parts = [
            summarised(pool, names, self.summary, method=self.name, progress=progress)
            for pool in (train, calibration)
        ]
        points, summaries = (np.concatenate(own) for own in zip(*parts, strict=True))
        self.learn(points, summaries)

    def learn(self, points: FloatArray, summaries: FloatArray) -> None:
        """Fit mean and covariance to ordinary summaries (n, n_summaries) at points (n, n_parameters).

        Raises
        ------
        DataError
            If there are too few.
        """
        self.likelihood = self.fitted_to(points, summaries)

    def fitted_to(self, points: FloatArray, summaries: FloatArray) -> SummaryLikelihood:
        """Mean and covariance of ordinary summaries (n, n_summaries) at points (n, n_parameters).

        Raises
        ------
        DataError
            If there are too few.
        """
        return fit_summary_likelihood(
            points,
            summaries,
            self.fitted,
            degree=self.degree,
            covariance_degree=self.covariance_degree,
        )

    def predict(self, observation: Observation) -> Prediction:
        """How strange the summaries of an observation are.

        Raises
        ------
        FitError
            If the observation gives no finite summaries.
        ModelMismatchError
            If the method is not trained.
        """
        strangeness = self.strangeness(self.summary(observation))
        return Prediction({self.task.parameters[0].name: Strangeness(strangeness)})

    def strangeness(self, summary: FloatArray) -> float:
        """The chi-squared of a summary (n_summaries,) at the most probable parameters."""
        return least_chi_squared(self.trained(), summary)

    def trained(self) -> SummaryLikelihood:
        """Mean and covariance of ordinary summaries.

        Raises
        ------
        ModelMismatchError
            If the method is not trained.
        """
        if self.likelihood is None:
            raise ModelMismatchError(f"{self.name} is not trained yet: fit it, or load a model")
        return self.likelihood

    def learned(self) -> dict[str, Any]:
        """What a saved model holds beside its settings, a JSON object.

        Raises
        ------
        ModelMismatchError
            If the method is not trained.
        """
        return {"likelihood": self.trained().to_json()}

    def take(self, learned: Mapping[str, Any]) -> None:
        """Take what `learned` gave.

        Raises
        ------
        DataError
            If it is damaged.
        """
        self.likelihood = SummaryLikelihood.from_json(learned["likelihood"])

    def settings(self) -> dict[str, Any]:
        """The keyword arguments that this method was made with."""
        return {"degree": self.degree, "covariance_degree": self.covariance_degree}

    def save(self, folder: Path) -> None:
        """Write settings and likelihood.

        Raises
        ------
        ModelMismatchError
            If the method is not trained.
        OutputError
            If the folder cannot be written.
        """
        document: Mapping[str, Any] = {
            "method": self.name,
            "task": self.task.name,
            "settings": self.settings(),
            "learned": self.learned(),
        }
        write_document(folder / f"{self.name}.json", dict(document))

    @classmethod
    def load(cls, folder: Path, task: Task) -> Self:
        """The method that `save` wrote.

        Raises
        ------
        DataError
            If there is none, or it is damaged.
        ModelMismatchError
            If it is of another task or method.
        """
        path = folder / f"{cls.name}.json"
        document = read_document(path)
        expected = {"method": cls.name, "task": task.name}
        require_match(path, document, expected, ("settings", "learned"))
        try:
            method = cls(task, **document["settings"])
        except TypeError as error:
            raise ModelMismatchError(
                f"{path} holds other settings than {cls.name} has: train again"
            ) from error
        try:
            method.take(document["learned"])
        except (KeyError, TypeError) as error:
            raise DataError(f"{path} is damaged ({error!r}): train again") from error
        return method


def least_chi_squared(likelihood: SummaryLikelihood, summary: FloatArray) -> float:
    """The chi-squared of a summary at the most probable parameters in their ranges.

    Raises
    ------
    FitError
        If the summary is not finite.
    """
    from scipy.optimize import minimize

    if not np.isfinite(summary).all():
        raise FitError("the observation gives no finite summaries")
    low, span = likelihood.low, likelihood.high - likelihood.low
    axis = np.linspace(0.0, 1.0, _STARTS)
    unit = np.stack([a.ravel() for a in np.meshgrid(*[axis] * len(low), indexing="ij")], axis=1)
    first = unit[int(np.argmin(likelihood.nll(summary, low + span * unit)))]
    found = minimize(
        lambda u: float(likelihood.nll(summary, (low + span * u)[None])[0]),
        first,
        bounds=[(0.0, 1.0)] * len(low),
        method="L-BFGS-B",
    )
    at = low + span * np.clip(found.x, 0.0, 1.0)
    return float(likelihood.chi_squared(summary[None], at[None])[0])


def fitted_by(task: Task) -> tuple[Parameter, ...]:
    """What ordinary observations of a task that asks for a strangeness differ by."""
    return task.parameters[1:]


def skipped(task: Task) -> str | None:
    """Why chi-squareds cannot do a task; None if they can."""
    if task.answer != "strangeness":
        return f"it gives strangeness, the task asks for {task.answer}"
    if not 1 <= len(fitted_by(task)) < _FEW_PARAMETERS:
        return "ordinary observations must differ by one or two parameters"
    return None
