"""Elementary functions and the counter-based generator that the kernels are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numba import njit

from sigma68.tasks.higgs import elementary
from sigma68.tasks.higgs.philox import BLOCK, philox_block


def apply(function: Callable[..., Any], *arguments: np.ndarray) -> np.ndarray:
    @njit
    def loop(x: np.ndarray, y: np.ndarray, out: np.ndarray) -> None:
        for i in range(x.size):
            out[i] = function(x[i], y[i])

    out = np.empty(arguments[0].size)
    loop(arguments[0], arguments[-1], out)
    return out


@njit
def _sine(x: float, _: float) -> float:
    return elementary.sin_cos(x)[0]


@njit
def _cosine(x: float, _: float) -> float:
    return elementary.sin_cos(x)[1]


@njit
def _angle(y: float, x: float) -> float:
    return elementary.arctan2(y, x)


@njit
def _cosh(x: float, _: float) -> float:
    return elementary.cosh_minus_one(x)


@njit
def _exp(x: float, _: float) -> float:
    return elementary.exp_minus(x)


@njit
def _round(x: float, _: float) -> float:
    return elementary.round_to_thousandths(x)


def test_sine_and_cosine_hold_over_all_angles_met() -> None:
    x = np.concatenate([np.linspace(-30, 30, 200_001), np.arange(-8, 9) * np.pi / 4])
    np.testing.assert_allclose(apply(_sine, x), np.sin(x), atol=1e-13, rtol=0)
    np.testing.assert_allclose(apply(_cosine, x), np.cos(x), atol=1e-13, rtol=0)


def test_arc_tangent_holds_in_every_octant() -> None:
    angle = np.concatenate([np.linspace(-np.pi, np.pi, 100_001), np.arange(-7, 8) * np.pi / 8])
    y, x = 3 * np.sin(angle), 3 * np.cos(angle)
    np.testing.assert_allclose(apply(_angle, y, x), np.arctan2(y, x), atol=1e-12, rtol=0)
    edge = np.array([0.0, 0.0, 1.0, -1.0])
    np.testing.assert_allclose(
        apply(_angle, edge, edge[::-1].copy()), np.arctan2(edge, edge[::-1]), atol=1e-15
    )
    assert apply(_angle, np.zeros(1), np.zeros(1))[0] == 0.0


def test_hyperbolic_cosine_keeps_its_precision_near_zero() -> None:
    x = np.concatenate([np.linspace(-29, 29, 100_001), np.geomspace(1e-8, 1, 100)])
    np.testing.assert_allclose(apply(_cosh, x), 2 * np.sinh(x / 2) ** 2, rtol=2e-8)
    near = x[np.abs(x) < 12]
    np.testing.assert_allclose(apply(_cosh, near), 2 * np.sinh(near / 2) ** 2, rtol=2e-12)


def test_exponential_falls_to_zero() -> None:
    x = np.concatenate([np.linspace(0, 103.9, 100_001), [104.0, 1e6, 1e300]])
    np.testing.assert_allclose(apply(_exp, x), np.exp(-x), rtol=1e-12, atol=1e-45)


def test_rounding_is_to_even_and_to_float32() -> None:
    x = np.random.default_rng(1).uniform(-500, 500, 100_000).astype(np.float32).astype(float)
    expected = np.round(x, 3).astype(np.float32).astype(float)
    np.testing.assert_array_equal(apply(_round, x), expected)
    np.testing.assert_array_equal(
        apply(_round, np.array([0.0005, 0.0015, -0.0025])), np.float32([0.0, 0.002, -0.002])
    )


def plain_philox(counter: list[int], key: list[int]) -> list[int]:
    """Philox4x32-10 as its paper writes it, in Python integers."""
    c, k = list(counter), list(key)
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(p1 >> 32) ^ c[1] ^ k[0], p1 & 0xFFFFFFFF, (p0 >> 32) ^ c[3] ^ k[1], p0 & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            [0xA4093822, 0x299F31D0],
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
)
def test_plain_philox_gives_the_published_answers(
    counter: list[int], key: list[int], words: list[int]
) -> None:
    assert plain_philox(counter, key) == words


def test_philox_kernel_equals_plain_philox() -> None:
    events = np.array([0, 1, 77, 2**32 - 1, 2**32, 2**40 + 5], np.int64)
    words = np.empty(4 * BLOCK, np.uint64)
    for purpose, key in ((0, (0, 0)), (1, (0xDEADBEEF, 0x12345678))):
        philox_block(words, events, events.size, purpose, *key)
        for e, event in enumerate(events.tolist()):
            expected = plain_philox([event & 0xFFFFFFFF, event >> 32, purpose, 0], list(key))
            assert [int(words[j * BLOCK + e]) for j in range(4)] == expected
