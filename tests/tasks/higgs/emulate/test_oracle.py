"""The oracle on emulated events: as narrow as the information says, and no other data's."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from benchmarks.events import made_events

from sigma68.errors import DataError, FitError, ModelMismatchError
from sigma68.methods.oracle import Oracle
from sigma68.protocols import KnownBest
from sigma68.run.truth import draw_truth, toy_stream
from sigma68.tasks.higgs.emulate import best
from sigma68.tasks.higgs.emulate.best import BestIntervals, compute
from sigma68.tasks.higgs.emulate.components import EmulatedComponents
from sigma68.tasks.higgs.emulate.emulator import Emulator
from sigma68.tasks.higgs.emulate.pools import EmulatedPool, open_emulated
from sigma68.tasks.higgs.emulate.source import EmulatedSource
from sigma68.tasks.higgs.nuisance import SCALES
from sigma68.tasks.higgs.task import Higgs
from sigma68.types import Interval, Truth
from tests.tasks.higgs.emulate.small import small_emulator

N_TOYS = 40


class SmallHiggs(Higgs):
    """The task whose own densities are those of an emulator made by hand."""

    def __init__(self, emulator: Emulator) -> None:
        super().__init__()
        self.emulator = emulator

    def components(self) -> EmulatedComponents:
        return EmulatedComponents(self.emulator)


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Emulator:
    """A hundredth of the expected background, a third of the signal: toys of ten thousand."""
    made = small_emulator(tmp_path_factory.mktemp("emulator"))
    return replace(made, expected=made.expected * np.array([0.3, 0.01, 0.01, 0.01]))


@pytest.fixture(scope="module")
def known(emulator: Emulator) -> BestIntervals:
    return compute(emulator, 100_000)


def pool_of(emulator: Emulator, rows: int, cache: Path) -> EmulatedPool:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIGMA68_CACHE", str(cache))
        pool = open_emulated(EmulatedSource(5, rows), emulator=emulator).scoring
    assert isinstance(pool, EmulatedPool)
    return pool


@pytest.mark.parametrize("varied", [(), SCALES], ids=["statistics", "normalisations"])
def test_widths_are_those_of_the_information_and_cover(
    emulator: Emulator, known: BestIntervals, tmp_path: Path, varied: tuple[str, ...]
) -> None:
    task, pool = SmallHiggs(emulator), pool_of(emulator, 400_000, tmp_path)
    oracle = Oracle(task, profiled=varied)
    oracle.fit(pool, pool)
    ratios, pulls = [], []
    for number in range(N_TOYS):
        truth = draw_truth(task, 3, number, 0, varied)
        seen = task.pseudo_experiment(pool, truth, toy_stream(task, 3, number, 0))
        found = oracle.predict(seen)["mu"]
        assert isinstance(found, Interval)
        assert set(found.fitted) == set(varied)
        width = known.widths(truth.parameters["mu"], varied)[
            "normalisations" if varied else "statistics"
        ]
        ratios.append((found.upper - found.lower) / width)
        pulls.append((found.mu_hat - truth.parameters["mu"]) / found.delta_mu_hat)
    assert np.mean(ratios) == pytest.approx(1, abs=0.01 + 3 * np.std(ratios) / math.sqrt(N_TOYS))
    assert abs(np.mean(pulls)) < 3 / math.sqrt(N_TOYS)
    assert np.std(pulls) == pytest.approx(1, abs=3 / math.sqrt(2 * N_TOYS))


def test_no_signal_can_be_seen_where_there_is_little(emulator: Emulator, tmp_path: Path) -> None:
    """At the lower end of mu's range the estimate is free to fall below 0."""
    task, pool = SmallHiggs(emulator), pool_of(emulator, 100_000, tmp_path)
    oracle = Oracle(task, profiled=())
    oracle.fit(pool, pool)
    truth = Truth({"mu": 0.0}, {n.name: n.off for n in task.nuisances})
    hats = []
    for number in range(12):
        stream = toy_stream(task, 4, number, 0)
        found = oracle.predict(task.pseudo_experiment(pool, truth, stream))["mu"]
        assert isinstance(found, Interval)
        hats.append(found.mu_hat)
    assert min(hats) < 0 < max(hats)


def test_events_of_other_data_may_have_no_density(emulator: Emulator, tmp_path: Path) -> None:
    task, pool = SmallHiggs(emulator), pool_of(emulator, 20_000, tmp_path)
    oracle = Oracle(task)
    oracle.fit(pool, pool)
    truth = draw_truth(task, 3, 0, 0, ())
    seen = task.pseudo_experiment(pool, truth, toy_stream(task, 3, 0, 0))
    values = seen.values.copy()
    values[seen.names.index("PRI_lep_pt"), :3] = 15.0
    with pytest.raises(FitError, match=r"3 of .* none of the 4 .*not of the events whose densit"):
        oracle.predict(replace(seen, values=values))


def test_pools_of_a_file_are_refused(tmp_path: Path) -> None:
    made_events(20_000, seed=1).to_parquet(tmp_path / "events.parquet")
    task = Higgs()
    pools = task.open(str(tmp_path / "events.parquet"))
    with pytest.raises(DataError, match="events in the train pool are not known"):
        Oracle(task).fit(pools.train, pools.calibration)
    assert not isinstance(pools.scoring, KnownBest)


def test_a_saved_oracle_is_one_of_its_weights(emulator: Emulator, tmp_path: Path) -> None:
    pool = pool_of(emulator, 20_000, tmp_path / "cache")
    oracle = Oracle(SmallHiggs(emulator), profiled=SCALES)
    oracle.fit(pool, pool)
    oracle.save(tmp_path)
    assert Oracle.load(tmp_path, SmallHiggs(emulator)).varied == SCALES
    other = small_emulator(tmp_path, variant=1)
    with pytest.raises(ModelMismatchError, match="trained with components"):
        Oracle.load(tmp_path, SmallHiggs(other))


def test_best_widths_are_those_computed_for_the_pools_weights(
    emulator: Emulator, known: BestIntervals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = pool_of(emulator, 20_000, tmp_path)
    assert isinstance(pool, KnownBest)
    monkeypatch.setattr(best, "BEST", tmp_path / "best.json")
    assert pool.best_widths({"mu": 1.0}, SCALES) is None
    (tmp_path / "best.json").write_text(json.dumps(known.to_json()))
    found = pool.best_widths({"mu": 1.0}, SCALES)
    assert found == pytest.approx(known.widths(1.0, SCALES), rel=1e-5)
    other = replace(known, fingerprint="other")
    (tmp_path / "best.json").write_text(json.dumps(other.to_json()))
    assert pool.best_widths({"mu": 1.0}, SCALES) is None


def test_what_the_oracle_leaves_out() -> None:
    said = Oracle.leaves_out(Higgs(), [n.name for n in Higgs.nuisances])
    assert said is not None
    assert "takes tes, jes and soft_met to be off" in said
    assert Oracle.leaves_out(Higgs(), SCALES) is None
