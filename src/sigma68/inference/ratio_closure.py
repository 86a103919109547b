"""Checks of learned density ratios against simulation that they were not learned from.

Shares: among events that are said to be of a process with a probability near p, that share ought to
be. Responses: nominal events weighted by what is learned of a nuisance parameter ought to be
distributed as events that the task itself has moved, process by process, variable by variable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sigma68.inference.ratio_model import Polynomials
from sigma68.learning.inputs import Inputs
from sigma68.learning.ratios import RatioNetwork
from sigma68.learning.region_model import RegionModel
from sigma68.protocols import Pool
from sigma68.types import Labelled

__all__ = [
    "LearnedRatios",
    "ResponseClosure",
    "ShareClosure",
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
    nominal = _here(ratios, pool.labelled(max_rows=max_rows))
    moved = _here(ratios, pool.labelled({nuisance: value}, max_rows=max_rows))
    p = ratios.polynomials
    m = p.monomials(p.coordinates({**off, nuisance: value})).astype(np.float32)
    response = np.concatenate(
        [
            np.exp(np.einsum("t,ktn->kn", m, ratios.evaluate(nominal.values[:, part])[1]))
            for part in np.array_split(
                np.arange(nominal.n_events), max(1, nominal.n_events // _AT_ONCE)
            )
        ],
        axis=1,
    )
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
            about = (ratios.name, process, nuisance, value, variable)
            found.append(
                ResponseClosure(
                    *about, *_in_bins(nominal, moved, k, row, edges.astype(float), response[k])
                )
            )
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
