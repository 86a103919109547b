"""`summary_chi2`: what a convolutional network says of an image, and how far that is from ordinary."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError, ModelMismatchError, SettingsError
from sigma68.inference.chi_squared_method import fitted_by, least_chi_squared, skipped
from sigma68.inference.summary_likelihood import SummaryLikelihood, fit_summary_likelihood
from sigma68.learning.convolution import ImageSettings
from sigma68.learning.image_method import Answers, ImageMethod
from sigma68.protocols import Pool, Progress, Task
from sigma68.summaries import HasImages
from sigma68.types import AnswerKind, Observation, Parameter, Prediction, Strangeness

if TYPE_CHECKING:
    from sigma68.learning.fit_images import Loss

__all__ = ["SummaryChi2"]

FloatArray = npt.NDArray[np.float64]


class SummaryChi2(ImageMethod):
    """The chi-squared of the outputs of the network of `cnn`: a mean and an error of each parameter.

    The network learns the parameters that ordinary observations differ by; mean and covariance of its outputs
    follow them as polynomials, fitted to observations that it has learned nothing from. It
    was trained to forget all that does not tell the parameters, so what is strange may be lost on it.

    Training needs the extra `torch`; a trained model does without.

    Parameters
    ----------
    task
        A task that asks for a strangeness and shows images.
    degree, covariance_degree
        Of the polynomials of mean and covariance in the parameters.
    block, channels, units, hidden_layers, drawings, passes, batch, learning_rate, weight_decay,
    averaging, patience, seed, device
        See `sigma68.learning.convolution.ImageSettings`.
    """

    name: ClassVar[str] = "summary_chi2"
    answer: ClassVar[AnswerKind] = "strangeness"
    objective: ClassVar[str] = "estimates"

    def __init__(
        self,
        task: Task,
        *,
        degree: int = 5,
        covariance_degree: int = 1,
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
        settings = ImageSettings(
            block=block,
            channels=tuple(channels),
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
        super().__init__(task, settings)
        self.degree, self.covariance_degree = degree, covariance_degree
        self.likelihood: SummaryLikelihood | None = None

    @classmethod
    def skip(cls, task: Task) -> str | None:
        if (why := skipped(task)) is not None:
            return why
        return None if isinstance(task, HasImages) else "the task shows no images of an observation"

    @property
    def learned(self) -> tuple[Parameter, ...]:
        """What ordinary observations differ by."""
        return fitted_by(self.task)

    def fit(self, train: Pool, calibration: Pool, progress: Progress | None = None) -> None:
        """Train the network, then fit mean and covariance of its outputs.

        Raises
        ------
        MissingExtraError
            If torch is not installed.
        DataError
            If a pool has no observations, or too few.
        """
        n = len(self.learned)

        def loss() -> Loss:
            from sigma68.learning.fit_images import estimate_loss

            return estimate_loss(n)

        self.finish(self.learn(train, calibration, loss, 2 * n, progress))

    def finish(self, answers: Answers) -> None:
        """Fit mean and covariance of the outputs for observations that the network does not know.

        Raises
        ------
        DataError
            If there are too few.
        """
        self.likelihood = fit_summary_likelihood(
            answers.points,
            answers.outputs,
            self.learned,
            degree=self.degree,
            covariance_degree=self.covariance_degree,
        )

    def predict(self, observation: Observation) -> Prediction:
        """The chi-squared of the outputs at the most probable parameters.

        Raises
        ------
        FitError
            If the observation has values that are no numbers, or no image of the shape learned from.
        ModelMismatchError
            If the method is not trained.
        """
        outputs = self.outputs(observation)
        strangeness = least_chi_squared(self._fitted(), outputs)
        return Prediction({self.task.parameters[0].name: Strangeness(strangeness)})

    def _fitted(self) -> SummaryLikelihood:
        if self.likelihood is None:
            raise ModelMismatchError(f"{self.name} is not trained yet: fit it, or load a model")
        return self.likelihood

    def save(self, folder: Path) -> None:
        """Write `network.safetensors` and `method.json`."""
        more: dict[str, Any] = {
            "degree": self.degree,
            "covariance_degree": self.covariance_degree,
            "likelihood": self._fitted().to_json(),
        }
        self.write(folder, more)

    @classmethod
    def load(cls, folder: Path, task: Task) -> SummaryChi2:
        """The method that `save` wrote.

        Raises
        ------
        DataError
            If there is none, or it is damaged.
        ModelMismatchError
            If it is of another task.
        """
        keys = ("degree", "covariance_degree", "likelihood")
        network, settings, document = cls.read(folder, task, keys)
        degrees = {key: document[key] for key in keys[:2]}
        method = cls(task, **degrees, **settings)
        method.network = network
        method.likelihood = SummaryLikelihood.from_json(document["likelihood"])
        if network.n_outputs != len(method.likelihood.log_variance):
            raise DataError(f"the model in {folder} is damaged, its parts do not fit: train again")
        return method
