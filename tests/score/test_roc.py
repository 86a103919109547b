"""ROC curves of resampled toys."""

from __future__ import annotations

import numpy as np

from sigma68.score.roc import resampled_roc

STRANGE = np.array([False, False, True, True])


def test_the_table_itself_and_its_resamples() -> None:
    scores = np.array([1.0, 3.0, 2.0, 4.0])
    rates = np.array([0.0, 0.25, 0.5, 1.0])
    counts = np.array([[1, 1, 1, 1], [2, 0, 1, 1], [1, 1, 0, 2]])
    found = resampled_roc(scores, STRANGE, counts, rates)
    # The ordinary toy with a score of 3 is missing from the second resample.
    np.testing.assert_allclose(
        found, np.array([[0.5, 0.5, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]], float)
    )


def test_a_resample_is_a_table_of_repeated_rows() -> None:
    rng = np.random.default_rng(3)
    scores, strange = rng.integers(0, 8, 60).astype(float), rng.random(60) < 0.5
    rates = np.geomspace(0.001, 0.05, 7)
    drawn = rng.multinomial(60, np.full(60, 1 / 60), size=3)
    found = resampled_roc(scores, strange, drawn, rates)
    for counts, curve in zip(drawn, found, strict=True):
        rows = np.repeat(np.arange(60), counts)
        alone = resampled_roc(scores[rows], strange[rows], np.ones((1, len(rows))), rates)
        np.testing.assert_allclose(curve, alone[0])


def test_equal_scores_are_chance_and_infinite_ones_are_in_order() -> None:
    rates = np.array([0.1, 0.5])
    ones = np.ones((1, 4))
    np.testing.assert_allclose(resampled_roc(np.zeros(4), STRANGE, ones, rates)[0], rates)
    failed = np.array([1.0, np.inf, 2.0, 3.0])
    np.testing.assert_allclose(resampled_roc(failed, STRANGE, ones, rates)[0], [0.0, 1.0])


def test_one_kind_has_no_curve() -> None:
    found = resampled_roc(np.arange(4.0), STRANGE, np.array([[1, 1, 0, 0]]), np.array([0.1]))
    assert np.isnan(found).all()
