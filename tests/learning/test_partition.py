"""Cells of observables: what they keep of the information, and that a saved tree is a tree."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from sigma68.errors import DataError
from sigma68.learning.partition import Partition, PartitionChoice, grow
from sigma68.seeds import stream

N = 40_000
PRIOR = np.array([0.0, 1.0])


def problem() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
    """Scores (2, N) of a parameter and a nuisance that is like it, and weights of 1,000 events."""
    rng = stream("tests", "partition", 1).generator()
    x, y = rng.standard_normal((2, N))
    scores = np.stack([0.3 * x + 0.02, 0.8 * (0.6 * x + 0.8 * y) / 10])
    return scores.astype(np.float32), np.full(N, 1000 / N)


def variance(
    scores: npt.NDArray[np.float32], weights: npt.NDArray[np.float64], cells: Any
) -> float:
    """Of the parameter, by the formula at the top of the module."""
    information = np.diag(PRIOR)
    for cell in np.unique(cells):
        own = cells == cell
        n = weights[own].sum()
        mean = (scores[:, own] * weights[own]).sum(axis=1) / n
        information = information + n * np.outer(mean, mean)
    return float(np.linalg.inv(information)[0, 0])


def test_cells_keep_most_of_the_information() -> None:
    scores, weights = problem()
    best = variance(scores, weights, np.arange(N))
    found = [
        variance(scores, weights, grow(scores, scores, weights, PRIOR, choice).cells(scores))
        for choice in (PartitionChoice(cells=n, min_events=20) for n in (2, 10, 60))
    ]
    assert found[0] > found[1] > found[2] > best
    assert found[2] < 1.05 * best


def test_every_cell_holds_enough() -> None:
    scores, weights = problem()
    choice = PartitionChoice(cells=25, min_expected=20.0, min_events=300)
    partition = grow(scores, scores, weights, PRIOR, choice)
    counts = np.bincount(partition.cells(scores), minlength=partition.n_cells)
    assert partition.n_cells == 25
    assert counts.min() >= max(300, 20 * N / 1000)


def test_where_nothing_can_be_cut_there_is_one_cell() -> None:
    scores, weights = problem()
    partition = grow(0 * scores, scores, weights, PRIOR)
    assert partition.n_cells == 1
    assert not partition.cells(scores).any()
    assert Partition.from_json(partition.to_json(), 2).n_cells == 1


def test_a_tree_comes_back_from_json() -> None:
    scores, weights = problem()
    partition = grow(scores, scores, weights, PRIOR, PartitionChoice(cells=12))
    again = Partition.from_json(partition.to_json(), 2)
    np.testing.assert_array_equal(again.cells(scores), partition.cells(scores))
    cells = [_descend(partition, scores[:, e]) for e in range(200)]
    np.testing.assert_array_equal(partition.cells(scores[:, :200]), cells)


@pytest.mark.parametrize(
    "damage",
    [
        {"cut": [0.0, float("nan")]},
        {"observable": [0, 7]},
        {"low": [1, -1], "high": [1, -3]},
        {"low": [0, -1]},
        {"low": [-1]},
        {"high": "no"},
    ],
)
def test_what_is_no_tree_is_refused(damage: dict[str, Any]) -> None:
    good = {"observable": [0, 1], "cut": [0.0, 0.5], "low": [1, -1], "high": [-3, -2]}
    assert Partition.from_json(good, 2).n_cells == 3
    with pytest.raises(DataError, match="train again"):
        Partition.from_json({**good, **damage}, 2)
    del good["cut"]
    with pytest.raises(DataError, match="damaged"):
        Partition.from_json(good, 2)


def _descend(partition: Partition, event: npt.NDArray[np.float32]) -> int:
    at = 0
    while at >= 0:
        below = event[partition.observable[at]] < partition.cut[at]
        at = int((partition.low if below else partition.high)[at])
    return -1 - at
