"""Coordinates that leave gaps out, against sums over a fine grid."""

from __future__ import annotations

import numpy as np
import pytest

from sigma68.tasks.higgs.emulate.gaps import MOST_GAPS, add_gap, half_width, joined, opened

GAPS = {
    "none": [],
    "one": [(-0.2, 0.3)],
    "at both ends": [(0.7, 1.0), (-1.0, -0.9)],
    "out of order": [(0.5, 0.6), (-0.5, -0.3), (0.0, 0.1)],
    "overlapping": [(-0.2, 0.3), (0.1, 0.5), (0.45, 0.5)],
    "within another": [(-0.5, 0.5), (-0.1, 0.1), (0.4, 0.7)],
    "empty": [(0.2, 0.2), (0.4, 0.6)],
    "six": [(0.9, 1.0), (-1.0, -0.8), (0.1, 0.2), (0.15, 0.4), (-0.6, -0.5), (-0.5, -0.4)],
}


def _filled(spans: list[tuple[float, float]]) -> tuple[np.ndarray, int]:
    gaps, n = np.full((MOST_GAPS, 2), np.nan), 0
    for low, high in spans:
        n = add_gap(gaps, n, low, high)
    return gaps, n


@pytest.mark.parametrize("name", GAPS)
def test_joined_is_the_share_outside_the_gaps(name: str) -> None:
    gaps, n = _filled(GAPS[name])
    middles = np.linspace(-1, 1, 20_001)[:-1] + 5e-5
    outside = np.ones(len(middles), np.bool_)
    for low, high in GAPS[name]:
        outside &= (middles < low) | (middles > high)
    expected = np.concatenate([[0], np.cumsum(outside)]) / outside.sum()
    found = [joined(gaps, n, x) for x in np.linspace(-1, 1, 20_001)]
    np.testing.assert_allclose(found, expected, atol=3e-4)


@pytest.mark.parametrize("name", GAPS)
def test_opened_is_outside_the_gaps_and_comes_back(name: str) -> None:
    gaps, n = _filled(GAPS[name])
    u = (np.arange(500) + 0.5) / 500
    x = np.array([opened(gaps, n, v) for v in u])
    assert (np.diff(x) > 0).all()
    assert x.min() > -1
    assert x.max() < 1
    for low, high in GAPS[name]:
        assert not ((x > low + 1e-12) & (x < high - 1e-12)).any()
    np.testing.assert_allclose([joined(gaps, n, v) for v in x], u, atol=1e-12)


def test_half_width_is_where_objects_are_apart() -> None:
    apart = np.array([0.0, 0.3, -0.5, 0.59, 0.7, -3.0])
    half = np.array([half_width(a) for a in apart])
    np.testing.assert_allclose(np.hypot(apart, half)[:4], 0.59)
    np.testing.assert_array_equal(half[4:], 0)
