"""Kernels that evaluate a forest (see `sigma68.learning.forest`) on blocks of events.

Everything is laid out with the events contiguous, so that the compiler works on 16 to 64 of them
per instruction. What an event gets does not depend on its neighbours, on blocks or on threads.
"""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["BLOCK", "CELLS", "LEVELS", "MOST_CUTS", "TABLE", "add_margins", "cell_of"]

BLOCK = 4096
"""Events handled at a time: their ranks stay in the second-level cache."""

CELLS = 4096
"""Cells of the grid in which the rank of a value is looked up first."""

LEVELS = 6
"""Levels of a tree that are asked for all events: three, and three of eight subtrees."""

MOST_CUTS = 255
"""Thresholds that one row of ranks can tell apart: a rank is a byte."""

TABLE = 2 * MOST_CUTS + 2
"""Length of a row's thresholds, filled up with infinity: a search may look beyond the last."""

GROUP = 4
"""Trees whose leaves are added in one pass over the events."""

_LARGEST = np.float32(np.finfo(np.float32).max)


@njit(cache=True, nogil=True, error_model="numpy")
def cell_of(value, shift, scale):  # type: ignore[no-untyped-def]
    """The cell, 0 ... CELLS - 1, of a value: never smaller for a larger one; 0 for NaN."""
    at = (value - shift) * scale
    at = at if at > np.float32(0.0) else np.float32(0.0)
    at = at if at < np.float32(CELLS - 1) else np.float32(CELLS - 1)
    return np.int32(at)


@njit(cache=True, nogil=True, error_model="numpy")
def _all_finite(column):  # type: ignore[no-untyped-def]
    bad = np.int32(0)
    for value in column:
        bad |= np.int32(not (abs(value) <= _LARGEST))
    return bad == 0


@njit(cache=True, nogil=True, error_model="numpy")
def _rank(column, shift, scale, cells, cuts, steps, place, ranks):  # type: ignore[no-untyped-def]
    """Put into `ranks` how many of the ascending `cuts` each value of a column has reached.

    The cuts in lower cells than its own are below a value: `cells` counts them. Those in its own
    cell, fewer than 2^steps, are searched; `place` is work space.
    """
    n = len(column)
    for e in range(n):
        place[e] = cell_of(column[e], shift, scale)
    if steps <= 1:
        for e in range(n):
            r = np.uint64(cells[place[e]])
            ranks[e] = np.uint8(r + np.uint64(cuts[r] <= column[e]))
        return
    for e in range(n):
        place[e] = cells[place[e]]
    half = np.uint64(1) << np.uint64(steps - 1)
    while half > 0:
        for e in range(n):
            r = np.uint64(place[e])
            reached = cuts[r + half - np.uint64(1)] <= column[e]
            place[e] = np.int32(r + half * np.uint64(reached))
        half >>= np.uint64(1)
    for e in range(n):
        ranks[e] = np.uint8(place[e])


@njit(cache=True, nogil=True)
def _three_levels(ranks, rows, cuts, mark, stride, n, leaf):  # type: ignore[no-untyped-def]
    """Send the events that stand at leaf `mark` on to mark + stride j; j = 0 ... 7 by 7 splits.

    The splits are in the order of levels; a rank above its cut goes right. All of them are asked
    for all events, in bytes and without a branch: that is what makes this fast.
    """
    x0, x1, x2, x3 = ranks[rows[0]], ranks[rows[1]], ranks[rows[2]], ranks[rows[3]]
    x4, x5, x6 = ranks[rows[4]], ranks[rows[5]], ranks[rows[6]]
    c0, c1, c2, c3, c4, c5, c6 = cuts[0], cuts[1], cuts[2], cuts[3], cuts[4], cuts[5], cuts[6]
    here = np.uint8(mark)
    # Arithmetic would be done in 64 bits: bytes are only compared and chosen between.
    k0, k1 = np.uint8(mark), np.uint8(mark + stride)
    k2, k3 = np.uint8(mark + 2 * stride), np.uint8(mark + 3 * stride)
    k4, k5 = np.uint8(mark + 4 * stride), np.uint8(mark + 5 * stride)
    k6, k7 = np.uint8(mark + 6 * stride), np.uint8(mark + 7 * stride)
    for e in range(n):
        r0, r1, r2, r3 = x0[e] > c0, x1[e] > c1, x2[e] > c2, x3[e] > c3
        r4, r5, r6 = x4[e] > c4, x5[e] > c5, x6[e] > c6
        old = leaf[e]
        left_left = k1 if r3 else k0
        left_right = k3 if r4 else k2
        right_left = k5 if r5 else k4
        right_right = k7 if r6 else k6
        left = left_right if r1 else left_left
        right = right_right if r2 else right_left
        new = right if r0 else left
        leaf[e] = new if old == here else old


