"""Maps of features: towards a normal distribution, in order, bounded, and as they are stated."""

from __future__ import annotations

import numpy as np
import pytest

from sigma68.errors import FitError
from sigma68.learning.input_maps import learn_maps
from sigma68.seeds import stream
from tests.learning.test_network import plain_inputs

rng = stream("learning", "test input maps", 1).generator()
N = 50_000


def test_a_heavy_tail_becomes_normal() -> None:
    values = np.exp(3 * rng.standard_normal((1, N))).astype(np.float32)
    maps = learn_maps(values, np.ones(N), ("pt",))
    mapped = maps.apply(values, ("pt",))[:, 0]
    assert mapped.mean() == pytest.approx(0, abs=0.01)
    assert mapped.std() == pytest.approx(1, abs=0.01)
    levels = np.array([0.1, 0.25, 0.5, 0.75, 0.9])
    normal = np.array([-1.2816, -0.6745, 0, 0.6745, 1.2816])
    np.testing.assert_allclose(np.quantile(mapped, levels), normal, atol=0.05)


def test_the_kernel_is_the_formula_and_keeps_the_order() -> None:
    values = np.stack([rng.standard_normal(N), rng.integers(0, 4, N)]).astype(np.float32)
    maps = learn_maps(values, rng.uniform(0.5, 2, N), ("x", "jets"))
    seen = np.sort(np.concatenate([values[:, :5000], [[-30.0], [-1.0]], [[30.0], [9.0]]], axis=1))
    seen = seen.astype(np.float32)
    mapped = maps.apply(seen, ("x", "jets"), threads=2)
    np.testing.assert_allclose(mapped.T, plain_inputs(maps, seen), atol=2e-5)
    assert (np.diff(mapped, axis=0) > -1e-5).all()
    # Beyond the knots nothing changes: these are the outermost events.
    assert mapped[0, 0] == maps.low[0]
    assert len(np.unique(np.round(mapped[:, 1], 4))) == 4


def test_a_value_that_many_share_stands_apart() -> None:
    x = np.where(rng.random(N) < 0.6, -25.0, rng.uniform(30, 100, N)).astype(np.float32)[None]
    maps = learn_maps(x, np.ones(N), ("pt",))
    without, lowest, middle = maps.apply(np.array([[-25.0, 31.0, 65.0]], np.float32), ("pt",))[:, 0]
    assert lowest - without > 0.9
    assert middle - lowest > 0.3


def test_weights_count() -> None:
    values = np.concatenate([rng.normal(-3, 1, N // 2), rng.normal(3, 1, N // 2)])[None]
    heavy = np.repeat([1.0, 0.0], N // 2)
    maps = learn_maps(values.astype(np.float32), heavy, ("x",))
    middle = maps.apply(np.array([[-3.0]], np.float32), ("x",))[0, 0]
    assert middle == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize("value", [0.0, -25.0, 3e38])
def test_a_constant_feature_says_nothing(value: float) -> None:
    maps = learn_maps(np.full((1, 100), value, np.float32), np.ones(100), ("x",))
    assert (maps.apply(np.array([[value, 0.0, 5.0]], np.float32), ("x",)) == 0).all()


def test_extreme_ranges_stay_finite() -> None:
    for scale in (3e38, 1e-30, 1e-44):
        values = (np.linspace(-1, 1, 1000)[None] * scale).astype(np.float32)
        maps = learn_maps(values, np.ones(1000), ("x",))
        assert all(np.isfinite(a).all() for a in maps.arrays), scale
        assert np.isfinite(maps.apply(values, ("x",))).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_no_numbers_are_named(value: float) -> None:
    values = np.zeros((2, 500), np.float32)
    maps = learn_maps(values, np.ones(500), ("x", "y"))
    values[1, 300] = value
    with pytest.raises(FitError, match=f"y is {value} in event 300"):
        learn_maps(values, np.ones(500), ("x", "y"))
    with pytest.raises(FitError, match=f"y is {value} in event 300"):
        maps.apply(values, ("x", "y"))
