"""`cnn_posterior`: what a convolutional network says of an image, as the summaries of a likelihood."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError, ModelMismatchError, SettingsError
from sigma68.inference.sampling import Posterior, sample_posterior
from sigma68.inference.summary_likelihood import SummaryLikelihood, fit_summary_likelihood
from sigma68.learning.convolution import ImageSettings
from sigma68.learning.image_method import Answers
from sigma68.methods.cnn import Cnn
from sigma68.protocols import Task
from sigma68.seeds import stream
from sigma68.types import Observation

__all__ = ["CnnPosterior"]

FloatArray = npt.NDArray[np.float64]


class CnnPosterior(Cnn):
    """The network of `cnn`, whose means are summaries with a Gaussian likelihood.

    Mean and covariance of what the network says are polynomials in the parameters, fitted to
    observations that it has learned nothing from (`sigma68.inference.summary_likelihood`), so that
    a biased network costs precision and no coverage. The answer is mean and standard deviation of the
    posterior for flat priors, from a Markov chain.

    Parameters
    ----------
    degree, covariance_degree
        Of the polynomials of mean and covariance.

    The others are those of `cnn`.
    """

    name: ClassVar[str] = "cnn_posterior"

    def __init__(
        self,
        task: Task,
        *,
        degree: int = 5,
        covariance_degree: int = 2,
        block: int = ImageSettings.block,
        channels: Sequence[int] = ImageSettings.channels,
        units: int = ImageSettings.units,
        hidden_layers: int = ImageSettings.hidden_layers,
        drawings: int = ImageSettings.drawings,
        passes: int = ImageSettings.passes,
        batch: int = ImageSettings.batch,
        learning_rate: float = ImageSettings.learning_rate,
        weight_decay: float = ImageSettings.weight_decay,
        averaging: float = ImageSettings.averaging,
        patience: int = ImageSettings.patience,
        seed: int = ImageSettings.seed,
        device: str = ImageSettings.device,
    ) -> None:
        if not 1 <= degree <= 8 or not 0 <= covariance_degree <= 4:
            raise SettingsError(
                f"degree={degree} and covariance_degree={covariance_degree}: give 1 to 8 and 0 to 4"
            )
        super().__init__(
            task,
            block=block,
            channels=channels,
            units=units,
            hidden_layers=hidden_layers,
            drawings=drawings,
            passes=passes,
            batch=batch,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            averaging=averaging,
            patience=patience,
            seed=seed,
            device=device,
        )
        self.degree = degree
        self.covariance_degree = covariance_degree
        self.likelihood: SummaryLikelihood | None = None

    def finish(self, answers: Answers) -> None:
        """Fit the likelihood of the network's means.

        Raises
        ------
        DataError
            If there are too few observations for the polynomials.
        """
        super().finish(answers)
        self.likelihood = fit_summary_likelihood(
            answers.points,
            answers.outputs[:, : len(self.low)],
            self.task.parameters,
            degree=self.degree,
            covariance_degree=self.covariance_degree,
        )

    def summary(self, observation: Observation) -> FloatArray:
        """What the network says of one observation, (n_parameters,): means, -1 to 1 in the ranges.

        Raises
        ------
        FitError
            If the observation has values that are no numbers, or no image of the shape learned from.
        ModelMismatchError
            If the method is not trained.
        """
        return self.outputs(observation)[: len(self.low)]

    def posterior(self, observation: Observation) -> Posterior:
        """The chain that `predict` takes its mean and standard deviation from.

        Raises
        ------
        FitError
            If the observation has values that are no numbers, or the chain does not converge.
        ModelMismatchError
            If the method is not trained.
        """
        summary = self.summary(observation)
        if self.likelihood is None:
            raise ModelMismatchError(f"{self.name} is not trained yet: fit it, or load a model")
        likelihood = self.likelihood
        return sample_posterior(
            lambda points: likelihood.nll(summary, points),
            self.task.parameters,
            stream(self.task.name, "posterior", self.settings.seed),
        )

    def estimates(self, observation: Observation) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation of the posterior; see `posterior` for what may go wrong."""
        draws = self.posterior(observation).draws
        return draws.mean(axis=0), draws.std(axis=0)

    def save(self, folder: Path) -> None:
        """Write `network.safetensors` and `method.json`."""
        if self.likelihood is None or self.error_scale is None:
            raise ModelMismatchError(f"{self.name} is not trained yet: there is nothing to save")
        more = {
            "degree": self.degree,
            "covariance_degree": self.covariance_degree,
            "error_scale": self.error_scale.tolist(),
            "likelihood": self.likelihood.to_json(),
        }
        self.write(folder, more)

    @classmethod
    def load(cls, folder: Path, task: Task) -> CnnPosterior:
        """The method that `save` wrote.

        Raises
        ------
        DataError
            If there is none, or it is damaged.
        ModelMismatchError
            If it is of another task.
        """
        keys = ("degree", "covariance_degree", "error_scale", "likelihood")
        network, settings, document = cls.read(folder, task, keys)
        method = cls(
            task,
            degree=document["degree"],
            covariance_degree=document["covariance_degree"],
            **settings,
        )
        method.network = network
        method.error_scale = np.array(document["error_scale"], dtype=np.float64)
        method.likelihood = SummaryLikelihood.from_json(document["likelihood"])
        if network.n_outputs != 2 * len(method.low):
            raise DataError(f"the model in {folder} is damaged, its parts do not fit: train again")
        return method
