"""Training of the second network of shares (extra `torch`); see `refinement` for what it is for.

The loss is the cross entropy of the process: against its true probabilities where the pool knows the
densities of its events, and against the process that an event happens to be of where not, every
process weighing the same over all events. Random numbers come from the number of the pass, so that
training goes on from a checkpoint as if it had never stopped.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from sigma68.errors import DataError
from sigma68.learning.balance import held_out
from sigma68.learning.fit_course import Course, device_here
from sigma68.learning.fit_network import layers_of, torch_with
from sigma68.learning.input_maps import InputMaps, learn_maps, seen_by_kernels
from sigma68.learning.inputs import Inputs
from sigma68.learning.network import Network
from sigma68.learning.ratio_events import Points, lasting_ids, true_shares
from sigma68.learning.ratios import RatioNetwork, RatioSettings
from sigma68.learning.refinement import Refinement, RefinementSettings, of_signals
from sigma68.protocols import Pool, Progress
from sigma68.seeds import stream
from sigma68.types import Labelled, Nuisance, Observation

__all__ = ["fit_refinement"]

Float32 = npt.NDArray[np.float32]

_AT_ONCE = 65536  # events, where nothing is learned from them
_ENOUGH = 500, 50  # events to learn from, and to stop by


def fit_refinement(
    pool: Pool,
    nuisances: Sequence[Nuisance],
    inputs: Inputs,
    first: RatioNetwork,
    signals: Sequence[int],
    settings: RefinementSettings,
    progress: Progress | None = None,
    checkpoint: Path | None = None,
) -> Refinement:
    """A network of the shares of processes in the events that are most like `signals` by `first`.

    With a `checkpoint`, a file, it goes on where a training of the same settings and pool was.

    Raises
    ------
    DataError
        If too few events are chosen, or the checkpoint is damaged.
    FitError
        If a feature is NaN or infinite.
    OutputError
        If the checkpoint cannot be written.
    """
    inside, aside, maps, threshold = _events(
        pool, nuisances, inputs, _Scorer(first, tuple(signals)), settings, progress
    )
    digest = hashlib.blake2b(first.network.to_bytes(), digest_size=16).hexdigest()
    about = [pool.fingerprint, digest, list(signals), [n.name for n in nuisances], asdict(settings)]
    key = hashlib.blake2b(json.dumps(about).encode(), digest_size=16).hexdigest()
    with torch_with(settings.seed):
        net = _train(inside, aside, settings, progress, checkpoint, key)
    network = Network(inputs.names, maps, layers_of(net.cpu()), settings.threads)
    return Refinement(network, tuple(signals), threshold)


@dataclass(frozen=True)
class _Events:
    """Events to learn from, or to stop by: inputs (n, n_in), targets (n, K), weights (n,)."""

    inputs: Tensor
    targets: Tensor
    weights: Tensor

    def __len__(self) -> int:
        return len(self.inputs)


@dataclass(frozen=True)
class _Scorer:
    """The first network's share of the signals."""

    first: RatioNetwork
    signals: tuple[int, ...]

    def __call__(self, given: Float32) -> Float32:
        """Of inputs (n_in, n): (n,)."""
        out = np.empty(given.shape[1], np.float32)
        for begin in range(0, len(out), _AT_ONCE):
            part = slice(begin, begin + _AT_ONCE)
            out[part] = of_signals(self.first.evaluate(given[:, part])[0], self.signals)
        return out


def _threshold(score: Float32, weights: npt.NDArray[np.floating[Any]], share: float) -> float:
    """The score that `share` of the expected events are above."""
    order = np.argsort(-score, kind="stable")
    above = np.cumsum(weights[order])
    place = int(np.searchsorted(above, share * above[-1]))
    return float(score[order[min(place, len(order) - 1)]])


def _events(
    pool: Pool,
    nuisances: Sequence[Nuisance],
    inputs: Inputs,
    score: _Scorer,
    settings: RefinementSettings,
    progress: Progress | None,
) -> tuple[_Events, _Events, InputMaps, float]:
    """The chosen events, to learn from and to stop by, the maps of their inputs, the threshold."""
    about = RatioSettings(reach=settings.reach, seed=settings.seed)
    points = Points(pool, nuisances, inputs, about)
    parts: list[_Part] = []
    threshold, copies, number = 0.0, 1, 0
    while number < copies:
        if progress is not None:
            progress("choosing the events that decide", number / copies)
        events = pool.labelled(points.point(number) if number else None)
        given = inputs(events.values)
        scores = score(given)
        if number == 0:
            threshold = _threshold(scores, events.weights, settings.share)
        chosen = np.flatnonzero(scores > threshold)
        part = _part(pool, events, chosen, given[:, chosen], settings)
        if number == 0 and part.taught and nuisances:
            copies = settings.copies
        parts.append(part)
        number += 1
    if progress is not None:
        progress("choosing the events that decide", 1.0)
    return *_sides(parts, inputs.names), threshold


