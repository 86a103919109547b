"""How much less than copies the rows of one hard event are worth."""

from __future__ import annotations

import numpy as np
import pytest

from sigma68.tasks.higgs.schema import FEATURES, UNDEFINED
from sigma68.tasks.higgs.validation.cumulative import Cumulative, choose_grids
from sigma68.tasks.higgs.validation.distributions import compare_distributions
from sigma68.tasks.higgs.validation.ledger import cell_sums
from sigma68.tasks.higgs.validation.likeness import LEAST_UNITS, clustering_of_columns
from sigma68.tasks.higgs.validation.sample import Sample
from tests.tasks.higgs.validation.made_files import batch

ROWS = 3


def made(units: int, shared: float, seed: int) -> Sample:
    """Hard events of three rows; of the variance of every column this share is the hard event's.

    Column 5 is defined in the same hard events for all their rows, and then has no likeness.
    """
    rng = np.random.default_rng(seed)
    n = units * ROWS
    unit = np.repeat(np.arange(units), ROWS)
    own, common = rng.normal(size=(len(FEATURES), n)), rng.normal(size=(len(FEATURES), units))
    values = np.sqrt(shared) * common[:, unit] + np.sqrt(1 - shared) * own
    values[5] = np.where(common[5, unit] > 0.3, own[5], UNDEFINED)
    weights = rng.lognormal(0, 0.3, units)[unit]
    return Sample(values.astype(np.float32), weights, np.zeros(n, np.int8), unit)


def factors(sample: Sample) -> np.ndarray:
    sums = cell_sums(sample.weights, sample.process, sample.unit, 4)
    return clustering_of_columns(sample, sums.clustering)


def test_copies_and_strangers() -> None:
    assert factors(made(2000, 1.0, 1))[0, 0] == pytest.approx(ROWS, rel=0.02)
    alone = factors(made(6000, 0.0, 2))
    assert np.delete(alone[:, 0], 5).mean() == pytest.approx(1, abs=0.05)
    assert alone[5, 0] == pytest.approx(ROWS, rel=0.02)
    # Processes that are not there.
    assert (alone[:, 1:] == 1).all()


def test_the_factor_is_what_fractions_scatter_by() -> None:
    found = np.array([(made(400, 0.5, k).values[0] < 0.3).mean() for k in range(400)])
    f = found.mean()
    plain = f * (1 - f) * made(400, 0.5, 0).weights.size ** -1
    # Weights are nearly equal here: the fraction above leaves them out.
    stated = np.mean([factors(made(400, 0.5, k))[0, 0] for k in range(20)])
    assert found.var() / plain == pytest.approx(stated, rel=0.25)
    assert 1.4 < stated < 2.4


def test_with_few_hard_events_rows_count_as_copies() -> None:
    assert (factors(made(LEAST_UNITS - 1, 0.0, 3))[:, 0] > ROWS - 0.3).all()


def test_rows_without_hard_events_count_each() -> None:
    own = made(300, 0.5, 4)
    single = Sample(own.values, own.weights, own.process, np.arange(own.n_events))
    assert (clustering_of_columns(single, np.ones(4)) == 1).all()


def test_columns_that_are_absent_together_share_their_test() -> None:
    """Though each is tested as finely as its own rows allow."""
    own = made(600, 0.5, 5)
    own.values[6] = np.where(own.values[5] == UNDEFINED, UNDEFINED, own.values[6])
    other = made(500, 0.5, 6)
    other.values[6] = np.where(other.values[5] == UNDEFINED, UNDEFINED, other.values[6])
    grids = choose_grids(other)
    sides = []
    for sample in (own, other):
        cumulative = Cumulative(grids)
        cumulative.add(batch(sample.values, sample.weights, sample.process))
        own_factors = factors(sample)
        own_factors[6] = 1.0
        sides.append((cumulative, own_factors))
    (t, first), (r, second) = sides
    found = compare_distributions(t, r, {"htautau": (0,)}, (first, second), 0.01)
    defined = [test for test in found if test.kind == "defined"]
    assert [(test.column, test.shared_with) for test in defined] == [(FEATURES[5], (FEATURES[6],))]
