"""Products of named factors, and their derivatives against differences."""

from __future__ import annotations

import numpy as np
import pytest

from sigma68.inference.factors import Factors, normalisations
from sigma68.types import Nuisance

FACTORS = Factors((("mu",), ("all",), ("own", "all"), ()))
VALUES = {"mu": -0.4, "all": 1.1, "own": 0.7, "unused": 5.0}


def test_scales_are_products_and_a_component_without_factors_stays() -> None:
    np.testing.assert_allclose(FACTORS.scales(VALUES), [-0.4, 1.1, 0.77, 1.0])


def test_derivatives_are_differences() -> None:
    names = ("all", "mu", "unused", "own")
    first, second = FACTORS.derivatives(VALUES, names)

    def scales(**moved: float) -> np.ndarray:
        return FACTORS.scales({n: VALUES[n] + moved.get(n, 0.0) for n in VALUES})

    # Linear in each: a difference of 1 is exact.
    for i, a in enumerate(names):
        np.testing.assert_allclose(first[i], scales(**{a: 1.0}) - scales(), atol=1e-14)
        for j, b in enumerate(names):
            both = 0.0
            if a != b:
                both = scales(**{a: 1.0, b: 1.0}) - scales(**{a: 1.0}) - scales(**{b: 1.0})
                both = both + scales()
            np.testing.assert_allclose(second[i, j], both, atol=1e-14)
    assert second.any()


def test_a_factor_enters_once() -> None:
    with pytest.raises(ValueError, match="stands twice"):
        Factors((("mu", "mu"),))


def test_normalisations_are_the_nuisances_that_scale_something() -> None:
    nuisances = tuple(
        Nuisance(name, 1.0, "normal", 1.0, 0.1, 0.0, 2.0) for name in ("own", "shape", "all")
    )
    found = normalisations(FACTORS.of_component, nuisances, ["all", "shape", "own", "mu"])
    assert [n.name for n in found] == ["own", "all"]
    assert [n.name for n in normalisations(FACTORS.of_component, nuisances, ["all"])] == ["all"]
