"""Training of a network that tells signal from background (extra `torch`).

The loss is the cross entropy of events weighted so that signal and background weigh the same; Adam
with decoupled weight decay, a learning rate that rises over the first tenth of the steps and falls
over the rest, a running mean of the weights, and early stopping on hard events kept out of the
training. The result is a function of data, settings and seed: torch works on one thread, since what
it sums depends on their number. Batches are small, so a second one would bring little, and where
other processes want the cores it takes ten times the time.

References: Loshchilov & Hutter, "Decoupled weight decay regularization", ICLR 2019; Smith & Topin,
"Super-convergence", Proc. SPIE 11006 (2019); Polyak & Juditsky, SIAM J. Control Optim. 30 (1992)
838, on running means.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from sigma68.learning.balance import balanced_weights, held_out
from sigma68.learning.input_maps import learn_maps, seen_by_kernels
from sigma68.learning.network import Layer, Network, NetworkSettings
from sigma68.protocols import Progress
from sigma68.seeds import stream
from sigma68.types import Labelled

__all__ = ["follow", "layers_of", "torch_with", "train_network"]

_AT_ONCE = 65536  # events, where nothing is learned from them
_STEPS = 20  # in a pass at least, where events are few, as long as batches are not tiny
_TINY = 64


def train_network(
    events: Labelled, settings: NetworkSettings | None = None, progress: Progress | None = None
) -> Network:
    """A network that separates signal from background in `events`.

    Raises
    ------
    DataError
        If the events kept for training, or those kept out, hold only one class.
    FitError
        If a feature is NaN or infinite.
    """
    settings = settings or NetworkSettings()
    outside = held_out(events.n_events, events.hard_event, settings.validation_share)
    weights = np.empty(events.n_events, np.float32)
    for own in (outside, ~outside):
        weights[own] = balanced_weights(events.weights[own], events.labels[own])
    values = seen_by_kernels(events.values)
    maps = learn_maps(values, weights * ~outside, events.names)
    everything = (
        torch.from_numpy(maps.apply(values, events.names, settings.threads)),
        torch.from_numpy(events.labels.astype(np.float32)),
        torch.from_numpy(weights),
    )
    inside = _Side(*everything, torch.from_numpy(np.flatnonzero(~outside)))
    aside = _Side(*everything, torch.from_numpy(np.flatnonzero(outside)))
    with torch_with(settings.seed):
        layers = _train(inside, aside, settings, progress)
    return Network(events.names, maps, layers, settings.threads)


@dataclass(frozen=True)
class _Side:
    """Events to learn from, or to stop by: rows `index` of what all share."""

    inputs: Tensor
    labels: Tensor
    weights: Tensor
    index: Tensor


@contextmanager
def torch_with(seed: int) -> Iterator[None]:
    """Torch with the random numbers that were asked for, on one thread; then as it was before."""
    before = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream("learning", "network", seed).key >> 65)
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def _train(
    inside: _Side, aside: _Side, settings: NetworkSettings, progress: Progress | None
) -> tuple[Layer, ...]:
    net = _network(inside.inputs.shape[1], settings)
    mean = copy.deepcopy(net)
    best, best_loss, since, taken = copy.deepcopy(mean), np.inf, 0, 0
    n = len(inside.index)
    batch = min(settings.batch, max(n // _STEPS, _TINY), n)
    per_pass = n // batch
    passes = max(1, min(settings.passes, settings.steps // per_pass))
    optimiser = torch.optim.AdamW(
        net.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, settings.learning_rate, total_steps=passes * per_pass, pct_start=0.1
    )
    for _ in range(passes):
        order = inside.index[torch.randperm(n)]
        for rows in torch.split(order[: per_pass * batch], batch):
            # Not divided by the batch's own sum: that would make heavy events weigh less.
            loss = _losses(net, inside, rows).mean()
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            schedule.step()
            taken += 1
            follow(mean, net, min(settings.averaging, (1 + taken) / (10 + taken)))
            if progress is not None:
                progress("training the network", taken / (passes * per_pass))
        now = _mean_loss(mean, aside)
        if now < best_loss:
            best, best_loss, since = copy.deepcopy(mean), now, 0
        else:
            since += 1
            if since > settings.patience:
                break
    if progress is not None:
        progress("training the network", 1.0)
    return layers_of(best)


def _network(n_in: int, settings: NetworkSettings) -> nn.Sequential:
    """ReLU layers and one output, which begins at 0."""
    parts: list[nn.Module] = []
    for _ in range(settings.hidden_layers):
        parts += [nn.Linear(n_in, settings.units), nn.ReLU()]
        n_in = settings.units
    last = nn.Linear(n_in, 1)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(*parts, last)


def _losses(net: nn.Module, side: _Side, rows: Tensor) -> Tensor:
    """The weighted cross entropy of each of the events `rows`."""
    return nn.functional.binary_cross_entropy_with_logits(
        net(side.inputs[rows])[:, 0], side.labels[rows], side.weights[rows], reduction="none"
    )


@torch.no_grad()
def _mean_loss(net: nn.Module, side: _Side) -> float:
    """The weighted mean cross entropy of a side; its weights have a mean of 1."""
    parts = torch.split(side.index, _AT_ONCE)
    return sum(float(_losses(net, side, rows).sum()) for rows in parts) / len(side.index)


@torch.no_grad()
def follow(mean: nn.Module, net: nn.Module, share: float) -> None:
    for old, new in zip(mean.parameters(), net.parameters(), strict=True):
        old.lerp_(new, 1.0 - share)


def layers_of(net: nn.Sequential) -> tuple[Layer, ...]:
    return tuple(
        Layer(*(part.detach().numpy().astype(np.float32, copy=True) for part in (m.weight, m.bias)))
        for m in net
        if isinstance(m, nn.Linear)
    )
