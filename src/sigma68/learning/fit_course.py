"""One course of training (extra `torch`): passes over events until they bring nothing more.

A learning rate that rises and then falls, a running mean of the weights, and a stop by the loss of
events kept out; steps are those of `optimiser`. What is learned is given:
the losses of a pass, and the loss that the course stops by. After every pass the whole state goes
into a checkpoint, so that a course that was killed goes on as if it had never stopped.

References: as for `fit_network`.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from sigma68.learning.checkpoint import Progressed, read_checkpoint, write_checkpoint
from sigma68.learning.fit_network import follow
from sigma68.learning.optimiser import Optimiser
from sigma68.protocols import Progress

__all__ = ["Course", "CourseSettings", "device_here"]

_RISING = 0.1  # of the steps, while the learning rate rises


class CourseSettings(Protocol):
    """What a course takes of a training's settings: passes at most, and how steps are taken."""

    @property
    def passes(self) -> int: ...
    @property
    def patience(self) -> int: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def orthogonal_rate(self) -> float: ...
    @property
    def weight_decay(self) -> float: ...
    @property
    def averaging(self) -> float: ...


@dataclass(frozen=True)
class Course:
    """A training: what it learns from and what it stops by.

    Parameters
    ----------
    what
        What is trained, for the report of progress.
    steps
        Steps in a pass.
    settings
        Passes at most, patience, learning rates, weight decay, running mean.
    losses
        Of a network and the number of a pass: the loss of each step, taken one at a time, since
        the network moves between two of them.
    checked
        The loss of a network on the events kept out.
    """

    what: str
    steps: int
    settings: CourseSettings
    losses: Callable[[nn.Sequential, int], Iterator[Tensor]]
    checked: Callable[[nn.Sequential], float]

    def train(
        self, net: nn.Sequential, progress: Progress | None, checkpoint: Path | None, key: str
    ) -> nn.Sequential:
        """The running mean of the network's weights at the pass that did best.

        Raises
        ------
        DataError
            If the checkpoint is damaged.
        OutputError
            If the checkpoint cannot be written.
        """
        settings, mean, best = self.settings, copy.deepcopy(net), copy.deepcopy(net)
        networks = {"net": net, "mean": mean, "best": best}
        optimiser = Optimiser.of(
            net, settings.learning_rate, settings.orthogonal_rate, settings.weight_decay
        )
        now = Progressed(0, 0, math.inf, 0)
        if checkpoint is not None:
            now = read_checkpoint(checkpoint, key, networks, optimiser.parts) or now
        while now.passes < settings.passes and now.since <= settings.patience:
            taken = self._pass(mean, optimiser, now, progress)
            loss = self.checked(mean)
            better = loss < now.best_loss
            if better:
                best.load_state_dict(mean.state_dict())
            since = 0 if better else now.since + 1
            now = Progressed(now.passes + 1, taken, min(loss, now.best_loss), since)
            if checkpoint is not None:
                write_checkpoint(checkpoint, key, networks, optimiser.parts, now)
        if progress is not None:
            progress(self.what, 1.0)
        return best

    def _pass(
        self,
        mean: nn.Sequential,
        optimiser: Optimiser,
        now: Progressed,
        progress: Progress | None,
    ) -> int:
        """One pass over the events; the steps taken since the beginning."""
        settings, total, taken = self.settings, self.settings.passes * self.steps, now.taken
        for loss in self.losses(optimiser.net, now.passes):
            optimiser.step(loss, _rate_at(taken / total))
            taken += 1
            follow(mean, optimiser.net, min(settings.averaging, (1 + taken) / (10 + taken)))
            if progress is not None:
                progress(self.what, taken / total)
        return taken


def device_here() -> torch.device:
    """CUDA where there is a device, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _rate_at(done: float) -> float:
    """The learning rate at a fraction of the steps: it rises for a tenth of them, then falls."""
    if done < _RISING:
        return 0.04 + 0.96 * done / _RISING
    return 0.5 * (1 + math.cos(math.pi * (done - _RISING) / (1 - _RISING))) + 1e-4
