"""`neural_posterior`: a network of an image and its summaries gives the posterior density itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError, ModelMismatchError
from sigma68.inference.box_density import MOST_PARAMETERS, BoxDensity
from sigma68.inference.sampling import Posterior
from sigma68.learning.convolution import ImageSettings
from sigma68.learning.image_method import ImageMethod
from sigma68.protocols import Pool, Progress, Task
from sigma68.seeds import stream
from sigma68.types import Observation, Prediction

if TYPE_CHECKING:
    from sigma68.learning.fit_images import Loss

__all__ = ["NeuralPosterior"]

FloatArray = npt.NDArray[np.float64]
_LEARNING_CELLS = 48
_DRAWS = 10_000
_HARDEST = 4.0


class NeuralPosterior(ImageMethod):
    """Neural posterior estimation, with densities that know the edges of the parameters' ranges.

    The network sees the image and, where the task has them, the summaries of the whole of it; it
    gives the coefficients of a polynomial, the logarithm of the posterior (see
    `sigma68.inference.box_density`). Training points are weighted so that they stand for flat
    priors. On observations that the network has learned nothing from, all coefficients are scaled by the one
    number that makes the truths most probable: below 1 if the network was too sure of itself.

    Training needs the extra `torch`; a trained model does without, and needs no Markov chain.

    Reference: G. Papamakarios and I. Murray, NeurIPS 29 (2016), arXiv:1605.06376, on learning posteriors; the
    temperature is that of C. Guo et al., ICML 2017, arXiv:1706.04599.

    Parameters
    ----------
    degree
        Of the polynomial: 2 for normal densities cut off by the ranges.

    The others are those of `cnn`.
    """

    name: ClassVar[str] = "neural_posterior"
    objective: ClassVar[str] = "density"
    beside: ClassVar[bool] = True

    def __init__(
        self,
        task: Task,
        *,
        degree: int = 4,
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
        self.degree = degree
        self.densities = BoxDensity.of(task.parameters, degree=degree)
        self.sharpness: float | None = None

    @classmethod
    def skip(cls, task: Task) -> str | None:
        if len(task.parameters) > MOST_PARAMETERS:
            return f"it gives densities of up to {MOST_PARAMETERS} parameters"
        return super().skip(task)

    def fit(self, train: Pool, calibration: Pool, progress: Progress | None = None) -> None:
        """Train the network, then find how sure of itself it may be.

        Raises
        ------
        MissingExtraError
            If torch is not installed.
        DataError
            If a pool has no observations, or too few.
        """
        on_grid = BoxDensity.of(self.task.parameters, degree=self.degree, cells=_LEARNING_CELLS)

        def loss() -> Loss:
            from sigma68.learning.fit_images import density_loss

            return density_loss(on_grid)

        answers = self.learn(train, calibration, loss, on_grid.n_terms, progress)
        self.sharpness = _sharpness(self.densities, answers.outputs, answers.points)

    def coefficients(self, observation: Observation) -> FloatArray:
        """The coefficients of the posterior's logarithm, (n_terms,); see `densities`.

        Raises
        ------
        FitError
            If the observation has values that are no numbers, or no image of the shape learned from.
        ModelMismatchError
            If the method is not trained.
        """
        outputs = self.outputs(observation)
        if self.sharpness is None:
            raise ModelMismatchError(f"{self.name} is not trained yet: fit it, or load a model")
        return self.sharpness * outputs

    def posterior(self, observation: Observation) -> Posterior:
        """Independent draws from the posterior; see `coefficients` for what may go wrong."""
        draws = self.densities.draws(
            self.coefficients(observation),
            _DRAWS,
            stream(self.task.name, "posterior", self.settings.seed),
        )
        return Posterior(draws, autocorrelation=1.0, effective=_DRAWS, r_hat=1.0, acceptance=1.0)

    def predict(self, observation: Observation) -> Prediction:
        """Mean and standard deviation of the posterior of each parameter."""
        return self.prediction(*self.densities.moments(self.coefficients(observation)))

    def save(self, folder: Path) -> None:
        """Write `network.safetensors` and `method.json`."""
        if self.sharpness is None:
            raise ModelMismatchError(f"{self.name} is not trained yet: there is nothing to save")
        self.write(folder, {"degree": self.degree, "sharpness": self.sharpness})

    @classmethod
    def load(cls, folder: Path, task: Task) -> NeuralPosterior:
        """The method that `save` wrote.

        Raises
        ------
        DataError
            If there is none, or it is damaged.
        ModelMismatchError
            If it is of another task.
        """
        network, settings, document = cls.read(folder, task, ("degree", "sharpness"))
        method = cls(task, degree=document["degree"], **settings)
        method.network, method.sharpness = network, float(document["sharpness"])
        if network.n_outputs != method.densities.n_terms:
            raise DataError(f"the model in {folder} is damaged, its parts do not fit: train again")
        return method


def _sharpness(densities: BoxDensity, outputs: FloatArray, points: FloatArray) -> float:
    """The factor of all coefficients (n, n_terms) with which the points (n, n_parameters) are most probable."""
    from scipy.optimize import minimize_scalar

    def loss(log_factor: float) -> float:
        return -float(densities.log_density(np.exp(log_factor) * outputs, points).mean())

    edge = float(np.log(_HARDEST))
    return float(np.exp(minimize_scalar(loss, bounds=(-edge, edge), method="bounded").x))
