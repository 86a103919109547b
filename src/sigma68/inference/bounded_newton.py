"""Fits of any -2 ln L with known derivatives: minima within limits, and the ends of intervals.

The same method as `binned_newton`, which is compiled for bins: here -2 ln L is a Python function
that takes its time (sums over events), so what counts is how seldom it is called. Newton's method
with the exact Hessian; a parameter that pushes against a limit stands still.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sigma68.errors import FitError

__all__ = ["Derivatives", "Minimum", "lowest", "minimise", "profile_end"]

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Derivatives = Callable[[Floats], tuple[float, Floats, Floats]]
"""-2 ln L, its gradient (P,) and Hessian (P, P) at a vector; an infinite value is outside."""

_STEPS = 60
_HALVINGS = 30
_CONVERGED = 1e-7  # of -2 ln L, expected from the next step
_APART = 1.3  # standard deviations, where other minima are looked for
_SAME = 1e-5  # of -2 ln L: minima no further apart are one
_RISEN = 1e-4  # of the root of the rise, at the end of an interval


@dataclass(frozen=True)
class Minimum:
    """Where -2 ln L is lowest: the vector (P,), value, gradient (P,), Hessian (P, P), what is free."""

    point: Floats
    value: float
    gradient: Floats
    hessian: Floats
    free: Mask


def minimise(
    function: Derivatives, start: Floats, lower: Floats, upper: Floats, held: Mask
) -> Minimum:
    """The minimum downhill from `start`, over all that is not `held` (P,), within the limits (P,).

    Raises
    ------
    FitError
        If -2 ln L is not finite at the start, the fit does not converge, or ends where it is flat.
    """
    point = np.clip(start, lower, upper)
    value, gradient, hessian = function(point)
    if not math.isfinite(value):
        raise FitError("-2 ln L is not finite where the fit begins")
    for _ in range(_STEPS):
        free = ~held & ~((point <= lower) & (gradient > 0)) & ~((point >= upper) & (gradient < 0))
        step, definite = _step(hessian, gradient, free)
        expected = float(gradient @ step)
        if expected < _CONVERGED:
            if not definite:
                raise FitError("-2 ln L is flat or a saddle where the fit ends")
            return Minimum(point, value, gradient, hessian, free)
        for _ in range(_HALVINGS):
            trial = np.clip(point - step, lower, upper)
            new = function(trial)
            # The last steps change the value by less than its rounding error.
            if new[0] <= value + 1e-11 * abs(value):
                break
            step = step / 2
        else:
            raise FitError("no step lowers -2 ln L, although its gradient is not 0")
        point, (value, gradient, hessian) = trial, new
    raise FitError(f"the fit did not converge in {_STEPS} Newton steps")


def lowest(
    function: Derivatives,
    start: Floats,
    lower: Floats,
    upper: Floats,
    held: Mask,
    two_sided: Sequence[int],
) -> Minimum:
    """The lowest minimum from `start` and from both sides of each of the `two_sided` places.

    These are of lognormal nuisances, whose effect often begins with their square: a small value
    and a larger one may then describe the same events, with a ridge between them. A minimum whose
    own side was found from the start is not looked for again.

    Raises
    ------
    FitError
        If the fit fails from every one of these.
    """
    found: list[Minimum] = []
    reason: FitError | None = None
    tried = [start]
    for place in two_sided:
        if not held[place]:
            for side in (-_APART, _APART):
                other = start.copy()
                other[place] = side
                tried.append(np.clip(other, lower, upper))
    for begin in tried:
        known = any(_between(m, begin, tried[0], two_sided) for m in found)
        if known:
            continue
        try:
            found.append(minimise(function, begin, lower, upper, held))
        except FitError as error:
            reason = reason or error
    if not found:
        raise reason or FitError("there is nowhere to begin a fit")
    best = found[0]
    for other_one in found[1:]:
        if other_one.value < best.value - _SAME:
            best = other_one
    return best


def profile_end(
    function: Derivatives,
    best: Minimum,
    error: float,
    rise: float,
    side: float,
    limits: tuple[Floats, Floats],
    two_sided: Sequence[int],
) -> float:
    """Where the profile of the first of the vector has risen by `rise` on one `side`, -1 or 1.

    Newton's method on the root of the rise, which is nearly straight, in a bracket; nuisances
    begin where the tangent of the profile expects them.

    Raises
    ------
    FitError
        If there is no such place, or a fit on the way fails.
    """
    lower, upper = limits
    held = np.zeros(len(best.point), bool)
    held[0] = True
    wanted = math.sqrt(rise)
    inside, outside, distance = 0.0, math.inf, wanted * error
    tangent = _tangent(best)
    for _ in range(_STEPS):
        start = best.point + side * distance * tangent
        if not math.isfinite(function(np.clip(start, lower, upper))[0]):
            outside, distance = distance, 0.5 * (inside + distance)
            if outside - inside < 1e-9 * error:
                break
            continue
        there = lowest(function, start, lower, upper, held, two_sided)
        risen = math.sqrt(max(there.value - best.value, 0.0))
        if abs(risen - wanted) < _RISEN:
            slope = side * float(there.gradient[0]) / (2 * max(risen, 1e-12))
            last = (wanted - risen) / slope if slope > 0 else 0.0
            return float(there.point[0] + side * last)
        inside, outside = (distance, outside) if risen < wanted else (inside, distance)
        slope = side * float(there.gradient[0]) / (2 * max(risen, 1e-12))
        new = distance + (wanted - risen) / (slope if slope > 0 else wanted / distance)
        new = min(new, 4 * max(distance, error))
        if not inside < new < outside:
            new = 0.5 * (inside + outside) if math.isfinite(outside) else 2 * distance
        distance = new
        if distance > 1e6 * error:
            break
    raise FitError("the interval has no end")


def _between(found: Minimum, begin: Floats, start: Floats, two_sided: Sequence[int]) -> bool:
    """Whether a minimum lies on the far side of `begin`, seen from `start`, in what they differ in.

    Downhill from there would lead to it, or to one between that it was reached through.
    """
    for place in two_sided:
        away = begin[place] - start[place]
        if away != 0 and (found.point[place] - begin[place]) * np.sign(away) >= 0:
            return True
    return False


def _tangent(best: Minimum) -> Floats:
    """How the vector follows its first entry along the profile, from the Hessian; 1 itself."""
    free = best.free.copy()
    free[0] = False
    tangent = np.zeros(len(best.point))
    tangent[0] = 1.0
    if free.any():
        tangent[free] = -np.linalg.solve(best.hessian[np.ix_(free, free)], best.hessian[free, 0])
    return tangent


def _step(hessian: Floats, gradient: Floats, free: Mask) -> tuple[Floats, bool]:
    """Newton's step to be taken off, 0 where not free, and whether the Hessian is positive there."""
    step = np.zeros(len(gradient))
    if not free.any():
        return step, True
    matrix, right = hessian[np.ix_(free, free)], gradient[free]
    if not np.isfinite(matrix).all():
        raise FitError("the Hessian of -2 ln L is not finite")
    diagonal = np.abs(np.diag(matrix))
    scale = np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    values, vectors = np.linalg.eigh(matrix / np.outer(scale, scale))
    definite = bool(values[0] > 1e-9 * values[-1])
    # Along what is not convex the step goes downhill as far as it would if it were.
    size = np.maximum(np.abs(values), 1e-6 * max(float(np.abs(values).max()), 1e-6))
    step[free] = (vectors @ ((vectors.T @ (right / scale)) / size)) / scale
    return step, definite
