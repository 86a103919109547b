"""What methods that learn from images of whole observations have in common.

The network learns from the training pool. It is stopped by observations of the calibration pool, a quarter of
them; the others, which it has learned nothing from, are for what comes after the network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError, MissingExtraError, ModelMismatchError, SettingsError
from sigma68.learning.convolution import ImageNetwork, ImageSettings
from sigma68.learning.files import (
    read_bytes,
    read_document,
    require_match,
    write_bytes,
    write_document,
)
from sigma68.learning.image_sets import ImageSet, equal_area_weights, gather_images
from sigma68.protocols import Pool, Progress, Task
from sigma68.summaries import HasImages, HasSummaries
from sigma68.types import AnswerKind, Estimate, Observation, Parameter, Prediction

if TYPE_CHECKING:
    from sigma68.learning.fit_images import Loss

__all__ = ["Answers", "ImageMethod"]

FloatArray = npt.NDArray[np.float64]
_NETWORK, _DOCUMENT = "network.safetensors", "method.json"
_STOPPING = 4
"""One observation in so many of the calibration pool stops the training."""
_APART = 10
"""One place in so many is left out of the training where both pools have the same places."""


@dataclass(frozen=True)
class Answers:
    """Outputs (n, n_outputs) of a network for observations it did not learn from, and their points."""

    outputs: FloatArray
    points: FloatArray


class ImageMethod:
    """A network of images, and of summaries beside them where `beside` is true.

    `objective` names what it learns.

    Subclasses say what the outputs mean, and what is made of those of observations that the network
    did not learn from.
    """

    name: ClassVar[str]
    answer: ClassVar[AnswerKind] = "estimates"
    beside: ClassVar[bool] = False
    objective: ClassVar[str]

    def __init__(self, task: Task, settings: ImageSettings) -> None:
        self.task = task
        self.settings = settings
        self.network: ImageNetwork | None = None
        self.checkpoint: Path | None = None
        self.low, self.high = (
            np.array([getattr(p, end) for p in self.learned]) for end in ("low", "high")
        )

    @property
    def learned(self) -> tuple[Parameter, ...]:
        """The parameters that the network learns: those that are asked for."""
        return self.task.parameters

    @classmethod
    def skip(cls, task: Task) -> str | None:
        if task.answer != cls.answer:
            return f"it gives {cls.answer}, the task asks for {task.answer}"
        if not isinstance(task, HasImages):
            return "the task shows no images of an observation"
        if cls.beside and not isinstance(task, HasSummaries):
            return "the task has no summaries of an observation"
        return None

    def learn(
        self,
        train: Pool,
        calibration: Pool,
        loss: Callable[[], Loss],
        n_outputs: int,
        progress: Progress | None,
    ) -> Answers:
        """Train the network, and give its outputs for observations it has nothing from.

        `loss` makes the loss when torch is known to be there.

        Raises
        ------
        MissingExtraError
            If torch is not installed.
        DataError
            If a pool has no observations, or too few.
        """
        try:
            from sigma68.learning.fit_images import ImageTraining, train_images
        except ModuleNotFoundError as error:
            if error.name != "torch":
                raise
            raise MissingExtraError(
                f"training {self.name} needs torch, which is not installed: "
                "pip install 'sigma68[torch]'"
            ) from error
        settings = self.settings
        images = gather_images(
            self.task,
            train,
            block=settings.block,
            drawings=settings.drawings,
            parameters=self.learned,
            progress=_named(progress, "training"),
        )
        others = gather_images(
            self.task,
            calibration,
            block=settings.block,
            drawings=1,
            scale=images.scale,
            parameters=self.learned,
            progress=_named(progress, "calibration"),
        )
        inside, aside, left = _split(images.points, others.points)
        if not (len(inside) and len(aside) and len(left)):
            raise DataError(
                f"{images.n} training and {others.n} calibration observations are too few to learn "
                "from: open a source with more"
            )

        def side(pool: Pool, which: ImageSet, weights: FloatArray) -> ImageTraining:
            unit = (2 * which.points - self.low - self.high) / (self.high - self.low)
            # Not the method's name: one that learns the same may go on from here.
            key = f"{self.objective} {pool.fingerprint}"
            return ImageTraining(which, unit, weights, self.beside, key)

        kept = images.part(inside) if len(inside) < images.n else images
        self.network = train_images(
            side(train, kept, equal_area_weights(kept.points, self.low, self.high)),
            side(calibration, others.part(aside), np.ones(len(aside))),
            loss(),
            n_outputs,
            settings,
            checkpoint=self.checkpoint,
            progress=progress,
        )
        return Answers(self._outputs_of(others, left), others.points[left])

    def _outputs_of(self, images: ImageSet, rows: npt.NDArray[np.int64]) -> FloatArray:
        network = self.trained()
        outputs = []
        for row in rows:
            one, first = np.array([row]), np.array([0])
            features = network.features_of_blocks(images.images(one, first)[0])
            summary = images.summaries[row, 0] if self.beside else None
            outputs.append(network.outputs_of_features(features, summary))
        return np.array(outputs)

    def trained(self) -> ImageNetwork:
        """The network.

        Raises
        ------
        ModelMismatchError
            If there is none yet.
        """
        if self.network is None:
            raise ModelMismatchError(f"{self.name} is not trained yet: fit it, or load a model")
        return self.network

    def outputs(self, observation: Observation) -> FloatArray:
        """The network's outputs for one observation, (n_outputs,).

        Raises
        ------
        FitError
            If the observation has values that are no numbers, or no image of the shape learned from.
        ModelMismatchError
            If the method is not trained.
        """
        network = self.trained()
        if not isinstance(self.task, HasImages):
            raise SettingsError(f"{self.name} cannot do task {self.task.name!r}: no images")
        summary = None
        if self.beside and isinstance(self.task, HasSummaries):
            summary = self.task.summary(observation)
        return network.outputs(self.task.image(observation), summary)

    def prediction(self, mean: FloatArray, error: FloatArray) -> Prediction:
        """An estimate of each parameter, from arrays (n_parameters,)."""
        return Prediction(
            {
                p.name: Estimate(float(m), float(e))
                for p, m, e in zip(self.task.parameters, mean, error, strict=True)
            }
        )

    def write(self, folder: Path, more: Mapping[str, Any]) -> None:
        """Write network and settings, and `more` that `read` gives back.

        Raises
        ------
        ModelMismatchError
            If the method is not trained.
        OutputError
            If the folder cannot be written.
        """
        write_bytes(folder / _NETWORK, self.trained().to_bytes())
        document = {
            "method": self.name,
            "task": self.task.name,
            "settings": asdict(self.settings),
            **more,
        }
        write_document(folder / _DOCUMENT, document)

    @classmethod
    def read(
        cls, folder: Path, task: Task, keys: tuple[str, ...]
    ) -> tuple[ImageNetwork, dict[str, Any], dict[str, Any]]:
        """The network, its settings, and the document with `keys` that `write` wrote.

        Raises
        ------
        DataError
            If there is none, or it is damaged.
        ModelMismatchError
            If it is of another task or method.
        """
        path = folder / _DOCUMENT
        document = read_document(path)
        expected = {"method": cls.name, "task": task.name}
        require_match(path, document, expected, ("settings", *keys))
        network = ImageNetwork.from_bytes(read_bytes(folder / _NETWORK))
        settings = document["settings"]
        if not isinstance(settings, dict) or set(settings) != set(asdict(ImageSettings())):
            raise DataError(f"{path} does not say how the network was trained: train again")
        return network, settings, document


def _split(
    train: FloatArray, calibration: FloatArray
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Which training observations are learned from, which of the calibration pool's stop it, the others.

    Observations that stop it are at places that nothing was learned at: where both pools have the
    same places, some are left out of the training.
    """
    known = {tuple(point) for point in train}
    places = sorted({tuple(point) for point in calibration} & known)
    everything, others = np.arange(len(train)), np.arange(len(calibration))
    if not places:
        stopping = others % _STOPPING == 0
        return everything, others[stopping], others[~stopping]
    apart = set(places[_APART // 2 :: _APART])
    learned = np.array([tuple(point) not in apart for point in train], dtype=bool)
    stopping = np.array([tuple(point) in apart for point in calibration], dtype=bool)
    return everything[learned], others[stopping], others[~stopping]


def _named(progress: Progress | None, role: str) -> Progress | None:
    if progress is None:
        return None
    tell = progress
    return lambda what, fraction: tell(f"{what} ({role})", fraction)
