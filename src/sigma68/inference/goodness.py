"""How well the best fit describes counts in bins: the saturated model.

-2 ln L at the minimum, written against the model that predicts every count exactly, is a
chi-square with as many degrees of freedom as bins less free parameters (Baker and Cousins, NIM
221, 437 (1984)). A profiled nuisance is a parameter, but its constraint is an observation as well.
"""

from __future__ import annotations

from scipy.stats import chi2

__all__ = ["saturated"]


def saturated(value: float, n_bins: int, n_free: int = 1) -> float:
    """The probability of a worse fit than `value`, -2 ln L at the minimum with constraints.

    `n_free` counts the parameters without a constraint. 1 where nothing is left to test.
    """
    degrees = n_bins - n_free
    return float(chi2.sf(value, degrees)) if degrees > 0 else 1.0
