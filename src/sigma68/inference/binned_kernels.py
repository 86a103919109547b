"""Compiled arithmetic of the binned likelihood: values and derivatives.

A point theta is a vector: the parameter of interest, then one z per profiled nuisance, each within
limits. With x the coordinates of the nuisances that move events, c_k the scale of component k and
N_kj = nominal_kj exp(q_kj(x)) (see `surfaces`), e_j = sum_k c_k N_kj events are expected in bin j.
Against n_j observed ones, up to what no parameter changes,

    -2 ln L = sum_j 2 [g_j e_j - n_j + n_j ln(n_j / (g_j e_j))] + (g_j - 1)^2 / r_j  + sum_i z_i^2

is 0 for a perfect description (Baker and Cousins, NIM 221, 437 (1984)). r_j is the relative
variance of the simulation in bin j and g_j the factor on its expectation that fits best: the root
of g^2 + g (e r - 1) - n r = 0 (Conway, PHYSTAT 2011, after Barlow and Beeston); 1 where r_j is 0.

`model` is the tuple that `binned.BinnedLikelihood` makes; its parts are named in `expectation`.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

__all__ = ["LOGNORMAL", "PARAMETER", "expectation", "value_of", "with_derivatives"]

PARAMETER, _NORMAL, LOGNORMAL = 0, 1, 2


@njit(cache=True, nogil=True)
def _values(theta, kind, location, width, out):  # type: ignore[no-untyped-def]
    """Value and its first two derivatives by theta, (P, 3)."""
    for i in range(len(theta)):
        if kind[i] == PARAMETER:
            out[i, 0], out[i, 1], out[i, 2] = theta[i], 1.0, 0.0
        elif kind[i] == _NORMAL:
            out[i, 0], out[i, 1], out[i, 2] = location[i] + width[i] * theta[i], width[i], 0.0
        else:
            value = math.exp(location[i] + width[i] * theta[i])
            out[i, 0], out[i, 1], out[i, 2] = value, width[i] * value, width[i] * width[i] * value


@njit(cache=True, nogil=True)
def _monomials(x, exponents, m, first, second):  # type: ignore[no-untyped-def]
    """Monomials (T,), their derivatives (T, S) and second ones (T, S, S)."""
    n_terms, n = exponents.shape
    for t in range(n_terms):
        m[t] = 1.0
        for s in range(n):
            m[t] *= x[s] ** exponents[t, s]
        for a in range(n):
            p = exponents[t, a]
            d = 0.0
            if p > 0:
                d = p * x[a] ** (p - 1)
                for s in range(n):
                    if s != a:
                        d *= x[s] ** exponents[t, s]
            first[t, a] = d
            for b in range(n):
                q = exponents[t, b]
                d2 = 0.0
                if a == b and p > 1:
                    d2 = p * (p - 1) * x[a] ** (p - 2)
                elif a != b and p > 0 and q > 0:
                    d2 = p * x[a] ** (p - 1) * q * x[b] ** (q - 1)
                if d2 != 0.0:
                    for s in range(n):
                        if s != a and s != b:
                            d2 *= x[s] ** exponents[t, s]
                second[t, a, b] = d2


@njit(cache=True, nogil=True)
def expectation(theta, model, order, e, de, d2e):  # type: ignore[no-untyped-def]
    """Expected events (J,), and as far as `order` (0, 1, 2) says their derivatives.

    `de` has shape (J, P), `d2e` (J, P, P).
    """
    nominal, coefficients, exponents, origins, units, fixed_x = model[0:6]
    shape_of, member, fixed_scale, kind, location, width = model[6:12]
    n_components, n_bins = nominal.shape
    n_terms, n_shapes = exponents.shape
    n = len(theta)
    v = np.empty((n, 3))
    _values(theta, kind, location, width, v)
    x, dx, d2x = fixed_x.copy(), np.zeros(n), np.zeros(n)
    for i in range(n):
        s = shape_of[i]
        if s >= 0:
            x[s] = (v[i, 0] - origins[s]) / units[s]
            dx[i], d2x[i] = v[i, 1] / units[s], v[i, 2] / units[s]
    m = np.empty(n_terms)
    dm, d2m = np.empty((n_terms, n_shapes)), np.empty((n_terms, n_shapes, n_shapes))
    _monomials(x, exponents, m, dm, d2m)
    e[:] = 0.0
    if order > 0:
        de[:] = 0.0
    if order > 1:
        d2e[:] = 0.0
    dq_x, d2q_x = np.empty(n_shapes), np.empty((n_shapes, n_shapes))
    c1, c2 = np.empty(n), np.empty((n, n))
    dq = np.zeros(n)
    for k in range(n_components):
        c = _scale(member[k], fixed_scale[k], v, order, c1, c2)
        for j in range(n_bins):
            if nominal[k, j] == 0.0:
                continue
            q = 0.0
            for t in range(n_terms):
                q += coefficients[k, j, t] * m[t]
            # Far from all design points a polynomial may say anything; nothing may overflow.
            size = nominal[k, j] * math.exp(min(max(q, -50.0), 50.0))
            e[j] += c * size
            if order == 0:
                continue
            dq_x[:] = 0.0
            d2q_x[:] = 0.0
            for t in range(n_terms):
                own = coefficients[k, j, t]
                for a in range(n_shapes):
                    dq_x[a] += own * dm[t, a]
                    if order > 1:
                        for b in range(n_shapes):
                            d2q_x[a, b] += own * d2m[t, a, b]
            for i in range(n):
                s = shape_of[i]
                dq[i] = dq_x[s] * dx[i] if s >= 0 else 0.0
                de[j, i] += size * (c1[i] + c * dq[i])
            if order == 1:
                continue
            for i in range(n):
                for other in range(i + 1):
                    d2q = 0.0
                    a, b = shape_of[i], shape_of[other]
                    if a >= 0 and b >= 0:
                        d2q = d2q_x[a, b] * dx[i] * dx[other]
                        if i == other:
                            d2q += dq_x[a] * d2x[i]
                    d2e[j, i, other] += size * (
                        c2[i, other]
                        + c1[i] * dq[other]
                        + c1[other] * dq[i]
                        + c * (dq[i] * dq[other] + d2q)
                    )
    if order > 1:
        for j in range(n_bins):
            for i in range(n):
                for other in range(i):
                    d2e[j, other, i] = d2e[j, i, other]


@njit(cache=True, nogil=True)
def _scale(member, fixed, v, order, c1, c2):  # type: ignore[no-untyped-def]
    """The product of a component's factors, with derivatives by theta."""
    n = len(member)
    c = fixed
    for i in range(n):
        if member[i]:
            c *= v[i, 0]
    if order == 0:
        return c
    for i in range(n):
        c1[i] = 0.0
        if member[i]:
            rest = fixed
            for other in range(n):
                if member[other] and other != i:
                    rest *= v[other, 0]
            c1[i] = rest * v[i, 1]
        for other in range(n):
            c2[i, other] = 0.0
            if member[i] and member[other]:
                rest = fixed
                for o in range(n):
                    if member[o] and o != i and o != other:
                        rest *= v[o, 0]
                c2[i, other] = rest * (v[i, 2] if i == other else v[i, 1] * v[other, 1])
    return c


