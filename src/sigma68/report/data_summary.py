"""What the figures of a data set are drawn from: histograms, correlations and yields.

Everything is added up chunk by chunk (`Labelled` events), so that memory does not grow with the
data; nothing here knows a task. Sums are weighted; errors come from the sums of squared weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError
from sigma68.types import Feature, Labelled

__all__ = [
    "Axis",
    "Correlations",
    "FeatureHistogram",
    "Histograms",
    "Regions",
    "Yields",
    "choose_axes",
]

Floats = npt.NDArray[np.float64]
_FEW_VALUES = 20
_TAIL = 0.002


@dataclass(frozen=True)
class Regions:
    """The names of the regions and the rule that puts each event in one, shape (n_events,)."""

    names: tuple[str, ...]
    of: Callable[[Labelled], npt.NDArray[np.integer[Any]]]


@dataclass(frozen=True)
class Axis:
    """Bin edges of one feature, shape (n_bins + 1,); outermost bins take what lies beyond."""

    edges: Floats
    log: bool = False
    discrete: bool = False

    @property
    def n_bins(self) -> int:
        return len(self.edges) - 1

    def index(self, values: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.intp]:
        """The bin of each value, (n,)."""
        low, high = self.edges[0], self.edges[-1]
        x = values.astype(np.float64)
        if self.log:
            low, high = math.log(low), math.log(high)
            x = np.log(np.maximum(x, self.edges[0]))
        position = np.floor((x - low) * (self.n_bins / (high - low)))
        index: npt.NDArray[np.intp] = np.clip(position, 0, self.n_bins - 1).astype(np.intp)
        return index


def choose_axes(
    sample: Labelled, features: Sequence[Feature], undefined: float | None = None
) -> tuple[Axis, ...]:
    """An axis for each feature, from the quantiles of a sample of the data.

    Few whole numbers become one bin each; positive values over two decades, with a tail
    beyond eight times the median, get equal steps in the logarithm; angles run from -pi to pi.
    """
    n_bins = 20 if sample.n_events < 20_000 else 40
    return tuple(
        _choose_axis(sample.values[i], sample.process, n_bins, undefined)
        for i in range(len(features))
    )


def _choose_axis(
    values: npt.NDArray[np.floating[Any]],
    process: npt.NDArray[np.int8],
    n_bins: int,
    undefined: float | None,
) -> Axis:
    defined = np.isfinite(values) & (values != undefined)
    x, process = values[defined].astype(np.float64), process[defined]
    if x.size == 0:
        return Axis(np.linspace(0.0, 1.0, n_bins + 1))
    whole = np.unique(x)
    if len(whole) <= _FEW_VALUES and bool(np.all(whole == np.round(whole))):
        return Axis(np.arange(whole[0] - 0.5, whole[-1] + 1.0), discrete=True)
    # Each process by itself: the rare ones must fit as well.
    parts = [np.quantile(x[process == p], (_TAIL, 0.5, 1 - _TAIL)) for p in np.unique(process)]
    low, body, high = min(q[0] for q in parts), min(q[1] for q in parts), max(q[2] for q in parts)
    if low < -3.0 and high > 3.0 and abs(x).max() < 3.15:
        return Axis(np.linspace(-math.pi, math.pi, n_bins + 1))
    if low > 0 and high > 8 * body and high > 100 * low:
        return Axis(
            np.geomspace(_round(low, math.floor), _round(high, math.ceil), n_bins + 1), True
        )
    if low < 0 < high and abs(low + high) < 0.15 * (high - low):
        high = max(-low, high)
        low = -high
    low = 0.0 if 0 <= low < 0.1 * high else _round(low, math.floor)
    high = _round(high, math.ceil)
    return Axis(np.linspace(low, high if high > low else low + 1.0, n_bins + 1))


def _round(x: float, rule: Callable[[float], int]) -> float:
    """`x` with two significant digits, rounded by `rule` (floor or ceil)."""
    if x == 0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(abs(x))) - 1)
    return rule(x / unit) * unit


@dataclass(frozen=True)
class FeatureHistogram:
    """One feature by process. Shapes: `sumw`, `sumw2` (n_processes, n_bins), `undefined` (n_processes,)."""

    feature: Feature
    axis: Axis
    sumw: Floats
    sumw2: Floats
    undefined: Floats


@dataclass
class Histograms:
    """Weighted histograms of every feature by process, added up chunk by chunk."""

    features: tuple[Feature, ...]
    processes: tuple[str, ...]
    axes: tuple[Axis, ...]
    undefined_value: float | None = None
    n_rows: int = 0
    _sumw: list[Floats] = field(init=False)
    _sumw2: list[Floats] = field(init=False)
    _undefined: Floats = field(init=False)

    def __post_init__(self) -> None:
        n = len(self.processes)
        self._sumw = [np.zeros((n, axis.n_bins)) for axis in self.axes]
        self._sumw2 = [np.zeros((n, axis.n_bins)) for axis in self.axes]
        self._undefined = np.zeros((len(self.features), n))

    def add(self, events: Labelled) -> None:
        """Count the events of one chunk."""
        n = len(self.processes)
        process = events.process.astype(np.intp)
        self.n_rows += events.n_events
        for i, axis in enumerate(self.axes):
            values, p, w = events.values[i], process, events.weights
            if self.undefined_value is not None:
                absent = values == self.undefined_value
                self._undefined[i] += np.bincount(p[absent], weights=w[absent], minlength=n)
                values, p, w = values[~absent], p[~absent], w[~absent]
            slot = p * axis.n_bins + axis.index(values)
            shape, size = (n, axis.n_bins), n * axis.n_bins
            self._sumw[i] += np.bincount(slot, weights=w, minlength=size).reshape(shape)
            self._sumw2[i] += np.bincount(slot, weights=w * w, minlength=size).reshape(shape)

    def __getitem__(self, feature: int) -> FeatureHistogram:
        return FeatureHistogram(
            self.features[feature],
            self.axes[feature],
            self._sumw[feature],
            self._sumw2[feature],
            self._undefined[feature],
        )


@dataclass
class Correlations:
    """Weighted linear correlation of every two features, per process.

    A pair counts the events in which both are defined.
    """

    features: tuple[Feature, ...]
    processes: tuple[str, ...]
    undefined_value: float | None = None
    _sums: Floats | None = None
    _centre: Floats | None = None

    def add(self, events: Labelled) -> None:
        """Count the events of one chunk."""
        n = len(self.features)
        x = events.values.astype(np.float64)
        mask = (
            np.ones_like(x)
            if self.undefined_value is None
            else (x != self.undefined_value).astype(np.float64)
        )
        if self._sums is None or self._centre is None:
            # Sums about a point near the mean keep the difference of squares exact enough.
            self._centre = (x * mask).sum(axis=1) / np.maximum(mask.sum(axis=1), 1)
            self._sums = np.zeros((len(self.processes), 4, n, n))
        x = (x - self._centre[:, None]) * mask
        for p in range(len(self.processes)):
            chosen = events.process == p
            xp, mp, w = x[:, chosen], mask[:, chosen], events.weights[chosen]
            self._sums[p, 0] += (mp * w) @ mp.T
            self._sums[p, 1] += (xp * w) @ mp.T
            self._sums[p, 2] += (xp * xp * w) @ mp.T
            self._sums[p, 3] += (xp * w) @ xp.T

    def matrix(self, process: int) -> Floats:
        """The correlation matrix, (n_features, n_features); NaN where it is not defined."""
        n = len(self.features)
        if self._sums is None:
            return np.full((n, n), np.nan)
        weight, first, second, product = self._sums[process]
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = first / weight
            variance = second / weight - mean**2
            covariance = product / weight - mean * mean.T
            # A variance that is only rounding error says that the feature is constant.
            constant = variance <= 1e-12 * (second / weight)
            matrix: Floats = covariance / np.sqrt(np.where(constant, np.nan, variance * variance.T))
        constant = constant | constant.T
        return np.clip(np.where(constant, np.nan, matrix), -1.0, 1.0)


@dataclass
class Yields:
    """Expected events per region and process, with the error of the finite simulation.

    `sumw`, `sumw2`, `rows` have shape (n_regions, n_processes).
    """

    regions: Regions
    processes: tuple[str, ...]
    sumw: Floats = field(init=False)
    sumw2: Floats = field(init=False)
    rows: npt.NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        shape = (len(self.regions.names), len(self.processes))
        self.sumw, self.sumw2 = np.zeros(shape), np.zeros(shape)
        self.rows = np.zeros(shape, dtype=np.int64)

    def add(self, events: Labelled) -> None:
        """Count the events of one chunk."""
        region = np.asarray(self.regions.of(events), dtype=np.intp)
        if region.size and (region.min() < 0 or region.max() >= len(self.regions.names)):
            raise DataError(f"an event lies in none of the {len(self.regions.names)} regions")
        slot = region * len(self.processes) + events.process
        shape, size = self.sumw.shape, self.sumw.size
        w = events.weights
        self.sumw += np.bincount(slot, weights=w, minlength=size).reshape(shape)
        self.sumw2 += np.bincount(slot, weights=w * w, minlength=size).reshape(shape)
        self.rows += np.bincount(slot, minlength=size).reshape(shape)
