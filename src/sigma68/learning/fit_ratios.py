"""Training of a network of shares and responses (extra `torch`); see `ratios` for what it means.

The loss has two parts. Shares: the cross entropy of the process, every process weighing the same,
or, where the pool knows the densities of its events, the cross entropy against the true
probabilities, which has no scatter from the processes that events happen to be of ("mining gold",
Brehmer et al., PNAS 117 (2020) 5242). Responses: for each process the cross entropy of telling the
events moved by nuisances nu from the same events where all are off,

    sum_off w ln(1 + S) + sum_moved w ln(1 + 1 / S),        S = exp(sum_t D_t m_t(nu)),

which is least where S is the ratio of the expected events (arXiv:2505.05544, eq. 3 of its summary
in arXiv:2410.02867 §5.1). An event and its own moved copy stand in the same batch: most of what
scatters in one scatters alike in the other.

Every pass moves the events anew, by the task's own biasing, to another point of the nuisances; or
every batch is at one of several points whose events are held (`together`). All
random numbers of a pass come from its number, so that training goes on from a checkpoint as if it
had never stopped. Torch works on one thread, since sums depend on the number of threads;
where there is a CUDA device it works there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sigma68.learning.fit_course import Course, device_here
from sigma68.learning.fit_network import layers_of, torch_with
from sigma68.learning.inputs import Inputs
from sigma68.learning.network import Network
from sigma68.learning.ratio_events import Moved, Points, Side, sides
from sigma68.learning.ratios import RatioNetwork, RatioSettings
from sigma68.protocols import Pool, Progress
from sigma68.seeds import stream
from sigma68.types import Nuisance

__all__ = ["fit_ratios"]

_AT_ONCE = 65536  # events, where nothing is learned from them
_CHECKS = 4  # points of the nuisances at which the held-out loss is measured
_FIRST = 0.1  # what responses begin as, over what they can become


def fit_ratios(
    pool: Pool,
    nuisances: Sequence[Nuisance],
    inputs: Inputs,
    settings: RatioSettings | None = None,
    progress: Progress | None = None,
    checkpoint: Path | None = None,
    together: int | None = None,
) -> RatioNetwork:
    """A network of the shares of processes in a pool's events, and of what `nuisances` do to them.

    With a `checkpoint`, a file, it goes on where a training of the same settings and pool was.
    With `together`, so many points of the nuisances, every batch is at one of these, drawn anew,
    and all of the moved events are held in memory; without, every pass has a point of its own.

    Raises
    ------
    DataError
        If a process has too few events, or the checkpoint is damaged.
    FitError
        If a feature is NaN or infinite.
    OutputError
        If the checkpoint cannot be written.
    """
    settings = settings or RatioSettings()
    if progress is not None:
        progress("asking the densities", 0.0)
    inside, aside, yields = sides(pool, inputs, settings)
    points = Points(pool, nuisances, inputs, settings)
    about: list[Any] = [pool.fingerprint, list(inputs.names), [n.name for n in nuisances]]
    about += [asdict(settings)] if together is None else [asdict(settings), together]
    key = hashlib.blake2b(json.dumps(about).encode(), digest_size=16).hexdigest()
    with torch_with(settings.seed):
        if together is None or not nuisances:
            lessons = _Lessons(inside, aside, points, settings)
        else:
            lessons = _Together(inside, aside, points, settings, together)
        net = lessons.train(progress, checkpoint, key)
    layers = layers_of(net.cpu())
    # The scale that responses were learned at goes into the last layer.
    last, k = layers[-1], len(yields)
    scale = np.concatenate([np.ones(k), np.tile(points.scale.numpy(), k)]).astype(np.float32)
    layers = (*layers[:-1], type(last)(last.weights * scale[:, None], last.bias * scale))
    names, maps = inputs.names, inside.maps
    network = Network(names, maps, layers, settings.threads, settings.rounded)
    return RatioNetwork(network, points.polynomials, yields)


@dataclass(frozen=True)
class _Lessons:
    """A training: what it learns from, what it stops by, where events are moved to."""

    inside: Side
    aside: Side
    points: Points
    settings: RatioSettings

    def train(self, progress: Progress | None, checkpoint: Path | None, key: str) -> nn.Sequential:
        """The running mean of the network's weights at the pass that did best on `aside`."""
        batch = min(self.settings.batch, len(self.inside))
        checks = [self.points.moved(self.aside, self.points.point(-1 - i)) for i in range(_CHECKS)]
        course = Course(
            "training the network of ratios",
            len(self.inside) // batch,
            self.settings,
            lambda net, number: self._losses(net, number, batch),
            lambda net: self._checked(net, checks),
        )
        return course.train(self._network().to(device_here()), progress, checkpoint, key)

    def _losses(self, net: nn.Module, number: int, batch: int) -> Iterator[Tensor]:
        """The mean loss of each batch of a pass, whose events are moved anew."""
        for moved, rows, copies in self._lessons(number, batch):
            yield self._loss(net, self.inside, moved, rows, copies) / batch

    def _network(self) -> nn.Sequential:
        """ReLU layers, and outputs that begin near 0."""
        n_in = self.inside.inputs.shape[1]
        parts: list[nn.Module] = []
        for _ in range(self.settings.hidden_layers):
            parts += [nn.Linear(n_in, self.settings.units), nn.ReLU()]
            n_in = self.settings.units
        k, n_terms = len(self.inside.per_weight), len(self.points.scale)
        last = nn.Linear(n_in, k * (1 + n_terms))
        nn.init.zeros_(last.bias)
        with torch.no_grad():
            last.weight.mul_(_FIRST)
        return nn.Sequential(*parts, last)

    def _lessons(self, number: int, batch: int) -> Iterator[tuple[Moved, Tensor, Tensor]]:
        """What the batches of a pass learn from."""
        moved = self.points.moved(self.inside, self.points.point(number))
        for rows, copies in self._batches(moved, number, batch):
            yield moved, rows, copies

    def _batches(self, moved: Moved, number: int, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Places of a batch's events, and of their moved copies with a share of what was gained."""
        rng = stream("learning", "ratios order", self.settings.seed, number).generator()
        order = rng.permutation(len(self.inside))
        gained = rng.permutation(moved.gained)
        n = len(self.inside) // batch
        ends = np.linspace(0, len(gained), n + 1).astype(np.int64)
        for i in range(n):
            rows = order[i * batch : (i + 1) * batch]
            copies = moved.mate[rows]
            own = np.concatenate([copies[copies >= 0], gained[ends[i] : ends[i + 1]]])
            yield torch.from_numpy(rows), torch.from_numpy(own)

    def _loss(
        self, net: nn.Module, side: Side, moved: Moved, rows: Tensor, copies: Tensor
    ) -> Tensor:
        """The summed loss of events `rows` and of moved ones `copies`."""
        device = next(net.parameters()).device
        k, n = len(side.per_weight), len(rows)
        if not len(moved.monomials):
            copies = copies[:0]
        out = net(torch.cat([side.inputs[rows], moved.inputs[copies]]).to(device))
        weights = side.weights[rows].to(device)
        if side.targets is None:
            process = side.process[rows].to(device)
            shares = nn.functional.cross_entropy(out[:n, :k], process, reduction="none")
            shares = (shares * weights).sum()
        else:
            targets = side.targets[rows].to(device)
            shares = nn.functional.cross_entropy(out[:n, :k], targets, reduction="sum")
        if not len(moved.monomials):
            return shares
        process = torch.cat([side.process[rows], moved.process[copies]]).to(device)
        coefficients = out[:, k:].reshape(len(out), k, len(moved.monomials))
        log_ratio = (coefficients @ moved.monomials.to(device)).gather(1, process[:, None])[:, 0]
        soft = nn.functional.softplus
        responses = (soft(log_ratio[:n]) * weights).sum() + (
            soft(-log_ratio[n:]) * moved.weights[copies].to(device)
        ).sum()
        return shares + self.settings.emphasis * responses

    @torch.no_grad()
    def _checked(self, net: nn.Module, checks: Sequence[Moved]) -> float:
        """The loss of the events kept out, summed over points of the nuisances."""
        total = 0.0
        for moved in checks:
            rows = torch.arange(len(self.aside))
            own = np.concatenate([moved.mate[moved.mate >= 0], moved.gained])
            pieces = -(-len(self.aside) // _AT_ONCE)
            copies = torch.from_numpy(own).tensor_split(pieces)
            for part, copied in zip(rows.tensor_split(pieces), copies, strict=True):
                total += float(self._loss(net, self.aside, moved, part, copied))
        return total


@dataclass(frozen=True)
class _Together(_Lessons):
    """A training at several points of the nuisances at once: each batch is at one of them."""

    n_points: int

    @cached_property
    def _moved(self) -> list[Moved]:
        points = (self.points.point(i) for i in range(self.n_points))
        return [self.points.moved(self.inside, values) for values in points]

    def _lessons(self, number: int, batch: int) -> Iterator[tuple[Moved, Tensor, Tensor]]:
        rng = stream("learning", "ratios order", self.settings.seed, number).generator()
        order = rng.permutation(len(self.inside))
        n = len(self.inside) // batch
        # Every point as often as any other, in an order of its own.
        turns = rng.permutation(np.arange(n) + int(rng.integers(self.n_points))) % self.n_points
        for i in range(n):
            moved = self._moved[turns[i]]
            rows = order[i * batch : (i + 1) * batch]
            copies = moved.mate[rows]
            share = rng.binomial(len(moved.gained), batch / len(self.inside))
            gained = rng.choice(moved.gained, share, replace=False)
            own = np.concatenate([copies[copies >= 0], gained])
            yield moved, torch.from_numpy(rows), torch.from_numpy(own)
