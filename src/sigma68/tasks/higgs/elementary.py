"""Elementary functions without branches or tables, so that the compiler can vectorise them.

Scalar library calls for the sines, hyperbolic cosines and arc tangents of an event cost more
than everything else together; written as polynomials in double precision they run eight (or
four) events at a time. Each is accurate to better than 1e-11 over the range it is used in,
far below the 0.001 to which the primaries are rounded; the tests hold them to NumPy's.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

__all__ = ["arctan2", "cosh_minus_one", "exp_minus", "round_to_thousandths", "sin_cos"]

_TWO_OVER_PI = 2.0 / math.pi
_HALF_PI_HIGH = 1.5707963267341256  # pi/2 to 33 bits: k * this is exact for the k met here
_HALF_PI_LOW = 6.077100506506192e-11  # what is missing from it
_ROUND = 6755399441055744.0  # 1.5 * 2^52: adding and subtracting it rounds half to even
_TAN_PI_8 = math.tan(math.pi / 8.0)


@njit(inline="always")
def sin_cos(x):  # type: ignore[no-untyped-def]
    """Sine and cosine of an angle of at most some hundred radians: Taylor series in a quadrant."""
    k = (x * _TWO_OVER_PI + _ROUND) - _ROUND
    r = (x - k * _HALF_PI_HIGH) - k * _HALF_PI_LOW
    z = r * r
    s = r + r * z * (
        -1.0 / 6.0
        + z
        * (
            1.0 / 120.0
            + z
            * (
                -1.0 / 5040.0
                + z * (1.0 / 362880.0 + z * (-1.0 / 39916800.0 + z * (1.0 / 6227020800.0)))
            )
        )
    )
    c = 1.0 + z * (
        -0.5
        + z
        * (
            1.0 / 24.0
            + z
            * (
                -1.0 / 720.0
                + z
                * (
                    1.0 / 40320.0
                    + z * (-1.0 / 3628800.0 + z * (1.0 / 479001600.0 + z * (-1.0 / 87178291200.0)))
                )
            )
        )
    )
    # Which quadrant, without integers: k mod 4 is 0, 1, 2 or 3.
    q = k - 4.0 * math.floor(k * 0.25)
    swap = (q == 1.0) | (q == 3.0)
    sine = c if swap else s
    cosine = s if swap else c
    sine = -sine if q >= 2.0 else sine
    cosine = -cosine if (q == 1.0) | (q == 2.0) else cosine
    return sine, cosine


@njit(inline="always")
def arctan2(y, x):  # type: ignore[no-untyped-def]
    """Angle of (x, y) in (-pi, pi]; 0 at the origin."""
    ax = abs(x)
    ay = abs(y)
    big = max(ax, ay)
    small = min(ax, ay)
    t = small / (big if big > 0.0 else 1.0)
    upper = t > _TAN_PI_8
    u = (t - 1.0) / (t + 1.0) if upper else t
    z = u * u
    # arctan(u) / u as a polynomial in u^2 on [0, tan(pi/8)^2]: a Chebyshev interpolation of
    # degree 10, largest relative error 7e-14.
    p = ARCTAN[10]
    p = p * z + ARCTAN[9]
    p = p * z + ARCTAN[8]
    p = p * z + ARCTAN[7]
    p = p * z + ARCTAN[6]
    p = p * z + ARCTAN[5]
    p = p * z + ARCTAN[4]
    p = p * z + ARCTAN[3]
    p = p * z + ARCTAN[2]
    p = p * z + ARCTAN[1]
    p = p * z + ARCTAN[0]
    a = u * p
    a = a + math.pi / 4.0 if upper else a
    a = math.pi / 2.0 - a if ay > ax else a
    a = math.pi - a if x < 0.0 else a
    return -a if y < 0.0 else a


@njit(inline="always")
def cosh_minus_one(x):  # type: ignore[no-untyped-def]
    """cosh(x) - 1 for |x| up to 30, exact to the relative precision even near 0.

    Series for x / 32, then five times cosh(2a) - 1 = 2 (cosh a - 1) (cosh a + 1).
    """
    a = x * (1.0 / 32.0)
    z = a * a
    y = (
        0.5
        * z
        * (
            1.0
            + z
            * (1.0 / 12.0)
            * (
                1.0
                + z
                * (1.0 / 30.0)
                * (1.0 + z * (1.0 / 56.0) * (1.0 + z * (1.0 / 90.0) * (1.0 + z * (1.0 / 132.0))))
            )
        )
    )
    y = 2.0 * y * (y + 2.0)
    y = 2.0 * y * (y + 2.0)
    y = 2.0 * y * (y + 2.0)
    y = 2.0 * y * (y + 2.0)
    return 2.0 * y * (y + 2.0)


@njit(inline="always")
def exp_minus(x):  # type: ignore[no-untyped-def]
    """exp(-x) for x >= 0; below what a float32 can hold (x > 104) it is 0.

    Series for x / 256, then eight squarings.
    """
    t = min(x, 104.0) * (-1.0 / 256.0)
    p = 1.0 + t * (1.0 / 10.0) * (1.0 + t * (1.0 / 11.0) * (1.0 + t * (1.0 / 12.0)))
    p = 1.0 + t * (1.0 / 9.0) * p
    p = 1.0 + t * (1.0 / 8.0) * p
    p = 1.0 + t * (1.0 / 7.0) * p
    p = 1.0 + t * (1.0 / 6.0) * p
    p = 1.0 + t * (1.0 / 5.0) * p
    p = 1.0 + t * (1.0 / 4.0) * p
    p = 1.0 + t * (1.0 / 3.0) * p
    p = 1.0 + t * 0.5 * p
    p = 1.0 + t * p
    p = p * p
    p = p * p
    p = p * p
    p = p * p
    p = p * p
    p = p * p
    p = p * p
    p = p * p
    return p if x < 104.0 else 0.0


@njit(inline="always")
def round_to_thousandths(x):  # type: ignore[no-untyped-def]
    """`x` rounded to 3 decimals (half to even), as the float32 that a file would hold."""
    return np.float64(np.float32(((x * 1000.0 + _ROUND) - _ROUND) / 1000.0))


def _arctan_polynomial() -> tuple[float, ...]:
    """Coefficients of arctan(u) / u in z = u^2, by interpolation at Chebyshev nodes."""
    high = _TAN_PI_8**2

    def target(z: np.ndarray) -> np.ndarray:
        u = np.sqrt(z)
        result: np.ndarray = np.arctan(u) / u
        return result

    fit = np.polynomial.Chebyshev.interpolate(target, 10, domain=[0.0, high])
    return tuple(float(c) for c in fit.convert(kind=np.polynomial.Polynomial).coef)


ARCTAN = _arctan_polynomial()
