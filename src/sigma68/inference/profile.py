"""Minimum and profile-likelihood interval of any -2 ln L.

The interval of one parameter ends where -2 ln L, minimised over all the others, has risen by
z(level)^2 above its minimum (Wilks). Two ways to it:

- `newton_interval`, where gradient and Hessian are known: a few evaluations per end;
- `minuit_interval`, where only the function is: MIGRAD and MINOS from several starts.

Both either satisfy their own convergence tests or raise `FitError`; nothing else comes out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sigma68.errors import FitError
from sigma68.inference.levels import z_of_level
from sigma68.types import LEVEL

__all__ = ["ProfileInterval", "minuit_interval", "newton_interval"]

FloatArray = npt.NDArray[np.float64]
Function = Callable[[FloatArray], float]
Derivatives = Callable[[FloatArray], tuple[float, FloatArray, FloatArray]]

_DISTANCE = 1e-12
"""Estimated distance to the minimum, in -2 ln L, at which a minimisation has converged."""
_MAX_STEPS = 60


@dataclass(frozen=True)
class ProfileInterval:
    """The minimum, its errors, and the interval on the first parameter of the vector.

    `best` and `errors` (from the Hessian at the minimum) have shape (n_names,).
    """

    best: FloatArray
    errors: FloatArray
    minimum: float
    lower: float
    upper: float


def newton_interval(
    function: Derivatives, start: npt.ArrayLike, level: float = LEVEL
) -> ProfileInterval:
    """The interval on the first parameter by Newton's method.

    Parameters
    ----------
    function
        Gives -2 ln L (constraints included), its gradient and Hessian at a vector.
    start
        Where to begin, shape (n_names,); -2 ln L must be finite there.

    Notes
    -----
    The ends solve d(-2 ln L)/d(others) = 0 and -2 ln L = minimum + z^2 together, as in Venzon
    and Moolgavkar, Appl. Statist. 37, 87 (1988).

    Raises
    ------
    FitError
        If the minimum or an end is not found.
    """
    best, minimum, hessian = _minimise(function, np.array(start, dtype=np.float64))
    covariance = np.asarray(2 * np.linalg.inv(hessian), dtype=np.float64)
    rise = z_of_level(level) ** 2
    ends = [
        _end(function, best, minimum + rise, covariance, side * math.sqrt(rise)) for side in (-1, 1)
    ]
    return ProfileInterval(best, np.sqrt(np.diag(covariance)), minimum, ends[0], ends[1])


def minuit_interval(
    function: Function,
    starts: Sequence[npt.ArrayLike],
    steps: npt.ArrayLike,
    names: Sequence[str],
    level: float = LEVEL,
    limits: Sequence[tuple[float, float] | None] | None = None,
) -> ProfileInterval:
    """The interval on the first parameter by MIGRAD and MINOS.

    Parameters
    ----------
    function
        Gives -2 ln L (constraints included) at a vector.
    starts
        Where to begin, each of shape (n_names,), tried in turn until one leads to an interval.
    steps
        About one standard deviation of each parameter, shape (n_names,).
    limits
        Allowed range of each parameter, None for no limit.

    Raises
    ------
    FitError
        If no start leads to a valid minimum with valid MINOS errors.
    """
    reasons = []
    for start in starts:
        try:
            return _minuit_once(function, start, steps, names, level, limits)
        except FitError as error:
            reasons.append(str(error))
    raise FitError(f"none of {len(reasons)} starts converged; the last: {reasons[-1]}")


def _minimise(function: Derivatives, point: FloatArray) -> tuple[FloatArray, float, FloatArray]:
    """The minimum by Newton's method with step halving: point, value, Hessian."""
    value, gradient, hessian = function(point)
    if not math.isfinite(value):
        raise FitError("-2 ln L is not finite where the fit begins")
    for _ in range(_MAX_STEPS):
        step = -_descent(hessian, gradient)
        distance = -float(gradient @ step) / 2
        if distance < _DISTANCE:
            if not _is_positive(hessian):
                raise FitError("-2 ln L has no minimum where the fit ends: it is flat or a saddle")
            return point, value, hessian
        for _ in range(40):
            trial = point + step
            new = function(trial)
            # The last steps change the value by less than its rounding error.
            if new[0] <= value + 1e-12 * abs(value):
                break
            step = step / 2
        else:
            raise FitError("no step lowers -2 ln L, although its gradient is not 0")
        point, (value, gradient, hessian) = trial, new
    raise FitError(f"the fit did not converge in {_MAX_STEPS} Newton steps")


