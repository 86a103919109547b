"""Directions in which no jet can be, left out of a coordinate.

Jets, and what counts as one, are at least the radius of the clustering apart. Around each object
near in pseudorapidity is an arc of azimuth without jets; a density that ends so sharply, where it
does depending on everything else, is not learned. So the coordinate of an angle leaves these arcs
out: what is on either side of one is next to each other.

Positions lie in [-1, 1]; a list of gaps is an array (6, 2) of ascending lower and upper ends, of
which the first are filled. Gaps may overlap.
"""

from __future__ import annotations

import math

from numba import njit

__all__ = ["MOST_GAPS", "add_gap", "half_width", "joined", "opened"]

MOST_GAPS = 6  # three objects, each of whose arcs may be cut in two

_RADIUS = 0.59  # where 1 of 10,000 jets is that near


@njit(cache=True, nogil=True)
def half_width(apart):  # type: ignore[no-untyped-def]
    """How far in azimuth from an object, `apart` in pseudorapidity, there is no jet."""
    return math.sqrt(max(_RADIUS * _RADIUS - apart * apart, 0.0))


@njit(cache=True, nogil=True)
def add_gap(gaps, n, low, high):  # type: ignore[no-untyped-def]
    """Insert a gap among the first `n`, in order; how many there are then."""
    if high <= low:
        return n
    i = n
    while i > 0 and gaps[i - 1, 0] > low:
        gaps[i, 0], gaps[i, 1] = gaps[i - 1, 0], gaps[i - 1, 1]
        i -= 1
    gaps[i, 0], gaps[i, 1] = low, high
    return n + 1


@njit(cache=True, nogil=True)
def _left_out(gaps, n, x):  # type: ignore[no-untyped-def]
    """How much of [-1, x] lies in gaps."""
    total, reached = 0.0, -1.0
    for i in range(n):
        low, high = max(gaps[i, 0], reached), min(gaps[i, 1], x)
        if high > low:
            total += high - low
        reached = max(reached, gaps[i, 1])
    return total


@njit(cache=True, nogil=True)
def joined(gaps, n, x):  # type: ignore[no-untyped-def]
    """A position to [0, 1], without the gaps; all of a gap is where its ends meet."""
    return (x + 1.0 - _left_out(gaps, n, x)) / (2.0 - _left_out(gaps, n, 1.0))


@njit(cache=True, nogil=True)
def opened(gaps, n, u):  # type: ignore[no-untyped-def]
    """The position outside the gaps that `joined` maps to `u`."""
    x, reached = u * (2.0 - _left_out(gaps, n, 1.0)) - 1.0, -1.0
    for i in range(n):
        low, high = max(gaps[i, 0], reached), gaps[i, 1]
        if x < low:
            break
        if high > low:
            x += high - low
        reached = max(reached, high)
    return x
