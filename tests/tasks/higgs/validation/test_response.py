"""Responses of yields: their values, their errors, and differences between two samples."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sigma68.seeds import stream
from sigma68.tasks.higgs.bias import bias_columns
from sigma68.tasks.higgs.dataset import open_parquet
from sigma68.tasks.higgs.regions import REGIONS, region_of
from sigma68.tasks.higgs.schema import FEATURES, PRIMARIES
from sigma68.tasks.higgs.validation.judgement import EMULATOR, Judgement
from sigma68.tasks.higgs.validation.ledger import read_ledger
from sigma68.tasks.higgs.validation.resampling import add_resampled, counts_of
from sigma68.tasks.higgs.validation.response import (
    SHIFTS,
    Response,
    ResponseCollector,
    compare_responses,
)
from tests.tasks.higgs.validation.made_files import halves, write


def collected(
    frame: pd.DataFrame, path: Path, rows: int = 1 << 18, draws: int = 1
) -> ResponseCollector:
    ledger = read_ledger(open_parquet(write(frame, path)))
    collector = ResponseCollector(ledger, stream("higgs", "test", len(frame)), noise_draws=draws)
    for batch in ledger.file.iter_batches(FEATURES, batch_rows=rows):
        collector.add(batch)
    return collector


def compared(
    tested: ResponseCollector, reference: ResponseCollector, n_reference: float
) -> dict[tuple[str, str], Response]:
    """The responses of Z by region and shift."""
    numbers = {"ztautau": np.full(len(REGIONS) + 1, n_reference)}
    found = compare_responses(tested, reference, {"ztautau": (1,)}, numbers)
    return {(r.region, r.shift): r for r in found}


def test_counts_are_poisson_and_belong_to_the_hard_event() -> None:
    units = np.repeat(np.arange(3000, dtype=np.int64), 2)
    counts = counts_of(units, 50, key=77)
    assert (counts[::2] == counts[1::2]).all()
    assert counts.mean() == pytest.approx(1, abs=0.01)
    assert counts.var() == pytest.approx(1, abs=0.02)
    assert (counts == 0).mean() == pytest.approx(np.exp(-1), abs=0.005)
    single = counts[::2].astype(float)
    # Neither the resamples nor neighbouring hard events know of each other.
    assert abs(np.corrcoef(single[:, 0], single[:, 1])[0, 1]) < 0.07
    assert abs(np.corrcoef(single[:-1, 0], single[1:, 0])[0, 1]) < 0.07
    assert (counts_of(units, 50, key=78) != counts).any()


def test_sums_of_resamples_are_those_of_their_counts() -> None:
    rng = np.random.default_rng(1)
    n = 400
    units, weights = rng.integers(0, 90, n), rng.random(n)
    process = rng.integers(0, 2, n).astype(np.int8)
    cells = rng.integers(-1, 3, (3, n)).astype(np.int8)
    cells[1, :300] = cells[0, :300]
    out = np.zeros((3, 2, 3, 11))
    for part in (slice(0, 150), slice(150, None)):
        add_resampled(out, units[part], weights[part], process[part], cells[:, part], key=5)
    counts = np.column_stack([np.ones(n), counts_of(units, 10, key=5)])
    for p in range(2):
        for c in range(3):
            inside = [(cells[s] == c) & (process == p) for s in range(3)]
            sums = [(weights[own, None] * counts[own]).sum(axis=0) for own in inside]
            np.testing.assert_allclose(out[0, p, c], sums[0], atol=1e-9)
            for s in (1, 2):
                np.testing.assert_allclose(out[s, p, c], sums[s] - sums[0], atol=1e-9)


def test_responses_are_ratios_of_yields_of_the_same_events(tmp_path: Path) -> None:
    frame = halves(20_000, 1)[0]
    collector = collected(frame, tmp_path / "a.parquet", rows=5000)
    sums = collector.sums((1,))
    own = frame[frame["detailed_labels"] == "ztautau"]
    primaries = np.ascontiguousarray(own[list(PRIMARIES)].to_numpy(np.float32).T)
    weights = own["weights"].to_numpy(np.float64)
    for k, shift in enumerate(SHIFTS.values(), start=1):
        if "soft_met" in shift:
            continue  # its noise depends on the row numbers
        yields = []
        for values in ({}, shift):
            features, rows = bias_columns(primaries, **values)
            yields.append(np.bincount(region_of(features), weights[rows], minlength=5))
        for c in np.flatnonzero(yields[0]):
            expected = yields[1][c] / yields[0][c] - 1
            assert sums.response(k, c)[0] == pytest.approx(expected, rel=1e-6, abs=1e-9)
        whole = yields[1].sum() / yields[0].sum() - 1
        assert sums.response(k, 5)[0] == pytest.approx(whole, abs=1e-9)


def test_errors_are_the_scatter_of_independent_samples(tmp_path: Path) -> None:
    values, errors = [], []
    for seed in range(12):
        frame = halves(12_000, 50 + seed)[0]
        sums = collected(frame, tmp_path / "a.parquet").sums((1,))
        responses = [sums.response(k, c) for k in range(1, 6) for c in (0, 3, 5)]
        values.append([v for v, _ in responses])
        errors.append([e for _, e in responses])
    scatter, stated = np.std(values, axis=0, ddof=1), np.mean(errors, axis=0)
    known = stated > 1e-6
    assert known.sum() >= 10
    assert 0.8 < np.mean(scatter[known] / stated[known]) < 1.25


def test_copies_of_an_event_do_not_make_a_smaller_error(tmp_path: Path) -> None:
    frame = halves(8000, 3)[0].reset_index(drop=True)
    copies = pd.concat([frame] * 3, ignore_index=True)
    copies["weights"] /= 3
    copies["hard_event"] = np.tile(np.arange(len(frame)), 3)
    frame["hard_event"] = np.arange(len(frame))
    once = collected(frame, tmp_path / "a.parquet").sums((1,)).response(1, 5)
    thrice = collected(copies, tmp_path / "b.parquet").sums((1,)).response(1, 5)
    assert thrice[0] == pytest.approx(once[0], rel=1e-6)
    assert thrice[1] == pytest.approx(once[1], rel=0.2)


def test_the_error_of_one_event_is_that_of_all_times_the_root_of_their_number(
    tmp_path: Path,
) -> None:
    frame = halves(20_000, 4)[0]
    own = frame[frame["detailed_labels"] == "ztautau"]
    sums = collected(own, tmp_path / "a.parquet").sums((1,))
    for k in range(1, 6):
        for c in (0, 3, 5):
            n = sums.yields[0, c, 0] / own["weights"].iloc[0]
            error = sums.response(k, c)[1]
            if error > 1e-5:
                assert sums.scatter(k, c) / np.sqrt(n) == pytest.approx(error, rel=0.25)


def test_the_same_physics_agrees_and_another_does_not(tmp_path: Path) -> None:
    tested, reference = halves(60_000, 5)
    s, r = collected(tested, tmp_path / "s.parquet"), collected(reference, tmp_path / "r.parquet")
    same = compared(s, r, 4400)
    pulls = [x.pull for x in same.values() if x.pull is not None]
    assert len(pulls) >= 8
    assert np.abs(pulls).max() < 4
    assert min(x.p_value for x in same.values() if x.p_value is not None) > 0.01

    # A steeper tau spectrum at the threshold: more events go when tes goes down.
    softer = reference.copy()
    lost = (softer["PRI_had_pt"] > 28) & (np.arange(len(softer)) % 2 == 0)
    other = compared(s, collected(softer[~lost], tmp_path / "o.parquet"), 2500)
    worst = other["all", "tes = 0.97"]
    assert worst.p_value is not None
    assert worst.p_value < 1e-4
    assert worst.pull is not None
    assert worst.pull > 5


def test_a_few_real_events_are_not_tested_and_never_too_sure(tmp_path: Path) -> None:
    tested, reference = halves(20_000, 6)
    s = collected(tested, tmp_path / "s.parquet")
    few = reference[reference["detailed_labels"] == "ztautau"].head(40)
    found = compared(s, collected(few, tmp_path / "r.parquet"), 40)
    moved = found["mT<70, no VBFJet, ptH<100", "jes = 1.03"]
    assert moved.moving < 5
    assert (moved.pull, moved.p_value) == (None, None)
    assert moved.tested_error is not None
    assert moved.reference_error is not None
    assert moved.reference_error >= 10 * moved.tested_error
    # jes alone takes no event away.
    assert found["all", "jes = 1.03"].pull is None


def test_more_draws_of_the_noise_know_the_response_better(tmp_path: Path) -> None:
    """The error is still the scatter of independent samples, and that of one event as well."""
    values, errors, single = [], [], []
    for seed in range(10):
        frame = halves(9000, 150 + seed)[0]
        own = frame[frame["detailed_labels"] == "ztautau"]
        once = collected(own, tmp_path / "a.parquet").sums((1,))
        often = collected(own, tmp_path / "b.parquet", draws=8).sums((1,))
        value, error = often.response(SOFT, 3)
        values.append(value)
        errors.append(error)
        single.append(once.response(SOFT, 3)[1])
        n = often.yields[0, 3, 0] / own["weights"].iloc[0]
        assert often.scatter(SOFT, 3) / np.sqrt(n) == pytest.approx(error, rel=0.3)
        # Shifts without noise are the same.
        assert often.response(1, 3) == once.response(1, 3)
    assert np.mean(errors) < 0.8 * np.mean(single)
    assert np.std(values, ddof=1) == pytest.approx(np.mean(errors), rel=0.5)


def test_an_emulator_is_judged_by_the_size_of_the_difference(tmp_path: Path) -> None:
    tested, reference = halves(60_000, 5)
    t, r = collected(tested, tmp_path / "t.parquet"), collected(reference, tmp_path / "r.parquet")
    own = replace(
        EMULATOR, response_tolerance=0.02, largest_response_error=0.02, least_expected=20_000.0
    )
    numbers = {"ztautau": np.full(len(REGIONS) + 1, 4400.0)}

    def verdicts(judgement: Judgement) -> dict[tuple[str, str], str]:
        found = compare_responses(t, r, {"ztautau": (1,)}, numbers, judgement)
        for x in found:
            if x.difference is not None:
                assert x.error == pytest.approx(np.hypot(x.tested_error, x.reference_error))
                assert x.difference == pytest.approx(x.tested - x.reference)
        return {(x.region, x.shift): x.verdict for x in found}

    found = verdicts(own)
    assert found["all", "tes = 0.97"] == "pass"
    assert found["mT>=70, VBFJet", "tes = 0.97"] == "small"
    assert verdicts(replace(own, largest_response_error=0.0005))["all", "tes = 0.97"] == "unsure"
    lost = (reference["PRI_had_pt"] > 28) & (np.arange(len(reference)) % 2 == 0)
    r = collected(reference[~lost], tmp_path / "o.parquet")
    assert verdicts(own)["all", "tes = 0.97"] == "miss"


SOFT = list(SHIFTS).index("soft_met = 2") + 1
