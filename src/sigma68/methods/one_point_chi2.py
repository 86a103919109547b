"""`one_point_chi2`: summaries and one-point statistics together, and how far they are from ordinary."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError, ModelMismatchError, SettingsError
from sigma68.inference.chi_squared_method import ChiSquaredMethod, least_chi_squared
from sigma68.inference.summary_likelihood import SummaryLikelihood
from sigma68.learning.image_statistics import ImageStatistics
from sigma68.protocols import Task
from sigma68.summaries import HasImages, HasSummaries
from sigma68.types import Observation

__all__ = ["OnePointChi2"]

FloatArray = npt.NDArray[np.float64]
_EXCEEDED = 0.01
_LIMITS_FROM = 2000
"""Ordinary observations at most that limits are found from."""


class OnePointChi2(ChiSquaredMethod):
    """The chi-squared of a task's summaries and of one-point statistics of its image.

    Variance, skewness, fourth moment and tails of the image at several scales
    (`sigma68.learning.image_statistics`) know what a power spectrum cannot: whether the field has the
    one-point function that simulations give it. Together they also know whether the one
    fits the other. But more numbers bring more scatter, in which a fault of the spectrum alone may
    drown: so there are two chi-squareds, of the summaries and of everything, each in units of what one
    ordinary observation in a hundred exceeds, and the larger one counts.

    Parameters
    ----------
    degree, covariance_degree
        Of the polynomials of mean and covariance in the parameters.
    scales
        Block sizes 1, 2, 4, ..., so many of them at most.
    """

    name = "one_point_chi2"

    def __init__(
        self, task: Task, *, degree: int = 5, covariance_degree: int = 1, scales: int = 4
    ) -> None:
        super().__init__(task, degree=degree, covariance_degree=covariance_degree)
        if not 1 <= scales <= 8:
            raise SettingsError(f"scales={scales}: give 1 to 8")
        self.scales = scales
        self.alone: SummaryLikelihood | None = None
        self.limits: tuple[float, ...] | None = None

    @classmethod
    def skip(cls, task: Task) -> str | None:
        if (why := super().skip(task)) is not None:
            return why
        if not isinstance(task, HasImages):
            return "the task shows no images of an observation"
        return None if isinstance(task, HasSummaries) else "the task has no summaries"

    @cached_property
    def _statistics(self) -> ImageStatistics:
        if not isinstance(self.task, HasImages):
            raise SettingsError(f"{self.name} cannot do task {self.task.name!r}: no images")
        return ImageStatistics(self.task.image_mask, self.scales)

    def summary(self, observation: Observation) -> FloatArray:
        """The task's summaries, then the statistics of the image."""
        if not (isinstance(self.task, HasSummaries) and isinstance(self.task, HasImages)):
            raise SettingsError(f"{self.name} cannot do task {self.task.name!r}: no summaries")
        own = self.task.summary(observation)
        return np.concatenate([own, self._statistics.of(self.task.image(observation))])

    def learn(self, points: FloatArray, summaries: FloatArray) -> None:
        """Fit the summaries alone too, and find what one ordinary observation in a hundred exceeds."""
        super().learn(points, summaries)
        own = self._n_summaries
        self.alone = self.fitted_to(points, summaries[:, :own])
        every = range(0, len(summaries), max(len(summaries) // _LIMITS_FROM, 1))
        found = [self._chi_squareds(summaries[i]) for i in every]
        self.limits = tuple(float(v) for v in np.quantile(found, 1 - _EXCEEDED, axis=0))

    def strangeness(self, summary: FloatArray) -> float:
        """The larger of two chi-squareds in units of their limits."""
        if self.limits is None:
            raise ModelMismatchError(f"{self.name} is not trained yet: fit it, or load a model")
        return max(
            c / limit for c, limit in zip(self._chi_squareds(summary), self.limits, strict=True)
        )

    def _chi_squareds(self, summary: FloatArray) -> tuple[float, float]:
        if self.alone is None:
            raise ModelMismatchError(f"{self.name} is not trained yet: fit it, or load a model")
        alone = least_chi_squared(self.alone, summary[: self._n_summaries])
        return alone, least_chi_squared(self.trained(), summary)

    @property
    def _n_summaries(self) -> int:
        return len(self.task.summary_names) if isinstance(self.task, HasSummaries) else 0

    def learned(self) -> dict[str, Any]:
        """What a saved model holds beside its settings, a JSON object."""
        if self.alone is None or self.limits is None:
            raise ModelMismatchError(f"{self.name} is not trained yet: there is nothing to save")
        return {**super().learned(), "alone": self.alone.to_json(), "limits": list(self.limits)}

    def take(self, learned: Mapping[str, Any]) -> None:
        """Take what `learned` gave."""
        super().take(learned)
        self.alone = SummaryLikelihood.from_json(learned["alone"])
        self.limits = tuple(float(v) for v in learned["limits"])
        if len(self.limits) != 2 or not all(0 < v < np.inf for v in self.limits):
            raise DataError("the saved limits make no sense: train again")

    def settings(self) -> dict[str, Any]:
        """The keyword arguments that this method was made with."""
        return {**super().settings(), "scales": self.scales}
