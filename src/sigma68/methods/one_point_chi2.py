"""`one_point_chi2`: summaries and one-point statistics together, and how far they are from ordinary."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from sigma68.errors import SettingsError
from sigma68.inference.chi_squared_method import ChiSquaredMethod
from sigma68.learning.image_statistics import ImageStatistics
from sigma68.protocols import Task
from sigma68.summaries import HasImages, HasSummaries
from sigma68.types import Observation

__all__ = ["OnePointChi2"]


class OnePointChi2(ChiSquaredMethod):
    """The chi-squared of a task's summaries and of one-point statistics of its image.

    Variance, skewness, fourth moment and tails of the image at several scales
    (`sigma68.learning.image_statistics`) know what a power spectrum cannot: whether the field has the
    one-point function that simulations give it. Together they also know whether the one
    fits the other.

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

    def summary(self, observation: Observation) -> npt.NDArray[np.float64]:
        """The task's summaries, then the statistics of the image."""
        if not (isinstance(self.task, HasSummaries) and isinstance(self.task, HasImages)):
            raise SettingsError(f"{self.name} cannot do task {self.task.name!r}: no summaries")
        own = self.task.summary(observation)
        return np.concatenate([own, self._statistics.of(self.task.image(observation))])

    def settings(self) -> dict[str, Any]:
        """The keyword arguments that this method was made with."""
        return {**super().settings(), "scales": self.scales}
