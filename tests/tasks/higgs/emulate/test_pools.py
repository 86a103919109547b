"""Pools of emulated events: made when needed, once, the same whoever makes them, and like others."""

from __future__ import annotations

import fcntl
import os
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from benchmarks.events import made_events

from sigma68.errors import DataError, OutputError
from sigma68.protocols import DeferredPool, Pool, Pools
from sigma68.seeds import stream
from sigma68.tasks.higgs.emulate import pools as module
from sigma68.tasks.higgs.emulate.emulator import Emulator
from sigma68.tasks.higgs.emulate.pools import EmulatedPool, open_emulated
from sigma68.tasks.higgs.emulate.source import EmulatedSource
from sigma68.tasks.higgs.layout import EventLayout
from sigma68.tasks.higgs.pools import open_pools
from sigma68.tasks.higgs.regions import region_of
from sigma68.tasks.higgs.split import ROLES
from sigma68.tasks.higgs.task import Higgs
from sigma68.types import Truth
from tests.tasks.higgs.emulate.small import EXPECTED, small_emulator

SOURCE = EmulatedSource(7, 20_000)


@pytest.fixture(scope="module")
def pools(small: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Pools:
    """Pools in a cache of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIGMA68_CACHE", str(tmp_path_factory.mktemp("cache")))
        return open_emulated(SOURCE, emulator=small)


def emulated(pool: Pool) -> EmulatedPool:
    assert isinstance(pool, EmulatedPool)
    return pool


def made_folders(cache: Path) -> list[Path]:
    home = cache / "emulated"
    return sorted(path for path in home.iterdir() if path.is_dir()) if home.exists() else []


def test_nothing_is_made_before_it_is_needed(small: Emulator, cache: Path) -> None:
    pools = open_emulated(SOURCE, emulator=small)
    assert [pools[role].n_rows for role in ROLES] == [20_000] * 4
    assert pools.scoring.fingerprint != pools.final.fingerprint
    assert not cache.exists()
    pools.scoring.statistics()
    assert made_folders(cache) == [emulated(pools.scoring).folder]
    pools.prepare("train", "scoring")
    assert set(made_folders(cache)) == {emulated(pools[r]).folder for r in ("train", "scoring")}


def test_row_j_of_a_process_is_event_j_of_its_stream(small: Emulator, pools: Pools) -> None:
    for role in ("train", "scoring"):
        layout = emulated(pools[role]).layout
        own = stream("higgs", f"emulated {role}", 7)
        for p in range(4):
            rows = layout.rows[layout.starts[p] : layout.starts[p + 1]]
            assert np.array_equal(rows, small.sample(p, np.arange(len(rows)), own).T)


def test_the_layout_is_one_of_equal_weights(pools: Pools) -> None:
    pool = emulated(pools.calibration)
    layout = pool.layout
    assert layout.uniform.all()
    assert layout.sumw == pytest.approx(EXPECTED)
    assert np.diff(layout.starts).tolist() == list(SOURCE.counts("calibration"))
    for p in range(4):
        own = layout.weights[layout.starts[p] : layout.starts[p + 1]]
        assert np.ptp(own) == 0
        assert own.sum() == pytest.approx(EXPECTED[p])
    # Alias tables that nobody reads take no room.
    for name, blocks in (("rows", 64), ("weights", 8), ("alias", 0), ("threshold", 0)):
        taken = (pool.folder / f"{name}.bin").stat().st_blocks * 512
        assert abs(taken - 20_000 * blocks) <= 8192, name


def test_a_larger_pool_begins_with_the_smaller(
    small: Emulator, pools: Pools, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CHUNK", 777)
    monkeypatch.setattr(module, "threads_here", lambda: 3)
    one = emulated(pools.scoring).layout
    two = emulated(open_emulated(EmulatedSource(7, 50_000), emulator=small).scoring).layout
    for p in range(4):
        rows = one.rows[one.starts[p] : one.starts[p + 1]]
        assert np.array_equal(rows, two.rows[two.starts[p] :][: len(rows)])


def test_fingerprints_name_what_decides_the_events(
    small: Emulator, pools: Pools, cache: Path, tmp_path: Path
) -> None:
    again = open_emulated(SOURCE, emulator=small)
    assert again.fingerprint == pools.fingerprint
    assert [again[r].fingerprint for r in ROLES] == [pools[r].fingerprint for r in ROLES]
    assert len({pools.fingerprint, *(pools[role].fingerprint for role in ROLES)}) == 5
    others = [
        open_emulated(EmulatedSource(8, 20_000), emulator=small),
        open_emulated(EmulatedSource(7, 20_001), emulator=small),
        open_emulated(SOURCE, emulator=small, split_seed=1),
        open_emulated(SOURCE, emulator=small_emulator(tmp_path, 1)),
    ]
    for role in (*ROLES, "all"):
        prints = {p.fingerprint if role == "all" else p[role].fingerprint for p in (pools, *others)}
        assert len(prints) == 5
    # Of a million rows and more, all names of a seed share one training pool.
    two, three = (open_emulated(EmulatedSource(7, n * 10**6), emulator=small) for n in (2, 3))
    assert two.train.fingerprint == three.train.fingerprint
    assert two.scoring.fingerprint != three.scoring.fingerprint


def test_another_split_seed_gives_other_events(small: Emulator, pools: Pools, cache: Path) -> None:
    other = emulated(open_emulated(SOURCE, emulator=small, split_seed=1).scoring).layout
    own = emulated(pools.scoring).layout
    assert np.mean(other.rows[:, 14] == own.rows[:, 14]) < 0.01


def test_pools_are_drawn_and_counted_like_any_others(pools: Pools) -> None:
    pool = emulated(pools.scoring)
    assert isinstance(pool, Pool)
    assert isinstance(pool, DeferredPool)
    statistics, events = pool.statistics(), pool.labelled()
    assert statistics.n_rows == pool.n_rows == 20_000
    region = region_of(events.values)
    for p in range(4):
        own = events.process == p
        sums = np.bincount(region[own], events.weights[own], minlength=5)
        assert statistics.sumw[:, p] == pytest.approx(sums)
    few = pool.labelled({"tes": 0.98}, max_rows=2_000)
    assert 0 < few.n_events <= 2_000
    task = Higgs()
    truth = Truth({"mu": 3.0}, {"bkg_scale": 0.99})
    first, again = (task.pseudo_experiment(pool, truth, stream("t", "p", 1)) for _ in range(2))
    assert np.array_equal(first.values, again.values)
    scale = np.where(events.labels == 1, 3.0, 0.99)
    expected = float(events.weights @ scale)
    assert abs(first.n_events - expected) < 5 * np.sqrt(expected)


def test_the_note_tells_rows_and_expected_events(pools: Pools) -> None:
    assert emulated(pools.train).note == (
        "train: 20000 rows (5000 htautau, 9000 ztautau, 4000 ttbar, 2000 diboson) "
        "for 1051385 expected events"
    )


def test_progress_is_told_and_what_is_there_is_not_made_again(
    small: Emulator, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CHUNK", 1_000)
    monkeypatch.setattr(module, "_AHEAD", 2)
    seen: list[tuple[str, float]] = []
    pools = open_emulated(SOURCE, emulator=small)
    pools.prepare("scoring", progress=lambda what, fraction: seen.append((what, fraction)))
    fractions = [fraction for _, fraction in seen]
    assert {what for what, _ in seen} == {"emulating the scoring pool"}
    assert fractions == sorted(fractions)
    assert (len(fractions), fractions[-1]) == (21, 1.0)  # 17 chunks of Z, and the others
    monkeypatch.setattr(Emulator, "sample", None)
    del seen[:]
    again = open_emulated(SOURCE, emulator=small)
    again.prepare("scoring", progress=lambda what, fraction: seen.append((what, fraction)))
    assert seen == []
    assert np.array_equal(emulated(again.scoring).layout.rows, emulated(pools.scoring).layout.rows)


def test_of_two_that_need_a_pool_one_makes_it(
    small: Emulator, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample, calls, said = Emulator.sample, [], []
    monkeypatch.setattr(module, "_CHUNK", 1_000)

    def counted(*words: object) -> object:
        calls.append(1)
        time.sleep(0.005)
        return sample(*words)  # type: ignore[arg-type]

    monkeypatch.setattr(Emulator, "sample", counted)
    layouts: list[EventLayout] = []

    def need() -> None:
        pool = emulated(open_emulated(SOURCE, emulator=small).scoring)
        pool.prepare(lambda what, fraction: said.append(what))
        layouts.append(pool.layout)

    threads = [threading.Thread(target=need) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 21
    assert said.count("another program is emulating the scoring pool: waiting") == 2
    assert all(np.array_equal(layouts[0].rows, other.rows) for other in layouts)
    assert len(made_folders(cache)) == 1


def test_what_a_killed_maker_left_is_made_anew(small: Emulator, cache: Path) -> None:
    pool = emulated(open_emulated(SOURCE, emulator=small).scoring)
    left = pool.folder.with_suffix(".partial")
    left.mkdir(parents=True)
    (left / "rows.bin").write_bytes(b"half")
    with pool.folder.with_suffix(".lock").open("w") as lock:  # its lock went with it
        fcntl.flock(lock, fcntl.LOCK_EX)
    assert pool.layout.n_rows == 20_000
    assert made_folders(cache) == [pool.folder]


def test_an_interrupted_maker_leaves_nothing(
    small: Emulator, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(what: str, fraction: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_emulated(SOURCE, emulator=small).prepare("train", progress=stop)
    assert made_folders(cache) == []


def test_a_full_disk_is_told(small: Emulator, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, offset: int, size: int) -> None:
        raise OSError(28, "No space left on device")

    pools = open_emulated(EmulatedSource(1, 10**9), emulator=small)
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OutputError, match=r"scoring pool .*No space left.* room for 72\.0 GB, or"):
        pools.scoring.labelled()
    assert made_folders(cache) == []


def test_a_small_disk_is_told_before_a_page_is_written(
    small: Emulator, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGMA68_CACHE", str(small_disk))
    monkeypatch.setattr(Emulator, "sample", None)  # it does not come to that
    with pytest.raises(OutputError, match="No space left on device"):
        open_emulated(EmulatedSource(1, 100_000), emulator=small).prepare("final")
    assert made_folders(small_disk) == []


@pytest.mark.parametrize("damage", ["cut", "gone", "index"])
def test_a_damaged_cache_is_told(small: Emulator, cache: Path, damage: str) -> None:
    open_emulated(SOURCE, emulator=small).prepare("scoring")
    pool = emulated(open_emulated(SOURCE, emulator=small).scoring)
    if damage == "cut":
        os.truncate(pool.folder / "rows.bin", 1_000)
    elif damage == "gone":
        (pool.folder / "rows.bin").unlink()
    else:
        (pool.folder / "layout.json").write_text("{}")
    with pytest.raises(DataError, match=r"are damaged .*: remove that folder") as error:
        pool.statistics()
    assert str(pool.folder) in str(error.value)


def test_pools_that_are_there_need_no_preparing(tmp_path: Path) -> None:
    made_events(20_000, seed=1).to_parquet(tmp_path / "events.parquet")
    pools = open_pools(str(tmp_path))
    assert not isinstance(pools.train, DeferredPool)
    pools.prepare(*ROLES, progress=lambda what, fraction: pytest.fail(what))


def test_too_few_rows_are_told_when_it_is_opened(small: Emulator) -> None:
    with pytest.raises(DataError, match=r"emulated:1:9 has no diboson .* train pool.* 34 or more"):
        open_emulated(EmulatedSource(1, 9), emulator=small)


def test_a_name_opens_the_emulator_of_the_package(shipped: Path, cache: Path) -> None:
    pools = open_pools("emulated:7:20k")
    assert emulated(pools.train).source == SOURCE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # small regions are empty
        assert pools.train.statistics().n_rows == 20_000  # type: ignore[union-attr]
    assert pools.fingerprint == open_pools("emulated:7:20000").fingerprint
    shipped.write_bytes(b"no weights")
    with pytest.raises(DataError, match="holds no emulator's weights"):
        open_pools("emulated")
    shipped.unlink()
    with pytest.raises(DataError, match="cannot be read"):
        open_pools("emulated")
