"""Correlations: their values, and pulls that are calibrated even for columns with long tails."""

from __future__ import annotations

import numpy as np
import pytest

from sigma68.tasks.higgs.schema import FEATURES, LEP_ETA, LEP_PT, MET, UNDEFINED
from sigma68.tasks.higgs.validation.correlations import compare_correlations, correlation_matrix
from sigma68.tasks.higgs.validation.sample import Sample
from tests.tasks.higgs.validation.made_files import halves, sample


def made(n: int, seed: int) -> Sample:
    """Two families of columns, correlated among themselves, with lognormal tails and gaps."""
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(2, n))
    values = np.exp(0.7 * (rng.normal(size=(len(FEATURES), n)) + np.repeat(common, 14, axis=0)))
    values[20:24, rng.random(n) < 0.5] = UNDEFINED
    weights = rng.lognormal(0, 0.3, n)
    return Sample(values.astype(np.float32), weights, np.zeros(n, np.int8), np.arange(n))


def test_the_matrix_is_that_of_numpy() -> None:
    events = sample(halves(6000, 1)[0])
    matrix = correlation_matrix(events)
    both = (events.values[6] != UNDEFINED) & (events.values[20] != UNDEFINED)
    for i, j, chosen in ((0, 14, slice(None)), (6, 20, both)):
        c = np.cov(events.values[[i, j]][:, chosen].astype(float), aweights=events.weights[chosen])
        assert matrix[i, j] == pytest.approx(c[0, 1] / np.sqrt(c[0, 0] * c[1, 1]), abs=1e-9)
    assert np.diag(matrix)[:6] == pytest.approx(1)
    np.testing.assert_allclose(matrix, matrix.T, equal_nan=True)


def test_the_largest_of_many_pulls_is_no_surprise_under_the_null() -> None:
    """Real samples of 250 rows: without the simulation's scatter the tails would deceive.

    The rows of a simulated hard event differ in all columns: it would be wrong to scale their
    error by a number of hard events.
    """
    rows = made(2500, 100)
    tested = Sample(rows.values, rows.weights, rows.process, rows.unit // 5)
    tests = [compare_correlations("x", tested, made(250, k), 0.01) for k in range(20)]
    p = np.array([test.p_value for test in tests])
    assert all(test.pairs == 378 for test in tests)
    assert (p < 0.05).sum() <= 4
    assert (p < 0.01).sum() <= 2
    pulls = np.concatenate([test.pulls[np.triu_indices(28, 1)] for test in tests])
    assert 0.75 < pulls.std() < 1.1


def test_a_correlation_that_differs_is_found_and_named() -> None:
    tested, reference = (sample(frame).of((1,)) for frame in halves(20_000, 2))
    rng = np.random.default_rng(3)
    mixed = reference.values.copy()
    mixed[MET] = mixed[MET] + 1.5 * (mixed[LEP_PT] - 20) + rng.normal(0, 1, reference.n_events)
    changed = Sample(mixed, reference.weights, reference.process, reference.unit)
    test = compare_correlations("ztautau", tested, changed, 0.01)
    assert test.columns == ("PRI_lep_pt", "PRI_met")
    assert test.p_value is not None
    assert test.p_value < 1e-6
    assert test.largest is not None
    assert test.largest < -6
    assert test.detectable is not None
    assert test.detectable < 0.4
    same = compare_correlations("ztautau", tested, reference, 0.01)
    assert same.p_value is not None
    assert same.p_value > 0.01


def test_errors_are_those_of_a_bootstrap_over_hard_events() -> None:
    tested, rng = made(900, 9), np.random.default_rng(10)
    unit = tested.unit // 3
    clustered = Sample(tested.values, tested.weights, tested.process, unit)
    resampled = []
    for _ in range(60):
        counts = rng.poisson(1.0, unit.max() + 1)[unit]
        again = Sample(tested.values, tested.weights * counts, tested.process, np.arange(900))
        resampled.append(
            np.arctanh(np.clip(correlation_matrix(again.chosen(counts > 0)), -0.9999, 0.9999))
        )
    above = np.triu_indices(28, 1)
    scatter = np.std(resampled, axis=0, ddof=1)[above]
    # A huge second sample: the error of the pull is that of the first.
    pulls = compare_correlations("x", clustered, made(20_000, 11), 0.01)
    difference = np.arctanh(pulls.tested[above]) - np.arctanh(pulls.reference[above])
    stated = difference / pulls.pulls[above]
    assert np.median(stated / scatter) == pytest.approx(1, abs=0.12)


def test_hard_events_are_resampled_whole() -> None:
    rng = np.random.default_rng(4)
    one = made(1000, 5)
    twice = Sample(
        np.repeat(one.values, 4, axis=1),
        np.repeat(one.weights, 4) / 4,
        np.repeat(one.process, 4),
        np.repeat(one.unit, 4),
    )
    order = rng.permutation(4000)
    a = compare_correlations("x", one, one, 0.01)
    b = compare_correlations("x", twice.chosen(order), twice, 0.01)
    assert a.detectable is not None
    assert b.detectable == pytest.approx(a.detectable, rel=0.1)


def test_pairs_of_few_events_and_constants_are_left_out() -> None:
    reference = made(120, 6)
    reference.values[LEP_ETA] = 0.25
    reference.values[3, 40:] = UNDEFINED
    test = compare_correlations("x", made(1000, 7), reference, 0.01)
    assert np.isnan(test.pulls[LEP_ETA]).all()
    assert np.isnan(test.pulls[3]).all()
    assert test.pairs == 26 * 25 // 2
    few = compare_correlations("x", made(1000, 7), made(20, 8), 0.01)
    assert (few.pairs, few.largest, few.columns, few.p_value) == (0, None, None, None)
