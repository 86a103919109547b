"""Surfaces find the polynomials that counts were made with, and say where they fail."""

from __future__ import annotations

import copy
import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sigma68.errors import DataError
from sigma68.inference.binned import BinnedLikelihood
from sigma68.inference.surfaces import (
    GROUPS,
    Surfaces,
    closure,
    coordinate,
    design,
    fit_surfaces,
)
from sigma68.types import Nuisance
from tests.inference import binned_toy as toy

TILT = Nuisance("tilt", 1.0, "normal", 1.0, 0.02, 0.9, 1.1)
MOVING = (toy.SHIFT, toy.NOISE, TILT)
K, J = 2, 5
ROWS = [(p, 0, 0) for p in (1, 2, 3)] + [(0, p, 0) for p in (1, 2, 3)]
ROWS += [(0, 0, p) for p in (1, 2, 3)] + [(1, 1, 0), (1, 0, 1), (0, 1, 1)]


def made(seed: int = 1) -> Surfaces:
    """Surfaces with every monomial that a fit knows."""
    rng = np.random.default_rng(seed)
    sizes = np.array([0.05, 0.01, 0.002] * 3 + [0.01] * 3)
    coefficients = rng.normal(0, 1, (K, J, len(ROWS))) * sizes
    origins, units = (np.array(v) for v in zip(*map(coordinate, MOVING), strict=True))
    nominal = rng.uniform(500, 2000, (K, J))
    return Surfaces(
        tuple(n.name for n in MOVING),
        origins,
        units,
        np.array(ROWS),
        nominal,
        nominal / 3,
        coefficients,
    )


def counted(surfaces: Surfaces, points: toy.Floats, seed: int | None = None) -> Any:
    """Counts off and at points in groups: exact, or scattered with the same events at all points."""
    x = (points - surfaces.origins) / surfaces.units
    at = np.array([surfaces.expected(row) for row in x])
    share = np.full((GROUPS, K, J), 1 / GROUPS)
    if seed is not None:
        rng = np.random.default_rng(seed)
        share = rng.poisson(surfaces.nominal / GROUPS, (GROUPS, K, J)) / surfaces.nominal
        # Of the ratio only what events cross an edge scatters.
        at = at[:, None] * (1 + 0.01 * rng.standard_normal((len(at), GROUPS, K, J)))
        return share * surfaces.nominal, share * at
    return share * surfaces.nominal, share * at[:, None]


def fitted(true: Surfaces, seed: int | None = None) -> Surfaces:
    points, _ = design(MOVING)
    off, counts = counted(true, points, seed)
    return fit_surfaces(MOVING, points, off, counts, true.nominal, true.variance)


def test_exact_counts_give_back_their_polynomials() -> None:
    true = made()
    found = fitted(true)
    order = [ROWS.index(tuple(row)) for row in found.exponents.tolist()]
    assert sorted(order) == list(range(len(ROWS)))
    np.testing.assert_allclose(found.coefficients, true.coefficients[:, :, order], atol=1e-9)
    assert found.shapes == ("shift", "noise", "tilt")


def test_with_everything_off_the_expectation_is_the_nominal() -> None:
    true = made()
    np.testing.assert_array_equal(fitted(true).expected(np.zeros(3)), true.nominal)


def test_coordinates() -> None:
    assert coordinate(toy.SHIFT) == (1.0, 0.01)
    assert coordinate(toy.NOISE) == (0.0, 2.5)


def test_the_design_stays_in_range_and_tests_lie_between() -> None:
    fit, test = design(MOVING)
    low, high = np.array([n.low for n in MOVING]), np.array([n.high for n in MOVING])
    for points in (fit, test):
        assert ((points >= low) & (points <= high)).all()
    off = np.array([n.off for n in MOVING])
    assert (test != off).all()
    one_at_a_time = (fit != off).sum(axis=1)
    assert (one_at_a_time == 1).sum() == 6 + 5 + 6
    assert (one_at_a_time == 2).sum() == 2 + 4 + 2
    assert len({tuple(row) for row in fit.tolist()} & {tuple(row) for row in test.tolist()}) == 0


def test_closure_of_exact_counts_is_zero() -> None:
    true = made()
    _, test = design(MOVING)
    off, counts = counted(true, test)
    closed = closure(fitted(true), test, off, counts)
    np.testing.assert_allclose(closed.difference, 0, atol=1e-8)


def test_closure_of_scattered_counts_is_of_the_size_of_their_error() -> None:
    true = made()
    fit, test = design(MOVING)
    off, counts = counted(true, np.concatenate([fit, test]), seed=3)
    found = fit_surfaces(MOVING, fit, off, counts[: len(fit)], true.nominal, true.variance)
    closed = closure(found, test, off, counts[len(fit) :])
    assert closed.difference.shape == closed.pull.shape == (len(test), K, J)
    # Tests lie farther out than most points, where fits scatter more than one count does.
    assert 0.6 < closed.rms_pull < 2.5


