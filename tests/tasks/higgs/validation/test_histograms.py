"""Bins that suit a column, whatever it holds."""

from __future__ import annotations

import numpy as np
import pytest

from sigma68.tasks.higgs.schema import FEATURES, UNDEFINED
from sigma68.tasks.higgs.validation.histograms import choose_binnings
from sigma68.tasks.higgs.validation.sample import Sample


def of(column: object) -> Sample:
    values = np.broadcast_to(np.array(column, np.float32), (len(FEATURES), 200))
    n = values.shape[1]
    return Sample(values, np.ones(n), np.zeros(n, np.int8), np.arange(n))


@pytest.mark.parametrize(
    "column",
    [0.0, 1e38, -1e38, 1e20, 1e-38, UNDEFINED, [0.0] * 199 + [1e9], [-3e38] * 100 + [3e38] * 100],
    ids=["zero", "huge", "negative", "large", "tiny", "undefined", "far", "both ends"],
)
def test_odd_columns_have_few_bins_with_edges_that_rise(column: object) -> None:
    for binning in choose_binnings(of(column)):
        assert 1 <= len(binning.edges) - 1 <= 20
        assert np.isfinite(binning.edges).all()
        assert (np.diff(binning.edges) > 0).all()


def test_whole_numbers_have_a_bin_each() -> None:
    edges = choose_binnings(of(np.arange(200) % 4))[0].edges
    assert edges.tolist() == [-0.5, 0.5, 1.5, 2.5, 3.5]


def test_a_single_small_value_does_not_stretch_a_logarithm() -> None:
    column = np.exp(np.random.default_rng(1).normal(3, 0.8, 200))
    column[0] = 0.001
    binning = choose_binnings(of(column))[0]
    assert binning.log
    assert binning.edges[0] == pytest.approx(np.quantile(column, 0.01), rel=1e-5)
    # But what ends there, ends there.
    column = 5 + column
    assert choose_binnings(of(column))[0].edges[0] == pytest.approx(column.min(), rel=1e-5)
