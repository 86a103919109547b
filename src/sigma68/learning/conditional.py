"""Conditional densities of one quantity given others: exact density, CDF and its inverse.

A quantity x in [0, 1] goes through two monotone maps. The first, the same for all events, is the
CDF of a piecewise-linear density (`Marginal`), which makes it roughly uniform. The second is the
CDF of another piecewise-linear density whose knots and heights a small network computes from the
features of the event. A quantity with a few values has a table of probabilities from a network
(`ConditionalChoice`). Chained, each given those before it, they are a normalising flow whose
density is exact, whose samples cost one pass, and in which what comes last can be integrated away.

Piecewise-linear densities: Müller et al., ACM Trans. Graph. 38 (2019) 145, section 4.2.
Widths are made positive with (x + sqrt(x^2 + 4)) / 2, heights with an exponential, so that a density
may fall by orders of magnitude.

This file evaluates; `fit_conditional` trains. Events do not influence each other: the same event
gives the same bits in any company.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from sigma68.learning.perceptron import EVENTS, Perceptron, apply_perceptron

__all__ = [
    "CHOICE_FLOOR",
    "HEIGHT_FLOOR",
    "LOG_HEIGHT",
    "WIDTH_FLOOR",
    "Conditional",
    "ConditionalChoice",
    "ConditionalDensity",
    "Marginal",
    "from_arrays",
]

Floats = npt.NDArray[np.float64]
Float32 = npt.NDArray[np.float32]

WIDTH_FLOOR = 0.02
"""Added to each bin's width before they are made to sum to 1: no bin vanishes."""
HEIGHT_FLOOR = 1e-6
"""Added to each knot's height: the density is nowhere 0, and its inverse is well defined."""

LOG_HEIGHT = 14.0
"""Logarithms of heights lie within this of 0."""
CHOICE_FLOOR = 1e-4
"""Added to the root of each probability of a choice before they are made to sum to 1."""

_DENSITY, _CDF, _QUANTILE = 0, 1, 2


@dataclass(frozen=True)
class Marginal:
    """A piecewise-linear density on [0, 1]: `knots` and `heights`, float64, shape (M + 1,).

    The knots ascend from 0 to 1, and the heights are normalised to an area of 1.
    """

    knots: Floats
    heights: Floats

    @property
    def areas(self) -> Floats:
        """The CDF at the knots, shape (M + 1,)."""
        steps = np.diff(self.knots) * (self.heights[1:] + self.heights[:-1]) / 2
        return np.concatenate([[0.0], np.cumsum(steps)])


@dataclass(frozen=True)
class ConditionalDensity:
    """The density of x in [0, 1] given features; without a network, of x alone.

    The network's outputs are `bins` raw widths, then `bins + 1` raw heights.
    """

    marginal: Marginal
    network: Perceptron | None

    @property
    def n_features(self) -> int:
        """How many rows of the features it reads, from the first."""
        return 0 if self.network is None else len(self.network.shift)

    def log_density(self, features: Float32, x: Floats) -> Floats:
        """Logarithm of the density of x, (n,), given `features` of shape (n_features or more, n)."""
        return self._evaluate(features, x, _DENSITY)

    def cdf(self, features: Float32, x: Floats) -> Floats:
        """The probability of a smaller value than x, (n,)."""
        return self._evaluate(features, x, _CDF)

    def quantile(self, features: Float32, u: Floats) -> Floats:
        """The x, (n,), below which lies the probability `u`, (n,)."""
        return self._evaluate(features, u, _QUANTILE)

    def to_arrays(self) -> dict[str, npt.NDArray[np.floating]]:
        """What `from_arrays` reads."""
        arrays: dict[str, npt.NDArray[np.floating]] = {
            "knots": self.marginal.knots,
            "heights": self.marginal.heights,
        }
        return arrays | _network_arrays(self.network)

    def _evaluate(self, features: Float32, x: Floats, what: int) -> Floats:
        out = np.empty(len(x))
        m = self.marginal
        areas = m.areas
        if self.network is None:
            _marginal_only(x, m.knots, m.heights, areas, what, out)
        else:
            _conditional(features, x, m.knots, m.heights, areas, *self.network.arrays, what, out)
        return out


