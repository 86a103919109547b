"""A small ReLU network applied to many events: the kernel behind learned conditional densities.

Arrays are (rows, events) with the events contiguous, so that the compiler works on several events
per instruction and the sum over inputs keeps one fixed order: an event's result does not depend on
its neighbours, on chunks or on threads. No BLAS, whose results do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = ["EVENTS", "Perceptron", "apply_perceptron"]

EVENTS = 128
"""Events that a kernel handles at a time: the hidden layers stay in the first-level cache."""

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Perceptron:
    """Two hidden layers of ReLU units, and the standardisation of what goes in.

    Shapes: `shift`, `scale` (F,); `w1` (H, F), `b1` (H,); `w2` (H, H), `b2` (H,); `w3` (O, H),
    `b3` (O,); all float32. An input x enters as (x - shift) * scale.
    """

    shift: Float32
    scale: Float32
    w1: Float32
    b1: Float32
    w2: Float32
    b2: Float32
    w3: Float32
    b3: Float32

    @property
    def arrays(self) -> tuple[Float32, ...]:
        """What kernels take, in their order."""
        return (
            self.shift,
            self.scale,
            self.w1,
            self.b1,
            self.w2,
            self.b2,
            self.w3,
            self.b3,
        )


@njit(cache=True, nogil=True)
def _layer(w, b, x, n_in, y, n_out, n, rectify):  # type: ignore[no-untyped-def]
    """Put w x + b into y for n events, inputs added in their order, four at a time."""
    whole = n_in - n_in % 4
    for j in range(n_out):
        row = y[j]
        bias = b[j]
        for e in range(n):
            row[e] = bias
        for k in range(0, whole, 4):
            w0, w1, w2, w3 = w[j, k], w[j, k + 1], w[j, k + 2], w[j, k + 3]
            x0, x1, x2, x3 = x[k], x[k + 1], x[k + 2], x[k + 3]
            for e in range(n):
                row[e] = row[e] + w0 * x0[e] + w1 * x1[e] + w2 * x2[e] + w3 * x3[e]
        for k in range(whole, n_in):
            last = w[j, k]
            xk = x[k]
            for e in range(n):
                row[e] = row[e] + last * xk[e]
        if rectify:
            zero = np.float32(0.0)
            for e in range(n):
                row[e] = max(row[e], zero)


@njit(cache=True, nogil=True)
def apply_perceptron(  # type: ignore[no-untyped-def]
    features, first, n, shift, scale, w1, b1, w2, b2, w3, b3, x, h1, h2, out
):
    """The outputs of events first to first + n - 1 (n <= EVENTS), written to `out` (O, EVENTS).

    `features` has shape (F or more, n_events); `x` (F, EVENTS), `h1` and `h2` (H, EVENTS) are
    work space. All float32.
    """
    n_in = len(shift)
    for f in range(n_in):
        source, target = features[f], x[f]
        a, s = shift[f], scale[f]
        for e in range(n):
            target[e] = (source[first + e] - a) * s
    _layer(w1, b1, x, n_in, h1, len(b1), n, True)
    _layer(w2, b2, h1, len(b1), h2, len(b2), n, True)
    _layer(w3, b3, h2, len(b2), out, len(b3), n, False)
