"""Scans, pulls, impacts, correlations and the parts of the error say what fits say."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from sigma68.inference.binned import BinnedLikelihood
from sigma68.inference.diagnostics import (
    correlation,
    error_breakdown,
    impacts,
    profile_scan,
    pulls,
)
from tests.inference import binned_toy as toy

MODEL = toy.likelihood()
COUNTS = toy.drawn(MODEL, 1.2, {"shift": 1.008, "own": 1.1}, 11)


def test_the_scan_of_the_parameter_meets_its_interval() -> None:
    found, lower, upper = MODEL.interval(COUNTS)
    scan = profile_scan(MODEL, COUNTS, "mu", [lower, found.best[0], upper])
    np.testing.assert_allclose(scan.profiled, [1, 0, 1], atol=1e-4)
    assert (scan.best, scan.error) == (found.best[0], found.errors[0])


def test_without_nuisances_and_simulation_the_profile_is_steeper() -> None:
    scan = profile_scan(MODEL, COUNTS, "mu", points=9)
    inner = scan.values != scan.best
    assert (scan.statistical[inner] > 1.2 * scan.profiled[inner]).all()
    exact = toy.likelihood(mc_errors=False)
    # With templates that are known, the statistical scan is a section of -2 ln L.
    scan = profile_scan(exact, COUNTS, "mu", points=9)
    best = exact.fit(COUNTS).best
    section = np.array([exact.value(np.array([mu, *best[1:]]), COUNTS) for mu in scan.values])
    np.testing.assert_allclose(scan.statistical, section - exact.value(best, COUNTS), atol=1e-9)


def test_the_scan_of_a_nuisance_is_one_at_its_error_and_stays_in_its_range() -> None:
    found = MODEL.fit(COUNTS)
    best, error = found.best[3], found.errors[3]
    scan = profile_scan(MODEL, COUNTS, "own", [best - error, best, best + error])
    np.testing.assert_allclose(scan.profiled, [1, 0, 1], atol=0.05)
    noise = profile_scan(MODEL, COUNTS, "noise", span=9.0)
    assert noise.values[-1] == math.log(5)
    assert noise.values[0] >= -8
    assert (np.diff(noise.values) > 0).all()


def test_where_a_bin_expects_nothing_the_scan_is_infinite() -> None:
    few = toy.likelihood(0.01)
    scan = profile_scan(few, toy.drawn(few, 1.0, {}, 1), "mu", [-60.0, 0.5])
    assert math.isinf(scan.profiled[0])
    assert math.isinf(scan.statistical[0])
    assert math.isfinite(scan.profiled[1])


def test_pulls_are_the_fits() -> None:
    found, given = MODEL.fit(COUNTS), pulls(MODEL, COUNTS)
    assert given.names == ("shift", "noise", "own", "all")
    np.testing.assert_array_equal(given.best, found.best[1:])
    np.testing.assert_array_equal(given.errors, found.errors[1:])
    assert not given.at_limit.any()
    assert (given.errors < 1.1).all()


def beyond_the_cap() -> toy.Floats:
    point = MODEL.point(1.0)
    point[2] = math.log(20)
    return MODEL.expected(point)


def test_a_nuisance_at_its_limit_is_marked_and_can_only_move_inward() -> None:
    given = pulls(MODEL, beyond_the_cap())
    assert given.at_limit.tolist() == [False, True, False, False]
    assert given.errors[1] == 0
    shift = impacts(MODEL, beyond_the_cap())
    below, above = shift.after[shift.names.index("noise")]
    assert abs(below) > 0.001
    assert abs(above) < 1e-6
    matrix = correlation(MODEL, beyond_the_cap()).matrix
    np.testing.assert_array_equal(matrix[2], np.eye(5)[2])


def test_impacts_are_shifts_of_conditional_fits() -> None:
    found, given = MODEL.fit(COUNTS), impacts(MODEL, COUNTS)
    assert set(given.names) == {"shift", "noise", "own", "all"}
    largest = np.abs(given.after).max(axis=1)
    assert (np.diff(largest) <= 0).all()
    for name, after, before in zip(given.names, given.after, given.before, strict=True):
        i = MODEL.names.index(name)
        # To first order the shift by one error is the covariance over that error.
        slope = found.covariance[0, i] / found.errors[i]
        if name != "noise":  # which is far from linear
            np.testing.assert_allclose(after, [-slope, slope], rtol=0.1, atol=0.002)
        held = MODEL.fit(COUNTS, {name: float(found.best[i]) + 1})
        if found.best[i] + 1 < MODEL.upper[i]:
            assert before[1] == pytest.approx(held.best[0] - found.best[0])
    assert given.statistical < given.error == found.errors[0]


def test_correlations_are_those_of_the_covariance() -> None:
    found, given = MODEL.fit(COUNTS), correlation(MODEL, COUNTS)
    assert given.names == MODEL.names
    np.testing.assert_array_equal(np.diag(given.matrix), np.ones(5))
    np.testing.assert_allclose(given.matrix, given.matrix.T, atol=1e-12)
    outer = np.outer(found.errors, found.errors)
    np.testing.assert_allclose(given.matrix * outer, found.covariance, rtol=1e-9, atol=1e-15)


def test_the_error_is_made_of_parts_that_fits_confirm() -> None:
    # An Asimov data set: leaving a source out moves no minimum there, so that fits can say.
    asimov = MODEL.expected(MODEL.point(1.0))
    parts = error_breakdown(MODEL, asimov, {"events": ["shift", "noise"], "rates": ["own", "all"]})
    assert parts.total == pytest.approx(MODEL.fit(asimov).errors[0])
    exact = toy.likelihood(mc_errors=False)
    held = dict.fromkeys(MODEL.names[1:], 0.0)
    assert parts.statistical == pytest.approx(exact.fit(asimov, held).errors[0], rel=1e-6)
    assert parts.total**2 == pytest.approx(parts.statistical**2 + parts.systematic**2)
    no_simulation = exact.fit(asimov).errors[0]
    assert parts.simulation == pytest.approx(math.sqrt(parts.total**2 - no_simulation**2), rel=1e-5)
    for group, names in {"events": ["shift", "noise"], "rates": ["own", "all"]}.items():
        without = MODEL.fit(asimov, dict.fromkeys(names, 0.0)).errors[0]
        wanted = math.sqrt(parts.total**2 - without**2)
        assert parts.groups[group] == pytest.approx(wanted, rel=1e-5)


def test_each_nuisance_is_a_group_unless_told() -> None:
    parts = error_breakdown(MODEL, COUNTS)
    assert list(parts.groups) == ["shift", "noise", "own", "all"]
    assert all(0 <= part < parts.total for part in parts.groups.values())


def test_without_nuisances_there_is_only_the_parameter() -> None:
    bare = toy.likelihood(profiled=())
    asimov = bare.expected(bare.point(1.0))
    assert impacts(bare, asimov).after.shape == (0, 2)
    assert pulls(bare, asimov).names == ()
    assert correlation(bare, asimov).matrix.tolist() == [[1.0]]
    assert error_breakdown(bare, asimov).groups == {}
    assert profile_scan(bare, asimov, "mu", [1.0]).profiled == pytest.approx([0], abs=1e-9)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="no 'nobody'"):
        profile_scan(MODEL, COUNTS, "nobody")
    with pytest.raises(ValueError, match="no 'nobody'"):
        error_breakdown(MODEL, COUNTS, {"group": ["nobody"]})
    with pytest.raises(ValueError, match="nuisances only"):
        error_breakdown(MODEL, COUNTS, {"group": ["mu"]})


def two_minima() -> tuple[BinnedLikelihood, toy.Floats]:
    """A noise that data prefer at one of two values, which of them depends on the parameter."""
    full = toy.surfaces(30.0)
    coefficients = np.zeros_like(full.coefficients)
    # With y = noise / 2.5 the response (y - 0.2) (y - 0.9), less its value at 0, is alike at both.
    coefficients[1, :4, 4], coefficients[1, :4, 3] = 0.2, -0.22
    # Only a term of the last bins, where the signal is, tells them apart.
    coefficients[1, 6:, 3] = 0.05
    model = BinnedLikelihood(
        replace(full, coefficients=coefficients),
        toy.FACTORS,
        toy.MU,
        (toy.NOISE, toy.ALL),
        {"own": 1.0, "shift": 1.0},
    )
    return model, model.expected(model.point(1.0, {"noise": 0.5}))


def test_a_scan_follows_the_lower_of_two_minima() -> None:
    model, n = two_minima()
    scan = profile_scan(model, n, "mu", np.linspace(0.7, 1.2, 21))
    lowest = []
    for mu in scan.values:
        starts = [np.array([mu, z, 0.0]) for z in np.linspace(-4, 1.6, 15)]
        lowest.append(min(model.fit(n, {"mu": float(mu)}, start).value for start in starts))
    np.testing.assert_allclose(scan.profiled, np.array(lowest) - model.fit(n).value, atol=1e-6)
    # There are two indeed; a fit that is not told where to begin looks on both sides.
    usual = np.array([model.fit(n, {"mu": float(mu)}).value for mu in scan.values])
    np.testing.assert_allclose(usual, lowest, atol=1e-6)
    downhill = [model.fit(n, {"mu": float(mu)}, model.start()).value for mu in scan.values]
    assert (np.array(downhill) > np.array(lowest) + 0.5).any()
