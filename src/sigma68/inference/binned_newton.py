"""Compiled fits of the binned likelihood: minima within limits, and the ends of intervals.

Newton's method with the exact Hessian (`binned_kernels`); a parameter that pushes against a limit
stands still, which a soft MET at its cap needs: beyond, nothing changes but the constraint. The
end of an interval is found on the root of the rise of the profile, which is nearly straight
(compare Venzon and Moolgavkar, Appl. Statist. 37, 87 (1988), who solve for all at once).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from sigma68.inference.binned_kernels import LOGNORMAL, value_of, with_derivatives

__all__ = [
    "FLAT",
    "LOST",
    "NO_END",
    "OK",
    "OUTSIDE",
    "lowest",
    "minimum",
    "profile_end",
    "solved",
]

OK, OUTSIDE, LOST, FLAT, NO_END = 0, 1, 2, 3, 4
"""How a fit ended: well; no finite value where it began; no convergence; a minimum that is flat;
no end of the interval."""

_STEPS = 100
_APART = 1.3  # standard deviations, where other minima are looked for
_SAME = 1e-7  # of -2 ln L: minima no further apart are one
_CONVERGED = 1e-10  # of -2 ln L, expected from the next step


@njit(cache=True, nogil=True)
def solved(matrix, right, free):  # type: ignore[no-untyped-def]
    """matrix^-1 right over the free rows, 0 elsewhere, by Cholesky; and whether it exists."""
    n = len(right)
    low = np.zeros((n, n))
    out = np.zeros(n)
    for i in range(n):
        if not free[i]:
            continue
        for other in range(i + 1):
            if not free[other]:
                continue
            total = matrix[i, other]
            for o in range(other):
                total -= low[i, o] * low[other, o]
            if i == other:
                if not total > 1e-12 * abs(matrix[i, i]):
                    return out, False
                low[i, i] = math.sqrt(total)
            else:
                low[i, other] = total / low[other, other]
    for i in range(n):
        if free[i]:
            total = right[i]
            for o in range(i):
                total -= low[i, o] * out[o]
            out[i] = total / low[i, i]
    for i in range(n - 1, -1, -1):
        if free[i]:
            total = out[i]
            for o in range(i + 1, n):
                total -= low[o, i] * out[o]
            out[i] = total / low[i, i]
    return out, True


@njit(cache=True, nogil=True)
def _free(theta, gradient, held, lower, upper, free):  # type: ignore[no-untyped-def]
    """Which parameters may move: neither held nor pushing against a limit."""
    for i in range(len(theta)):
        against = (theta[i] <= lower[i] and gradient[i] > 0.0) or (
            theta[i] >= upper[i] and gradient[i] < 0.0
        )
        free[i] = not held[i] and not against


@njit(cache=True, nogil=True)
def minimum(theta, counts, relative, model, lower, upper, held):  # type: ignore[no-untyped-def]
    """Minimise over all that is not `held` (P,), from theta, in place.

    Returns the status, the value, the gradient (P,), the Hessian (P, P) and what is free (P,).
    """
    n = len(theta)
    gradient, hessian = np.empty(n), np.empty((n, n))
    free = np.empty(n, np.bool_)
    value = with_derivatives(theta, counts, relative, model, gradient, hessian)
    if not math.isfinite(value):
        return OUTSIDE, value, gradient, hessian, free
    for _ in range(_STEPS):
        _free(theta, gradient, held, lower, upper, free)
        step, definite = solved(hessian, gradient, free)
        if not definite:
            step = _upright(hessian, gradient, free)
        expected = 0.0
        for i in range(n):
            expected += gradient[i] * step[i]
        if expected < _CONVERGED:
            return (OK if definite else FLAT), value, gradient, hessian, free
        size = 1.0
        for _ in range(60):
            trial = np.empty(n)
            for i in range(n):
                trial[i] = min(max(theta[i] - size * step[i], lower[i]), upper[i])
            new = value_of(trial, counts, relative, model)
            if new <= value + 1e-12 * abs(value):
                break
            size *= 0.5
        else:
            # Nothing is lower: where only rounding is left to gain, this is the minimum.
            return (OK if definite and expected < 1e-6 else LOST), value, gradient, hessian, free
        moved = False
        for i in range(n):
            moved = moved or trial[i] != theta[i]
            theta[i] = trial[i]
        value = with_derivatives(theta, counts, relative, model, gradient, hessian)
        if not moved:
            return (OK if definite and expected < 1e-6 else LOST), value, gradient, hessian, free
    return LOST, value, gradient, hessian, free


@njit(cache=True, nogil=True)
def _upright(hessian, gradient, free):  # type: ignore[no-untyped-def]
    """A step downhill where the Hessian is not positive: it is raised until it is."""
    n = len(gradient)
    largest = 0.0
    for i in range(n):
        largest = max(largest, abs(hessian[i, i]))
    raised = 1e-6 * largest
    if raised == 0.0:
        return np.zeros(n)
    for _ in range(40):
        matrix = hessian.copy()
        for i in range(n):
            matrix[i, i] += raised
        step, definite = solved(matrix, gradient, free)
        if definite:
            return step
        raised *= 3.0
    return np.zeros(n)


@njit(cache=True, nogil=True)
def lowest(theta, counts, relative, model, lower, upper, held):  # type: ignore[no-untyped-def]
    """The lowest minimum from theta and from both sides of each lognormal nuisance, as `minimum`.

    What such a nuisance does to events often begins with its square: a small value and a larger
    one may then describe the same counts, with a ridge between them.
    """
    found = theta.copy()
    result = minimum(found, counts, relative, model, lower, upper, held)
    kind = model[9]
    for i in range(len(theta)):
        if kind[i] != LOGNORMAL or held[i]:
            continue
        for side in (-_APART, _APART):
            trial = theta.copy()
            trial[i] = min(max(side, lower[i]), upper[i])
            other = minimum(trial, counts, relative, model, lower, upper, held)
            better = other[0] == OK and (result[0] != OK or other[1] < result[1] - _SAME)
            if better:
                found[:] = trial
                result = other
    theta[:] = found
    return result


@njit(cache=True, nogil=True)
def profile_end(best, bottom, error, rise, side, counts, relative, model, lower, upper):  # type: ignore[no-untyped-def]
    """Where the profile of the first parameter has risen by `rise`; status and place.

    Newton's method on the root of the rise, which is nearly straight, in a bracket. `error` is
    the parameter's from the Hessian, `side` -1 or 1.
    """
    n = len(best)
    held = np.zeros(n, np.bool_)
    held[0] = True
    wanted = math.sqrt(rise)
    inside, outside = 0.0, math.inf  # distances from the minimum
    distance = wanted * error
    theta = best.copy()
    slope_at_inside = wanted / distance
    for _ in range(_STEPS):
        theta[0] = best[0] + side * distance
        trial = theta.copy()
        status, value, gradient, _, _ = lowest(trial, counts, relative, model, lower, upper, held)
        if status == OUTSIDE:
            # With nuisances where they were, nothing is expected somewhere: from the minimum's.
            trial = best.copy()
            trial[0] = theta[0]
            status, value, gradient, _, _ = lowest(
                trial, counts, relative, model, lower, upper, held
            )
        if status == OUTSIDE:
            outside = distance
            distance = 0.5 * (inside + outside)
            if outside - inside < 1e-9 * error:
                return NO_END, 0.0
            continue
        if status != OK:
            return status, 0.0
        risen = math.sqrt(max(value - bottom, 0.0))
        if abs(risen - wanted) < 1e-7:
            return OK, trial[0]
        theta = trial
        if risen < wanted:
            inside = distance
        else:
            outside = distance
        slope = side * gradient[0] / (2.0 * max(risen, 1e-12))
        if slope <= 0.0:
            slope = slope_at_inside
        new = distance + (wanted - risen) / slope
        if new > 4.0 * max(distance, error):
            new = 4.0 * max(distance, error)
        if not inside < new < outside:
            new = 0.5 * (inside + outside) if math.isfinite(outside) else 2.0 * distance
        distance = new
        if distance > 1e6 * error:
            return NO_END, 0.0
    return NO_END, 0.0