@njit(cache=True, nogil=True)
def _find_leaves(ranks, rows, cuts, used, n, leaf):  # type: ignore[no-untyped-def]
    """The place, 0 ... 63, at which each event leaves the upper six levels of a tree."""
    for e in range(n):
        leaf[e] = np.uint8(0)
    if used[0]:
        _three_levels(ranks, rows[0], cuts[0], 0, 8, n, leaf)
    for part in range(1, 9):
        if used[part]:
            _three_levels(ranks, rows[part], cuts[part], 8 * (part - 1), 1, n, leaf)


@njit(cache=True, nogil=True)
def _add_group(leaves, values, n, margins):  # type: ignore[no-untyped-def]
    """Add the leaves of GROUP trees, one after the other."""
    p0, p1, p2, p3 = leaves[0], leaves[1], leaves[2], leaves[3]
    v0, v1, v2, v3 = values[0], values[1], values[2], values[3]
    for e in range(n):
        margins[e] = (((margins[e] + v0[p0[e]]) + v1[p1[e]]) + v2[p2[e]]) + v3[p3[e]]


@njit(cache=True, nogil=True)
def _add_tree(ranks, leaf, values, below, splits, deep_values, n, margins):  # type: ignore[no-untyped-def]
    """Add the leaves of one tree, going down where it has more than six levels."""
    for e in range(n):
        place = leaf[e]
        node = below[place]
        if node < 0:
            margins[e] += values[place]
            continue
        while splits[node, 0] >= 0:
            node = splits[node, 2] + np.int64(ranks[splits[node, 0], e] > splits[node, 1])
        margins[e] += deep_values[node]


@njit(cache=True, nogil=True)
def add_margins(  # type: ignore[no-untyped-def]
    flat, row_stride, n_features, first, last,
    row_feature, shift, scale, cells, cuts, steps,
    node_row, node_cut, used, values, below, deep, splits, deep_values,
    margins,
):  # fmt: skip
    """Add what all trees say to `margins` of events first to last - 1; False if one is not finite.

    `flat` holds feature f of event e at f row_stride + e. The other arrays are those of
    `forest.Forest`, in the order of its fields; `row_feature` ascends. It stops at the first block
    with a value that is NaN or infinite.
    """
    n_trees = len(values)
    ranks = np.empty((len(row_feature), BLOCK), np.uint8)
    leaves = np.empty((GROUP, BLOCK), np.uint8)
    place = np.empty(BLOCK, np.int32)
    for start in range(first, last, BLOCK):
        n = min(BLOCK, last - start)
        out = margins[start : start + n]
        r = 0
        for f in range(n_features):
            column = flat[f * row_stride + start : f * row_stride + start + n]
            if not _all_finite(column):
                return False
            while r < len(row_feature) and row_feature[r] == f:
                _rank(column, shift[r], scale[r], cells[r], cuts[r], steps[r], place, ranks[r])
                r += 1
        for t in range(0, n_trees, GROUP):
            m = min(GROUP, n_trees - t)
            simple = m == GROUP
            for k in range(m):
                simple = simple and not deep[t + k]
                _find_leaves(ranks, node_row[t + k], node_cut[t + k], used[t + k], n, leaves[k])
            if simple:
                _add_group(leaves, values[t : t + GROUP], n, out)
                continue
            for k in range(m):
                i = t + k
                _add_tree(ranks, leaves[k], values[i], below[i], splits, deep_values, n, out)
    return True
