"""Sums with hard events counted once, and the seeded sample."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sigma68.seeds import stream
from sigma68.tasks.higgs.dataset import open_parquet
from sigma68.tasks.higgs.schema import FEATURES
from sigma68.tasks.higgs.validation.ledger import cell_sums, of_group, read_ledger
from sigma68.tasks.higgs.validation.sample import SampleCollector, thinned, thinning
from tests.tasks.higgs.validation.made_files import halves, sample, write

STREAM = stream("higgs", "test", 1)


def test_sums_equal_those_written_out() -> None:
    rng = np.random.default_rng(1)
    weights, cell = rng.random(500), rng.integers(-1, 3, 500)
    unit = rng.integers(0, 80, 500)
    sums = cell_sums(weights, cell, unit, 4)
    for c in range(4):
        own = cell == c
        together = [weights[own & (unit == u)].sum() for u in range(80)]
        assert sums.rows[c] == own.sum()
        assert sums.sumw[c] == pytest.approx(weights[own].sum())
        assert sums.sumw2[c] == pytest.approx((weights[own] ** 2).sum())
        assert sums.unit2[c] == pytest.approx(np.square(together).sum())
        assert sums.largest[c] == (weights[own].max() if own.any() else 0)
    assert sums.effective[3] == 0
    assert sums.clustering[3] == 1


def test_rows_of_their_own_are_independent() -> None:
    w = np.array([1.0, 2.0, 3.0])
    sums = cell_sums(w, np.zeros(3, np.int8), None, 1)
    assert sums.effective[0] == pytest.approx(36 / 14)
    assert sums.clustering[0] == 1
    assert cell_sums(np.empty(0), np.empty(0, np.int8), np.empty(0, np.int64), 2).rows.tolist() == [
        0,
        0,
    ]


def test_several_cells_are_one() -> None:
    w = np.array([1.0, 2.0, 3.0])
    together = of_group(cell_sums(w, np.array([0, 1, 2]), None, 3), (0, 2))
    assert (together.rows[0], together.sumw[0], together.unit2[0]) == (2, 4.0, 10.0)
    assert together.largest[0] == 3


def test_a_ledger_is_the_file_without_its_features(tmp_path: Path) -> None:
    frame = halves(2000, 1)[0]
    frame["hard_event"] = np.arange(len(frame)) // 2
    ledger = read_ledger(open_parquet(write(frame, tmp_path / "events.parquet")))
    np.testing.assert_allclose(ledger.weights, frame["weights"])
    assert (ledger.process == frame["detailed_labels"].cat.codes.to_numpy()).all()
    assert ledger.units(np.array([4, 5])).tolist() == [2, 2]
    without = read_ledger(open_parquet(write(halves(2000, 1)[0], tmp_path / "plain.parquet")))
    assert without.unit is None
    assert without.units(slice(3, 5)).tolist() == [3, 4]


def test_thinning_keeps_the_wished_number_and_the_sums() -> None:
    rng = np.random.default_rng(2)
    weights = rng.lognormal(0, 1.5, 40_000)
    kept = thinning(weights, 4000, np.arange(40_000), STREAM)
    n = np.count_nonzero(kept)
    assert abs(n - 4000) < 250
    assert kept.sum() == pytest.approx(weights.sum(), rel=0.02)
    half = np.arange(40_000) % 2 == 0
    assert kept[half].sum() == pytest.approx(weights[half].sum(), rel=0.04)
    # Nearly equal weights: the sample is worth nearly its number of rows.
    assert (
        kept.sum() ** 2 / (kept @ kept)
        > 0.7 * n
        > 1.5 * weights.sum() ** 2 / (weights @ weights) / 10
    )
    assert kept.max() == pytest.approx(weights.max())
    same = thinning(weights, 4000, np.arange(40_000), STREAM)
    assert (same == kept).all()
    other = thinning(weights, 4000, np.arange(40_000), STREAM.child("other"))
    assert (other != kept).any()


def test_few_rows_are_kept_as_they_are() -> None:
    weights = np.array([3.0, 0.0, 1.0])
    assert thinning(weights, 3, np.arange(3), STREAM) is weights


def test_rows_without_weight_are_dropped_first() -> None:
    weights = np.concatenate([np.ones(50), np.zeros(950)])
    kept = thinning(weights, 100, np.arange(1000), STREAM)
    assert kept.tolist() == weights.tolist()


def test_the_sample_of_a_file_is_its_rows(tmp_path: Path) -> None:
    frame = halves(6000, 3)[0].reset_index(drop=True)
    ledger = read_ledger(open_parquet(write(frame, tmp_path / "events.parquet")))
    picked = []
    for rows in (700, 5400):
        collector = SampleCollector(ledger, 300, STREAM)
        for batch in ledger.file.iter_batches(FEATURES, batch_rows=rows):
            collector.add(batch)
        picked.append(collector.sample())
    one, other = picked
    assert (one.unit == other.unit).all()
    np.testing.assert_array_equal(one.values, frame.loc[one.unit, list(FEATURES)].to_numpy().T)
    rows_of = np.bincount(one.process, minlength=4)
    assert (np.abs(rows_of[:2] - 300) < 60).all()
    assert rows_of[3] == (frame["detailed_labels"] == "diboson").sum()
    assert one.of((1,)).process.tolist() == [1] * rows_of[1]


def test_a_thinned_sample_is_worth_its_rows() -> None:
    whole = sample(halves(8000, 4)[0]).of((1,))
    some = thinned(whole, 500, STREAM)
    assert abs(some.n_events - 500) < 80
    assert some.effective == pytest.approx(some.n_events, rel=0.01)
    assert some.weights.sum() == pytest.approx(whole.weights.sum(), rel=0.15)