@njit(cache=True, nogil=True)
def _bin(n, e, r):  # type: ignore[no-untyped-def]
    """A bin's part of -2 ln L with its first and second derivative by e > 0."""
    if r <= 0.0:
        g, dg = 1.0, 0.0
    else:
        half = 0.5 * (1.0 - e * r)
        root = math.sqrt(half * half + n * r)
        # The stable one of two equal expressions for the larger root.
        g = half + root if half >= 0.0 else n * r / (root - half)
        dg = -g * r / (2.0 * root)
    at = g * e
    value = 2.0 * (at - n)
    if n > 0.0:
        value += 2.0 * n * math.log(n / at)
    if r > 0.0:
        value += (g - 1.0) ** 2 / r
    return value, 2.0 * (g - n / e), 2.0 * (dg + n / (e * e))


@njit(cache=True, nogil=True)
def value_of(theta, counts, relative, model):  # type: ignore[no-untyped-def]
    """-2 ln L; infinite where an expectation is not positive."""
    e = np.empty(len(counts))
    none1, none2 = np.empty((0, 0)), np.empty((0, 0, 0))
    expectation(theta, model, 0, e, none1, none2)
    total = 0.0
    for j in range(len(counts)):
        if not e[j] > 0.0:
            return math.inf
        total += _bin(counts[j], e[j], relative[j])[0]
    kind = model[9]
    for i in range(len(theta)):
        if kind[i] != PARAMETER:
            total += theta[i] * theta[i]
    return total


@njit(cache=True, nogil=True)
def with_derivatives(theta, counts, relative, model, gradient, hessian):  # type: ignore[no-untyped-def]
    """-2 ln L; fills the gradient (P,) and the Hessian (P, P), which are NaN where it is infinite."""
    n, n_bins = len(theta), len(counts)
    e, de, d2e = np.empty(n_bins), np.empty((n_bins, n)), np.empty((n_bins, n, n))
    expectation(theta, model, 2, e, de, d2e)
    gradient[:] = 0.0
    hessian[:] = 0.0
    total = 0.0
    for j in range(n_bins):
        if not e[j] > 0.0:
            gradient[:] = np.nan
            hessian[:] = np.nan
            return math.inf
        value, first, second = _bin(counts[j], e[j], relative[j])
        total += value
        for i in range(n):
            gradient[i] += first * de[j, i]
            for other in range(n):
                hessian[i, other] += first * d2e[j, i, other] + second * de[j, i] * de[j, other]
    kind = model[9]
    for i in range(n):
        if kind[i] != PARAMETER:
            total += theta[i] * theta[i]
            gradient[i] += 2.0 * theta[i]
            hessian[i, i] += 2.0
    return total
