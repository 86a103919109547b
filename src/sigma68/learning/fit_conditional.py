"""Training of conditional densities by weighted maximum likelihood (extra `torch`).

Each conditional is trained by itself: Adam with a falling learning rate, a running mean of the
weights of the network, and early stopping on events set aside, which must not share hard
collisions with those trained on. What is computed here in torch is what `conditional` evaluates.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from sigma68.errors import DataError
from sigma68.learning.conditional import (
    CHOICE_FLOOR,
    HEIGHT_FLOOR,
    LOG_HEIGHT,
    WIDTH_FLOOR,
    ConditionalChoice,
    ConditionalDensity,
    Marginal,
)
from sigma68.learning.perceptron import Perceptron

__all__ = ["Fitted", "Sample", "TrainingSettings", "fit_choice", "fit_density", "fit_marginal"]

Floats = npt.NDArray[np.float64]

_FEWEST = 20  # effective events beyond the last knot but one
_LEAST_HEIGHT = 1e-7  # of a marginal density


@dataclass(frozen=True)
class TrainingSettings:
    """How a conditional is trained; the defaults are those of the emulator.

    `passes` over the training events at most, in batches of `batch` events, at most `steps`
    steps; training ends early when the events set aside have not been described better for
    `patience` of the passes.
    """

    hidden: int = 64
    bins: int = 16
    marginal_bins: int = 32
    batch: int = 2048
    steps: int = 6000
    passes: int = 30
    patience: int = 6
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    averaging: float = 0.995


@dataclass(frozen=True)
class Sample:
    """Events to learn from: `features` (F, n) float32, `target` (n,), `weights` (n,).

    The target of a density lies in [0, 1], that of a choice counts from 0. `aside` says which
    events early stopping looks at. No bin of a marginal density is narrower than `narrowest`, which
    is several times what the target was rounded to.
    """

    features: npt.NDArray[np.float32]
    target: Floats
    weights: Floats
    aside: npt.NDArray[np.bool_]
    narrowest: float = 1e-4

    def check(self, what: str) -> None:
        """Raise DataError unless there is something to learn from on both sides."""
        for name, own in (("train on", ~self.aside), ("stop by", self.aside)):
            if not self.weights[own].sum() > 0:
                raise DataError(f"no events to {name} for {what}: give more events")


@dataclass(frozen=True)
class Fitted:
    """A trained conditional, and how well it describes events.

    `trained` and `aside` are the mean of -ln density over those trained on and those set aside;
    `gain` is what the features brought for the latter.
    """

    conditional: ConditionalDensity | ConditionalChoice
    trained: float
    aside: float
    gain: float
    passes: int


def fit_density(sample: Sample, settings: TrainingSettings, seed: int, what: str = "x") -> Fitted:
    """The density of the target given the features; of the target alone where there are none.

    Raises
    ------
    DataError
        If there are no events to train on or to stop by.
    """
    sample.check(what)
    marginal = fit_marginal(sample, settings)
    alone = ConditionalDensity(marginal, None)
    losses = -alone.log_density(sample.features, sample.target)
    before = _mean(losses, sample, sample.aside)
    if len(sample.features) == 0:
        return Fitted(alone, _mean(losses, sample, ~sample.aside), before, 0.0, 0)
    uniform = alone.cdf(sample.features, sample.target)
    target = torch.from_numpy(uniform.astype(np.float32))
    net, trained, aside, passes = _train(
        sample, target, 2 * settings.bins + 1, _density_loss, settings, seed
    )
    jacobian = _mean(losses, sample, sample.aside)
    conditional = ConditionalDensity(marginal, net)
    outer = _mean(losses, sample, ~sample.aside)
    return Fitted(conditional, trained + outer, aside + jacobian, before - aside - jacobian, passes)


def fit_choice(
    sample: Sample, n_values: int, settings: TrainingSettings, seed: int, what: str = "x"
) -> Fitted:
    """The probabilities of the values 0 to n_values - 1 given the features.

    Raises
    ------
    DataError
        If there are no events to train on or to stop by.
    """
    sample.check(what)
    target = torch.from_numpy(sample.target.astype(np.int64))
    shares = np.bincount(
        sample.target.astype(np.int64),
        sample.weights * ~sample.aside,
        minlength=n_values,
    )
    shares = np.maximum(shares / shares.sum(), 1e-6)
    own = sample.weights[sample.aside]
    before = -float(own @ np.log(shares[sample.target[sample.aside].astype(np.int64)]) / own.sum())
    net, trained, aside, passes = _train(sample, target, n_values, _choice_loss, settings, seed)
    return Fitted(ConditionalChoice(net), trained, aside, before - aside, passes)


def fit_marginal(sample: Sample, settings: TrainingSettings) -> Marginal:
    """The density of the target alone: knots at its quantiles, heights by maximum likelihood.

    Towards both ends knots follow each other at halved tails, as far as there are events.
    """
    own = ~sample.aside
    order = np.argsort(sample.target[own])
    x, w = sample.target[own][order], sample.weights[own][order]
    rank = (np.cumsum(w) - w / 2) / w.sum()
    levels = _levels(settings.marginal_bins, _FEWEST / (w.sum() ** 2 / (w @ w)))
    knots = np.interp(levels, rank, x)
    knots[0], knots[-1] = 0.0, 1.0
    knots = _apart(knots, sample.narrowest)
    return Marginal(knots, _best_heights(knots, x, w))


def _levels(bins: int, least: float) -> Floats:
    """Probabilities below the knots: even steps, and halved ones at both ends down to `least`."""
    step = 1.0 / bins
    halvings = max(0, int(np.log2(step / least)))
    tail = step * 0.5 ** np.arange(halvings, 0, -1)
    even = np.linspace(0, 1, bins + 1)
    return np.concatenate([[0.0], tail, even[1:-1], 1.0 - tail[::-1], [1.0]])


def _apart(knots: Floats, narrowest: float) -> Floats:
    """Those of the ascending knots, the ends among them, that leave no bin too narrow."""
    kept = [0.0]
    for knot in knots[1:-1]:
        if knot - kept[-1] >= narrowest and 1.0 - knot >= narrowest:
            kept.append(float(knot))
    return np.array([*kept, 1.0])


def _best_heights(knots: Floats, x: Floats, w: Floats) -> Floats:
    """Heights that maximise the likelihood, by expectation maximisation over hat functions.

    A piecewise-linear density is a mixture of the hat functions of its knots; the shares of a
    mixture are found by the classic iteration, which never lowers the likelihood.
    """
    k = np.clip(np.searchsorted(knots, x, side="right") - 1, 0, len(knots) - 2)
    widths = np.diff(knots)
    t = (x - knots[k]) / widths[k]
    areas = np.zeros(len(knots))  # of the hats
    areas[:-1] += widths / 2
    areas[1:] += widths / 2
    heights = np.ones(len(knots))
    for _ in range(200):
        left, right = heights[k] * (1 - t), heights[k + 1] * t
        total = left + right
        share = np.bincount(k, w * left / total, len(knots)) + np.bincount(
            k + 1, w * right / total, len(knots)
        )
        new = share / w.sum() / areas
        done = np.max(np.abs(new - heights)) < 1e-4 * np.max(heights)
        heights = new
        if done:
            break
    heights = np.maximum(heights, _LEAST_HEIGHT)
    return heights / float(np.sum(widths * (heights[1:] + heights[:-1]) / 2))


class _Network(nn.Module):
    """The perceptron of `learning.perceptron`, to be trained; its last layer begins at 0."""

    def __init__(self, n_in: int, hidden: int, n_out: int) -> None:
        super().__init__()
        last = nn.Linear(hidden, n_out)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.layers = nn.Sequential(
            nn.Linear(n_in, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), last
        )

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.layers(x)
        return result


def _squareplus(x: Tensor) -> Tensor:
    return 0.5 * (x + torch.sqrt(x * x + 4.0))


def _density_loss(raw: Tensor, y: Tensor) -> Tensor:
    """-ln of the piecewise-linear density at y, (n,)."""
    bins = (raw.shape[1] - 1) // 2
    width = _squareplus(raw[:, :bins]) + WIDTH_FLOOR
    height = raw[:, bins:].clamp(-LOG_HEIGHT, LOG_HEIGHT).exp() + HEIGHT_FLOOR
    edges = torch.cumsum(width, dim=1)
    total = edges[:, -1]
    area = 0.5 * (width * (height[:, 1:] + height[:, :-1])).sum(dim=1)
    at = (y * total)[:, None]
    k = (edges[:, :-1] < at).sum(dim=1, keepdim=True)
    own = width.gather(1, k)
    t = (at - (edges.gather(1, k) - own)) / own
    low, high = height.gather(1, k), height.gather(1, k + 1)
    here = (low + (high - low) * t.clamp(0.0, 1.0))[:, 0]
    return torch.log(area) - torch.log(total) - torch.log(here)


def _choice_loss(raw: Tensor, value: Tensor) -> Tensor:
    """-ln of the probability of `value`, (n,)."""
    roots = _squareplus(raw) + CHOICE_FLOOR
    own = roots.gather(1, value[:, None])[:, 0]
    return torch.log((roots * roots).sum(dim=1)) - 2.0 * torch.log(own)


def _train(
    sample: Sample,
    target: Tensor,
    n_out: int,
    loss_of: Callable[[Tensor, Tensor], Tensor],
    settings: TrainingSettings,
    seed: int,
) -> tuple[Perceptron, float, float, int]:
    """The network, its loss on both sides, and how many passes it took."""
    torch.manual_seed(seed)
    shift, scale = _standard(sample)
    x = torch.from_numpy(
        np.ascontiguousarray(((sample.features - shift[:, None]) * scale[:, None]).T)
    )
    w = torch.from_numpy((sample.weights / sample.weights.mean()).astype(np.float32))
    aside = torch.from_numpy(sample.aside)
    inside, outside = torch.nonzero(~aside)[:, 0], torch.nonzero(aside)[:, 0]
    net = _Network(x.shape[1], settings.hidden, n_out)
    mean = copy.deepcopy(net)
    best, best_loss = copy.deepcopy(mean), _loss(mean, x, target, w, outside, loss_of)
    since = done = taken = 0
    per_pass = max(1, len(inside) // settings.batch)
    passes = max(1, min(settings.passes, settings.steps // per_pass))
    optimiser = torch.optim.AdamW(
        net.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, settings.learning_rate, total_steps=passes * per_pass, pct_start=0.1
    )
    for _ in range(passes):
        order = inside[torch.randperm(len(inside))]
        for batch in torch.split(order[: per_pass * settings.batch], settings.batch):
            # Not divided by the batch's own sum: that would make heavy events weigh less.
            loss = (loss_of(net(x[batch]), target[batch]) * w[batch]).mean()
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            schedule.step()
            taken += 1
            _follow(mean, net, min(settings.averaging, (1 + taken) / (10 + taken)))
        done += 1
        aside_loss = _loss(mean, x, target, w, outside, loss_of)
        if aside_loss < best_loss:
            best, best_loss, since = copy.deepcopy(mean), aside_loss, 0
        else:
            since += 1
            if since > settings.patience:
                break
    return _frozen(best, shift, scale), _loss(best, x, target, w, inside, loss_of), best_loss, done


def _standard(sample: Sample) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Weighted mean and inverse deviation of each feature; a constant one is left at 0."""
    own = ~sample.aside
    w = sample.weights[own] / sample.weights[own].sum()
    features = sample.features[:, own].astype(np.float64)
    shift = features @ w
    spread = np.sqrt(np.maximum((features - shift[:, None]) ** 2 @ w, 0.0))
    scale = np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 1e-6)
    return shift.astype(np.float32), scale.astype(np.float32)


@torch.no_grad()
def _follow(mean: nn.Module, net: nn.Module, share: float) -> None:
    for old, new in zip(mean.parameters(), net.parameters(), strict=True):
        old.lerp_(new, 1.0 - share)


@torch.no_grad()
def _loss(
    net: nn.Module,
    x: Tensor,
    target: Tensor,
    w: Tensor,
    index: Tensor,
    loss_of: Callable[[Tensor, Tensor], Tensor],
) -> float:
    total = 0.0
    for part in torch.split(index, 65536):
        total += float((loss_of(net(x[part]), target[part]) * w[part]).sum())
    return total / float(w[index].sum())


def _frozen(
    net: _Network, shift: npt.NDArray[np.float32], scale: npt.NDArray[np.float32]
) -> Perceptron:
    parts = [
        parameter.detach().numpy().astype(np.float32, copy=True) for parameter in net.parameters()
    ]
    return Perceptron(shift, scale, *parts)


def _mean(losses: Floats, sample: Sample, own: npt.NDArray[np.bool_]) -> float:
    w = sample.weights[own]
    return float(losses[own] @ w / w.sum())
