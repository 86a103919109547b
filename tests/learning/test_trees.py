"""Trees: they learn, the same on any number of threads, and refuse what is not a number."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sigma68.errors import DataError, FitError
from sigma68.learning.trees import Trees, TreeSettings, train_trees
from tests.learning.events import overlapping

QUICK = TreeSettings(n_trees=40, threads=1)


@pytest.fixture(scope="module")
def trees() -> Trees:
    return train_trees(overlapping(20_000, seed=1), QUICK)


def test_scores_are_the_log_odds_of_signal(trees: Trees) -> None:
    """N(1.5, 1) against N(0, 1) at equal amounts: log odds 1.5 x - 1.125."""
    x = np.linspace(-0.5, 2, 50)  # where both classes have many events
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(200, 50)).ravel()
    scores = trees.score(np.stack([np.tile(x, 200), noise]).astype(np.float32))
    errors = scores.reshape(200, 50).mean(axis=0) - (1.5 * x - 1.125)
    assert abs(errors.mean()) < 0.1
    assert errors.std() < 0.2


def test_early_stopping_keeps_the_best_trees(trees: Trees) -> None:
    assert 5 < trees.n_trees < 40
    longer = train_trees(overlapping(20_000, seed=1), replace(QUICK, n_trees=80))
    assert longer.n_trees == trees.n_trees


def test_the_number_of_threads_changes_nothing(trees: Trees) -> None:
    events = overlapping(20_000, seed=1)
    for threads in (2, 3):
        other = train_trees(events, replace(QUICK, threads=threads))
        np.testing.assert_array_equal(other.score(events.values), trees.score(events.values))


def test_bytes_give_the_same_scores_back(trees: Trees) -> None:
    values = overlapping(5_000, seed=2).values
    back = Trees.from_bytes(trees.to_bytes(), trees.names, threads=1)
    np.testing.assert_array_equal(back.score(values), trees.score(values))
    assert back.to_bytes() == trees.to_bytes()


def test_damaged_trees_are_noticed(trees: Trees) -> None:
    with pytest.raises(DataError, match="damaged"):
        Trees.from_bytes(trees.to_bytes()[:1000], trees.names)
    with pytest.raises(DataError, match="damaged"):
        Trees.from_bytes(bytearray(b"no trees at all"), trees.names)
    with pytest.raises(DataError, match="take 2 features, not 3"):
        Trees.from_bytes(trees.to_bytes(), ("x", "noise", "z"))


def test_no_damage_does_worse_than_change_numbers(trees: Trees) -> None:
    """Flipped bits are refused, or they change thresholds and leaves: no crash, no score of NaN."""
    values, rng = overlapping(50, seed=2).values, np.random.default_rng(0)
    refused = 0
    for _ in range(60):
        content = bytearray(trees.to_bytes())
        for at in rng.integers(len(content), size=4):
            content[at] ^= 1 << rng.integers(8)
        try:
            scores = Trees.from_bytes(content, trees.names).score(values)
        except (DataError, FitError):
            refused += 1
        else:
            assert np.isfinite(scores).all()
    assert refused > 20


def test_scores_are_those_of_xgboost(trees: Trees) -> None:
    values = overlapping(20_000, seed=9).values
    margins = trees.booster.inplace_predict(values.T, predict_type="margin")
    np.testing.assert_array_equal(trees.score(values), margins)
    assert trees.n_trees == trees.booster.num_boosted_rounds()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_features_that_are_no_numbers_are_named(trees: Trees, value: float) -> None:
    events = overlapping(100, seed=3)
    events.values[1, 7] = value
    with pytest.raises(FitError, match=f"noise is {value} in event 7"):
        trees.score(events.values)
    with pytest.raises(FitError, match="noise is"):
        train_trees(events, QUICK)


def test_large_numbers_are_numbers(trees: Trees) -> None:
    assert np.isfinite(trees.score(np.full((2, 3), 3e38, np.float32))).all()


def test_no_events_give_no_scores(trees: Trees) -> None:
    assert trees.score(np.empty((2, 0), np.float32)).shape == (0,)


def test_numbers_too_large_for_single_precision_are_infinite(trees: Trees) -> None:
    with pytest.raises(FitError, match="x is inf in event 1"):
        trees.score(np.array([[0.0, 1e300], [0.0, 0.0]]))


def test_other_features_are_refused(trees: Trees) -> None:
    with pytest.raises(DataError, match="take 2 features"):
        trees.score(np.zeros((3, 5), np.float32))


@pytest.mark.parametrize("label", [0, 1])
def test_a_missing_class_is_named(label: int) -> None:
    events = overlapping(100, seed=6)
    with pytest.raises(DataError, match="no background" if label else "no signal"):
        train_trees(replace(events, labels=np.full(100, label, np.int8)), QUICK)


def test_a_few_events_are_enough_to_train() -> None:
    events = overlapping(40, seed=7)
    assert train_trees(events, QUICK).n_trees >= 1


def test_progress_ends_at_one() -> None:
    seen: list[float] = []
    train_trees(overlapping(1_000, seed=8), QUICK, lambda what, fraction: seen.append(fraction))
    assert seen == sorted(seen)
    assert len(seen) > 2
    assert seen[-1] == 1.0
