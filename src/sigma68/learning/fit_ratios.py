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

Every pass moves the events anew, by the task's own biasing, to another point of the nuisances. All
random numbers of a pass come from its number, so that training goes on from a checkpoint as if it
had never stopped. Torch works on one thread, since sums depend on the number of threads.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from sigma68.errors import DataError
from sigma68.learning.balance import held_out
from sigma68.learning.fit_network import follow, layers_of, torch_with
from sigma68.learning.input_maps import InputMaps, learn_maps, seen_by_kernels
from sigma68.learning.inputs import Inputs
from sigma68.learning.network import Network
from sigma68.learning.ratios import RatioNetwork, RatioSettings, ratio_polynomials
from sigma68.protocols import ComponentSource, Pool, Progress
from sigma68.seeds import stream
from sigma68.types import Labelled, Nuisance

__all__ = ["fit_ratios"]

_AT_ONCE = 65536  # events, where nothing is learned from them
_CHECKS = 4  # points of the nuisances at which the held-out loss is measured
_ALONE = 0.25  # of the passes move events by one nuisance only, for each
_OFF = 0.2  # of the passes leave a lognormal nuisance off
_FIRST = 0.1  # what responses begin as, over what they can become


def fit_ratios(
    pool: Pool,
    nuisances: Sequence[Nuisance],
    inputs: Inputs,
    settings: RatioSettings | None = None,
    progress: Progress | None = None,
) -> RatioNetwork:
    """A network of the shares of processes in a pool's events, and of what `nuisances` do to them.

    Raises
    ------
    DataError
        If a process has no events, or none outside or inside the part kept out.
    FitError
        If a feature is NaN or infinite.
    """
    settings = settings or RatioSettings()
    say = progress or (lambda what, fraction: None)
    off = pool.labelled()
    yields = _yields(off)
    polynomials = ratio_polynomials(nuisances)
    given = inputs(off.values)
    maps = _maps(given, inputs.names, off, yields, settings)
    say("asking the densities", 0.0)
    kept_out = _kept_out(off, settings)
    targets = _true_shares(pool, off) if settings.taught else None
    inside = _Side.of(off, given, inputs.names, kept_out, False, maps, yields, targets)
    aside = _Side.of(off, given, inputs.names, kept_out, True, maps, yields, targets)
    with torch_with(settings.seed):
        course = _Course(pool, tuple(nuisances), inputs, settings)
        checks = [course.moved(aside, course.point(-1 - i)) for i in range(_CHECKS)]
        net = course.train(inside, aside, checks, progress)
    layers = layers_of(net)
    # The scale that responses were learned at goes into the last layer.
    last, k = layers[-1], len(yields)
    scale = np.concatenate([np.ones(k), np.tile(course.scale.numpy(), k)]).astype(np.float32)
    layers = (*layers[:-1], type(last)(last.weights * scale[:, None], last.bias * scale))
    network = Network(inputs.names, maps, layers, settings.threads)
    return RatioNetwork(network, polynomials, yields)


@dataclass(frozen=True)
class _Side:
    """Events off, of which moved ones are the copies: those to learn from, or to stop by.

    `rows` (n,) ascending are their numbers in the pool; `weights` sum to n over all processes that
    weigh the same; `targets` (n, K) the true shares for equal amounts of all, or None.
    """

    inputs: Tensor
    process: Tensor
    weights: Tensor
    targets: Tensor | None
    rows: npt.NDArray[np.int64]
    aside: bool
    maps: InputMaps
    per_weight: npt.NDArray[np.float64]

    @classmethod
    def of(
        cls,
        events: Labelled,
        given: npt.NDArray[np.float32],
        names: tuple[str, ...],
        kept_out: npt.NDArray[np.bool_],
        aside: bool,
        maps: InputMaps,
        yields: npt.NDArray[np.float64],
        targets: npt.NDArray[np.float32] | None,
    ) -> _Side:
        chosen = kept_out == aside
        k = len(yields)
        sums = np.bincount(events.process[chosen], events.weights[chosen], minlength=k)
        if not (sums > 0).all():
            lacking = events.process_names[int(np.argmin(sums))]
            raise DataError(
                f"too few {lacking} events to learn its density ratios from: give a larger pool"
            )
        per_weight = chosen.sum() / k / sums
        weights = events.weights[chosen] * per_weight[events.process[chosen]]
        return cls(
            torch.from_numpy(maps.apply(given[:, chosen], names)),
            torch.from_numpy(events.process[chosen].astype(np.int64)),
            torch.from_numpy(weights.astype(np.float32)),
            None if targets is None else torch.from_numpy(targets[chosen]),
            _numbers(events)[chosen],
            aside,
            maps,
            per_weight,
        )

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class _Moved:
    """A side's events at a point of the nuisances.

    `mate` (n,) is the place here of each of the side's events, -1 where it is lost; `gained` are
    the places of events that the side does not have.
    """

    monomials: Tensor
    inputs: Tensor
    process: Tensor
    weights: Tensor
    mate: npt.NDArray[np.int64]
    gained: npt.NDArray[np.int64]


