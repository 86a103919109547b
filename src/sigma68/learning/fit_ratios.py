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

import copy
import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sigma68.learning.checkpoint import Progressed, read_checkpoint, write_checkpoint
from sigma68.learning.fit_network import follow, layers_of, torch_with
from sigma68.learning.inputs import Inputs
from sigma68.learning.network import Network
from sigma68.learning.ratio_events import Moved, Points, Side, sides
from sigma68.learning.ratios import RatioNetwork, RatioSettings
from sigma68.protocols import Pool, Progress
from sigma68.seeds import stream
from sigma68.types import Nuisance

__all__ = ["device_here", "fit_ratios", "rate_at"]

_AT_ONCE = 65536  # events, where nothing is learned from them
_CHECKS = 4  # points of the nuisances at which the held-out loss is measured
_FIRST = 0.1  # what responses begin as, over what they can become
_RISING = 0.1  # of the steps, while the learning rate rises
_LONGEST = 1.0  # gradient of a step


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
            course = _Course(inside, aside, points, settings)
        else:
            course = _Together(inside, aside, points, settings, together)
        net = course.train(progress, checkpoint, key)
    layers = layers_of(net.cpu())
    # The scale that responses were learned at goes into the last layer.
    last, k = layers[-1], len(yields)
    scale = np.concatenate([np.ones(k), np.tile(points.scale.numpy(), k)]).astype(np.float32)
    layers = (*layers[:-1], type(last)(last.weights * scale[:, None], last.bias * scale))
    network = Network(inputs.names, inside.maps, layers, settings.threads)
    return RatioNetwork(network, points.polynomials, yields)


@dataclass(frozen=True)
class _Course:
    """A training: what it learns from, what it stops by, where events are moved to."""

    inside: Side
    aside: Side
    points: Points
    settings: RatioSettings

    def train(self, progress: Progress | None, checkpoint: Path | None, key: str) -> nn.Sequential:
        """The running mean of the network's weights at the pass that did best on `aside`."""
        settings, device = self.settings, device_here()
        net = self._network().to(device)
        networks = {"net": net, "mean": copy.deepcopy(net), "best": copy.deepcopy(net)}
        optimiser = torch.optim.AdamW(
            net.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        now = Progressed(0, 0, math.inf, 0)
        if checkpoint is not None:
            now = read_checkpoint(checkpoint, key, networks, optimiser) or now
        checks = [self.points.moved(self.aside, self.points.point(-1 - i)) for i in range(_CHECKS)]
        while now.passes < settings.passes and now.since <= settings.patience:
            taken = self._pass(networks, optimiser, now, progress)
            loss = self._checked(networks["mean"], checks)
            better = loss < now.best_loss
            if better:
                networks["best"].load_state_dict(networks["mean"].state_dict())
            now = Progressed(
                now.passes + 1,
                taken,
                min(loss, now.best_loss),
                0 if better else now.since + 1,
            )
            if checkpoint is not None:
                write_checkpoint(checkpoint, key, networks, optimiser, now)
        if progress is not None:
            progress("training the network of ratios", 1.0)
        best = networks["best"]
        if not isinstance(best, nn.Sequential):
            raise TypeError("a network of ratios is a sequence of layers")
        return best

    def _pass(
        self,
        networks: dict[str, nn.Sequential],
        optimiser: torch.optim.Optimizer,
        now: Progressed,
        progress: Progress | None,
    ) -> int:
        """One pass over the events, moved anew; the steps taken since the beginning."""
        settings, net = self.settings, networks["net"]
        batch = min(settings.batch, len(self.inside))
        total = settings.passes * (len(self.inside) // batch)
        taken = now.taken
        for moved, rows, copies in self._lessons(now.passes, batch):
            for group in optimiser.param_groups:
                group["lr"] = settings.learning_rate * rate_at(taken / total)
            loss = self._loss(net, self.inside, moved, rows, copies) / batch
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(net.parameters(), _LONGEST)
            optimiser.step()
            taken += 1
            follow(networks["mean"], net, min(settings.averaging, (1 + taken) / (10 + taken)))
            if progress is not None:
                progress("training the network of ratios", taken / total)
        return taken

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
class _Together(_Course):
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


def device_here() -> torch.device:
    """CUDA where there is a device, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def rate_at(done: float) -> float:
    """The learning rate at a fraction of the steps: it rises for a tenth of them, then falls."""
    if done < _RISING:
        return 0.04 + 0.96 * done / _RISING
    return 0.5 * (1 + math.cos(math.pi * (done - _RISING) / (1 - _RISING))) + 1e-4
