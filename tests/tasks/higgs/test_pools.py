"""Pools are disjoint, stand for the whole file, and know what they can support."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from benchmarks.events import made_events

from sigma68.errors import DataError, NuisanceError, OutputError
from sigma68.protocols import Pool, Pools
from sigma68.tasks.higgs import storage
from sigma68.tasks.higgs.pools import HiggsPool, PoolWarning, open_pools
from sigma68.tasks.higgs.regions import REGIONS, region_of
from sigma68.tasks.higgs.schema import FEATURES, PROCESSES
from sigma68.tasks.higgs.split import ROLES, SHARES, role_of

N = 40_000


@pytest.fixture(scope="module")
def made() -> pd.DataFrame:
    return made_events(N, seed=11)


@pytest.fixture(scope="module")
def path(made: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "events.parquet"
    made.to_parquet(path, row_group_size=9_000)
    return path


@pytest.fixture(scope="module")
def pools(path: Path) -> Pools:
    return open_pools(str(path))


@pytest.fixture(scope="module")
def numbered(made: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same events, five rows to a hard event of one process, scattered over the file."""
    path = tmp_path_factory.mktemp("data") / "numbered.parquet"
    rank = made.groupby("detailed_labels", observed=True).cumcount().to_numpy()
    process = made["detailed_labels"].cat.codes.to_numpy().astype(np.int64)
    count = pd.Series(process).map(pd.Series(process).value_counts()).to_numpy()
    made.assign(hard_event=rank % (count // 5 + 1) * 4 + process).to_parquet(path)
    return path


def layout_of(pool: Pool) -> storage.EventLayout:
    assert isinstance(pool, HiggsPool)
    return pool.layout


def test_the_split_is_a_hash_of_seed_and_number() -> None:
    numbers = np.arange(200_000)
    roles = role_of(numbers, 0)
    for r, share in enumerate(SHARES):
        error = np.sqrt(share * (1 - share) / len(numbers))
        assert abs(np.mean(roles == r) - share) < 4 * error
    # Neighbours are independent of each other, and so are two seeds.
    same = sum(share**2 for share in SHARES)
    assert np.mean(roles[1:] == roles[:-1]) == pytest.approx(same, abs=0.005)
    assert np.mean(roles == role_of(numbers, 1)) == pytest.approx(same, abs=0.005)
    assert np.array_equal(role_of(numbers[50:60], 0), roles[50:60])
    assert role_of(np.array([-1, 2**62]), 2**200).shape == (2,)


def test_every_row_is_in_exactly_one_pool(made: pd.DataFrame, pools: Pools) -> None:
    rows = np.concatenate([layout_of(pools[role]).rows for role in ROLES])
    assert len(rows) == N
    source = np.ascontiguousarray(made[list(FEATURES[:16])].to_numpy())
    assert np.array_equal(np.sort(rows.view("S64").ravel()), np.sort(source.view("S64").ravel()))
    for role, share in zip(ROLES, SHARES, strict=True):
        assert pools[role].n_rows / N == pytest.approx(share, abs=0.02)
        assert pools[role].role == role


def test_every_pool_stands_for_the_whole_file(made: pd.DataFrame, pools: Pools) -> None:
    whole = made.groupby("detailed_labels", observed=True)["weights"].apply(
        lambda w: w.astype(float).sum()
    )
    for role in ROLES:
        layout = layout_of(pools[role])
        assert layout.sumw == pytest.approx(whole[list(PROCESSES)].to_numpy(), rel=1e-12)
        sums = np.bincount(layout.process, layout.weights)
        assert sums == pytest.approx(layout.sumw, rel=1e-9)


def test_rows_of_one_hard_event_stay_together(numbered: Path) -> None:
    pools = open_pools(str(numbered))
    numbers = [set(np.asarray(layout_of(pools[role]).hard_event).tolist()) for role in ROLES]
    total = set().union(*numbers)
    assert sum(len(own) for own in numbers) == len(total)
    assert len(total) < N / 4
    for own, share in zip(numbers, SHARES, strict=True):
        assert len(own) / len(total) == pytest.approx(share, abs=0.03)


def test_hard_events_are_added_up_before_squaring(numbered: Path) -> None:
    pool = open_pools(str(numbered)).train
    statistics, events = pool.statistics(), pool.labelled()
    assert statistics is not None
    assert events.hard_event is not None
    table = pd.DataFrame(
        {
            "region": region_of(events.values),
            "process": events.process,
            "hard_event": events.hard_event,
            "weight": events.weights,
        }
    )
    by_event = table.groupby(["region", "process", "hard_event"])["weight"].sum()
    sumw2 = (by_event**2).groupby(["region", "process"]).sum().unstack(fill_value=0)
    expected = sumw2.reindex(range(5), fill_value=0).reindex(columns=range(4), fill_value=0)
    assert statistics.sumw2 == pytest.approx(expected.to_numpy())
    alone = np.bincount(events.process, events.weights**2)
    assert (statistics.sumw2.sum(axis=0) > alone).all()


def test_statistics_sum_what_passes_the_thresholds(pools: Pools) -> None:
    for role in ROLES:
        statistics, events = pools[role].statistics(), pools[role].labelled()
        assert statistics is not None
        assert (statistics.regions, statistics.processes) == (REGIONS, PROCESSES)
        assert statistics.n_rows == pools[role].n_rows
        region = region_of(events.values)
        for p in range(4):
            own = events.process == p
            sumw = np.bincount(region[own], events.weights[own], minlength=5)
            assert statistics.sumw[:, p] == pytest.approx(sumw)
            sumw2 = np.bincount(region[own], events.weights[own] ** 2, minlength=5)
            assert statistics.sumw2[:, p] == pytest.approx(sumw2)


def test_labelled_events_are_a_pool_with_its_thresholds(pools: Pools) -> None:
    events = pools.train.labelled()
    layout = layout_of(pools.train)
    assert events.names == FEATURES
    assert events.values.shape == (28, events.n_events)
    assert events.values.flags.c_contiguous
    assert events.hard_event is None
    passed = (layout.rows[:, 3] >= 26) & (layout.rows[:, 0] >= 20)
    assert events.n_events == np.count_nonzero(passed)
    assert np.array_equal(events.values[0], layout.rows[passed, 0])
    assert np.array_equal(events.weights, layout.weights[passed])
    assert np.array_equal(events.process, layout.process[passed])
    assert np.array_equal(events.labels == 1, events.process == 0)


def test_nuisance_parameters_act_on_labelled_events(pools: Pools) -> None:
    nominal = pools.scoring.labelled()
    scaled = pools.scoring.labelled({"ttbar_scale": 1.1, "bkg_scale": 1.005, "diboson_scale": 0.0})
    factor = np.array([1, 1.005, 1.1 * 1.005, 0])[nominal.process]
    assert scaled.weights == pytest.approx(nominal.weights * factor)
    assert np.array_equal(scaled.values, nominal.values)
    up = pools.scoring.labelled({"tes": 1.05})
    assert up.n_events > nominal.n_events
    soft, again = (pools.scoring.labelled({"soft_met": 2.0}) for _ in range(2))
    assert np.array_equal(soft.values, again.values)
    assert soft.n_events == nominal.n_events
    met = FEATURES.index("PRI_met")
    assert 1 < np.std(soft.values[met] - nominal.values[met]) < 3
    with pytest.raises(NuisanceError):
        pools.scoring.labelled({"tes": 2.0})


def test_labelled_is_the_same_in_pieces(pools: Pools, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = pools.train.labelled({"soft_met": 2.0, "jes": 0.97})
    monkeypatch.setattr("sigma68.tasks.higgs.pools._CHUNK", 1_111)
    pieces = pools.train.labelled({"soft_met": 2.0, "jes": 0.97})
    assert np.array_equal(whole.values, pieces.values)
    assert np.array_equal(whole.weights, pieces.weights)


def test_a_few_rows_stand_for_all_of_them(pools: Pools) -> None:
    layout = layout_of(pools.train)
    events = pools.train.labelled({"tes": 1.1}, max_rows=2_000)
    assert 1_700 < events.n_events <= 2_000
    assert set(events.process.tolist()) == {0, 1, 2, 3}
    # The thresholds alone take events away from the sums.
    sums = np.bincount(events.process, events.weights)
    assert (sums <= layout.sumw * (1 + 1e-9)).all()
    assert sums == pytest.approx(layout.sumw, rel=0.15)
    few = pools.train.labelled({"tes": 1.1}, max_rows=500)
    assert np.isin(few.values.T.copy().view("S112"), events.values.T.copy().view("S112")).all()
    for p in range(4):
        own = layout_of(pools.train).rows[layout.starts[p] : layout.starts[p + 1]]
        assert np.isin(few.values[1, few.process == p], own[:, 1]).all()
    assert pools.train.labelled(max_rows=10**9).n_events == pools.train.labelled().n_events
    assert pools.train.labelled(max_rows=4).n_events <= 4
    with pytest.raises(ValueError, match="less than one row for each process"):
        pools.train.labelled(max_rows=3)


def test_fingerprints_know_data_split_and_role_and_nothing_else(
    path: Path, pools: Pools, tmp_path: Path
) -> None:
    copy = tmp_path / "elsewhere.parquet"
    shutil.copyfile(path, copy)
    os.utime(copy, (1, 1))
    again = open_pools(str(copy))
    assert again.fingerprint == pools.fingerprint
    assert [again[r].fingerprint for r in ROLES] == [pools[r].fingerprint for r in ROLES]
    assert len({pools.fingerprint, *(pools[role].fingerprint for role in ROLES)}) == 5
    assert open_pools(str(path), split_seed=1).fingerprint != pools.fingerprint
    frame = pd.read_parquet(copy)
    frame.loc[17, "PRI_met"] += 1
    frame.to_parquet(copy, row_group_size=9_000)
    assert open_pools(str(copy)).fingerprint != pools.fingerprint


def test_large_files_are_fingerprinted_by_samples(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "_READ_WHOLE", 0)
    monkeypatch.setattr(storage, "_BLOCK", 1 << 10)
    file = storage.EventFile(path, N, None, has_hard_event=False, has_decay=False)
    first = storage.content_identity(file)
    assert first == storage.content_identity(file)
    assert first != storage.content_identity(
        storage.EventFile(path, N, 1e6, has_hard_event=False, has_decay=False)
    )


def test_metadata_sets_the_normalisation_where_the_file_is_a_part(
    path: Path, tmp_path: Path, pools: Pools
) -> None:
    copy = tmp_path / "part.parquet"
    shutil.copyfile(path, copy)
    (tmp_path / "part_metadata.json").write_text(json.dumps({"sum_weights": 2_102_770.0}))
    double = open_pools(str(copy))
    assert isinstance(double.train, HiggsPool)
    assert double.train.layout.sumw == pytest.approx(2 * layout_of(pools.train).sumw, rel=1e-6)
    assert "all weights times 2" in double.train.note
    assert "expected events" in double.train.note
    assert double.fingerprint != pools.fingerprint
    (tmp_path / "part_metadata.json").write_text(json.dumps({"sum_weights": 1_050_000.0}))
    same = open_pools(str(copy))
    assert np.array_equal(layout_of(same.train).sumw, layout_of(pools.train).sumw)


def test_a_file_laid_out_on_disk_gives_the_same_pools(
    numbered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGMA68_CACHE", str(tmp_path / "cache"))
    memory = open_pools(str(numbered))
    disk = open_pools(str(numbered), in_memory_rows=0)
    folders = [p for p in (tmp_path / "cache" / "layouts").iterdir() if p.is_dir()]
    assert len(folders) == 1
    assert disk.fingerprint == memory.fingerprint
    for role in ROLES:
        a, b = layout_of(memory[role]), layout_of(disk[role])
        for name in ("rows", "weights", "starts", "sumw", "uniform", "hard_event"):
            assert np.array_equal(getattr(a, name), getattr(b, name)), name
        events, stored = memory[role].labelled(), disk[role].labelled()
        assert np.array_equal(events.values, stored.values)
    # Opening again reads what is there; a file written anew is converted anew.
    before = folders[0].stat().st_mtime_ns
    open_pools(str(numbered), in_memory_rows=0)
    assert folders[0].stat().st_mtime_ns == before
    os.utime(numbered, (5, 5))
    open_pools(str(numbered), in_memory_rows=0)
    assert len([p for p in folders[0].parent.iterdir() if p.is_dir()]) == 2


def test_a_conversion_that_fails_leaves_nothing_to_be_read(
    made: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGMA68_CACHE", str(tmp_path / "cache"))
    bad = made.copy()
    bad.loc[N - 1, "PRI_met"] = np.nan
    bad.to_parquet(tmp_path / "bad.parquet")
    with pytest.raises(DataError, match=f"PRI_met is nan in row {N - 1}"):
        open_pools(str(tmp_path / "bad.parquet"), in_memory_rows=0)
    assert [p for p in (tmp_path / "cache" / "layouts").iterdir() if p.is_dir()] == []


def test_a_full_disk_is_said(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGMA68_CACHE", str(tmp_path))

    def full(descriptor: int, offset: int, size: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OutputError, match=r"No space left on device.*set SIGMA68_CACHE"):
        open_pools(str(path), in_memory_rows=0)
    assert [p for p in (tmp_path / "layouts").iterdir() if p.is_dir()] == []


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGMA68_CACHE", "/a")
    assert storage.cache_folder() == Path("/a")
    monkeypatch.delenv("SIGMA68_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/b")
    assert storage.cache_folder() == Path("/b/sigma68")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert storage.cache_folder() == Path.home() / ".cache" / "sigma68"


@pytest.mark.parametrize(
    ("kept", "sentence"),
    [
        (["ztautau", "ttbar", "diboson"], r"has no signal \(htautau\) events"),
        (["htautau"], "has no background events"),
    ],
)
def test_a_file_of_one_class_is_refused(
    made: pd.DataFrame, tmp_path: Path, kept: list[str], sentence: str
) -> None:
    made[made["detailed_labels"].isin(kept)].to_parquet(tmp_path / "events.parquet")
    with pytest.raises(DataError, match=sentence):
        open_pools(str(tmp_path))


def test_a_signal_without_weight_is_no_signal(made: pd.DataFrame, tmp_path: Path) -> None:
    weights = made["weights"].where(made["labels"] == 0, np.float32(0))
    made.assign(weights=weights).to_parquet(tmp_path / "events.parquet")
    with pytest.raises(DataError, match=r"no signal .* with a positive weight"):
        open_pools(str(tmp_path))


def test_a_pool_without_signal_is_refused(made: pd.DataFrame, tmp_path: Path) -> None:
    signal = made[made["labels"] == 1].iloc[:2]
    pd.concat([made[made["labels"] == 0], signal]).to_parquet(tmp_path / "events.parquet")
    with pytest.raises(DataError, match=r"the \w+ pool of .* has no signal .* give more events"):
        open_pools(str(tmp_path))


def test_a_missing_minor_background_only_warns(made: pd.DataFrame, tmp_path: Path) -> None:
    made[made["detailed_labels"] != "diboson"].to_parquet(tmp_path / "events.parquet")
    with pytest.warns(PoolWarning, match=r"missing: diboson \(pools: train, calibration, scor"):
        pools = open_pools(str(tmp_path))
    assert layout_of(pools.train).sumw[3] == 0
    assert pools.train.labelled(max_rows=100).n_events <= 100


def test_an_empty_region_only_warns(made: pd.DataFrame, tmp_path: Path) -> None:
    made[made["DER_mass_transverse_met_lep"] < 60].to_parquet(tmp_path / "events.parquet")
    pools = open_pools(str(tmp_path))
    with pytest.warns(PoolWarning, match="scoring pool falls into mT>=70, VBFJet; mT>=70, no VBF"):
        statistics = pools.scoring.statistics()
    assert statistics is not None
    assert (statistics.sumw[[1, 4]] == 0).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert pools.scoring.statistics() is statistics
