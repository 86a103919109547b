"""The benchmark of scoring still runs, checks what it times, and divides what it should."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("xgboost")

from benchmarks import scoring
from benchmarks.scoring import Line, markdown, measure

from sigma68.learning.trees import TreeSettings, train_trees
from tests.learning.events import overlapping


def test_ratios_are_the_peer_over_ours() -> None:
    table = markdown([Line("scoring", 2, 2.0, 9.0, 4.0, 30.0)])
    assert "| scoring | 2 | 2.0 (4.0) | 9.0 (30.0) | 4.5 | 7.5 |" in table


def test_it_measures_everything_on_one_and_two_threads() -> None:
    trees = train_trees(overlapping(2_000, seed=1), TreeSettings(n_trees=5, threads=1))
    lines = measure(trees, overlapping(20_000, seed=2).values, 1)
    assert [(x.what, x.threads) for x in lines] == [
        ("scoring", 1),
        ("scoring", 2),
        ("counting in 30 bins", 1),
    ]
    assert all(x.ours_ms > 0 and x.peer_ms > 0 for x in lines)


def test_scores_that_differ_are_no_race(monkeypatch: pytest.MonkeyPatch) -> None:
    trees = train_trees(overlapping(2_000, seed=1), TreeSettings(n_trees=5, threads=1))
    values = overlapping(100, seed=2).values
    other = np.ones(100, np.float32)
    monkeypatch.setattr(scoring.Trees, "booster", property(lambda _: _Other(other)))
    with pytest.raises(AssertionError, match="not equal"):
        measure(trees, values, 1)


class _Other:
    """A peer with an answer of its own."""

    def __init__(self, answer: np.ndarray) -> None:
        self._answer = answer

    def set_param(self, settings: dict[str, int]) -> None:
        pass

    def inplace_predict(self, values: np.ndarray, predict_type: str) -> np.ndarray:
        return self._answer