@dataclass(frozen=True)
class ConditionalChoice:
    """The probabilities of the values 0, 1, ... given features."""

    network: Perceptron

    @property
    def n_features(self) -> int:
        """How many rows of the features it reads, from the first."""
        return len(self.network.shift)

    @property
    def n_values(self) -> int:
        return len(self.network.b3)

    def probabilities(self, features: Float32) -> Floats:
        """Of each value, shape (n_values, n)."""
        out = np.empty((self.n_values, features.shape[1]))
        _choice(features, *self.network.arrays, out)
        return out

    def log_density(self, features: Float32, value: npt.NDArray[np.integer]) -> Floats:
        """Logarithm of the probability of `value`, (n,)."""
        p = self.probabilities(features)
        own: Floats = np.take_along_axis(p, np.asarray(value, np.int64)[None], axis=0)[0]
        return np.log(own)

    def quantile(self, features: Float32, u: Floats) -> npt.NDArray[np.int64]:
        """The value, int64 (n,), at the probability `u`, (n,)."""
        below = np.cumsum(self.probabilities(features), axis=0)[:-1]
        return np.asarray((u[None] >= below).sum(axis=0), np.int64)

    def to_arrays(self) -> dict[str, npt.NDArray[np.floating]]:
        """What `from_arrays` reads."""
        return _network_arrays(self.network)


Conditional = ConditionalDensity | ConditionalChoice


def from_arrays(arrays: Mapping[str, npt.NDArray[np.floating]]) -> Conditional:
    """The conditional that `to_arrays` described.

    Raises
    ------
    ValueError
        If arrays are missing, not finite, or of shapes that do not belong together.
    """
    network = _network(arrays)
    if "knots" not in arrays:
        if network is None:
            raise ValueError("neither knots nor a network")
        return ConditionalChoice(network)
    marginal = Marginal(
        np.asarray(arrays["knots"], np.float64), np.asarray(arrays["heights"], np.float64)
    )
    _check_marginal(marginal)
    if network is not None and len(network.b3) % 2 == 0:
        raise ValueError("a density needs an odd number of outputs")
    return ConditionalDensity(marginal, network)


_NAMES = ("shift", "scale", "w1", "b1", "w2", "b2", "w3", "b3")


def _network_arrays(network: Perceptron | None) -> dict[str, npt.NDArray[np.floating]]:
    return {} if network is None else dict(zip(_NAMES, network.arrays, strict=True))


def _network(arrays: Mapping[str, npt.NDArray[np.floating]]) -> Perceptron | None:
    given = [name for name in _NAMES if name in arrays]
    if not given:
        return None
    if len(given) < len(_NAMES):
        raise ValueError(f"a network without {', '.join(set(_NAMES) - set(given))}")
    parts = [np.ascontiguousarray(arrays[name], np.float32) for name in _NAMES]
    f, h, o = (parts[_NAMES.index(name)].shape for name in ("shift", "b1", "b3"))
    shapes = (f, f, h + f, h, h + h, h, o + h, o)
    if any(part.shape != shape for part, shape in zip(parts, shapes, strict=True)) or len(f) != 1:
        raise ValueError("the layers of a network do not fit together")
    if not all(np.isfinite(part).all() for part in parts):
        raise ValueError("a network has weights that are not finite")
    return Perceptron(*parts)


def _check_marginal(marginal: Marginal) -> None:
    knots, heights = marginal.knots, marginal.heights
    if knots.ndim != 1 or knots.shape != heights.shape or len(knots) < 2:
        raise ValueError("knots and heights do not fit together")
    if not (np.isfinite(knots).all() and np.isfinite(heights).all()):
        raise ValueError("knots or heights are not finite")
    ascending = knots[0] == 0 and knots[-1] == 1 and bool(np.all(np.diff(knots) > 0))
    if not ascending or heights.min() <= 0 or abs(marginal.areas[-1] - 1) > 1e-6:
        raise ValueError("knots or heights are not those of a density on [0, 1]")


