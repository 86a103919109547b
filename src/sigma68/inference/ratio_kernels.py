"""Compiled sums over events of the logarithm of a density ratio, with derivatives.

At event i, with s_ki the shares of the components where every scale is 1 and every shape nuisance
off, and q_ki = sum_t D_kti m_t(x) what the shapes do to component k there,

    R_i = sum_k c_k s_ki exp(q_ki),        out = sum_i w_i ln R_i  and its derivatives.

Derivatives are collected by what they are made of, since all that depends on events are sums of
products of h_k = s_k exp(q_k) / R and the derivatives of q_k by the S shapes:

    A_k = sum w h_k,   B_ka = sum w h_k dq_ka,   C_kab = sum w h_k (dq_ka dq_kb + d2q_kab),

and of the outer product of the gradient of ln R at each event. Events are taken in blocks that
stay in the cache; the sums of blocks are added in their order, whatever the threads.
"""

from __future__ import annotations

import math

import numba
import numpy as np
import numpy.typing as npt

__all__ = ["BLOCK", "ratio_scores", "ratio_sums"]

Floats = npt.NDArray[np.float64]

BLOCK = 512
"""Events that one thread handles at a time."""
_MOST = 20.0  # of the logarithm of a response: beyond, a polynomial may say anything


def ratio_sums(
    shares: npt.NDArray[np.float32],
    responses: npt.NDArray[np.float32],
    weights: Floats,
    scales: Floats,
    slopes: Floats,
    monomials: Floats,
) -> tuple[float, Floats, Floats, Floats, Floats]:
    """The sums over all events.

    Parameters
    ----------
    shares, responses
        s (K, N) and D (K, T, N), float32.
    weights
        w, (N,).
    scales, slopes
        c (K,) and its derivatives by the vector (K, P).
    monomials
        m_t, then its derivatives by each of the S shapes, then the second ones by pairs a >= b,
        (T, 1 + S + S (S + 1) / 2). The shapes are the last S of the vector's entries given in
        `slopes`, by their place in `monomials`; see `density_ratios`.

    Returns
    -------
    sum w ln R (minus infinity where an R is not positive), A (K,), B (K, S), C (K, S, S) and the
    outer products sum w g g^T (P + S, P + S), where g are the derivatives of ln R by the scales
    (through `slopes`, P of them) and by the shapes (S of them).
    """
    k, n_events = shares.shape
    s = _n_shapes(monomials.shape[1])
    p = slopes.shape[1]
    n_blocks = -(-n_events // BLOCK)
    size = 1 + k + k * s + k * s * s + (p + s) * (p + s)
    out = np.zeros((n_blocks, size))
    _all_blocks(shares, responses, weights, scales, slopes, monomials, s, out)
    total = out.sum(axis=0)
    a = total[1 : 1 + k]
    at = 1 + k
    b = total[at : at + k * s].reshape(k, s)
    at += k * s
    c = total[at : at + k * s * s].reshape(k, s, s)
    at += k * s * s
    return float(total[0]), a, b, c, total[at:].reshape(p + s, p + s)


def _n_shapes(columns: int) -> int:
    """S from 1 + S + S (S + 1) / 2."""
    return round((-3 + math.sqrt(9 + 8 * (columns - 1))) / 2)


@numba.njit(cache=True, parallel=True, fastmath={"contract", "reassoc"}, error_model="numpy")
def _all_blocks(shares, responses, weights, scales, slopes, monomials, s, out):  # type: ignore[no-untyped-def]
    for block in numba.prange(len(out)):
        _one_block(shares, responses, weights, scales, slopes, monomials, s, block, out[block])


@numba.njit(cache=True, fastmath={"contract", "reassoc"}, error_model="numpy")
def _one_block(shares, responses, weights, scales, slopes, monomials, s, block, own):  # type: ignore[no-untyped-def]
    """Add up a block. Events that fill it up have a weight of 0 and a ratio of 1."""
    k, n_terms = responses.shape[0], responses.shape[1]
    p = slopes.shape[1]
    first = block * BLOCK
    m = min(BLOCK, shares.shape[1] - first)
    columns = monomials.shape[1]
    q = np.empty((columns, BLOCK))
    h, dq = np.empty((k, BLOCK)), np.empty((k, columns - 1, BLOCK))
    ratio = np.zeros(BLOCK)
    for j in range(k):
        q[:] = 0.0
        for t in range(n_terms):
            for c in range(columns):
                factor = monomials[t, c]
                if factor != 0.0:
                    for e in range(m):
                        q[c, e] += factor * responses[j, t, first + e]
        for e in range(m):
            h[j, e] = shares[j, first + e] * math.exp(min(max(q[0, e], -_MOST), _MOST))
            ratio[e] += scales[j] * h[j, e]
        for c in range(1, columns):
            for e in range(m):
                dq[j, c - 1, e] = q[c, e]
    w = weights[first : first + m]
    for e in range(m):
        if not ratio[e] > 0.0:
            own[0] = -math.inf
            return
    total = 0.0
    for e in range(m):
        total += w[e] * math.log(ratio[e])
    own[0] = total
    g = np.zeros((p + s, BLOCK))
    for j in range(k):
        for e in range(m):
            h[j, e] /= ratio[e]
        for i in range(p):
            slope = slopes[j, i]
            if slope != 0.0:
                for e in range(m):
                    g[i, e] += slope * h[j, e]
        for a in range(s):
            for e in range(m):
                g[p + a, e] += scales[j] * h[j, e] * dq[j, a, e]
        _collect(h[j], dq[j], w, m, s, own, 1 + j, 1 + k + j * s, 1 + k + k * s + j * s * s)
    at = 1 + k + k * s + k * s * s
    for i in range(p + s):
        for o in range(i + 1):
            total = 0.0
            for e in range(m):
                total += w[e] * g[i, e] * g[o, e]
            own[at + i * (p + s) + o] = total
            own[at + o * (p + s) + i] = total


@numba.njit(cache=True, fastmath={"contract", "reassoc"}, error_model="numpy")
def _collect(h, dq, w, m, s, own, at_a, at_b, at_c):  # type: ignore[no-untyped-def]
    """A, B and C of one component."""
    total = 0.0
    for e in range(m):
        total += w[e] * h[e]
    own[at_a] = total
    pair = s
    for a in range(s):
        total = 0.0
        for e in range(m):
            total += w[e] * h[e] * dq[a, e]
        own[at_b + a] = total
        for b in range(a + 1):
            total = 0.0
            for e in range(m):
                total += w[e] * h[e] * (dq[a, e] * dq[b, e] + dq[pair, e])
            own[at_c + a * s + b] = total
            own[at_c + b * s + a] = total
            pair += 1


@numba.njit(cache=True, parallel=True, fastmath={"contract", "reassoc"}, error_model="numpy")
def ratio_scores(shares, responses, scales, slopes, monomials, places, out):  # type: ignore[no-untyped-def]
    """Write the derivatives of ln R by the vector at each event to `out` (P, N), float32.

    `places` (S,) are those of the shapes in the vector; the others as in `ratio_sums`, of the
    monomials only the first 1 + S columns.
    """
    k, n_terms = responses.shape[0], responses.shape[1]
    n_events, p, s = shares.shape[1], slopes.shape[1], len(places)
    for block in numba.prange(-(-n_events // BLOCK)):
        first = block * BLOCK
        m = min(BLOCK, n_events - first)
        q = np.empty((1 + s, BLOCK))
        ratio, g = np.zeros(BLOCK), np.zeros((p, BLOCK))
        for j in range(k):
            q[:] = 0.0
            for t in range(n_terms):
                for c in range(1 + s):
                    factor = monomials[t, c]
                    if factor != 0.0:
                        for e in range(m):
                            q[c, e] += factor * responses[j, t, first + e]
            for e in range(m):
                q[0, e] = shares[j, first + e] * math.exp(min(max(q[0, e], -_MOST), _MOST))
                ratio[e] += scales[j] * q[0, e]
            for i in range(p):
                slope = slopes[j, i]
                if slope != 0.0:
                    for e in range(m):
                        g[i, e] += slope * q[0, e]
            for a in range(s):
                for e in range(m):
                    g[places[a], e] += scales[j] * q[0, e] * q[1 + a, e]
        for i in range(p):
            for e in range(m):
                out[i, first + e] = g[i, e] / ratio[e]