def _descent(hessian: FloatArray, gradient: FloatArray) -> FloatArray:
    """Newton's step (upwards), with the Hessian made positive where it is not."""
    if not np.isfinite(hessian).all():
        raise FitError("the Hessian of -2 ln L is not finite")
    eigenvalues, vectors = np.linalg.eigh(hessian)
    size = np.maximum(np.abs(eigenvalues), 1e-10 * float(np.abs(eigenvalues).max()))
    if size.max() == 0:
        raise FitError("-2 ln L does not depend on any parameter")
    step: FloatArray = vectors @ ((vectors.T @ gradient) / size)
    return step


def _is_positive(matrix: FloatArray) -> bool:
    eigenvalues = np.linalg.eigvalsh(matrix)
    return bool(eigenvalues[0] > 1e-12 * eigenvalues[-1])


def _end(
    function: Derivatives, best: FloatArray, target: float, covariance: FloatArray, z: float
) -> float:
    """Where the profile of the first parameter reaches `target`, on the side of `z`'s sign."""
    shift = z * covariance[:, 0] / math.sqrt(covariance[0, 0])
    point = best + shift
    value, gradient, hessian = function(point)
    for _ in range(_MAX_STEPS):
        if not math.isfinite(value):
            # Outside the domain: back towards the minimum.
            point = (point + best) / 2
            value, gradient, hessian = function(point)
            continue
        residual = np.append(value - target, gradient[1:])
        if _at_end(residual, hessian) and (point[0] - best[0]) * z > 0:
            return float(point[0])
        matrix = np.vstack([gradient, hessian[1:]])
        try:
            step = np.linalg.solve(matrix, -residual)
        except np.linalg.LinAlgError as error:
            raise FitError("the profile of -2 ln L is flat at the end of the interval") from error
        # Never farther at once than three times the distance that asymptotics expect.
        step *= min(1.0, 3 * abs(shift[0]) / max(abs(step[0]), 1e-300))
        point = point + step
        value, gradient, hessian = function(point)
    raise FitError(f"no end of the interval was found in {_MAX_STEPS} Newton steps")


def _at_end(residual: FloatArray, hessian: FloatArray) -> bool:
    """Whether the value is right and the other parameters are at a minimum."""
    if abs(residual[0]) > 1e-7:
        return False
    others = hessian[1:, 1:]
    if others.size == 0:
        return True
    if not _is_positive(others):
        raise FitError("the nuisance parameters are at no minimum at the end of the interval")
    return float(residual[1:] @ np.linalg.solve(others, residual[1:])) / 2 < 1e-7


def _minuit_once(
    function: Function,
    start: npt.ArrayLike,
    steps: npt.ArrayLike,
    names: Sequence[str],
    level: float,
    limits: Sequence[tuple[float, float] | None] | None,
) -> ProfileInterval:
    from iminuit import Minuit

    minuit = Minuit(function, np.array(start, dtype=np.float64), name=tuple(names))
    minuit.errordef = 1.0
    minuit.strategy = 2
    minuit.tol = 1e-3
    minuit.errors = tuple(np.asarray(steps, dtype=np.float64))
    if limits is not None:
        minuit.limits = tuple(limits)
    minuit.migrad()
    if not minuit.valid:
        raise FitError("MIGRAD found no valid minimum of -2 ln L")
    minuit.minos(names[0], cl=level)
    ends = minuit.merrors[names[0]]
    if not ends.is_valid or ends.at_lower_limit or ends.at_upper_limit:
        raise FitError("MINOS found no valid ends of the interval")
    best = np.array(minuit.values)
    return ProfileInterval(
        best=best,
        errors=np.array(minuit.errors),
        minimum=float(minuit.fval),
        lower=float(best[0] + ends.lower),
        upper=float(best[0] + ends.upper),
    )
