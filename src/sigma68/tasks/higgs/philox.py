"""Philox4x32-10 for kernels: four random words from a counter and a key, no state.

Event i of a stream reads the words of counter (i, purpose), whatever thread or chunk handles it.

Reference: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC11 (2011); its
known-answer vectors are in the tests.
"""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["BLOCK", "DRAW", "SOFT_MET", "philox_block"]

BLOCK = 512
"""Events that a kernel handles at a time: its scratch stays in the second-level cache, and what it
writes to a column at a time is long enough to fill lines."""

DRAW, SOFT_MET = 0, 1
"""The purposes of a word: third counter word, so that they never meet."""

_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


@njit(cache=True)
def philox_block(words, events, n, purpose, key0, key1):  # type: ignore[no-untyped-def]
    """Fill `words` (4 * BLOCK,) uint64 with the 32-bit words of the first n `events` (int64).

    Word j of event number ``events[e]`` stands at ``words[j * BLOCK + e]``.
    """
    k0_first, k1_first = np.uint64(key0), np.uint64(key1)
    third = np.uint64(purpose)
    for e in range(n):
        event = np.uint64(events[e])
        c0 = event & _LOW
        c1 = event >> _HALF
        c2 = third
        c3 = np.uint64(0)
        k0 = k0_first
        k1 = k1_first
        for _ in range(10):
            p0 = _M0 * c0
            p1 = _M1 * c2
            c0 = (p1 >> _HALF) ^ c1 ^ k0
            c2 = (p0 >> _HALF) ^ c3 ^ k1
            c1 = p1 & _LOW
            c3 = p0 & _LOW
            k0 = (k0 + _W0) & _LOW
            k1 = (k1 + _W1) & _LOW
        words[e] = c0
        words[BLOCK + e] = c1
        words[2 * BLOCK + e] = c2
        words[3 * BLOCK + e] = c3
