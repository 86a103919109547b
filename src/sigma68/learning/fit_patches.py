"""Training of a network that restores pieces of images (extra `torch`).

The loss is the mean square of what is not restored; the course of training is that of `fit_course`.

Reference: G. E. Hinton and R. R. Salakhutdinov, Science 313 (2006) 504.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from sigma68.errors import DataError
from sigma68.learning.fit_course import Course
from sigma68.learning.fit_network import layers_of, torch_with
from sigma68.learning.patches import PatchNetwork
from sigma68.protocols import Progress
from sigma68.seeds import stream

__all__ = ["PatchSettings", "train_patches"]

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class PatchSettings:
    """How a network of pieces is trained: the `widths` of its hidden layers, the middle one the code.

    All steps are Adam's, as what is said of these networks was measured with.
    """

    widths: Sequence[int]
    passes: int
    batch: int
    learning_rate: float
    weight_decay: float
    averaging: float
    patience: int
    seed: int
    orthogonal_rate: float = 0.0


def train_patches(
    train: Float32,
    aside: Float32,
    settings: PatchSettings,
    data: str,
    *,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> PatchNetwork:
    """The network that loses least of the pieces `aside` (m, n_values), learned from `train` (n, n_values).

    `data` names them, so that a checkpoint of others is not taken up.

    Raises
    ------
    DataError
        If there are no pieces, or the checkpoint is damaged.
    OutputError
        If the checkpoint cannot be written.
    """
    if not len(train) or not len(aside):
        raise DataError("there are no pieces of images to learn from: open a larger source")
    scale = float(train.std())
    if not scale > 0:
        raise DataError("all pieces of images are constant: look at the source")
    inside, outside = (torch.from_numpy(side / np.float32(scale)) for side in (train, aside))
    batch = min(settings.batch, len(train))
    steps = len(train) // batch
    text = json.dumps([data, train.shape, asdict(settings)])
    key = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def losses(net: nn.Sequential, number: int) -> Iterator[Tensor]:
        draw = stream("learning", "passes over pieces", settings.seed, number).generator()
        order = draw.permutation(len(train))[: steps * batch]
        for rows in np.split(order, steps):
            some = inside[torch.from_numpy(rows)]
            yield nn.functional.mse_loss(net(some), some)

    @torch.no_grad()
    def checked(net: nn.Module) -> float:
        return float(nn.functional.mse_loss(net(outside), outside))

    with torch_with(settings.seed):
        sizes = (train.shape[1], *settings.widths, train.shape[1])
        parts: list[nn.Module] = []
        for n_in, n_out in pairwise(sizes):
            parts += [nn.Linear(n_in, n_out), nn.ReLU()]
        course = Course("training the autoencoder", steps, settings, losses, checked)
        net = course.train(nn.Sequential(*parts[:-1]), progress, checkpoint, key)
    return PatchNetwork(scale, layers_of(net))
