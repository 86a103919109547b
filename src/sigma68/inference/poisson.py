"""Counts in bins with one unknown: the signal strength. Statistical errors only.

The expectation in bin j is e_j = mu s_j + b_j with s and b known exactly, so

    -2 ln L(mu) = 2 sum_j (e_j - n_j ln e_j) + constant,

which is convex in mu. The interval ends where it has risen by z^2 above its minimum, z = 1 for
the level 0.6827. mu may be negative as long as no expectation is: where -2 ln L does not rise
far enough before an expectation reaches 0, the interval ends there.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from sigma68.errors import FitError
from sigma68.inference.levels import z_of_level
from sigma68.types import LEVEL, Interval

__all__ = ["fit_mu", "twice_nll"]

FloatArray = npt.NDArray[np.float64]
_MAX_STEPS = 200


def twice_nll(
    mu: float, observed: npt.ArrayLike, signal: npt.ArrayLike, background: npt.ArrayLike
) -> float:
    """-2 ln L of `mu` for the counts `observed`, up to the constant 2 sum ln n!.

    `observed`, `signal` (expected at mu = 1) and `background` have shape (n_bins,). Infinite
    where an expectation is negative, or 0 in a bin that counted something.
    """
    n, s, b = _bins(observed, signal, background)
    expected = mu * s + b
    if np.any(expected < 0) or np.any((expected == 0) & (n > 0)):
        return math.inf
    seen = n > 0
    return float(2 * expected.sum() - 2 * (n[seen] * np.log(expected[seen])).sum())


def fit_mu(
    observed: npt.ArrayLike,
    signal: npt.ArrayLike,
    background: npt.ArrayLike,
    level: float = LEVEL,
) -> Interval:
    """The likelihood interval on mu from counts `observed`.

    Parameters
    ----------
    observed, signal, background
        Counts, expected signal at mu = 1 and expected background, shape (n_bins,). Counts may
        be fractional (Asimov data).
    level
        Confidence level of the interval.

    Returns
    -------
    Interval
        `delta_mu_hat` is half the interval's width over z: one standard deviation.

    Raises
    ------
    FitError
        If no bin expects signal (any mu fits equally well), or a bin that expects nothing
        counted something (no mu fits).
    ValueError
        If shapes differ, or a number is negative or not finite.
    """
    n, s, b = _bins(observed, signal, background)
    if np.any((s == 0) & (b == 0) & (n > 0)):
        raise FitError("a bin that expects neither signal nor background counted events")
    has_signal = s > 0
    if not has_signal.any():
        raise FitError("no bin expects signal, so the likelihood does not depend on mu")
    n, s, b = n[has_signal], s[has_signal], b[has_signal]

    edge = -float((b / s).min())
    # e_j = s_j (mu - edge) + (b_j + s_j edge); the second term is never negative. Working from
    # the edge keeps the bin that sits on it exact.
    floor = np.where(b / s == -edge, 0.0, np.maximum(b + s * edge, 0.0))
    height = _minimum(n, s, floor)
    lower, upper = _crossings(n, s, floor, height, z_of_level(level) ** 2)
    return Interval(
        mu_hat=edge + height,
        delta_mu_hat=(upper - lower) / (2 * z_of_level(level)),
        lower=edge + lower,
        upper=edge + upper,
        level=level,
    )


def _bins(*given: npt.ArrayLike) -> tuple[FloatArray, ...]:
    arrays = tuple(np.atleast_1d(np.asarray(a, dtype=np.float64)) for a in given)
    if len({a.shape for a in arrays}) != 1 or arrays[0].ndim != 1:
        raise ValueError(
            "observed, signal and background need one shape (n_bins,), not "
            + ", ".join(str(a.shape) for a in arrays)
        )
    if not all(np.isfinite(a).all() and (a >= 0).all() for a in arrays):
        raise ValueError("observed, signal and background must be finite and not negative")
    return arrays


def _minimum(n: FloatArray, s: FloatArray, floor: FloatArray) -> float:
    """The best height of mu above the edge, >= 0."""
    total = float(s.sum())
    seen = n > 0
    n, s, floor = n[seen], s[seen], floor[seen]

    def slope(height: float) -> tuple[float, float]:
        share = s / (s * height + floor)
        return total - float((n * share).sum()), float((n * share**2).sum())

    # A bin that counts and sits on the edge keeps the minimum off it.
    if not seen.any() or (np.all(floor > 0) and slope(0.0)[0] >= 0):
        return 0.0
    # sum n s / e <= sum n / height bounds the root from above.
    return _root(slope, 0.0, float(n.sum()) / total)


def _crossings(
    n: FloatArray, s: FloatArray, floor: FloatArray, best: float, rise: float
) -> tuple[float, float]:
    """Heights below and above `best` where -2 ln L has risen by `rise`; 0 where it never does."""
    total = float(s.sum())
    seen = n > 0
    n, s = n[seen], s[seen]
    ratio = s / (s * best + floor[seen])
    on_edge = bool(np.any(floor[seen] == 0))

    def above(height: float) -> tuple[float, float]:
        # Written with the difference to the minimum: no cancellation between large numbers.
        step = height - best
        change = total * step - float((n * np.log1p(ratio * step)).sum())
        return 2 * change - rise, 2 * (total - float((n * ratio / (1 + ratio * step)).sum()))

    def below(depth: float) -> tuple[float, float]:
        value, slope = above(best - depth)
        return value, -slope

    if best == 0 or (not on_edge and above(0.0)[0] <= 0):
        lower = 0.0
    else:
        lower = best - _root(below, 0.0, best)
    curvature = float((n * ratio**2).sum())
    # The quadratic's answer, or the straight line's where nothing was counted.
    far = math.sqrt(rise / curvature) if curvature > 0 else rise / total
    while above(best + far)[0] < 0:
        far *= 2
    return lower, _root(above, best, best + far)


def _root(function: Callable[[float], tuple[float, float]], low: float, high: float) -> float:
    """Where an increasing function is 0 between `low` (below 0) and `high` (not below 0).

    Newton's steps while they stay inside the bracket, halving it where they do not. The ends
    themselves are never evaluated, so that the function may be infinite there.
    """
    x = 0.5 * (low + high)
    for _ in range(_MAX_STEPS):
        value, slope = function(x)
        if value < 0:
            low = x
        else:
            high = x
        step = x - value / slope if slope > 0 else math.nan
        new = step if low <= step <= high else 0.5 * (low + high)
        if abs(new - x) <= 1e-13 * max(abs(x), abs(new)) or high - low <= 1e-13 * abs(high):
            return new
        x = new
    raise FitError(f"no root between {low:.6g} and {high:.6g} after {_MAX_STEPS} steps")
