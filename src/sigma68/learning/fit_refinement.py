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
from sigma68.learning.bfloat16 import outputs
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

_AT_ONCE = 1 << 17  # events, where nothing is learned from them
_ENOUGH = 500, 50  # events to learn from, and to stop by
_STEPS = 100  # in a pass at least, where events are few, as long as batches are not tiny
_TINY = 256


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
    score = _Scorer(inputs, first, tuple(signals))
    inside, aside, maps, threshold = _events(pool, nuisances, score, settings, progress)
    digest = hashlib.blake2b(first.network.to_bytes(), digest_size=16).hexdigest()
    about = [pool.fingerprint, digest, list(signals), [n.name for n in nuisances], asdict(settings)]
    key = hashlib.blake2b(json.dumps(about).encode(), digest_size=16).hexdigest()
    with torch_with(settings.seed):
        net = _train(inside, aside, settings, progress, checkpoint, key)
    network = Network(inputs.names, maps, layers_of(net.cpu()), settings.threads, settings.rounded)
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

    inputs: Inputs
    first: RatioNetwork
    signals: tuple[int, ...]

    def __call__(self, values: Float32) -> Float32:
        """Of features (n_features, n): (n,)."""
        out = np.empty(values.shape[1], np.float32)
        for part in _blocks(len(out)):
            given = self.inputs(values[:, part])
            out[part] = of_signals(self.first.evaluate(given)[0], self.signals)
        return out


def _blocks(n: int) -> Iterator[slice]:
    """So many events at a time that what is computed of them fits into memory beside the pool."""
    return (slice(begin, begin + _AT_ONCE) for begin in range(0, max(n, 1), _AT_ONCE))


def _threshold(score: Float32, weights: npt.NDArray[np.floating[Any]], share: float) -> float:
    """The score that `share` of the expected events are above."""
    order = np.argsort(-score, kind="stable")
    above = np.cumsum(weights[order])
    place = int(np.searchsorted(above, share * above[-1]))
    return float(score[order[min(place, len(order) - 1)]])


def _events(
    pool: Pool,
    nuisances: Sequence[Nuisance],
    score: _Scorer,
    settings: RefinementSettings,
    progress: Progress | None,
) -> tuple[_Events, _Events, InputMaps, float]:
    """The chosen events, to learn from and to stop by, the maps of their inputs, the threshold."""
    about = RatioSettings(reach=settings.reach, seed=settings.seed)
    points = Points(pool, nuisances, score.inputs, about)
    parts: list[_Part] = []
    threshold, copies, left = 0.0, 1, settings.max_rows
    while len(parts) < copies and left > 0:
        number = len(parts)
        if progress is not None:
            progress("choosing the events that decide", 1 - left / settings.max_rows)
        events = pool.labelled(points.point(number) if number else None)
        scores = score(events.values)
        if number == 0:
            threshold = _threshold(scores, events.weights, settings.share)
        chosen = np.flatnonzero(scores > threshold)
        if len(chosen) > left:
            order = stream("learning", "refinement choice", settings.seed, number).generator()
            chosen = np.sort(order.choice(chosen, left, replace=False))
        part = _part(pool, events, chosen, score.inputs, settings)
        if number == 0 and part.taught and nuisances:
            copies = settings.copies
        parts.append(part)
        left -= len(chosen)
    if progress is not None:
        progress("choosing the events that decide", 1.0)
    return *_sides(parts, score.inputs.names), threshold


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
    inputs: Inputs,
    settings: RefinementSettings,
) -> _Part:
    ids = events.hard_event if events.hard_event is not None else lasting_ids(events)
    kept_out = held_out(events.n_events, ids, settings.validation_share)[chosen]
    values = np.ascontiguousarray(events.values[:, chosen])
    given = np.concatenate([inputs(values[:, part]) for part in _blocks(len(chosen))], axis=1)
    if settings.taught:
        known = [
            true_shares(pool, Observation(events.names, values[:, part]), events.process_names)
            for part in _blocks(len(chosen))
        ]
        targets = [shares for shares in known if shares is not None]
        if targets:
            ones = np.ones(len(chosen), np.float32)
            return _Part(given, np.concatenate(targets), ones, kept_out, True)
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
    batch = _batch(inside, settings)
    course = Course(
        "training the network for events that decide",
        len(inside) // batch,
        settings,
        lambda net, number: _losses(net, inside, settings, number),
        lambda net: _checked(net, aside, rounded=settings.rounded),
    )
    return course.train(_network(inside, settings).to(device_here()), progress, checkpoint, key)


def _batch(inside: _Events, settings: RefinementSettings) -> int:
    """Events of a step: fewer than asked for where a pass would have few steps."""
    return min(settings.batch, max(len(inside) // _STEPS, _TINY), len(inside))


def _losses(
    net: nn.Sequential, inside: _Events, settings: RefinementSettings, number: int
) -> Iterator[Tensor]:
    """The mean loss of each batch of a pass."""
    batch = _batch(inside, settings)
    rng = stream("learning", "refinement order", settings.seed, number).generator()
    order = torch.from_numpy(rng.permutation(len(inside)))
    for rows in torch.split(order[: len(inside) // batch * batch], batch):
        yield _loss(net, inside, rows, rounded=settings.rounded) / batch


def _loss(net: nn.Sequential, events: _Events, rows: Tensor, *, rounded: bool) -> Tensor:
    """The summed loss of events `rows`."""
    device = next(net.parameters()).device
    given = outputs(net, events.inputs[rows].to(device), rounded=rounded)
    each = nn.functional.cross_entropy(given, events.targets[rows].to(device), reduction="none")
    return (each * events.weights[rows].to(device)).sum()


@torch.no_grad()
def _checked(net: nn.Sequential, aside: _Events, *, rounded: bool) -> float:
    """The mean loss of the events kept out."""
    parts = torch.split(torch.arange(len(aside)), _AT_ONCE)
    return sum(float(_loss(net, aside, rows, rounded=rounded)) for rows in parts) / len(aside)


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
