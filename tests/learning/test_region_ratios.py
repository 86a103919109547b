"""Networks of a region put together: monomials, shares of scarce processes, constants."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sigma68.errors import DataError
from sigma68.learning.isotonic import Calibration
from sigma68.learning.ratios import RatioNetwork, ratio_polynomials
from sigma68.learning.region_ratios import RegionRatios, Shares, joined, silent
from sigma68.learning.response_cells import Cells
from tests.learning.regions_toy import SHIFT, STRETCH

NAMES = ("x", "y")
NONE, ONE = ratio_polynomials(()), ratio_polynomials([SHIFT])
INPUTS = np.linspace(-1, 1, 12).reshape(2, 6).astype(np.float32)


def leaning(slopes: tuple[float, ...], polynomials: object = NONE) -> RatioNetwork:
    """A network whose outputs are x times slopes."""
    quiet = silent(NAMES, NONE)
    n = len(slopes)
    maps = replace(
        quiet.network.maps,
        starts=np.full((2, 4), -10.0, np.float32),
        widths=np.array([[20.0, 0, 0, 0]] * 2, np.float32),
        slopes=np.array([[1.0, 0, 0, 0]] * 2, np.float32),
        low=np.full(2, -10.0, np.float32),
    )
    layer = replace(
        quiet.network.layers[0],
        weights=np.stack([[s, 0.0] for s in slopes]).astype(np.float32),
        bias=np.zeros(n, np.float32),
    )
    network = replace(quiet.network, maps=maps, layers=(layer,))
    processes = n if polynomials is NONE else 1
    return RatioNetwork(network, polynomials, np.ones(processes))  # type: ignore[arg-type]


def plain(k: int) -> Calibration:
    return Calibration(0, (np.zeros(1),) * k, (np.zeros(1),) * k, np.zeros(k))


def region() -> RegionRatios:
    shares = Shares(leaning((1.0, -1.0)), plain(2), (0, 2), np.array([0.0, 0.2, 0.0]))
    response = leaning((0.0, 0.3, 0.1), ONE)
    responses = ((response,), (silent(NAMES, ONE),), (response,))
    return RegionRatios((shares,), responses, Cells.one(3, 2))


def test_monomials_follow_each_other() -> None:
    both = joined([ratio_polynomials([STRETCH]), ONE])
    assert both.shapes == ("stretch", "shift")
    np.testing.assert_array_equal(both.exponents, [[1, 0], [2, 0], [0, 1], [0, 2]])
    np.testing.assert_array_equal(both.origins, [1.0, 0.0])
    assert joined([]).exponents.shape == (0, 0)


def test_a_scarce_process_has_the_same_share_everywhere() -> None:
    g, d = region().evaluate(INPUTS)
    np.testing.assert_allclose(g[1], 0.2)
    np.testing.assert_allclose(g[0], 0.8 / (1 + np.exp(-2 * INPUTS[0])), rtol=1e-4)
    np.testing.assert_allclose(g.sum(axis=0), 1.0, rtol=1e-6)
    np.testing.assert_allclose(d[0], [0.3 * INPUTS[0], 0.1 * INPUTS[0]], atol=1e-5)
    np.testing.assert_array_equal(d[1], 0.0)


def test_a_process_that_is_added_takes_its_share_of_all() -> None:
    old = region()
    added = Shares(leaning((-0.5, 0.5)), plain(2), (0, 1), np.zeros(2))
    more = replace(
        old,
        shares=(*old.shares, added),
        responses=(*old.responses, old.responses[0]),
        cells=Cells.one(4, 2),
    )
    g, _ = more.evaluate(INPUTS)
    r = np.exp(INPUTS[0])
    before, _ = old.evaluate(INPUTS)
    np.testing.assert_allclose(g[3], r / (1 + r), rtol=1e-4)
    np.testing.assert_allclose(g[:3], before / (1 + r), rtol=1e-4)


def test_constants_make_responses_follow_expectations() -> None:
    points = np.array([[-2.0], [-1.0], [1.0], [2.0]]) * SHIFT.width
    expected = 0.05 * points[:, 0] / SHIFT.width - 0.01 * (points[:, 0] / SHIFT.width) ** 2
    weights = np.linspace(1, 2, 6)
    made = region().balanced(0, 0, INPUTS, weights, points, expected)
    learned = made.log_yields(0, INPUTS, weights, points)
    np.testing.assert_allclose(learned, expected, atol=0.01)
    np.testing.assert_array_equal(made.cells.constants[:, 1:], 0.0)
    again = made.balanced(0, 0, INPUTS, weights, points, expected)
    np.testing.assert_allclose(again.cells.constants, made.cells.constants, atol=1e-6)


def test_every_cell_follows_its_own_expectations() -> None:
    old = region()
    g = old.shares_at(INPUTS)[0]
    cells = Cells.of_equal_signal(0, g, np.ones(6), 2, np.zeros((1, 3, 2)))
    made = replace(old, cells=cells)
    at = made.cells.of(old.shares_at(INPUTS))
    assert sorted(np.bincount(at)) == [3, 3]
    points = np.array([[-1.0], [1.0]]) * SHIFT.width
    for cell, rise in ((0, 0.05), (1, -0.02)):
        own = INPUTS[:, at == cell], np.ones(3), points
        made = made.balanced(0, cell, *own, rise * points[:, 0] / SHIFT.width)
    for cell, rise in ((0, 0.05), (1, -0.02)):
        own = INPUTS[:, at == cell], np.ones(3), points
        np.testing.assert_allclose(made.log_yields(0, *own), [-rise, rise], atol=0.01)
    _, d = made.evaluate(INPUTS)
    np.testing.assert_array_equal(d[0], made.response_of(0, INPUTS))


@pytest.mark.parametrize(
    "wrong",
    [{"edges": [0.5]}, {"edges": [float("nan")]}, {"signal": 7}, {"constants": [[1.0]]}],
)
def test_cells_that_do_not_fit_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(DataError, match="do not fit"):
        Cells.from_json({**Cells.one(3, 2).to_json(), **wrong}, 3, 2)
    with pytest.raises(DataError, match="damaged"):
        Cells.from_json({}, 3, 2)


def test_it_comes_back_from_its_parts() -> None:
    made = region()
    networks = dict(made.networks())
    assert set(networks) == {"shares0", "response0-0", "response1-0", "response2-0"}
    again = RegionRatios.from_parts(made.to_json(), networks)
    for a, b in zip(again.evaluate(INPUTS), made.evaluate(INPUTS), strict=True):
        np.testing.assert_array_equal(a, b)
    document = made.to_json()
    document["shares"][0]["even"] = [0.5, 0.2, 0.0]
    with pytest.raises(DataError, match="do not fit together"):
        RegionRatios.from_parts(document, networks)
    with pytest.raises(DataError, match="damaged"):
        RegionRatios.from_parts(made.to_json(), {})
