"""A network of any depth applied to many events: the kernel behind learned scores.

Events are taken in blocks of `EVENTS`, always whole ones (the last is filled up), and every event
of a block goes through the same operations in the same order, inputs added four at a time. So an
event's result depends on nothing but the event: not on its neighbours, on chunks or on threads.
No BLAS, whose results do.

Four outputs are computed from four inputs at a time, so that a value is loaded once for four
multiply-adds: the scratch arrays are flat with fixed strides, from which the compiler sees that
they don't overlap, and the blocks of 100 units stay in the second-level cache.

Where the network's hidden layers are rounded, what goes into a layer has the 8 significant bits of a
bfloat16: the nearest such number, of two that are as near the one with an even last bit.

A feature becomes an input through a monotone map of straight pieces (see `InputMaps`). A piece is
a value cut to its bounds and scaled, without a search: that vectorises.
"""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["EVENTS", "apply_maps", "apply_network", "padded"]

EVENTS = 128
"""Events that the kernel handles at a time."""

_TILE = 4  # outputs by inputs
# Indices are unsigned: a test for negative ones would keep the loops from vectorising.
_E, _2E, _3E, _4E = (np.uint64(n * EVENTS) for n in (1, 2, 3, 4))
_NO_NUMBER = np.uint32(0x7F800000)  # the exponent of a NaN or an infinity