@njit(cache=True, nogil=True)
def _within(r, width, low, high):  # type: ignore[no-untyped-def]
    """Where in a bin, 0 to 1, the area from its left edge is r; heights `low` to `high`."""
    if r <= 0.0:
        return 0.0
    root = math.sqrt(max(low * low + 2.0 * (high - low) * r / width, 0.0))
    return min(2.0 * r / (width * (low + root)), 1.0)


@njit(cache=True, nogil=True)
def _through_marginal(x, knots, heights, areas):  # type: ignore[no-untyped-def]
    """CDF and density of the marginal at x."""
    k = min(max(np.searchsorted(knots, x, side="right") - 1, 0), len(knots) - 2)
    width = knots[k + 1] - knots[k]
    t = min(max((x - knots[k]) / width, 0.0), 1.0)
    height = heights[k] + (heights[k + 1] - heights[k]) * t
    return areas[k] + t * width * (heights[k] + height) / 2.0, height


@njit(cache=True, nogil=True)
def _back_through_marginal(u, knots, heights, areas):  # type: ignore[no-untyped-def]
    """The x at which the CDF of the marginal is u."""
    k = min(max(np.searchsorted(areas, u, side="right") - 1, 0), len(knots) - 2)
    width = knots[k + 1] - knots[k]
    t = _within(u - areas[k], width, heights[k], heights[k + 1])
    return knots[k] + t * width


@njit(cache=True, nogil=True)
def _marginal_only(x, knots, heights, areas, what, out):  # type: ignore[no-untyped-def]
    for e in range(len(x)):
        if what == _QUANTILE:
            out[e] = _back_through_marginal(x[e], knots, heights, areas)
        else:
            below, height = _through_marginal(x[e], knots, heights, areas)
            out[e] = math.log(height) if what == _DENSITY else below


@njit(cache=True, nogil=True)
def _positive(raw, first, last, n, floor):  # type: ignore[no-untyped-def]
    """(x + sqrt(x^2 + 4)) / 2 + floor, in place, for rows first to last - 1."""
    half, four = np.float32(0.5), np.float32(4.0)
    for k in range(first, last):
        row = raw[k]
        for e in range(n):
            row[e] = half * (row[e] + np.sqrt(row[e] * row[e] + four)) + floor


@njit(cache=True, nogil=True)
def _exponential(raw, first, last, n, power):  # type: ignore[no-untyped-def]
    """exp(x) + HEIGHT_FLOOR, in place, for rows first to last - 1, to 1e-6.

    exp(x) = 2^k 2^f with f in [-1/2, 1/2]: the power of two is put together from its bits, the
    rest is the series of exp(f ln 2). `power` (EVENTS,) int32 is work space.
    """
    most, floor = np.float32(LOG_HEIGHT), np.float32(HEIGHT_FLOOR)
    log2_e, half = np.float32(1.4426950408889634), np.float32(0.5)
    c1, c2, c3 = (
        np.float32(0.6931471805599453),
        np.float32(0.2402265069591007),
        np.float32(0.0555041086648216),
    )
    c4, c5, c6 = (
        np.float32(0.0096181291076285),
        np.float32(0.0013333558146428),
        np.float32(0.000154035303934),
    )
    one = np.float32(1.0)
    scale = power.view(np.float32)
    for k in range(first, last):
        row = raw[k]
        for e in range(n):
            y = max(min(row[e], most), -most) * log2_e
            whole = np.floor(y + half)
            row[e] = y - whole
            power[e] = (np.int32(whole) + np.int32(127)) << np.int32(23)
        for e in range(n):
            f = row[e]
            series = one + f * (c1 + f * (c2 + f * (c3 + f * (c4 + f * (c5 + f * c6)))))
            row[e] = series * scale[e] + floor


@njit(cache=True, nogil=True)
def _sums(raw, bins, n, width, area):  # type: ignore[no-untyped-def]
    """Total width and area (before normalisation) of each event's density."""
    half = np.float32(0.5)
    for e in range(n):
        width[e] = np.float32(0.0)
        area[e] = np.float32(0.0)
    for k in range(bins):
        w, low, high = raw[k], raw[bins + k], raw[bins + k + 1]
        for e in range(n):
            width[e] += w[e]
            area[e] += half * w[e] * (low[e] + high[e])