@dataclass(frozen=True)
class _Part:
    """Chosen events of one copy of the pool: columns of inputs, and a row of the rest for each."""

    given: Float32
    targets: Float32
    weights: Float32
    kept_out: npt.NDArray[np.bool_]
    taught: bool


def _part(
    pool: Pool,
    events: Labelled,
    chosen: npt.NDArray[np.int64],
    given: Float32,
    settings: RefinementSettings,
) -> _Part:
    ids = events.hard_event if events.hard_event is not None else lasting_ids(events)
    kept_out = held_out(events.n_events, ids, settings.validation_share)[chosen]
    if settings.taught:
        values = np.ascontiguousarray(events.values[:, chosen])
        targets = true_shares(pool, Observation(events.names, values), events.process_names)
        if targets is not None:
            return _Part(given, targets, np.ones(len(chosen), np.float32), kept_out, True)
    k = len(events.process_names)
    process, yields = events.process[chosen], np.bincount(events.process, events.weights, k)
    weights = (events.weights[chosen] / yields[process]).astype(np.float32)
    return _Part(given, np.eye(k, dtype=np.float32)[process], weights, kept_out, False)


def _sides(parts: Sequence[_Part], names: tuple[str, ...]) -> tuple[_Events, _Events, InputMaps]:
    given = np.concatenate([part.given for part in parts], axis=1)
    targets = np.concatenate([part.targets for part in parts])
    weights = np.concatenate([part.weights for part in parts])
    kept_out = np.concatenate([part.kept_out for part in parts])
    numbers = int((~kept_out).sum()), int(kept_out.sum())
    if numbers[0] < _ENOUGH[0] or numbers[1] < _ENOUGH[1]:
        raise DataError(
            f"{sum(numbers):,} events decide, too few to learn from: give a larger pool, or refine "
            "a larger share of the events, or none"
        )
    weights = weights / weights[~kept_out].mean()
    maps = learn_maps(seen_by_kernels(given), (weights * ~kept_out).astype(np.float32), names)
    mapped = maps.apply(given, names)
    inside, aside = (
        _Events(*(torch.from_numpy(a[own]) for a in (mapped, targets, weights.astype(np.float32))))
        for own in (~kept_out, kept_out)
    )
    return inside, aside, maps


def _train(
    inside: _Events,
    aside: _Events,
    settings: RefinementSettings,
    progress: Progress | None,
    checkpoint: Path | None,
    key: str,
) -> nn.Sequential:
    """The running mean of the network's weights at the pass that did best on `aside`."""
    batch = min(settings.batch, len(inside))
    course = Course(
        "training the network for events that decide",
        len(inside) // batch,
        settings,
        lambda net, number: _losses(net, inside, settings, number),
        lambda net: _checked(net, aside),
    )
    return course.train(_network(inside, settings).to(device_here()), progress, checkpoint, key)


def _losses(
    net: nn.Module, inside: _Events, settings: RefinementSettings, number: int
) -> Iterator[Tensor]:
    """The mean loss of each batch of a pass."""
    batch = min(settings.batch, len(inside))
    rng = stream("learning", "refinement order", settings.seed, number).generator()
    order = torch.from_numpy(rng.permutation(len(inside)))
    for rows in torch.split(order[: len(inside) // batch * batch], batch):
        yield _loss(net, inside, rows) / batch


def _loss(net: nn.Module, events: _Events, rows: Tensor) -> Tensor:
    """The summed loss of events `rows`."""
    device = next(net.parameters()).device
    each = nn.functional.cross_entropy(
        net(events.inputs[rows].to(device)), events.targets[rows].to(device), reduction="none"
    )
    return (each * events.weights[rows].to(device)).sum()


@torch.no_grad()
def _checked(net: nn.Module, aside: _Events) -> float:
    """The mean loss of the events kept out."""
    parts = torch.split(torch.arange(len(aside)), _AT_ONCE)
    return sum(float(_loss(net, aside, rows)) for rows in parts) / len(aside)


def _network(inside: _Events, settings: RefinementSettings) -> nn.Sequential:
    """ReLU layers, and logits that begin at 0."""
    n_in = inside.inputs.shape[1]
    parts: list[nn.Module] = []
    for _ in range(settings.hidden_layers):
        parts += [nn.Linear(n_in, settings.units), nn.ReLU()]
        n_in = settings.units
    last = nn.Linear(n_in, inside.targets.shape[1])
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(*parts, last)
