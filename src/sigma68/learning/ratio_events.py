"""What a network of ratios learns from: events where nuisances are off, and their moved copies.

Events are kept out of the training by their hard collision, whatever the nuisances. An event and
its copy are known by the number of their row, so that both can stand in one batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sigma68.errors import DataError
from sigma68.learning.balance import held_out
from sigma68.learning.input_maps import InputMaps, learn_maps, seen_by_kernels
from sigma68.learning.inputs import Inputs
from sigma68.learning.ratios import RatioSettings, ratio_polynomials
from sigma68.protocols import ComponentSource, Pool
from sigma68.seeds import stream
from sigma68.types import Labelled, Nuisance, Observation

__all__ = ["Moved", "Points", "Side", "lasting_ids", "sides", "true_shares"]

_ALONE = 0.25  # of the passes move events by one nuisance only
_OFF = 0.2  # of the passes leave a lognormal nuisance off


def sides(
    pool: Pool, inputs: Inputs, settings: RatioSettings
) -> tuple[Side, Side, npt.NDArray[np.float64]]:
    """Events to learn from, events to stop by, and the expected events of each process (K,).

    Raises
    ------
    DataError
        If a process has no events on a side.
    FitError
        If a feature is NaN or infinite.
    """
    off = pool.labelled(max_rows=settings.max_rows)
    yields = np.bincount(off.process, off.weights, minlength=len(off.process_names)).astype(float)
    given = inputs(off.values)
    maps = _maps(given, inputs.names, off, yields, settings)
    kept_out = _kept_out(off, settings)
    targets = true_shares(pool, off.observation(), off.process_names) if settings.taught else None
    inside, aside = (
        Side.of(off, given, inputs.names, kept_out, which, maps, yields, targets)
        for which in (False, True)
    )
    return inside, aside, yields


@dataclass(frozen=True)
class Side:
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
    ) -> Side:
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
            lasting_ids(events)[chosen],
            aside,
            maps,
            per_weight,
        )

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class Moved:
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


class Points:
    """Points of the nuisances that events of a pool are moved to, pass by pass."""

    def __init__(
        self,
        pool: Pool,
        nuisances: Sequence[Nuisance],
        inputs: Inputs,
        settings: RatioSettings,
    ) -> None:
        self.pool, self.nuisances, self.inputs = pool, tuple(nuisances), inputs
        self.settings = settings
        self.polynomials = ratio_polynomials(nuisances)
        # Monomials are of very different size: each at its largest is one.
        largest = np.ones(len(self.polynomials.exponents))
        for s, nuisance in enumerate(nuisances):
            reach = settings.reach if nuisance.prior == "normal" else 2.0
            largest *= reach ** self.polynomials.exponents[:, s].astype(float)
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

    def moved(self, side: Side, values: dict[str, float]) -> Moved:
        """A side's events where the nuisances have these values."""
        events = self.pool.labelled(values, max_rows=self.settings.max_rows)
        at = np.flatnonzero(_kept_out(events, self.settings) == side.aside)
        numbers = lasting_ids(events)[at]
        place = np.minimum(np.searchsorted(side.rows, numbers), len(side) - 1)
        known = side.rows[place] == numbers
        mate = np.full(len(side), -1, np.int64)
        mate[place[known]] = np.flatnonzero(known)
        process = events.process[at].astype(np.int64)
        x = self.polynomials.coordinates(values)
        return Moved(
            torch.from_numpy(self.polynomials.monomials(x).astype(np.float32)) * self.scale,
            torch.from_numpy(side.maps.apply(self.inputs(events.values[:, at]), self.inputs.names)),
            torch.from_numpy(process),
            torch.from_numpy((events.weights[at] * side.per_weight[process]).astype(np.float32)),
            mate,
            np.flatnonzero(~known),
        )


def lasting_ids(events: Labelled) -> npt.NDArray[np.int64]:
    """Numbers by which an event is known whatever the nuisances, (n,) ascending."""
    return np.arange(events.n_events, dtype=np.int64) if events.row is None else events.row


def _kept_out(events: Labelled, settings: RatioSettings) -> npt.NDArray[np.bool_]:
    """Which events, (n,), are not learned from: whole hard collisions, whatever the nuisances."""
    ids = events.hard_event if events.hard_event is not None else lasting_ids(events)
    return held_out(events.n_events, ids, settings.validation_share)


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


def true_shares(
    pool: Pool, events: Observation, process_names: tuple[str, ...]
) -> npt.NDArray[np.float32] | None:
    """Probabilities of the processes at each event for equal amounts of all, (n, K).

    None where the pool does not know the densities of its events, or of other processes.
    """
    if not isinstance(pool, ComponentSource):
        return None
    components = pool.components()
    if components.component_names != process_names:
        return None
    log_density = components.log_densities(events)
    log_density -= log_density.max(axis=0)
    shares = np.exp(log_density)
    shares /= shares.sum(axis=0)
    if not np.isfinite(shares).all():
        raise DataError("the densities of some events of the pool are not known: they are NaN")
    return np.ascontiguousarray(shares.T, np.float32)