class _Course:
    """What a training does from pass to pass."""

    def __init__(
        self,
        pool: Pool,
        nuisances: tuple[Nuisance, ...],
        inputs: Inputs,
        settings: RatioSettings,
    ) -> None:
        self.pool, self.nuisances, self.inputs = pool, nuisances, inputs
        self.settings = settings
        self.polynomials = ratio_polynomials(nuisances)
        self.exponents = exponents = self.polynomials.exponents
        # Monomials are of very different size: each at its largest is one.
        largest = np.ones(len(exponents))
        for s, nuisance in enumerate(nuisances):
            reach = settings.reach if nuisance.prior == "normal" else 2.0
            largest *= reach ** exponents[:, s].astype(float)
        self.scale = torch.from_numpy((1 / largest).astype(np.float32))

    def point(self, number: int) -> dict[str, float]:
        """Values of the nuisances of a pass; of a check where the number is negative."""
        if not self.nuisances:
            return {}
        draw = stream("learning", "ratios", self.settings.seed, abs(number), int(number < 0))
        rng = draw.generator()
        values = {}
        alone = int(rng.integers(len(self.nuisances))) if rng.uniform() < _ALONE else None
        for s, nuisance in enumerate(self.nuisances):
            if nuisance.prior == "lognormal":
                size = nuisance.off + (nuisance.high - nuisance.off) * np.sqrt(rng.uniform())
                value = nuisance.off if rng.uniform() < _OFF else float(size)
            else:
                z = self.settings.reach * rng.uniform(-1.0, 1.0)
                value = float(np.clip(nuisance.location + nuisance.width * z, nuisance.low, nuisance.high))  # fmt: skip
            values[nuisance.name] = nuisance.off if alone not in (None, s) else value
        return values

    def moved(self, side: _Side, values: dict[str, float]) -> _Moved:
        """A side's events where the nuisances have these values."""
        events = self.pool.labelled(values)
        at = np.flatnonzero(_kept_out(events, self.settings) == side.aside)
        numbers = _numbers(events)[at]
        place = np.minimum(np.searchsorted(side.rows, numbers), len(side) - 1)
        known = side.rows[place] == numbers
        mate = np.full(len(side), -1, np.int64)
        mate[place[known]] = np.flatnonzero(known)
        process = events.process[at].astype(np.int64)
        x = self.polynomials.coordinates(values)
        return _Moved(
            torch.from_numpy(self.polynomials.monomials(x).astype(np.float32)) * self.scale,
            torch.from_numpy(side.maps.apply(self.inputs(events.values[:, at]), self.inputs.names)),
            torch.from_numpy(process),
            torch.from_numpy((events.weights[at] * side.per_weight[process]).astype(np.float32)),
            mate,
            np.flatnonzero(~known),
        )

    def train(
        self,
        inside: _Side,
        aside: _Side,
        checks: Sequence[_Moved],
        progress: Progress | None,
    ) -> nn.Sequential:
        """The running mean of the network's weights at the pass that did best on `aside`."""
        settings = self.settings
        net = self._network(inside)
        mean = copy.deepcopy(net)
        best, best_loss, since, taken = copy.deepcopy(mean), np.inf, 0, 0
        batch = min(settings.batch, len(inside))
        per_pass = len(inside) // batch
        total = settings.passes * per_pass
        optimiser = torch.optim.AdamW(
            net.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, settings.learning_rate, total_steps=total, pct_start=0.1
        )
        for number in range(settings.passes):
            moved = self.moved(inside, self.point(number))
            for rows, copies in self._batches(inside, moved, number, batch):
                loss = self._loss(net, inside, moved, rows, copies) / batch
                optimiser.zero_grad()
                torch.autograd.backward(loss)
                nn.utils.clip_grad_norm_(net.parameters(), 1.0)
                optimiser.step()
                schedule.step()
                taken += 1
                follow(mean, net, min(settings.averaging, (1 + taken) / (10 + taken)))
                if progress is not None:
                    progress("training the network of ratios", taken / total)
            now = self._checked(mean, aside, checks)
            if now < best_loss:
                best, best_loss, since = copy.deepcopy(mean), now, 0
            else:
                since += 1
                if since > settings.patience:
                    break
        if progress is not None:
            progress("training the network of ratios", 1.0)
        return best

    def _network(self, side: _Side) -> nn.Sequential:
        """ReLU layers, and outputs that begin near 0."""
        n_in, parts = side.inputs.shape[1], []
        for _ in range(self.settings.hidden_layers):
            parts += [nn.Linear(n_in, self.settings.units), nn.ReLU()]
            n_in = self.settings.units
        last = nn.Linear(n_in, len(side.per_weight) * (1 + len(self.exponents)))
        nn.init.zeros_(last.bias)
        with torch.no_grad():
            last.weight.mul_(_FIRST)
        return nn.Sequential(*parts, last)

    def _batches(
        self, side: _Side, moved: _Moved, number: int, batch: int
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Places of a batch's events, and of their moved copies with a share of what was gained."""
        rng = stream("learning", "ratios order", self.settings.seed, number).generator()
        order = rng.permutation(len(side))
        gained = rng.permutation(moved.gained)
        n = len(side) // batch
        ends = np.linspace(0, len(gained), n + 1).astype(np.int64)
        for i in range(n):
            rows = order[i * batch : (i + 1) * batch]
            copies = moved.mate[rows]
            own = np.concatenate([copies[copies >= 0], gained[ends[i] : ends[i + 1]]])
            yield torch.from_numpy(rows), torch.from_numpy(own)

    def _loss(
        self, net: nn.Module, side: _Side, moved: _Moved, rows: Tensor, copies: Tensor
    ) -> Tensor:
        """The summed loss of events `rows` and of moved ones `copies`."""
        k, n = len(side.per_weight), len(rows)
        out = net(torch.cat([side.inputs[rows], moved.inputs[copies]]))
        if side.targets is None:
            shares = nn.functional.cross_entropy(out[:n, :k], side.process[rows], reduction="none")
            shares = (shares * side.weights[rows]).sum()
        else:
            shares = nn.functional.cross_entropy(out[:n, :k], side.targets[rows], reduction="sum")
        process = torch.cat([side.process[rows], moved.process[copies]])
        log_ratio = (out[:, k:].reshape(len(out), k, len(self.exponents)) @ moved.monomials).gather(
            1, process[:, None]
        )[:, 0]
        soft = nn.functional.softplus
        responses = (soft(log_ratio[:n]) * side.weights[rows]).sum() + (
            soft(-log_ratio[n:]) * moved.weights[copies]
        ).sum()
        return shares + self.settings.emphasis * responses

    @torch.no_grad()
    def _checked(self, net: nn.Module, side: _Side, checks: Sequence[_Moved]) -> float:
        """The loss of the events kept out, summed over points of the nuisances."""
        total = 0.0
        for moved in checks:
            rows = torch.arange(len(side))
            own = np.concatenate([moved.mate[moved.mate >= 0], moved.gained])
            pieces = -(-len(side) // _AT_ONCE)
            copies = torch.from_numpy(own).tensor_split(pieces)
            for part, copied in zip(rows.tensor_split(pieces), copies, strict=True):
                total += float(self._loss(net, side, moved, part, copied))
        return total


def _numbers(events: Labelled) -> npt.NDArray[np.int64]:
    """Numbers by which an event is known whatever the nuisances, (n,) ascending."""
    return np.arange(events.n_events, dtype=np.int64) if events.row is None else events.row


def _kept_out(events: Labelled, settings: RatioSettings) -> npt.NDArray[np.bool_]:
    """Which events, (n,), are not learned from: whole hard collisions, whatever the nuisances."""
    ids = events.hard_event if events.hard_event is not None else _numbers(events)
    return held_out(events.n_events, ids, settings.validation_share)


def _yields(off: Labelled) -> npt.NDArray[np.float64]:
    return np.bincount(off.process, off.weights, minlength=len(off.process_names)).astype(float)


def _maps(
    given: npt.NDArray[np.float32],
    names: tuple[str, ...],
    off: Labelled,
    yields: npt.NDArray[np.float64],
    settings: RatioSettings,
) -> InputMaps:
    """Maps of the inputs, learned with all processes weighing the same."""
    weights = off.weights / np.where(yields > 0, yields, 1.0)[off.process]
    inside = ~_kept_out(off, settings)
    return learn_maps(seen_by_kernels(given), (weights * inside).astype(np.float32), names)


def _true_shares(pool: Pool, off: Labelled) -> npt.NDArray[np.float32] | None:
    """Probabilities of the processes at each event for equal amounts of all, (n, K).

    None where the pool does not know the densities of its events, or of other processes.
    """
    if not isinstance(pool, ComponentSource):
        return None
    components = pool.components()
    if components.component_names != off.process_names:
        return None
    log_density = components.log_densities(off.observation())
    log_density -= log_density.max(axis=0)
    shares = np.exp(log_density)
    shares /= shares.sum(axis=0)
    if not np.isfinite(shares).all():
        raise DataError("the densities of some events of the pool are not known: they are NaN")
    return np.ascontiguousarray(shares.T, np.float32)
