"""Summary numbers against an emulator of their mean and covariance, sampled by Markov chains.

Named after what the summaries are where it is best known: band powers of a map.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError, FitError, ModelMismatchError, SettingsError
from sigma68.files import write_json
from sigma68.inference.sampling import Posterior, sample_posterior
from sigma68.inference.summarised import summarised
from sigma68.inference.summary_likelihood import SummaryLikelihood, fit_summary_likelihood
from sigma68.protocols import Pool, Progress, Task
from sigma68.seeds import stream
from sigma68.summaries import HasSummaries
from sigma68.types import AnswerKind, Estimate, Observation, Prediction

__all__ = ["PowerSpectrum"]

FloatArray = npt.NDArray[np.float64]
_FILE = "power_spectrum.json"


class PowerSpectrum:
    """Gaussian likelihood of a task's summaries with flat priors on its parameters.

    Mean and covariance of the summaries are emulated between the simulated points (see
    `sigma68.inference.summary_likelihood`); nuisance parameters vary in the simulations and so are
    marginalised. The answer is mean and standard deviation of the posterior, from a Markov chain.
    """

    name = "power_spectrum"
    answer: ClassVar[AnswerKind] = "estimates"

    def __init__(
        self, task: Task, *, degree: int = 5, covariance_degree: int = 1, seed: int = 0
    ) -> None:
        if not 1 <= degree <= 8 or not 0 <= covariance_degree <= 4:
            raise SettingsError(
                f"degree={degree} and covariance_degree={covariance_degree}: give 1 to 8 and 0 to 4"
            )
        self.task = task
        self.degree = degree
        self.covariance_degree = covariance_degree
        self.seed = seed
        self.likelihood: SummaryLikelihood | None = None

    @classmethod
    def skip(cls, task: Task) -> str | None:
        if task.answer != cls.answer:
            return f"it gives {cls.answer}, the task asks for {task.answer}"
        if not isinstance(task, HasSummaries):
            return "the task has no summaries of an observation"
        return None

    def fit(self, train: Pool, calibration: Pool, progress: Progress | None = None) -> None:
        """Summarise the observations of the training pool and fit the emulator to them.

        Raises
        ------
        DataError
            If the pool has no observations, or too few.
        """
        names = [p.name for p in self.task.parameters]
        points, summaries = summarised(
            train, names, self._summary, method=self.name, progress=progress
        )
        self.likelihood = fit_summary_likelihood(
            points,
            summaries,
            self.task.parameters,
            degree=self.degree,
            covariance_degree=self.covariance_degree,
        )

    def _summary(self, observation: Observation) -> FloatArray:
        if not isinstance(self.task, HasSummaries):
            raise SettingsError(
                f"{self.name} cannot do task {self.task.name!r}: it has no summaries"
            )
        return self.task.summary(observation)

    def posterior(self, observation: Observation) -> Posterior:
        """The chain that `predict` takes its mean and standard deviation from.

        Raises
        ------
        FitError
            If the observation gives no finite summaries, or the chain does not converge.
        ModelMismatchError
            If the method is not trained.
        """
        if self.likelihood is None:
            raise ModelMismatchError(f"{self.name} is not trained yet: fit it, or load a model")
        likelihood, summary = self.likelihood, self._summary(observation)
        if not np.isfinite(summary).all():
            raise FitError("the observation gives no finite summaries")
        return sample_posterior(
            lambda points: likelihood.nll(summary, points),
            self.task.parameters,
            stream(self.task.name, "posterior", self.seed),
        )

    def predict(self, observation: Observation) -> Prediction:
        """Mean and standard deviation of the posterior of each parameter."""
        draws = self.posterior(observation).draws
        return Prediction(
            {
                p.name: Estimate(float(draws[:, i].mean()), float(draws[:, i].std()))
                for i, p in enumerate(self.task.parameters)
            }
        )

    def save(self, folder: Path) -> None:
        if self.likelihood is None:
            raise ModelMismatchError(f"{self.name} is not trained yet: there is nothing to save")
        document = {
            "task": self.task.name,
            "degree": self.degree,
            "covariance_degree": self.covariance_degree,
            "seed": self.seed,
            "likelihood": self.likelihood.to_json(),
        }
        write_json(folder / _FILE, document)

    @classmethod
    def load(cls, folder: Path, task: Task) -> PowerSpectrum:
        """The method that `save` wrote.

        Raises
        ------
        DataError
            If there is none, or it is damaged.
        ModelMismatchError
            If it is of another task.
        """
        path = folder / _FILE
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            settings = {key: document[key] for key in ("degree", "covariance_degree", "seed")}
            made_for, likelihood = document["task"], document["likelihood"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path} holds no model of {cls.name} ({error}): train it") from error
        if made_for != task.name:
            raise ModelMismatchError(f"{path} is for task {made_for!r}, not {task.name!r}")
        method = cls(task, **settings)
        method.likelihood = SummaryLikelihood.from_json(likelihood)
        return method
