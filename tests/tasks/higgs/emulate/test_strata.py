"""Strata of events, and the factors by which an emulator's densities are mended in them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from sigma68.errors import DataError
from sigma68.seeds import stream
from sigma68.tasks.higgs.bias import bias_columns
from sigma68.tasks.higgs.dataset import open_parquet
from sigma68.tasks.higgs.emulate import best
from sigma68.tasks.higgs.emulate.emulator import Emulator
from sigma68.tasks.higgs.emulate.files import load, save
from sigma68.tasks.higgs.emulate.fit_strata import Simulated, drawn, factors_of, simulated
from sigma68.tasks.higgs.emulate.strata import N_STRATA, PER_REGION, UNSEEN, strata_of
from sigma68.tasks.higgs.emulate.writing import emulate_file
from sigma68.tasks.higgs.regions import REGIONS, region_of
from sigma68.tasks.higgs.schema import FEATURES, N_JETS, PRIMARIES, PROCESSES

STREAM = stream("higgs", "test strata", 1)
MASS_JJ = FEATURES.index("DER_mass_jet_jet")
Floats = npt.NDArray[np.float64]


def other_shares(counts: Floats) -> Simulated:
    """A simulation of very many events whose strata hold more or less than those drawn."""
    tilt = 1.0 + 0.5 * np.sin(np.arange(N_STRATA) + np.arange(len(PROCESSES))[:, None])
    total = counts * tilt
    return Simulated(total, total, total * 1e-9)


@pytest.fixture(scope="module")
def counts(small: Emulator) -> Floats:
    return drawn(small, 100_000)


@pytest.fixture(scope="module")
def tilted(small: Emulator, counts: Floats) -> Emulator:
    return replace(small, factors=factors_of(other_shares(counts), counts))


def test_strata_are_regions_and_jets(small: Emulator) -> None:
    for process in range(len(PROCESSES)):
        events = small.sample(process, np.arange(20_000), STREAM)
        seen, rows = bias_columns(events)
        before, after = strata_of(events), strata_of(seen)
        np.testing.assert_array_equal(before[rows], after)
        assert (np.delete(before, rows) == UNSEEN).all()
        np.testing.assert_array_equal((after - 1) // PER_REGION, region_of(seen))
        jets = (after - 1) % PER_REGION
        np.testing.assert_array_equal(np.minimum(jets, 2), np.minimum(seen[N_JETS], 2))
        edges = (80, 120, 200, 300, 450, 700)
        two = jets >= 2
        np.testing.assert_array_equal(jets[two] - 2, np.searchsorted(edges, seen[MASS_JJ, two]))


def test_strata_are_drawn_as_often_as_their_factors_say(counts: Floats, tilted: Emulator) -> None:
    after = drawn(tilted, 100_000, seed=2)
    wanted = other_shares(counts).total
    for p in range(len(PROCESSES)):
        expected = wanted[p, 1:] * counts[p, 1:].sum() / wanted[p, 1:].sum()
        # Both are counted, so both scatter.
        difference = (after[p, 1:] - expected) / np.sqrt(np.maximum(2 * expected, 1.0))
        assert np.abs(difference).max() < 4.5
        assert after[p, UNSEEN] == pytest.approx(counts[p, UNSEEN], abs=4.5 * 450)


def test_events_kept_at_once_stay_what_they_were(small: Emulator, tilted: Emulator) -> None:
    index = np.arange(5_000)
    one, other = (e.sample(0, index, STREAM) for e in (small, tilted))
    same = (one == other).all(axis=0)
    highest = tilted.factors[0].max()
    assert same.mean() == pytest.approx(1 / highest, abs=0.05)
    # A row is the same in any company, however often it was drawn.
    np.testing.assert_array_equal(tilted.sample(0, index[::7], STREAM), other[:, ::7])


def test_density_is_that_of_what_is_drawn(small: Emulator, tilted: Emulator) -> None:
    events = bias_columns(small.sample(2, np.arange(2_000), STREAM))[0]
    change = tilted.log_density(2, events) - small.log_density(2, events)
    np.testing.assert_allclose(change, np.log(tilted.factors[2][strata_of(events)]), atol=1e-12)
    found = best.compute(tilted, 60_000)
    pulls = (found.integrals - 1) / found.integral_errors
    assert np.abs(pulls).max() < 4
    assert found.integral_errors.max() < 0.02
    # Without the factors in the density the integrals would be those of other events.
    wrong = best.compute(_Forgetful(**vars(tilted)), 60_000)
    assert np.abs((wrong.integrals - 1) / wrong.integral_errors).max() > 6


class _Forgetful(Emulator):
    """Draws with its factors, and states densities without them."""

    def log_density(self, process: int, primaries: npt.NDArray[np.float32]) -> Floats:
        bare = Emulator(
            self.conditionals, self.expected, np.ones_like(self.factors), {}, self.fingerprint
        )
        return bare.log_density(process, primaries)


def test_few_simulated_events_change_little() -> None:
    counts = np.full((len(PROCESSES), N_STRATA), 1e6)
    total = counts.copy()
    total[:, 1] *= 2.0
    for effective, low, high in ((1e9, 1.9, 2.0), (10.0, 1.0, 1.02)):
        # All events of a region weigh the same: their number is sum^2 / sum of squares.
        squares = total * (1e6 * PER_REGION) / effective
        factors = factors_of(Simulated(total, total, squares), counts)
        assert low < factors[0, 1] / factors[0, 2] < high
    regions = factors[:, 1:].reshape(len(PROCESSES), len(REGIONS), PER_REGION).mean(axis=2)
    np.testing.assert_allclose(regions[0, 0] / regions[0, 1], (PER_REGION + 1) / PER_REGION)


def test_empty_region_is_an_error() -> None:
    counts = np.ones((len(PROCESSES), N_STRATA))
    sums = Simulated(counts, counts, counts)
    lacking = counts.copy()
    lacking[1, 1 : 1 + PER_REGION] = 0
    with pytest.raises(
        DataError, match="no ztautau event is drawn in mT<70, VBFJet: give more rows"
    ):
        factors_of(sums, lacking)
    with pytest.raises(DataError, match="no ztautau event is simulated in"):
        factors_of(Simulated(lacking, lacking, lacking), counts)


@pytest.mark.parametrize("wrong", [0.0, -1.0, np.nan, 1e3])
def test_factors_that_make_no_sense_are_no_weights(
    small: Emulator, tmp_path: Path, wrong: float
) -> None:
    factors = np.ones((len(PROCESSES), N_STRATA))
    factors[3, 7] = wrong
    save(tmp_path / "w.npz", small.conditionals, small.expected, factors, {})
    with pytest.raises(DataError, match=r"holds no emulator's weights \(the factors of the strata"):
        load(tmp_path / "w.npz")


def test_a_file_is_summed_by_process_and_stratum(small: Emulator, tmp_path: Path) -> None:
    emulate_file(tmp_path / "events.parquet", small, 20_000, seed=3)
    file = open_parquet(str(tmp_path / "events.parquet"))
    found = simulated(file, split_seed=0)
    total = np.zeros((len(PROCESSES), N_STRATA))
    for batch in file.iter_batches(PRIMARIES):
        for process, stratum, weight in zip(
            batch.process.tolist(), strata_of(batch.values).tolist(), batch.weights, strict=True
        ):
            total[process, stratum] += weight
    np.testing.assert_allclose(found.total, total, rtol=1e-9)
    assert 0.75 < found.kept.sum() / found.total.sum() < 0.85
    # All events of a process weigh the same here.
    weight = [batch.weights.max() for batch in file.iter_batches(PRIMARIES)]
    assert (found.squares <= found.kept * max(weight) * (1 + 1e-9)).all()
    assert found.squares.sum() > 0
