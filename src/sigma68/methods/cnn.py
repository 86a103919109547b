"""`cnn`: a convolutional network gives mean and error of each parameter of an image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError, ModelMismatchError
from sigma68.learning.convolution import ImageSettings
from sigma68.learning.image_method import Answers, ImageMethod
from sigma68.protocols import Pool, Progress, Task
from sigma68.types import LEVEL, Observation, Prediction

if TYPE_CHECKING:
    from sigma68.learning.fit_images import Loss

__all__ = ["Cnn"]

FloatArray = npt.NDArray[np.float64]
_STEEPEST = 5.0


class Cnn(ImageMethod):
    """Means and errors straight from a network that maximises a normal likelihood of the truth.

    On observations that the network has learned nothing from, each parameter's error is scaled so
    that mean +- error holds the truth in 68.27% of them. Training needs the extra `torch`; a
    trained model does without.

    Parameters
    ----------
    task
        A task that shows images of its observations and asks for estimates.
    block, channels, units, hidden_layers, drawings, passes, batch, learning_rate, weight_decay,
    patience, seed, device
        See `sigma68.learning.convolution.ImageSettings`.
    """

    name: ClassVar[str] = "cnn"
    objective: ClassVar[str] = "estimates"

    def __init__(
        self,
        task: Task,
        *,
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
        self.error_scale: FloatArray | None = None

    def fit(self, train: Pool, calibration: Pool, progress: Progress | None = None) -> None:
        """Train the network, then scale its errors.

        Raises
        ------
        MissingExtraError
            If torch is not installed.
        DataError
            If a pool has no observations, or too few.
        """
        n = len(self.task.parameters)

        def loss() -> Loss:
            from sigma68.learning.fit_images import estimate_loss

            return estimate_loss(n)

        self.finish(self.learn(train, calibration, loss, 2 * n, progress))

    def finish(self, answers: Answers) -> None:
        """What is done after the network, with observations that it has learned nothing from."""
        mean, error = self._in_units(answers.outputs)
        self.error_scale = np.quantile(np.abs(answers.points - mean) / error, LEVEL, axis=0)

    def _in_units(self, outputs: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Means and errors as the network says them, (n, n_parameters), from (n, 2 n_parameters)."""
        n = len(self.task.parameters)
        half = 0.5 * (self.high - self.low)
        mean = self.low + half * (1 + outputs[:, :n])
        return mean, half * np.exp(np.clip(outputs[:, n:], -_STEEPEST, _STEEPEST))

    def estimates(self, observation: Observation) -> tuple[FloatArray, FloatArray]:
        """Mean and error of each parameter, (n_parameters,) both.

        Raises
        ------
        FitError
            If the observation has values that are no numbers, or no image of the shape learned from.
        ModelMismatchError
            If the method is not trained.
        """
        mean, error = self._in_units(self.outputs(observation)[None])
        if self.error_scale is None:
            raise ModelMismatchError(f"{self.name} is not trained yet: fit it, or load a model")
        return mean[0], error[0] * self.error_scale

    def predict(self, observation: Observation) -> Prediction:
        """Mean and error of each parameter; see `estimates` for what may go wrong."""
        return self.prediction(*self.estimates(observation))

    def save(self, folder: Path) -> None:
        """Write `network.safetensors` and `method.json`."""
        if self.error_scale is None:
            raise ModelMismatchError(f"{self.name} is not trained yet: there is nothing to save")
        self.write(folder, {"error_scale": self.error_scale.tolist()})

    @classmethod
    def load(cls, folder: Path, task: Task) -> Cnn:
        """The method that `save` wrote.

        Raises
        ------
        DataError
            If there is none, or it is damaged.
        ModelMismatchError
            If it is of another task.
        """
        network, settings, document = cls.read(folder, task, ("error_scale",))
        method = cls(task, **settings)
        scale = np.array(document["error_scale"], dtype=np.float64)
        if scale.shape != method.low.shape or network.n_outputs != 2 * len(scale):
            raise DataError(f"the model in {folder} is damaged, its parts do not fit: train again")
        method.network, method.error_scale = network, scale
        return method
