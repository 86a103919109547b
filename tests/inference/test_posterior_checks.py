"""Where truths lie among draws, on posteriors that are right and ones that are wrong."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from sigma68.errors import DataError
from sigma68.inference.posterior_checks import PosteriorChecks, covered, place_truth
from sigma68.seeds import stream
from sigma68.types import Parameter

PARAMETERS = (Parameter("a", -10.0, 10.0), Parameter("b", -4.0, 4.0))
COVARIANCE = np.array([[1.0, 0.3], [0.3, 0.25]])


def checks(width: float = 1.0, shift: float = 0.0, n: int = 600) -> PosteriorChecks:
    """Posteriors too wide by a factor and shifted by so many errors, of truths about their means."""
    rng = np.random.default_rng(7)
    half = np.linalg.cholesky(COVARIANCE)
    places = []
    for i in range(n):
        truth = half @ rng.normal(size=2)
        draws = (half @ (width * rng.normal(size=(2, 400)) + shift)).T
        places.append(place_truth(draws, truth, PARAMETERS, stream("test", "tarp", 1, i)))
    return PosteriorChecks.of(PARAMETERS, places)


def p_value(fractions: np.ndarray) -> float:
    return float(stats.kstest(fractions, "uniform").pvalue)


def test_right_posteriors_give_uniform_fractions() -> None:
    found = checks()
    assert found.names == ("a", "b")
    assert found.ranks.shape == (600, 2)
    for fractions in (found.ranks[:, 0], found.ranks[:, 1], found.joint, found.tarp):
        assert p_value(fractions) > 0.01
        share, error = covered(fractions)
        assert error == pytest.approx(0.019, abs=0.001)
        assert abs(share - 0.6827) < 3 * error


def test_narrow_posteriors_cover_too_little() -> None:
    found = checks(width=0.6)
    share, error = covered(found.joint)
    assert share < 0.6827 - 5 * error
    assert p_value(found.ranks[:, 0]) < 1e-3
    assert p_value(found.tarp) < 0.05


def test_wide_posteriors_cover_too_much() -> None:
    share, error = covered(checks(width=1.8).joint)
    assert share > 0.6827 + 5 * error


def test_a_shift_is_found() -> None:
    found = checks(shift=1.0)
    assert p_value(found.ranks[:, 0]) < 1e-6
    assert p_value(found.tarp) < 1e-3


def test_ranks_and_ellipses_by_hand() -> None:
    draws = np.random.default_rng(1).normal(size=(4000, 2)) * [1.0, 0.5]
    ranks, joint, _ = place_truth(
        draws, np.array([1.0, 0.0]), PARAMETERS, stream("test", "tarp", 1)
    )
    assert ranks[0] == pytest.approx(stats.norm.cdf(1), abs=0.02)
    assert ranks[1] == pytest.approx(0.5, abs=0.03)
    assert joint == pytest.approx(stats.chi2.cdf(1, 2), abs=0.03)


def test_one_parameter_is_enough() -> None:
    draws = np.random.default_rng(1).normal(size=(4000, 1))
    ranks, joint, _ = place_truth(draws, np.zeros(1), PARAMETERS[:1], stream("test", "tarp", 1))
    assert ranks[0] == pytest.approx(0.5, abs=0.03)
    assert joint < 0.05


def test_what_does_not_match_or_vary_is_refused() -> None:
    draws, here = np.zeros((50, 2)), stream("test", "tarp", 1)
    with pytest.raises(DataError, match="match"):
        place_truth(draws, np.zeros(3), PARAMETERS, here)
    with pytest.raises(DataError, match="vary"):
        place_truth(draws, np.zeros(2), PARAMETERS, here)
    with pytest.raises(DataError):
        PosteriorChecks.of(PARAMETERS, [])
    with pytest.raises(DataError):
        covered(np.zeros(0))
