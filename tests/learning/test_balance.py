"""Events made ready for training: what they weigh, and which are kept out."""

from __future__ import annotations

import numpy as np
import pytest

from sigma68.errors import DataError
from sigma68.learning.balance import balanced_weights, held_out
from tests.learning.events import overlapping


def test_balanced_weights_weigh_both_classes_the_same() -> None:
    events = overlapping(1_000, seed=4)
    weights = balanced_weights(events.weights, events.labels)
    assert weights.mean() == pytest.approx(1, rel=1e-5)
    assert weights[events.labels == 1].sum() == pytest.approx(500, rel=1e-5)
    ratio = weights[events.labels == 0] / events.weights[events.labels == 0]
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-5)


def test_a_hard_event_is_never_on_both_sides() -> None:
    hard = np.random.default_rng(5).integers(0, 10**12, 20_000)
    pairs = np.concatenate([hard, hard])
    outside = held_out(pairs.size, pairs, 0.2)
    np.testing.assert_array_equal(outside[:20_000], outside[20_000:])
    for share in (held_out(20_000, None, 0.2).mean(), outside.mean()):
        assert share == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize("label", [0, 1])
def test_a_class_that_weighs_nothing_is_named(label: int) -> None:
    events = overlapping(100, seed=6)
    events.weights[events.labels == label] = 0.0
    with pytest.raises(DataError, match="no signal" if label else "no background"):
        balanced_weights(events.weights, events.labels)