@njit(cache=True, nogil=True)
def _quantile_of(raw, bins, e, total_width, total_area, u):  # type: ignore[no-untyped-def]
    left = u * total_area
    at = 0.0
    for k in range(bins):
        w, low, high = raw[k, e], raw[bins + k, e], raw[bins + k + 1, e]
        area = 0.5 * np.float64(w) * (np.float64(low) + np.float64(high))
        if left < area or k == bins - 1:
            at += w * _within(left, np.float64(w), np.float64(low), np.float64(high))
            break
        left -= area
        at += w
    return min(at / total_width, 1.0)


@njit(cache=True, nogil=True)
def _cdf_of(raw, bins, e, total_width, total_area, y):  # type: ignore[no-untyped-def]
    """CDF and density at y of event e."""
    left = y * total_width
    below = 0.0
    height = 0.0
    for k in range(bins):
        w, low, high = np.float64(raw[k, e]), np.float64(raw[bins + k, e]), 0.0
        high = np.float64(raw[bins + k + 1, e])
        if left < w or k == bins - 1:
            t = min(left / w, 1.0)
            height = low + (high - low) * t
            below += 0.5 * t * w * (low + height)
            break
        left -= w
        below += 0.5 * w * (low + high)
    return min(below / total_area, 1.0), height * total_width / total_area


@njit(cache=True, nogil=True)
def _conditional(  # type: ignore[no-untyped-def]
    features, x, knots, heights, areas, shift, scale, w1, b1, w2, b2, w3, b3, what, out
):
    bins = (len(b3) - 1) // 2
    inputs = np.empty((len(shift), EVENTS), np.float32)
    h1 = np.empty((len(b1), EVENTS), np.float32)
    h2 = np.empty((len(b1), EVENTS), np.float32)
    raw = np.empty((len(b3), EVENTS), np.float32)
    width = np.empty(EVENTS, np.float32)
    area = np.empty(EVENTS, np.float32)
    power = np.empty(EVENTS, np.int32)
    for first in range(0, len(x), EVENTS):
        n = min(EVENTS, len(x) - first)
        apply_perceptron(
            features, first, n, shift, scale, w1, b1, w2, b2, w3, b3, inputs, h1, h2, raw
        )
        _positive(raw, 0, bins, n, np.float32(WIDTH_FLOOR))
        _exponential(raw, bins, 2 * bins + 1, n, power)
        _sums(raw, bins, n, width, area)
        for e in range(n):
            i = first + e
            if what == _QUANTILE:
                y = _quantile_of(raw, bins, e, width[e], area[e], x[i])
                out[i] = _back_through_marginal(y, knots, heights, areas)
            else:
                y, outer = _through_marginal(x[i], knots, heights, areas)
                below, inner = _cdf_of(raw, bins, e, width[e], area[e], y)
                out[i] = math.log(outer * inner) if what == _DENSITY else below


@njit(cache=True, nogil=True)
def _choice(features, shift, scale, w1, b1, w2, b2, w3, b3, out):  # type: ignore[no-untyped-def]
    inputs = np.empty((len(shift), EVENTS), np.float32)
    h1 = np.empty((len(b1), EVENTS), np.float32)
    h2 = np.empty((len(b1), EVENTS), np.float32)
    raw = np.empty((len(b3), EVENTS), np.float32)
    n_values, n_events = out.shape
    for first in range(0, n_events, EVENTS):
        n = min(EVENTS, n_events - first)
        apply_perceptron(
            features, first, n, shift, scale, w1, b1, w2, b2, w3, b3, inputs, h1, h2, raw
        )
        _positive(raw, 0, n_values, n, np.float32(CHOICE_FLOOR))
        for e in range(n):
            total = 0.0
            for k in range(n_values):
                total += raw[k, e] * raw[k, e]
            for k in range(n_values):
                out[k, first + e] = raw[k, e] * raw[k, e] / total
