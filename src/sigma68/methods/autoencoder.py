"""`autoencoder`: how much of an image is lost by a network that has learned to restore ordinary ones."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from sigma68.errors import (
    DataError,
    MissingExtraError,
    ModelMismatchError,
    SettingsError,
)
from sigma68.inference.summarised import summarised
from sigma68.learning.files import (
    read_bytes,
    read_document,
    require_match,
    write_bytes,
    write_document,
)
from sigma68.learning.patches import Patches, PatchNetwork
from sigma68.protocols import Pool, Progress, Task
from sigma68.seeds import stream
from sigma68.summaries import HasImages
from sigma68.types import AnswerKind, Observation, Prediction, Strangeness

__all__ = ["Autoencoder"]

_NETWORK, _DOCUMENT = "network.safetensors", "autoencoder.json"


class Autoencoder:
    """The mean square of what a network cannot restore of pieces of an image.

    Pieces of ordinary images are squeezed into a few numbers and restored; what has never been seen
    should be restored less well. Training needs the extra `torch`; a trained model does without.

    Parameters
    ----------
    task
        A task that asks for a strangeness and shows images.
    block, side
        Pieces have `side` x `side` means over blocks of `block` x `block` pixels.
    widths
        Units of the hidden layers; the smallest is what a piece is squeezed into.
    pieces
        Of each image that are learned from, drawn at random.
    passes, batch, learning_rate, weight_decay, averaging, patience, seed
        Of the training.
    """

    name: ClassVar[str] = "autoencoder"
    answer: ClassVar[AnswerKind] = "strangeness"

    def __init__(
        self,
        task: Task,
        *,
        block: int = 2,
        side: int = 12,
        widths: Sequence[int] = (64, 12, 64),
        pieces: int = 20,
        passes: int = 20,
        batch: int = 256,
        learning_rate: float = 2e-3,
        weight_decay: float = 1e-4,
        averaging: float = 0.99,
        patience: int = 4,
        seed: int = 1,
    ) -> None:
        whole = (block, side, pieces, passes, batch, *widths)
        if min(whole) < 1 or not widths:
            raise SettingsError(
                f"block, side, widths, pieces, passes and batch must be at least 1, found {whole}"
            )
        self.task = task
        self.given: dict[str, Any] = {
            "block": block,
            "side": side,
            "widths": list(widths),
            "pieces": pieces,
            "passes": passes,
            "batch": batch,
            "learning_rate": learning_rate,
            "weight_decay": weight_decay,
            "averaging": averaging,
            "patience": patience,
            "seed": seed,
        }
        self.network: PatchNetwork | None = None
        self.checkpoint: Path | None = None

    @classmethod
    def skip(cls, task: Task) -> str | None:
        """Why this method cannot do this task; None if it can."""
        if task.answer != cls.answer:
            return f"it gives {cls.answer}, the task asks for {task.answer}"
        return None if isinstance(task, HasImages) else "the task shows no images of an observation"

    @cached_property
    def _patches(self) -> Patches:
        if not isinstance(self.task, HasImages):
            raise SettingsError(f"{self.name} cannot do task {self.task.name!r}: no images")
        return Patches(self.task.image_mask, self.given["block"], self.given["side"])

    def fit(self, train: Pool, calibration: Pool, progress: Progress | None = None) -> None:
        """Learn to restore pieces of the training pool; stop by those of the calibration pool.

        Raises
        ------
        MissingExtraError
            If torch is not installed.
        DataError
            If a pool has no observations, or no piece of an image is seen wholly.
        """
        try:
            from sigma68.learning.fit_patches import PatchSettings, train_patches
        except ModuleNotFoundError as error:
            if error.name != "torch":
                raise
            raise MissingExtraError(
                f"training {self.name} needs torch, which is not installed: "
                "pip install 'sigma68[torch]'"
            ) from error
        inside, aside = (self._pieces(pool, progress) for pool in (train, calibration))
        own = {k: v for k, v in self.given.items() if k not in ("block", "side", "pieces")}
        self.network = train_patches(
            inside,
            aside,
            PatchSettings(**own),
            f"{train.fingerprint} {calibration.fingerprint} {self.given}",
            checkpoint=self.checkpoint,
            progress=progress,
        )

    def _pieces(self, pool: Pool, progress: Progress | None) -> npt.NDArray[np.float32]:
        """Some pieces of every observation, (n, n_values)."""
        patches, most = self._patches, self.given["pieces"]
        n = min(most, len(patches.places))

        def some(observation: Observation) -> npt.NDArray[np.float64]:
            pieces = self._cut(observation)
            # Which ones is drawn from the observation itself: pools are read on several threads.
            first = int(np.abs(pieces[0]).sum() * 1e6) % 2**31
            draw = stream("learning", "pieces", self.given["seed"], first).generator()
            chosen = draw.choice(len(pieces), n, replace=False)
            flat: npt.NDArray[np.float64] = pieces[chosen].astype(np.float64).ravel()
            return flat

        _, rows = summarised(pool, [], some, method=self.name, progress=progress)
        return rows.reshape(len(rows) * n, -1).astype(np.float32)

    def _cut(self, observation: Observation) -> npt.NDArray[np.float32]:
        if not isinstance(self.task, HasImages):
            raise SettingsError(f"{self.name} cannot do task {self.task.name!r}: no images")
        return self._patches.cut(self.task.image(observation))

    def predict(self, observation: Observation) -> Prediction:
        """What is lost of the image's pieces, in units of their variance.

        Raises
        ------
        FitError
            If the observation has values that are no numbers.
        ModelMismatchError
            If the method is not trained.
        """
        lost = self.trained().lost(self._cut(observation))
        return Prediction({self.task.parameters[0].name: Strangeness(lost)})

    def trained(self) -> PatchNetwork:
        """The network.

        Raises
        ------
        ModelMismatchError
            If the method is not trained.
        """
        if self.network is None:
            raise ModelMismatchError(f"{self.name} is not trained yet: fit it, or load a model")
        return self.network

    def save(self, folder: Path) -> None:
        """Write `network.safetensors` and `autoencoder.json`."""
        write_bytes(folder / _NETWORK, self.trained().to_bytes())
        document = {"method": self.name, "task": self.task.name, "settings": self.given}
        write_document(folder / _DOCUMENT, document)

    @classmethod
    def load(cls, folder: Path, task: Task) -> Autoencoder:
        """The method that `save` wrote.

        Raises
        ------
        DataError
            If there is none, or it is damaged.
        ModelMismatchError
            If it is of another task.
        """
        path = folder / _DOCUMENT
        document = read_document(path)
        require_match(path, document, {"method": cls.name, "task": task.name}, ("settings",))
        try:
            method = cls(task, **document["settings"])
        except TypeError as error:
            raise DataError(
                f"{path} holds other settings than {cls.name} has: train again"
            ) from error
        content = read_bytes(folder / _NETWORK)
        method.network = PatchNetwork.from_bytes(content, method.given["side"] ** 2)
        return method
