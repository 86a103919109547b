"""Profile intervals on functions whose answer is known, and on those that have none."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from sigma68.errors import FitError
from sigma68.inference.profile import minuit_interval, newton_interval
from sigma68.types import LEVEL

Vector = npt.NDArray[np.float64]
COVARIANCE = np.array([[0.04, 0.1, -0.03], [0.1, 1.0, 0.2], [-0.03, 0.2, 0.5]])
BEST = np.array([1.2, -0.5, 0.3])
NAMES = ("mu", "a", "b")


def quadratic(point: Vector) -> tuple[float, Vector, Vector]:
    hessian = 2 * np.linalg.inv(COVARIANCE)
    d = point - BEST
    return 7 + float(d @ hessian @ d) / 2, hessian @ d, hessian


def poisson(n: float) -> object:
    """-2 ln L of a count with mu = exp(t) times a response known to 10%, t and z free."""

    def function(point: Vector) -> tuple[float, Vector, Vector]:
        t, z = point
        e = math.exp(t + 0.1 * z)
        value = 2 * e - 2 * n * (t + 0.1 * z) + z**2
        slope = 2 * e - 2 * n
        way = np.array([1.0, 0.1])
        return value, slope * way + [0, 2 * z], 2 * e * np.outer(way, way) + np.diag([0.0, 2.0])

    return function


def test_a_parabola_is_its_covariance() -> None:
    found = newton_interval(quadratic, [0.0, 0.0, 0.0])
    np.testing.assert_allclose(found.best, BEST, atol=1e-9)
    np.testing.assert_allclose(found.errors, np.sqrt(np.diag(COVARIANCE)), rtol=1e-9)
    assert found.minimum == pytest.approx(7)
    assert found.lower == pytest.approx(1.2 - 0.2, abs=1e-4)
    assert found.upper == pytest.approx(1.2 + 0.2, abs=1e-4)
    wide = newton_interval(quadratic, [0.0, 0.0, 0.0], level=0.95)
    assert wide.upper - wide.lower == pytest.approx(2 * 1.959964 * 0.2, rel=1e-6)


@pytest.mark.parametrize("level", [LEVEL, 0.95])
def test_minuit_agrees_on_a_parabola(level: float) -> None:
    slow = minuit_interval(
        lambda p: quadratic(p)[0], [[0.0, 0.0, 0.0]], [0.1, 1.0, 1.0], NAMES, level
    )
    fast = newton_interval(quadratic, [0.0, 0.0, 0.0], level)
    for name in ("lower", "upper", "minimum"):
        assert getattr(slow, name) == pytest.approx(getattr(fast, name), abs=1e-5)


@pytest.mark.parametrize("n", [4.0, 30.0, 900.0])
def test_ends_of_an_asymmetric_profile(n: float) -> None:
    function = poisson(n)
    found = newton_interval(function, [math.log(n) + 1, 0.0])  # type: ignore[arg-type]
    assert found.best == pytest.approx([math.log(n), 0.0], abs=1e-6)

    def profile(t: float) -> float:
        z = np.linspace(-4, 4, 400_001)
        return float((2 * np.exp(t + 0.1 * z) - 2 * n * (t + 0.1 * z) + z**2).min())

    for end in (found.lower, found.upper):
        assert profile(end) - found.minimum == pytest.approx(1.0, abs=2e-4)
    assert found.best[0] - found.lower > found.upper - found.best[0]
    slow = minuit_interval(
        lambda p: function(p)[0],  # type: ignore[operator]
        [[math.log(n) + 1, 0.0]],
        [0.3, 1.0],
        ("t", "z"),
    )
    assert slow.lower == pytest.approx(found.lower, abs=1e-4)
    assert slow.upper == pytest.approx(found.upper, abs=1e-4)


def test_one_parameter_alone() -> None:
    found = newton_interval(
        lambda p: (float(p[0] ** 2) * 4, 8 * p, np.array([[8.0]])), np.array([3.0])
    )
    assert (found.lower, found.upper) == pytest.approx((-0.5, 0.5), abs=1e-4)


def test_what_has_no_minimum_gives_no_interval() -> None:
    def flat(point: Vector) -> tuple[float, Vector, Vector]:
        return 3.0, np.zeros(2), np.zeros((2, 2))

    def trough(point: Vector) -> tuple[float, Vector, Vector]:
        return float(point[1] ** 2), np.array([0, 2 * point[1]]), np.diag([0.0, 2.0])

    def saddle(point: Vector) -> tuple[float, Vector, Vector]:
        x, y = point
        return float(y**2 - x**2), np.array([-2 * x, 2 * y]), np.diag([-2.0, 2.0])

    def slope(point: Vector) -> tuple[float, Vector, Vector]:
        # Falls for ever: no minimum at any finite value.
        e = math.exp(min(-point[0], 300.0))
        return e + float(point[1] ** 2), np.array([-e, 2 * point[1]]), np.diag([e, 2.0])

    def nowhere(point: Vector) -> tuple[float, Vector, Vector]:
        return math.inf, np.full(2, np.nan), np.full((2, 2), np.nan)

    for function in (flat, trough, saddle, slope, nowhere):
        with pytest.raises(FitError):
            newton_interval(function, [0.0, 0.5])


def test_a_domain_that_ends_before_the_rise_gives_no_interval() -> None:
    def walled(point: Vector) -> tuple[float, Vector, Vector]:
        if point[0] <= -0.1:
            return math.inf, np.full(2, np.nan), np.full((2, 2), np.nan)
        return float(point @ point), 2 * point, 2 * np.eye(2)

    with pytest.raises(FitError):
        newton_interval(walled, [0.5, 0.5])


def test_minuit_tries_every_start_before_it_gives_up() -> None:
    def half(point: Vector) -> float:
        # Nothing to see left of -5, a parabola about 1 on the right.
        return 50.0 if point[0] < -5 else float(((point[0] - 1) / 0.3) ** 2)

    found = minuit_interval(half, [[-9.0], [0.0]], [0.1], ("mu",))
    assert (found.lower, found.upper) == pytest.approx((0.7, 1.3), abs=1e-3)
    with pytest.raises(FitError, match="none of 2 starts"):
        minuit_interval(half, [[-9.0], [-8.0]], [0.1], ("mu",))


def test_an_end_at_a_limit_is_no_end() -> None:
    with pytest.raises(FitError, match="MINOS"):
        minuit_interval(
            lambda p: float((p[0] - 1) ** 2), [[1.5]], [0.5], ("mu",), limits=[(0.5, 5.0)]
        )
