"""Every kind of interval keeps its promise on the oracle's toys, against the closed form.

10,000 toys: python -m benchmarks.intervals
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from benchmarks.intervals import Promise, promises

from sigma68.types import LEVEL

TOYS = 5000
LEARNED = 3000
SPREAD = math.sqrt(LEVEL * (1 - LEVEL))
HONEST = ("profile likelihood", "MINOS", "Neyman", "calibrated")


@pytest.fixture(scope="module")
def found() -> dict[str, Promise]:
    return {p.kind: p for p in promises(TOYS, LEARNED, seed=1, workers=2)}


@pytest.mark.parametrize("kind", HONEST)
def test_estimates_are_unbiased(found: dict[str, Promise], kind: str) -> None:
    p = found[kind]
    # Belts of 3,000 toys know the median of estimates to this.
    learned = math.sqrt(math.pi / 2 / LEARNED) if kind == "Neyman" else 0.0
    assert p.bias_less_linear_error < 0.002
    assert abs(p.bias_less_linear) < 0.02 + 3 * learned
    assert abs(p.bias) < 0.02 + 3 * math.hypot(p.bias_error, learned)


@pytest.mark.parametrize("kind", [*HONEST, "made bad, calibrated"])
def test_intervals_cover(found: dict[str, Promise], kind: str) -> None:
    p = found[kind]
    assert p.s68 == pytest.approx(SPREAD / math.sqrt(TOYS))
    assert abs(p.coverage - LEVEL) < 3 * math.hypot(p.s68, p.learned)
    # Toys that corrections learn from scatter in full; the toys that test them scatter less here.
    error = math.hypot(p.coverage_less_linear_error, p.learned)
    assert abs(p.coverage_less_linear - LEVEL) < 3 * error


@pytest.mark.parametrize("kind", HONEST)
def test_intervals_are_as_wide_as_the_closed_form_says(
    found: dict[str, Promise], kind: str
) -> None:
    p = found[kind]
    # The width that covers is known as well as the coverage, which changes by 0.484 of it.
    assert p.width == pytest.approx(1.0, abs=0.005 + 3 * p.learned / (2 * 0.242))


def test_minos_and_newton_are_the_same(found: dict[str, Promise]) -> None:
    one, two = found["profile likelihood"], found["MINOS"]
    assert one.width == pytest.approx(two.width, abs=1e-4)
    assert one.bias == pytest.approx(two.bias, abs=1e-3)
    assert np.abs(one.coverage - two.coverage) * TOYS <= 5


def test_the_bad_method_was_bad(found: dict[str, Promise]) -> None:
    bad, good = found["made bad"], found["made bad, calibrated"]
    assert bad.coverage < 0.45
    assert bad.width == pytest.approx(0.6 * found["profile likelihood"].width)
    # A bias that is not repaired costs no width here: the arms are corrected each by itself.
    assert good.width == pytest.approx(1.0, abs=0.03)
