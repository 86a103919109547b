"""The last part of a training of a network of images: its dense layers once more, on fixed inputs (extra `torch`).

While convolutions learn, what they say is standardised by its mean and spread in a batch, which blurs it: the
dense layers have learned to expect more noise than there is. With the convolutions as they are now the
inputs of all images are computed once, standardised for good, and passes over them cost nothing.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from sigma68.learning.fit_network import follow
from sigma68.seeds import stream

__all__ = ["DenseInputs", "polish_dense"]

_PASSES = 60
_BATCH = 128
_RATE = 1e-3
_DECAY = 0.1
_AVERAGING = 0.995
_PATIENCE = 20


@dataclass(frozen=True)
class DenseInputs:
    """Inputs of the dense layers (n, n_inputs), points in [-1, 1] (n, n_parameters), weights (n,)."""

    inputs: Tensor
    unit: Tensor
    weights: Tensor


def polish_dense(
    dense: nn.Sequential,
    train: DenseInputs,
    aside: DenseInputs,
    loss: Callable[[Tensor, Tensor], Tensor],
    seed: int,
) -> nn.Sequential:
    """The layers after some more passes, or as they were if these lower no loss of `aside`."""
    net, mean = copy.deepcopy(dense), copy.deepcopy(dense)
    best, best_loss, since = copy.deepcopy(dense), _mean_loss(dense, aside, loss), 0
    optimiser = torch.optim.AdamW(net.parameters(), lr=_RATE, weight_decay=_DECAY)
    n, taken = len(train.inputs), 0
    draw = stream("learning", "passes over inputs", seed).generator()
    for at in range(_PASSES):
        optimiser.param_groups[0]["lr"] = _RATE * 0.5 * (1 + math.cos(math.pi * at / _PASSES))
        for rows in np.array_split(draw.permutation(n), max(n // _BATCH, 1)):
            some = torch.from_numpy(rows)
            value = (train.weights[some] * loss(net(train.inputs[some]), train.unit[some])).mean()
            optimiser.zero_grad()
            torch.autograd.backward(value)
            optimiser.step()
            taken += 1
            follow(mean, net, min(_AVERAGING, (1 + taken) / (10 + taken)))
        now = _mean_loss(mean, aside, loss)
        if now < best_loss:
            best, best_loss, since = copy.deepcopy(mean), now, 0
        else:
            since += 1
            if since > _PATIENCE:
                break
    return best


@torch.no_grad()
def _mean_loss(
    net: nn.Module, side: DenseInputs, loss: Callable[[Tensor, Tensor], Tensor]
) -> float:
    return float((side.weights * loss(net(side.inputs), side.unit)).sum() / side.weights.sum())
