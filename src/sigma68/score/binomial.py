"""The binomial error of a counted fraction."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sigma68.types import LEVEL

__all__ = ["clopper_pearson"]


def clopper_pearson(
    successes: npt.ArrayLike, trials: npt.ArrayLike, level: float = LEVEL
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The central Clopper-Pearson interval of a binomial fraction: (lower, upper).

    Covers the true fraction with a probability of at least `level`, whatever it is. Arrays of
    one shape; no trials give [0, 1].

    Reference: C. J. Clopper and E. S. Pearson, Biometrika 26 (1934) 404.
    """
    from scipy.stats import beta

    k: npt.NDArray[Any] = np.asarray(successes, dtype=float)
    n: npt.NDArray[Any] = np.asarray(trials, dtype=float)
    tail = (1 - level) / 2
    # At the ends a shape parameter would be 0; the bound there is exact.
    lower = np.where(k > 0, beta.ppf(tail, np.maximum(k, 0.5), n - k + 1), 0.0)
    upper = np.where(k < n, beta.ppf(1 - tail, k + 1, np.maximum(n - k, 0.5)), 1.0)
    return lower, upper
