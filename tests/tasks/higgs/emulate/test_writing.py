"""Emulated events as files: rows that depend on nothing but their number, in their shares."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from sigma68.errors import OutputError, SettingsError
from sigma68.seeds import stream
from sigma68.tasks.higgs.dataset import open_parquet
from sigma68.tasks.higgs.derived import derive
from sigma68.tasks.higgs.emulate import writing
from sigma68.tasks.higgs.emulate.emulator import Emulator
from sigma68.tasks.higgs.emulate.source import EVEN_MIXTURE, EmulatedSource, shares_of
from sigma68.tasks.higgs.emulate.writing import emulate_file, emulated_file, processes_of_rows
from sigma68.tasks.higgs.history import in_words, read_history
from sigma68.tasks.higgs.pools import open_pools
from sigma68.tasks.higgs.schema import DERIVED, FEATURES, PRIMARIES, PROCESSES
from tests.tasks.higgs.emulate.small import EXPECTED, small_emulator

OWN = stream("higgs", "emulated file", 3)


def read(path: Path) -> pd.DataFrame:
    return pd.read_parquet(path)


@pytest.fixture(scope="module")
def natural(small: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("natural") / "events.parquet"
    emulate_file(path, small, 40_000, seed=3)
    return path


def test_it_has_the_columns_of_the_public_data_set(natural: Path, small: Emulator) -> None:
    frame = read(natural)
    assert list(frame.columns) == [*PRIMARIES, "weights", "detailed_labels", "labels", *DERIVED]
    file = open_parquet(natural)
    (batch,) = file.iter_batches(FEATURES)
    assert file.n_rows == 40_000
    assert np.array_equal(batch.values[16:], derive(np.ascontiguousarray(batch.values[:16])))
    # Before the high thresholds: some events are below them.
    assert (frame["PRI_had_pt"] < 26).any()
    assert frame["PRI_had_pt"].min() > 22


def test_row_i_is_event_i_of_its_process(natural: Path, small: Emulator) -> None:
    (batch,) = open_parquet(natural).iter_batches()
    for p in range(4):
        rows = np.flatnonzero(batch.process == p)
        assert np.array_equal(batch.values[:, rows], small.sample(p, rows, OWN))


def test_all_rows_weigh_the_same_in_natural_proportion(natural: Path) -> None:
    frame = read(natural)
    assert frame["weights"].nunique() == 1
    assert frame["weights"].astype(float).sum() == pytest.approx(EXPECTED.sum(), rel=1e-6)
    counts = frame["detailed_labels"].value_counts()[list(PROCESSES)].to_numpy()
    assert counts == pytest.approx(40_000 * EXPECTED / EXPECTED.sum(), abs=3)


@pytest.mark.parametrize(("rows", "threads"), [(3_200, 1), (20_001, 2), (39_999, 3)])
def test_fewer_rows_are_the_beginning_of_more(
    rows: int, threads: int, natural: Path, small: Emulator, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(writing, "_CHUNK", 1_117)
    monkeypatch.setattr(writing, "_GROUP", 5_003)
    emulate_file(tmp_path / "e.parquet", small, rows, seed=3, threads=threads)
    found, whole = read(tmp_path / "e.parquet"), read(natural)
    others = [name for name in whole.columns if name != "weights"]
    pd.testing.assert_frame_equal(found[others], whole[others].head(rows), check_exact=True)
    assert found["weights"].to_numpy() == pytest.approx(
        whole["weights"].head(rows).to_numpy() * 40_000 / rows, rel=1e-6
    )


def test_a_seed_and_weights_make_other_events(
    natural: Path, small: Emulator, tmp_path: Path
) -> None:
    whole = read(natural)
    emulate_file(tmp_path / "s.parquet", small, 5_000, seed=4)
    emulate_file(tmp_path / "w.parquet", small_emulator(tmp_path, 1), 5_000, seed=3)
    for name in ("s", "w"):
        other = read(tmp_path / f"{name}.parquet")
        shared = np.isin(other["PRI_met"], whole["PRI_met"].head(5_000)).mean()
        assert shared < 0.3  # equal by chance, to 3 decimals


def test_a_mixture_has_its_shares_and_weights(small: Emulator, tmp_path: Path) -> None:
    mixture = {"diboson": 1.0, "htautau": 3.0}
    made = emulate_file(tmp_path / "e.parquet", small, 10_000, seed=3, mixture=mixture)
    assert made.counts == pytest.approx([7_500, 0, 0, 2_500], abs=3)
    assert made.weights == pytest.approx([EXPECTED[0] / 7_500, 0, 0, EXPECTED[3] / 2_500])
    frame = read(tmp_path / "e.parquet")
    sums = frame.groupby("detailed_labels")["weights"].sum()
    assert set(sums.index) == {"diboson", "htautau"}
    assert sums["htautau"] == pytest.approx(EXPECTED[0], rel=1e-3)
    assert sums["diboson"] == pytest.approx(EXPECTED[3], rel=1e-3)
    (batch,) = open_parquet(tmp_path / "e.parquet").iter_batches()
    rows = np.flatnonzero(batch.process == 0)
    assert np.array_equal(batch.values[:, rows], small.sample(0, rows, OWN))


@pytest.mark.parametrize(
    "shares",
    [
        *(shares_of(EVEN_MIXTURE), shares_of(dict(zip(PROCESSES, EXPECTED, strict=True)))),
        *((0.0, 1.0, 0.0, 0.0), (0.5, 0.0, 0.5, 0.0), (0.0, 0.0, 0.25, 0.75)),
    ],
)
def test_any_stretch_of_rows_holds_its_shares(shares: tuple[float, ...]) -> None:
    process = processes_of_rows(shares, OWN, 0, 300_000)
    assert np.array_equal(process[1_000:1_100], processes_of_rows(shares, OWN, 1_000, 1_100))
    for stretch in (
        process,
        process[:1_000],
        process[70_000:123_457],
        process[::2],  # who splits a file by even and odd rows gets the same mixture
        process[1::3],
        process[5::10],
    ):
        counts = np.bincount(stretch, minlength=4)
        assert counts == pytest.approx(len(stretch) * np.array(shares), abs=12)
    far = processes_of_rows(shares, OWN, 2**40, 2**40 + 1_000)
    assert np.bincount(far, minlength=4) == pytest.approx(1_000 * np.array(shares), abs=4)
    assert not np.isin(np.flatnonzero(np.array(shares) == 0), process).any()


def test_streams_begin_at_different_places() -> None:
    shares = shares_of(EVEN_MIXTURE)
    one, two = (
        processes_of_rows(shares, stream("higgs", "emulated file", seed), 0, 1_000)
        for seed in (1, 2)
    )
    assert not np.array_equal(one, two)


def test_where_three_rows_are_expected_there_is_one() -> None:
    for seed in range(200):
        own = stream("higgs", "emulated file", seed)
        share = 0.001 + 0.0005 * seed
        rows = int(np.ceil(3 / share))
        assert (processes_of_rows((share, 1 - share, 0.0, 0.0), own, 0, rows) == 0).any()


def test_the_file_says_what_made_it(natural: Path, small: Emulator, tmp_path: Path) -> None:
    about = read_history(natural)
    assert about is not None
    assert about["kind"] == "emulation"
    assert (about["rows"], about["seed"], about["mixture"]) == (40_000, 3, None)
    assert about["weights"] == small.fingerprint
    assert about["emulator"] == {"command": "by hand", "variant": 0}
    assert dict(about["expected"]) == dict(zip(PROCESSES, EXPECTED, strict=True))
    words = in_words(about)
    assert words == (
        f"emulated events in natural proportion: seed 3, weights {small.fingerprint[:12]}"
    )
    emulate_file(tmp_path / "m.parquet", small, 100, seed=0, mixture={"ttbar": 1})
    assert "mixed ttbar=1: seed 0" in str(in_words(read_history(tmp_path / "m.parquet")))
    assert in_words({"sample": {}, "of": about}) == f"a piece of {words}"
    assert in_words({"kind": "simulation"}) == "simulated events"
    for unknown in (None, {}, {"kind": 3}, {"of": "x"}):
        assert in_words(unknown) is None


def test_pools_can_be_made_of_it(natural: Path) -> None:
    pools = open_pools(str(natural))
    statistics = pools.scoring.statistics()
    assert statistics is not None
    assert statistics.sumw.sum() < EXPECTED.sum()


@pytest.mark.parametrize(
    ("mixture", "said"),
    [
        ({"photon": 1.0}, "there is no process 'photon': choose from htautau"),
        ({"ttbar": 0.0}, "share of ttbar must be a positive number, not 0"),
        ({"ttbar": -1.0}, "positive number, not -1"),
        ({"ttbar": float("nan")}, "positive number, not nan"),
        ({"ttbar": float("inf")}, "positive number, not inf"),
        ({}, "a mixture of nothing"),
        ({"ttbar": 1.0, "ztautau": 1e9}, r"of 1,000 rows ttbar would get 1e-06: ask for 3,000,000"),
    ],
)
def test_mixtures_that_cannot_be_made(
    mixture: dict[str, float], said: str, small: Emulator, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=said):
        emulate_file(tmp_path / "e.parquet", small, 1_000, mixture=mixture)
    assert list(tmp_path.iterdir()) == []


def test_too_few_rows_for_a_process_are_told(small: Emulator, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"3,000 rows htautau would get 2\.9: ask for 3,108"):
        emulate_file(tmp_path / "e.parquet", small, 3_000)
    assert emulate_file(tmp_path / "e.parquet", small, 3_108).counts.min() >= 1


def test_more_rows_than_the_disk_has_room_for(small: Emulator, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"1,000,000,000,000,000 rows take about 100,000,000 GB"):
        emulate_file(tmp_path / "e.parquet", small, 10**15)
    with pytest.raises(OutputError, match="choose a folder that exists"):
        emulate_file(tmp_path / "nowhere" / "e.parquet", small, 10_000)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_is_told(
    small: Emulator, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "_check_room", lambda folder, rows: None)
    with pytest.raises(OutputError, match="No space left on device"):
        emulate_file(small_disk / "e.parquet", small, 200_000)
    assert list(small_disk.iterdir()) == []


def test_an_emulator_that_fails_leaves_nothing(
    small: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Emulator, *words: object) -> None:
        raise MemoryError("as a test")

    monkeypatch.setattr(Emulator, "sample", broken)
    with pytest.raises(MemoryError, match="as a test"):
        emulate_file(tmp_path / "e.parquet", small, 10_000)
    assert list(tmp_path.iterdir()) == []


def test_progress_goes_up_to_the_end(
    small: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "_GROUP", 2_000)
    seen: list[float] = []
    emulate_file(
        tmp_path / "e.parquet", small, 10_000, progress=lambda what, fraction: seen.append(fraction)
    )
    assert seen == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert pq.read_metadata(tmp_path / "e.parquet").num_row_groups == 5


def test_a_name_becomes_a_file_of_the_cache_once(shipped: Path, cache: Path) -> None:
    seen: list[str] = []
    path = emulated_file(EmulatedSource(3, 5_000), lambda what, fraction: seen.append(what))
    assert seen == ["emulating emulated:3:5k"]
    assert path.is_relative_to(cache)
    before = path.stat().st_mtime_ns
    assert emulated_file(EmulatedSource(3, 5_000)) == path
    assert path.stat().st_mtime_ns == before
    assert emulated_file(EmulatedSource(4, 5_000)) != path
    frame = read(path)
    shares = frame["detailed_labels"].value_counts(normalize=True)
    assert shares[list(PROCESSES)].to_numpy() == pytest.approx(
        [EVEN_MIXTURE[name] for name in PROCESSES], abs=1e-3
    )
    about = json.loads(pq.read_schema(path).metadata[b"sigma68"])
    assert about["mixture"] == dict(EVEN_MIXTURE)


def test_a_cache_that_cannot_be_written_is_told(
    shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SIGMA68_CACHE", str(tmp_path / "file"))
    with pytest.raises(OutputError, match="set SIGMA68_CACHE to a folder that can be written to"):
        emulated_file(EmulatedSource(3, 5_000))