def test_closure_shows_what_no_polynomial_follows() -> None:
    true = made()
    fit, test = design(MOVING)
    off, counts = counted(true, np.concatenate([fit, test]), seed=3)
    counts[len(fit) :, :, 1, 2] *= 1.2
    found = fit_surfaces(MOVING, fit, off, counts[: len(fit)], true.nominal, true.variance)
    closed = closure(found, test, off, counts[len(fit) :])
    assert closed.rms_pull > 3
    np.testing.assert_allclose(closed.difference[:, 1, 2], 1 / 1.2 - 1, atol=0.05)


def test_bins_of_few_events_take_the_response_of_their_neighbours() -> None:
    true = made()
    true.coefficients[0] = true.coefficients[0, :1]  # alike in all bins
    # Off a few events in bin 2; at the points these scatter wildly, but all others are exact.
    true.nominal[0, 2], true.variance[0, 2] = 3.0, 3.0
    points, _ = design(MOVING)
    off, counts = counted(true, points)
    counts[:, :, 0, 2] *= np.random.default_rng(5).uniform(0.5, 1.5, len(points))[:, None]
    found = fit_surfaces(MOVING, points, off, counts, true.nominal, true.variance)
    x = np.array([0.0, 0.6, -1.0])
    response, alike = (s.expected(x) / s.nominal for s in (found, true))
    assert response[0, 2] == pytest.approx(alike[0, 2], abs=0.01)
    assert response[0, 4] == pytest.approx(alike[0, 4], abs=1e-9)


def test_a_component_that_a_bin_lacks_stays_away() -> None:
    true = made()
    true.nominal[1, 3] = true.variance[1, 3] = 0.0
    found = fitted(true)
    assert not found.coefficients[1, 3].any()
    assert found.expected(np.ones(3))[1, 3] == 0


def test_a_component_that_vanishes_at_a_point_is_refused() -> None:
    true = made()
    points, _ = design(MOVING)
    off, counts = counted(true, points)
    counts[4, :, 1] = 0.0
    with pytest.raises(DataError, match=r"component 1 has no simulated events near bin 0"):
        fit_surfaces(MOVING, points, off, counts, true.nominal, true.variance)


def test_groups_of_bins_expect_the_sum_of_their_bins() -> None:
    fine = made()
    groups = fine.summed(np.array([0, 2]))
    assert groups.nominal.shape == (K, 2)
    np.testing.assert_allclose(groups.nominal[:, 0], fine.nominal[:, :2].sum(axis=1))
    np.testing.assert_allclose(groups.variance.sum(), fine.variance.sum())
    x = np.full(len(MOVING), 0.3)
    each = fine.expected(x)
    expected = np.stack([each[:, :2].sum(axis=1), each[:, 2:].sum(axis=1)], axis=1)
    np.testing.assert_allclose(groups.expected(x), expected, rtol=1e-3)
    empty = replace(fine, nominal=np.zeros_like(fine.nominal)).summed(np.array([0]))
    np.testing.assert_array_equal(empty.coefficients, 0.0)


def test_json_gives_back_every_bit() -> None:
    true = made()
    again = Surfaces.from_json(json.loads(json.dumps(true.to_json())))
    assert again.shapes == true.shapes
    for name in ("origins", "units", "exponents", "nominal", "variance", "coefficients"):
        np.testing.assert_array_equal(getattr(again, name), getattr(true, name))
        assert getattr(again, name).dtype == getattr(true, name).dtype


def test_surfaces_that_nothing_moves_can_be_saved_and_fitted() -> None:
    nothing = np.zeros(0)
    nominal = np.array([[10.0, 40.0], [300.0, 100.0], [50.0, 50.0]])
    flat = Surfaces(
        (), nothing, nothing, np.zeros((0, 0), np.int64), nominal, nominal, np.zeros((3, 2, 0))
    )
    again = Surfaces.from_json(json.loads(json.dumps(flat.to_json())))
    np.testing.assert_array_equal(again.expected(nothing), nominal)
    model = BinnedLikelihood(again, toy.FACTORS, toy.MU, (toy.OWN, toy.ALL), {})
    assert model.fit(nominal.sum(axis=0)).best[0] == pytest.approx(1.0, abs=1e-6)


DAMAGE: dict[str, tuple[str, Any]] = {
    "a missing part": ("coefficients", None),
    "no numbers": ("nominal", "many"),
    "other bins": ("variance", [[1.0, 2.0]]),
    "no matrix": ("nominal", [1.0, 2.0]),
    "NaN": ("origins", [1.0, math.nan, 1.0]),
    "negative events": ("nominal", [[-1.0] * J] * K),
    "a unit of 0": ("units", [0.01, 0.0, 0.02]),
    "a high power": ("exponents", [[9, 0, 0], *ROWS[1:]]),
    "a negative power": ("exponents", [[-1, 0, 0], *ROWS[1:]]),
    "half a power": ("exponents", [[0.5, 0, 0], *ROWS[1:]]),
    "too few exponents": ("exponents", [[1, 0]]),
    "negative variance": ("variance", [[-1.0] * J] * K),
    "names that are none": ("shapes", None),
    "a name twice": ("shapes", ["shift", "shift", "tilt"]),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_damaged_documents_are_refused(what: str) -> None:
    part, content = DAMAGE[what]
    document = copy.deepcopy(made().to_json())
    if content is None:
        del document[part]
    else:
        document[part] = content
    with pytest.raises(DataError, match="train again"):
        Surfaces.from_json(document)
