"""The oracle keeps its promise: 68.27% coverage, unbiased, with honest pulls.

10,000 toys: sigma68 run exact --task gaussian --sets 100 --toys 100 --seed 1
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from sigma68.types import LEVEL
from tests.exact.toys import Answers, run_exact

TOYS = 5000


def binomial_error(n: int) -> float:
    return math.sqrt(LEVEL * (1 - LEVEL) / n)


@pytest.fixture(scope="module")
def with_nuisances() -> Answers:
    return run_exact(seed=1, sets=50, toys=TOYS // 50)


@pytest.fixture(scope="module")
def without_nuisances() -> Answers:
    return run_exact(seed=2, sets=50, toys=TOYS // 50, active=(), profiled=())


def test_coverage_with_all_nuisances(with_nuisances: Answers) -> None:
    assert abs(with_nuisances.coverage - LEVEL) < 3 * binomial_error(TOYS)


def test_coverage_without_nuisances(without_nuisances: Answers) -> None:
    assert abs(without_nuisances.coverage - LEVEL) < 3 * binomial_error(TOYS)


def test_coverage_over_the_range_of_mu(with_nuisances: Answers) -> None:
    a = with_nuisances
    covers = (a.lower <= a.mu) & (a.mu <= a.upper)
    for low, high in ((0.1, 1.0), (1.0, 2.0), (2.0, 3.0)):
        here = (a.mu >= low) & (a.mu < high)
        assert abs(covers[here].mean() - LEVEL) < 4 * binomial_error(int(here.sum()))


def test_pulls_of_mu_are_standard_normal(
    with_nuisances: Answers, without_nuisances: Answers
) -> None:
    # A bias of 0.02 standard deviations is allowed, plus three errors of 5,000 toys' mean; 36,000
    # toys of other seeds give -0.008 +- 0.005.
    for answers in (with_nuisances, without_nuisances):
        pulls = answers.mu_pulls
        assert abs(pulls.mean()) < 0.02 + 3 / math.sqrt(TOYS)
        assert abs(pulls.std() - 1) < 0.03


def test_pulls_of_nuisances_are_standard_normal(with_nuisances: Answers) -> None:
    # The constraint shrinks each towards its nominal, and truths are drawn from that prior, so
    # that the distance to the truth has the fitted error. Allowed as above: 36,000 toys of other
    # seeds give -0.005 +- 0.005 for shift and -0.014 +- 0.005 for bkg_scale.
    for pulls in with_nuisances.pulls:
        assert abs(pulls.mean()) < 0.02 + 3 / math.sqrt(TOYS)
        assert abs(pulls.std() - 1) < 0.035


def test_profiling_matters(with_nuisances: Answers) -> None:
    """Intervals that ignore the nuisances are narrower and do not cover."""
    ignorant = run_exact(seed=1, sets=10, toys=100, profiled=())
    assert ignorant.delta.mean() < 0.8 * with_nuisances.delta.mean()
    assert ignorant.coverage < LEVEL - 5 * binomial_error(1000)


def test_profiling_nuisances_that_are_off_overcovers() -> None:
    """As the method's docstring says: a method is not told what a run switched on."""
    cautious = run_exact(seed=3, sets=10, toys=100, active=())
    assert cautious.coverage > LEVEL + 3 * binomial_error(1000)
    assert np.all(cautious.upper > cautious.lower)
