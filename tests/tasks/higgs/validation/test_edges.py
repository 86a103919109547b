"""Events beyond the edges of a reference: p-values under the null, and edges that are smeared."""

from __future__ import annotations

import numpy as np
import pytest

from sigma68.tasks.higgs.schema import FEATURES, JET1_ETA, UNDEFINED
from sigma68.tasks.higgs.validation.edges import (
    COLUMNS,
    beyond_edge,
    detectable_share,
    edge_p_value,
)
from sigma68.tasks.higgs.validation.hypotheses import POWER
from sigma68.tasks.higgs.validation.sample import Sample

NAME = FEATURES[JET1_ETA]


def made(n: int, seed: int, *, copies: int = 1, smear: float = 0.0, thin: float = 2.0) -> Sample:
    """Jets that thin out towards 4.5, half of the events without; weights grow outwards."""
    rng = np.random.default_rng(seed)
    eta = 4.5 * rng.choice([-1, 1], n) * rng.beta(1, thin, n)
    weights = 1 + np.abs(eta)
    eta += smear * rng.normal(size=n)
    eta[rng.random(n) < 0.5] = UNDEFINED
    own = [np.repeat(x, copies) for x in (eta, weights, np.arange(n))]
    values = np.zeros((len(FEATURES), n * copies), np.float32)
    values[JET1_ETA] = own[0]
    return Sample(values, own[1], np.zeros(n * copies, np.int8), own[2])


def p_value(tested: Sample, reference: Sample) -> float:
    found = beyond_edge(tested, reference, NAME)
    assert found is not None
    return edge_p_value(*found)


@pytest.mark.parametrize("copies", [1, 3])
def test_p_values_promise_no_more_than_they_keep(copies: int) -> None:
    found = np.array(
        [p_value(made(3000, k, copies=copies), made(800, 900 + k)) for k in range(300)]
    )
    for level in (0.01, 0.05, 0.2):
        assert (found < level).mean() <= level + 3.3 * np.sqrt(level * (1 - level) / 300)
    assert (found < 0.2).mean() > 0.08


def test_a_smeared_edge_is_found_that_no_distribution_shows() -> None:
    reference = made(20_000, 2, thin=1.2)
    tested = made(60_000, 1, smear=0.05, thin=1.2)
    share, n_tested, n_reference = beyond_edge(tested, reference, NAME) or (0, 0, 0)
    assert 0 < share < 0.01
    assert edge_p_value(share, n_tested, n_reference) < 1e-5
    assert share > detectable_share(n_tested, n_reference, 1e-4, POWER)
    assert p_value(made(60_000, 3, thin=1.2), reference) > 1e-3


def test_what_is_called_detectable_is_found_as_often_as_promised() -> None:
    level, n_tested, n_reference = 1e-3, 20_000.0, 5000.0
    share = detectable_share(n_tested, n_reference, level, POWER)
    beyond = np.random.default_rng(4).poisson(share * n_tested, 4000)
    found = [edge_p_value(k / n_tested, n_tested, n_reference) < level for k in beyond]
    assert np.mean(found) == pytest.approx(POWER, abs=0.03)


def test_few_events_are_not_tested() -> None:
    assert beyond_edge(made(1000, 5), made(60, 6), NAME) is None
    assert beyond_edge(made(60, 5), made(1000, 6), NAME) is None
    assert len(COLUMNS) == 4
    assert all(name.endswith("_eta") for name in COLUMNS)
