"""From a constrained likelihood of one observation to the interval on its parameter."""

from __future__ import annotations

import numpy as np

from sigma68.errors import FitError
from sigma68.inference.levels import z_of_level
from sigma68.inference.likelihood import ConstrainedLikelihood
from sigma68.inference.profile import ProfileInterval, minuit_interval, newton_interval
from sigma68.types import Interval, Parameter

__all__ = ["profile_interval"]


def profile_interval(
    target: ConstrainedLikelihood, parameter: Parameter, level: float, note: str = ""
) -> Interval:
    """The profile-likelihood interval on `parameter`, the first name of `target`.

    Newton's method where the likelihood states its derivatives; MINUIT where it does not, or
    where Newton fails. With the interval come all profiled nuisances with their errors, and
    `note`.

    Raises
    ------
    FitError
        If neither converges from any start.
    """
    found = _found(target, parameter, level)
    return Interval(
        mu_hat=float(found.best[0]),
        delta_mu_hat=(found.upper - found.lower) / (2 * z_of_level(level)),
        lower=found.lower,
        upper=found.upper,
        level=level,
        fitted=target.nuisance_errors(found.best, found.errors),
        note=note,
    )


def _found(target: ConstrainedLikelihood, parameter: Parameter, level: float) -> ProfileInterval:
    span = parameter.high - parameter.low
    zeros = np.zeros(len(target.profiled))
    starts = [np.append(parameter.low + fraction * span, zeros) for fraction in (0.5, 0.1, 0.9)]
    steps = np.append(0.1 * span, zeros + 1)
    if target.smooth is None:
        return minuit_interval(target.value, starts, steps, target.names, level)
    try:
        return newton_interval(target.derivatives, starts[0], level)
    except FitError as newton:
        # Not lost yet: MINUIT is slower and more patient.
        try:
            return minuit_interval(target.value, starts, steps, target.names, level)
        except FitError as minuit:
            raise FitError(f"neither Newton ({newton}) nor MINUIT ({minuit}) fits") from minuit
