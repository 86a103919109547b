"""Tests of weighted samples against each other, and what such a test could have seen.

Kolmogorov-Smirnov for two weighted samples: the largest distance of the weighted cumulative
distributions, judged by the asymptotic distribution with n = n_1 n_2 / (n_1 + n_2), where n_i is
an effective number of events (Monahan, "Numerical methods of statistics", 2nd ed., 2011, 12.5). For
weights that have nothing to do with the column, n_i is (sum w)^2 / sum w^2. Weights that do (a
sample enriched somewhere) can make the cumulative distribution scatter more than that; n_i is
then lowered until its scatter is covered (`effective_number`).

Many tests: Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Stat. 6
(1979) 65.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import special

__all__ = [
    "LEVEL",
    "POWER",
    "detectable_distance",
    "detectable_shift",
    "effective_number",
    "holm",
    "in_words",
    "ks_p_value",
    "two_sided",
]

Floats = npt.NDArray[np.float64]

LEVEL = 0.01
"""P-values below this, corrected for the number of tests, are called incompatible."""
POWER = 0.9
"""The probability with which a difference called detectable is found."""

_CENTRAL = 0.1
_LARGEST_SHIFT = 8.0
_TAIL = 1e-16


def effective_number(cumulative: Floats, squares: Floats) -> float:
    """The number of equal, independent events whose cumulative distribution scatters as this one.

    Parameters
    ----------
    cumulative
        Sum of weights up to each step of the distribution, shape (n_steps,); the last is the total.
    squares
        The same of the squared weights (hard events counted once).

    Returns
    -------
    (sum w)^2 / sum w^2; or less, so that nowhere between the 10% and 90% points the variance of
    the cumulative distribution exceeds F (1 - F) / n, and nowhere at all 1 / (4 n).
    """
    total, total2 = float(cumulative[-1]), float(squares[-1])
    if not total > 0 or not total2 > 0:
        return 0.0
    f = cumulative / total
    variance = (squares * (1 - f) ** 2 + (total2 - squares) * f**2) / total**2
    central = (f >= _CENTRAL) & (f <= 1 - _CENTRAL) & (variance > 0)
    local = f[central] * (1 - f[central]) / variance[central]
    largest = float(variance.max())
    return min(
        total**2 / total2,
        float(local.min(initial=np.inf)),
        0.25 / largest if largest > 0 else np.inf,
    )


def ks_p_value(distance: float, n_first: float, n_second: float) -> float:
    """The asymptotic p-value of a KS distance between samples of these effective numbers."""
    return float(special.kolmogorov(math.sqrt(_reduced(n_first, n_second)) * distance))


def detectable_distance(n_first: float, n_second: float, level: float) -> float:
    """The KS distance of two populations that a test at `level` finds with probability `POWER`.

    The critical distance plus the quantile of the scatter of the difference where it is largest,
    at most 1 / (2 sqrt n): an upper limit. Above 1 nothing can be found.
    """
    critical = float(special.kolmogi(level))
    return (critical + 0.5 * float(special.ndtri(POWER))) / math.sqrt(_reduced(n_first, n_second))


def detectable_shift(edges: Floats, cumulative: Floats, distance: float) -> float | None:
    """The shift of a column that moves its cumulative distribution by `distance` somewhere.

    Parameters
    ----------
    edges
        Values of the column in units of its standard deviation, increasing, shape (n,).
    cumulative
        Fraction of events up to each value, shape (n,).
    distance
        The KS distance to be reached.

    Returns
    -------
    The shift in standard deviations; None if none up to 8 does it.
    """
    below = 0.0 if len(edges) < 2 else edges[0] - (edges[1] - edges[0])
    x = np.concatenate([[below], edges]) if below < edges[0] else edges
    f = np.concatenate([[0.0], cumulative]) if below < edges[0] else cumulative

    def reached(shift: float) -> float:
        moved = np.interp(x - shift, x, f, left=0.0, right=1.0)
        return float(np.abs(f - moved).max())

    low, high = 0.0, _LARGEST_SHIFT
    if reached(high) < distance:
        return None
    for _ in range(40):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if reached(middle) >= distance else (middle, high)
    return high


def in_words(p_value: float) -> str:
    """A p-value for reading; far out in the tail only that it is there."""
    return "< 1e-16" if p_value < _TAIL else f"{p_value:.2g}"


def two_sided(z: float) -> float:
    """The probability that a standard normal is at least as far from 0 as `z`."""
    return float(special.erfc(abs(z) / math.sqrt(2.0)))


def holm(p_values: Floats) -> Floats:
    """P-values corrected for their number, shape (n_tests,).

    Calling those below a level significant keeps the probability of any false call at or below
    that level, however the tests depend on each other.
    """
    n = len(p_values)
    order = np.argsort(p_values, kind="stable")
    stepped = np.maximum.accumulate(p_values[order] * np.arange(n, 0, -1))
    corrected = np.empty(n)
    corrected[order] = np.minimum(stepped, 1.0)
    return corrected


def _reduced(n_first: float, n_second: float) -> float:
    return n_first * n_second / (n_first + n_second)