def padded(n: int) -> int:
    """The number of rows that the kernel needs for `n` units or pieces: whole tiles."""
    return -(-n // _TILE) * _TILE


@njit(cache=True, nogil=True, fastmath={"contract"}, error_model="numpy")
def _map_feature(starts, widths, slopes, low, raw, x, row):  # type: ignore[no-untyped-def]
    """Put low + sum_k slopes_k min(max(raw - starts_k, 0), widths_k) into a row of x."""
    at = np.uint64(row) * _E
    for e in range(_E):
        x[at + e] = low
    for k in range(0, len(starts), 4):  # a whole number of fours
        a0, a1, a2, a3 = starts[k], starts[k + 1], starts[k + 2], starts[k + 3]
        d0, d1, d2, d3 = widths[k], widths[k + 1], widths[k + 2], widths[k + 3]
        s0, s1, s2, s3 = slopes[k], slopes[k + 1], slopes[k + 2], slopes[k + 3]
        for e in range(_E):
            v = raw[e]
            first = s0 * _cut(v - a0, d0) + s1 * _cut(v - a1, d1)
            second = s2 * _cut(v - a2, d2) + s3 * _cut(v - a3, d3)
            x[at + e] += first + second


@njit(inline="always")
def _cut(v, width):  # type: ignore[no-untyped-def]
    """min(max(v, 0), width); a NaN becomes 0."""
    v = v if v > np.float32(0.0) else np.float32(0.0)
    return v if v < width else width


@njit(cache=True, nogil=True, fastmath={"contract"}, error_model="numpy")
def _layer(weights, first, n_in, n_out, x, y, rectify):  # type: ignore[no-untyped-def]
    """Put w x + b into y for a block; w (n_out, n_in) begins at `first`, b follows it."""
    zero = np.float32(0.0)
    for j in range(0, n_out, 4):
        y0 = np.uint64(j) * _E
        y1, y2, y3 = y0 + _E, y0 + _2E, y0 + _3E
        a = first + n_out * n_in + j
        b0, b1, b2, b3 = weights[a], weights[a + 1], weights[a + 2], weights[a + 3]
        for e in range(_E):
            y[y0 + e] = b0
            y[y1 + e] = b1
            y[y2 + e] = b2
            y[y3 + e] = b3
        for k in range(0, n_in, 4):
            a = first + j * n_in + k
            w00, w01, w02, w03 = weights[a], weights[a + 1], weights[a + 2], weights[a + 3]
            a += n_in
            w10, w11, w12, w13 = weights[a], weights[a + 1], weights[a + 2], weights[a + 3]
            a += n_in
            w20, w21, w22, w23 = weights[a], weights[a + 1], weights[a + 2], weights[a + 3]
            a += n_in
            w30, w31, w32, w33 = weights[a], weights[a + 1], weights[a + 2], weights[a + 3]
            at = np.uint64(k) * _E
            for e in range(_E):
                x0, x1, x2, x3 = x[at + e], x[at + _E + e], x[at + _2E + e], x[at + _3E + e]
                y[y0 + e] = y[y0 + e] + w00 * x0 + w01 * x1 + w02 * x2 + w03 * x3
                y[y1 + e] = y[y1 + e] + w10 * x0 + w11 * x1 + w12 * x2 + w13 * x3
                y[y2 + e] = y[y2 + e] + w20 * x0 + w21 * x1 + w22 * x2 + w23 * x3
                y[y3 + e] = y[y3 + e] + w30 * x0 + w31 * x1 + w32 * x2 + w33 * x3
        if rectify:
            for e in range(_4E):
                v = y[y0 + e]
                y[y0 + e] = v if v > zero else zero


@njit(cache=True, nogil=True)
def _round(bits, n):  # type: ignore[no-untyped-def]
    """Round the first n of the float32 whose bits these are to bfloat16, n a multiple of EVENTS."""
    half, one, kept = np.uint32(0x7FFF), np.uint32(1), np.uint32(0xFFFF0000)
    for e in range(np.uint64(n)):
        v = bits[e]
        bits[e] = (v + half + ((v >> np.uint32(16)) & one)) & kept


@njit(cache=True, nogil=True)
def _inputs(values, block, n, starts, widths, slopes, low, raw, bits, x):  # type: ignore[no-untyped-def]
    """Put the inputs of n events from `block` on into x; gives how many values are no numbers.

    What is left in x from the block before fills the rest up.
    """
    wrong = np.uint32(0)
    for f in range(len(low)):
        for e in range(n):
            raw[e] = values[f, block + e]
        for e in range(n):
            wrong += np.uint32((bits[e] & _NO_NUMBER) == _NO_NUMBER)
        _map_feature(starts[f], widths[f], slopes[f], low[f], raw, x, f)
    return wrong


@njit(cache=True, nogil=True)
def apply_maps(values, first, last, starts, widths, slopes, low, out):  # type: ignore[no-untyped-def]
    """Write the inputs of events first to last - 1 to `out` (last - first or more, n_features).

    Arguments and result are those of `apply_network`.
    """
    raw = np.zeros(EVENTS, np.float32)
    bits = raw.view(np.uint32)
    x = np.zeros(len(low) * EVENTS, np.float32)
    for block in range(first, last, EVENTS):
        n = min(EVENTS, last - block)
        if _inputs(values, block, n, starts, widths, slopes, low, raw, bits, x) > 0:
            return block
        for e in range(n):
            for f in range(len(low)):
                out[block - first + e, f] = x[f * EVENTS + e]
    return -1


@njit(cache=True, nogil=True)
def apply_network(  # type: ignore[no-untyped-def]
    values, first, last, starts, widths, slopes, low, shapes, weights, rounded, out
):
    """Write the network's outputs for events first to last - 1 to `out` (n_outputs, n_events).

    `values` is (n_features, n_events); `starts`, `widths`, `slopes` and `low` are those of
    `InputMaps`; `shapes` holds (inputs, outputs) of each layer, multiples of 4, and `weights` the
    layers one after the other: w row by row, then b. With `rounded`, what goes into a layer is rounded
    to bfloat16. Gives the first event of a block in which a
    feature is NaN or infinite, where it stops, or -1.
    """
    largest = 0
    for at in range(len(shapes)):
        largest = max(largest, shapes[at, 0], shapes[at, 1])
    raw = np.zeros(EVENTS, np.float32)
    bits = raw.view(np.uint32)
    x = np.zeros(shapes[0, 0] * EVENTS, np.float32)  # rows that fill up a tile stay 0
    a = np.zeros(largest * EVENTS, np.float32)
    b = np.zeros(largest * EVENTS, np.float32)
    x_bits, a_bits, b_bits = x.view(np.uint32), a.view(np.uint32), b.view(np.uint32)
    for block in range(first, last, EVENTS):
        n = min(EVENTS, last - block)
        if _inputs(values, block, n, starts, widths, slopes, low, raw, bits, x) > 0:
            return block
        if rounded:
            _round(x_bits, len(x))
        _layer(weights, 0, shapes[0, 0], shapes[0, 1], x, a, len(shapes) > 1)
        offset = (shapes[0, 0] + 1) * shapes[0, 1]
        for at in range(1, len(shapes)):
            if rounded:
                _round(a_bits, shapes[at, 0] * EVENTS)
            _layer(weights, offset, shapes[at, 0], shapes[at, 1], a, b, at + 1 < len(shapes))
            offset += (shapes[at, 0] + 1) * shapes[at, 1]
            a, b = b, a
            a_bits, b_bits = b_bits, a_bits
        for j in range(len(out)):
            for e in range(n):
                out[j, block + e] = a[j * EVENTS + e]
    return -1
