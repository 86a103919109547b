"""The highest keys of each stratum, against a plain sort."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from sigma68.tasks.higgs import priority
from sigma68.tasks.higgs.priority import highest

STRATUM_OF = np.array([0, 0, 1, 2, 1], np.uint8)


def stated(
    keys: npt.NDArray[np.float32], strata: npt.NDArray[np.uint8], wanted: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.bool_], list[float]]:
    """Sort each stratum, of equal keys the first row first."""
    chosen, tau = np.zeros(len(keys), bool), []
    for s, n in enumerate(wanted):
        rows = np.flatnonzero(strata == s)
        order = rows[np.argsort(-keys[rows].astype(float), kind="stable")]
        chosen[order[:n]] = True
        tau.append(float(keys[order[n]]) if n < len(order) else 0.0)
    return chosen, tau


@pytest.mark.parametrize("few_values", [False, True])
@pytest.mark.parametrize("piece", [37, 1 << 20])
def test_it_is_what_sorting_gives(
    few_values: bool, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(priority, "_PIECE", piece)
    rng = np.random.default_rng(1)
    n = 2000
    cells = rng.integers(0, 5, n).astype(np.uint8)
    keys = np.exp(rng.normal(0, 9, n)).astype(np.float32)
    if few_values:
        keys = rng.choice(np.float32([1, 1.5, 1e-37, 3e38]), n).astype(np.float32)
    keys[rng.random(n) < 0.1] = 0
    strata = STRATUM_OF[cells]
    positive = np.bincount(strata[keys > 0], minlength=24)
    for share in (0.01, 0.4, 0.97):
        wanted = np.maximum((share * positive).astype(np.int64), positive > 0)
        chosen, tau = highest(keys, cells, STRATUM_OF, wanted)
        expected, its_tau = stated(keys, strata, wanted)
        assert np.array_equal(chosen, expected)
        np.testing.assert_array_equal(tau[:3], its_tau[:3])
        assert np.array_equal(np.bincount(strata[chosen], minlength=24), wanted)


@pytest.mark.parametrize("zeros", [0, 3])
def test_all_that_have_a_weight_may_be_wanted(zeros: int) -> None:
    keys = np.concatenate([np.full(5, 1e-37), np.zeros(zeros)]).astype(np.float32)
    wanted = np.array([5, 0, 0], np.int64)
    chosen, tau = highest(keys, np.zeros(len(keys), np.uint8), STRATUM_OF, wanted)
    assert np.array_equal(chosen, keys > 0)
    assert tau[0] == 0
