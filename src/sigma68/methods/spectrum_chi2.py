"""`spectrum_chi2`: a task's own summaries, and how far they are from any that are ordinary."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sigma68.errors import SettingsError
from sigma68.inference.chi_squared_method import ChiSquaredMethod
from sigma68.protocols import Task
from sigma68.summaries import HasSummaries
from sigma68.types import Observation

__all__ = ["SpectrumChi2"]


class SpectrumChi2(ChiSquaredMethod):
    """The chi-squared of a task's summaries at the parameters that describe them best.

    Named after what the summaries are where it is best known: band powers of a map. It sees nothing
    that is not in them.

    Parameters
    ----------
    degree, covariance_degree
        Of the polynomials of mean and covariance in the parameters.
    """

    name = "spectrum_chi2"

    def __init__(self, task: Task, *, degree: int = 5, covariance_degree: int = 1) -> None:
        super().__init__(task, degree=degree, covariance_degree=covariance_degree)

    @classmethod
    def skip(cls, task: Task) -> str | None:
        if (why := super().skip(task)) is not None:
            return why
        return None if isinstance(task, HasSummaries) else "the task has no summaries"

    def summary(self, observation: Observation) -> npt.NDArray[np.float64]:
        """The task's summaries."""
        if not isinstance(self.task, HasSummaries):
            raise SettingsError(f"{self.name} cannot do task {self.task.name!r}: no summaries")
        return self.task.summary(observation)
