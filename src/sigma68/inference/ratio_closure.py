"""Checks of learned density ratios against simulation that they were not learned from.

Shares: among events that are said to be of a process with a probability near p, that share ought to
be. Responses: nominal events weighted by what is learned of a nuisance parameter ought to be
distributed as events that the task itself has moved, process by process, variable by variable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from sigma68.inference.ratio_model import Polynomials
from sigma68.learning.inputs import Inputs
from sigma68.learning.ratios import RatioNetwork
from sigma68.learning.region_model import RegionModel
from sigma68.protocols import Pool, Progress
from sigma68.types import Labelled, Nuisance

__all__ = [
    "Closure",
    "LearnedRatios",
    "LearnsRatios",
    "ResponseClosure",
    "ShareClosure",
    "closure",
    "of_model",
    "of_network",
    "response_closure",
    "share_calibration",
]

Floats = npt.NDArray[np.float64]
Float32 = npt.NDArray[np.float32]
Values = npt.NDArray[np.floating[Any]]

BINS = 10
_AT_ONCE = 1 << 17
_OUTER = 0.01
"""Of the events beyond the outermost edges on either side; they belong to the outer bins."""
_FEWEST = 10
"""Events off, or moved, that a bin holds at least to be drawn."""


@dataclass(frozen=True)
class LearnedRatios:
    """Density ratios that were learned of the events of one region.

    Attributes
    ----------
    name
        The region's.
    inside
        Which events fall into it, (n_features, n) to (n,).
    evaluate
        Shares (K, n) and responses (K, T, n) of its events.
    polynomials
        What responses are coefficients of.
    """

    name: str
    inside: Callable[[Values], npt.NDArray[np.bool_]]
    evaluate: Callable[[Values], tuple[Float32, Float32]]
    polynomials: Polynomials


@runtime_checkable
class LearnsRatios(Protocol):
    """A trained method that answers with density ratios it has learned."""

    def learned_ratios(self) -> list[LearnedRatios]:
        """What was learned: one for each part of the events that has networks of its own."""
        ...


@dataclass(frozen=True)
class ShareClosure:
    """Probabilities that were said and shares that were found, (K, B).

    `error` is of those found; NaN where a bin of probabilities is empty.
    """

    region: str
    processes: tuple[str, ...]
    said: Floats
    found: Floats
    error: Floats


@dataclass(frozen=True)
class ResponseClosure:
    """Events of a process in bins of a variable, over those where all nuisances are off, (B,).

    `counted` are moved, with an `error` that knows which events are the same ones; `learned` are
    nominal ones weighted with the response. NaN in bins of hardly any events.
    """

    region: str
    process: str
    nuisance: str
    value: float
    variable: str
    edges: Floats
    counted: Floats
    learned: Floats
    error: Floats

    @property
    def pulls(self) -> Floats:
        """Learned less counted in standard errors of the simulation, (B,)."""
        apart: Floats = (self.learned - self.counted) / self.error
        return apart


@dataclass(frozen=True)
class Closure:
    """All checks of what a method has learned, against `n_events` of the simulation."""

    n_events: int
    shares: tuple[ShareClosure, ...]
    responses: tuple[ResponseClosure, ...]


def closure(
    ratios: Sequence[LearnedRatios],
    pool: Pool,
    nuisances: Sequence[Nuisance],
    variables: Sequence[str],
    *,
    max_rows: int | None = None,
    progress: Progress | None = None,
) -> Closure:
    """Shares, and responses one standard deviation either way, of each process and variable.

    Parameters
    ----------
    pool
        One that the ratios were not learned from.
    nuisances
        All of the task's; those are moved that responses were learned of. A lognormal one is set to
        its median and to e times that.
    variables
        Names of features.
    """
    events = pool.labelled(max_rows=max_rows)
    shares = tuple(share_calibration(one, events) for one in ratios)
    off = {n.name: n.off for n in nuisances}
    learned = [n for n in nuisances if any(n.name in r.polynomials.shapes for r in ratios)]
    points = [(n.name, n.from_z(z)) for n in learned for z in _moves(n)]
    responses: list[ResponseClosure] = []
    for i, (name, value) in enumerate(points):
        if progress is not None:
            progress("moving events", i / len(points))
        for one in ratios:
            responses += response_closure(one, pool, name, value, off, variables, max_rows=max_rows)
    return Closure(events.n_events, shares, tuple(responses))


def _moves(nuisance: Nuisance) -> tuple[float, float]:
    return (0.0, 1.0) if nuisance.prior == "lognormal" else (-1.0, 1.0)


def of_model(model: RegionModel) -> list[LearnedRatios]:
    """The ratios of each unbinned region of a model."""
    found = []
    for bin_, region in enumerate(model.regions.unbinned):
        ratios = model.ratios[region]

        def inside(values: Values, wanted: int = bin_) -> npt.NDArray[np.bool_]:
            chosen: npt.NDArray[np.bool_] = model.bins(values) == wanted
            return chosen

        def evaluate(values: Values, region: int = region) -> tuple[Float32, Float32]:
            return model.ratios[region].evaluate(model.inputs(values))

        name = model.regions.all[region].name
        found.append(LearnedRatios(name, inside, evaluate, ratios.polynomials))
    return found


def of_network(network: RatioNetwork, inputs: Inputs) -> LearnedRatios:
    """The ratios of one network of all events."""
    return LearnedRatios(
        "all events",
        lambda values: np.ones(values.shape[1], bool),
        lambda values: network.evaluate(inputs(values)),
        network.polynomials,
    )


def share_calibration(ratios: LearnedRatios, events: Labelled, bins: int = BINS) -> ShareClosure:
    """Probabilities against what processes events are of, in bins of as many events of each.

    `events` are those of a pool with every nuisance off that the ratios were not learned from.
    """
    at = np.flatnonzero(ratios.inside(events.values))
    w, process = events.weights[at], events.process[at]
    shares = np.concatenate(
        [
            ratios.evaluate(events.values[:, part])[0]
            for part in np.array_split(at, max(1, len(at) // _AT_ONCE))
        ],
        axis=1,
    )
    k = len(shares)
    said, found, error = (np.full((k, bins), np.nan) for _ in range(3))
    for p, g in enumerate(shares):
        own = process == p
        if not own.any():
            continue
        cuts = np.quantile(g[own], np.linspace(0, 1, bins + 1)[1:-1])
        place = np.searchsorted(cuts, g, side="right")
        total, hits = (np.bincount(place, x, minlength=bins) for x in (w, w * own))
        own2, other2 = (np.bincount(place, w * w * x, minlength=bins) for x in (own, ~own))
        mean = np.bincount(place, w * g, minlength=bins)
        full = total > 0
        f = hits[full] / total[full]
        said[p, full], found[p, full] = mean[full] / total[full], f
        variance = (1 - f) ** 2 * own2[full] + f**2 * other2[full]
        error[p, full] = np.sqrt(variance) / total[full]
    return ShareClosure(ratios.name, events.process_names, said, found, error)


def response_closure(
    ratios: LearnedRatios,
    pool: Pool,
    nuisance: str,
    value: float,
    off: Mapping[str, float],
    variables: Sequence[str],
    *,
    max_rows: int | None = None,
    bins: int = BINS,
) -> list[ResponseClosure]:
    """What is learned of one nuisance, against moved events, for each process and variable.

    Parameters
    ----------
    pool
        One that the ratios were not learned from.
    nuisance, value
        A nuisance that moves events, and what it is set to.
    off
        Of every nuisance that the ratios know, the value that is "off".
    variables
        Names of features.
    """
    nominal = _Nominal.of(ratios, pool.labelled(max_rows=max_rows), off)
    moved = pool.labelled({nuisance: value}, max_rows=max_rows)
    return nominal.against(moved, nuisance, value, variables, bins)


@dataclass(frozen=True)
class _Nominal:
    """Events of a region where all nuisances are off, and their learned responses (K, T, n)."""

    ratios: LearnedRatios
    events: Labelled
    responses: Float32
    off: Mapping[str, float]

    @classmethod
    def of(cls, ratios: LearnedRatios, events: Labelled, off: Mapping[str, float]) -> _Nominal:
        here = _here(ratios, events)
        pieces = np.array_split(np.arange(here.n_events), max(1, here.n_events // _AT_ONCE))
        responses = [ratios.evaluate(here.values[:, part])[1] for part in pieces]
        return cls(ratios, here, np.concatenate(responses, axis=2), off)

    def against(
        self,
        moved: Labelled,
        nuisance: str,
        value: float,
        variables: Sequence[str],
        bins: int = BINS,
    ) -> list[ResponseClosure]:
        """What is learned of a nuisance at a value, against events of the pool moved there."""
        nominal, there = self.events, _here(self.ratios, moved)
        p = self.ratios.polynomials
        m = p.monomials(p.coordinates({**self.off, nuisance: value})).astype(np.float32)
        response = np.exp(np.einsum("t,ktn->kn", m, self.responses))
        found = []
        for k, process in enumerate(nominal.process_names):
            own = nominal.process == k
            if own.sum() < bins * _FEWEST:
                continue
            for variable in variables:
                row = nominal.names.index(variable)
                levels = np.linspace(0, 1, bins + 1)
                levels[0], levels[-1] = _OUTER, 1 - _OUTER
                edges = np.unique(np.quantile(nominal.values[row, own], levels))
                if len(edges) < 2:
                    continue
                about = (self.ratios.name, process, nuisance, value, variable)
                parts = _in_bins(nominal, there, k, row, edges.astype(float), response[k])
                found.append(ResponseClosure(*about, *parts))
        return found


def _here(ratios: LearnedRatios, events: Labelled) -> Labelled:
    inside = ratios.inside(events.values)
    row = np.arange(events.n_events) if events.row is None else events.row
    return replace(
        events,
        values=np.ascontiguousarray(events.values[:, inside]),
        weights=events.weights[inside],
        labels=events.labels[inside],
        process=events.process[inside],
        hard_event=None,
        row=row[inside],
    )


def _in_bins(
    nominal: Labelled, moved: Labelled, k: int, row: int, edges: Floats, response: Float32
) -> tuple[Floats, Floats, Floats, Floats]:
    """Edges, then counted, learned and error over nominal, (B,)."""
    n = len(edges) - 1
    sides = []
    for events in (nominal, moved):
        own = np.flatnonzero(events.process == k)
        place = np.searchsorted(edges[1:-1], events.values[row, own], side="right")
        if events.row is None:
            raise ValueError("events of a region are known by their rows")
        sides.append((own, place, events.weights[own], events.row[own] * n + place))
    (own, place, w, key), (_, place_moved, w_moved, key_moved) = sides
    off, counted = (np.bincount(p, x, minlength=n) for p, x in ((place, w), (place_moved, w_moved)))
    learned = np.bincount(place, w * response[own], minlength=n)
    # What stays in its bin scatters in both alike; what comes and goes does not.
    gone = ~np.isin(key, key_moved)
    come = ~np.isin(key_moved, key)
    variance = np.bincount(place[gone], w[gone] ** 2, minlength=n) + np.bincount(
        place_moved[come], w_moved[come] ** 2, minlength=n
    )
    few = np.bincount(place, minlength=n) < _FEWEST
    few |= np.bincount(place_moved, minlength=n) < _FEWEST
    off = np.where(few, np.nan, off)
    return edges, counted / off, learned / off, np.sqrt(np.maximum(variance, w.max() ** 2)) / off
