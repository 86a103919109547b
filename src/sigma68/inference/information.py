"""How small the error of a signal strength can be: the information in a mixture of components.

With lambda = sum_k c_k nu_k p_k the expected density of events, the Fisher information on factors
a and b is the integral

    I_ab = int (d lambda / da) (d lambda / db) / lambda  =  sum_jk (dc_j/da) (dc_k/db) F_jk,
    F_jk = int nu_j p_j nu_k p_k / lambda,

so that F, a small matrix for each value of the signal strength, is all that events are needed
for. A constraint adds 1 to the information on its z. No unbiased estimate has a smaller error
than sqrt((I^-1)_mumu) (Cramér and Rao), and with many events the profile likelihood's has it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from sigma68.inference.factors import Factors
from sigma68.types import Nuisance

__all__ = ["component_information", "smallest_error"]

FloatArray = npt.NDArray[np.float64]


def component_information(
    shares: FloatArray, weights: FloatArray, scales: FloatArray
) -> FloatArray:
    """F, shape (n_components, n_components), from points that cover the space of events.

    Parameters
    ----------
    shares
        r_ki, the share of each component at each point where all scales are 1 (see
        `unbinned.shares_of`), shape (n_components, n_points).
    weights
        Of the points, shape (n_points,): sum_i weights_i f(x_i) stands for the integral of f
        times the expected density with all scales 1.
    scales
        c, shape (n_components,).
    """
    scaled = shares * (weights / (scales @ shares))
    information: FloatArray = scaled @ shares.T
    return (information + information.T) / 2


def smallest_error(
    information: FloatArray,
    factors: Factors,
    parameter: str,
    value: float,
    profiled: Sequence[Nuisance] = (),
    nuisances: Mapping[str, float] | None = None,
) -> float:
    """The smallest standard error of `parameter` where its truth is `value`.

    `information` is F at that value, with `nuisances` at their truth; those of `profiled` are
    unknown but for their constraints.

    Raises
    ------
    ValueError
        If nothing depends on the parameter.
    """
    values = {parameter: value, **(nuisances or {})}
    first, _ = factors.derivatives(values, [parameter, *(n.name for n in profiled)])
    # Nuisances in standard deviations of their priors: each constraint then adds 1.
    for i, nuisance in enumerate(profiled, 1):
        at = values[nuisance.name] if nuisance.prior == "lognormal" else 1.0
        first[i] *= nuisance.width * at
    full = first @ information @ first.T
    full[1:, 1:] += np.eye(len(profiled))
    if not full[0, 0] > 0:
        raise ValueError(f"what is expected does not depend on {parameter!r}")
    return math.sqrt(np.linalg.inv(full)[0, 0])
