"""Packing: small, whole or not there, and with its history."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from benchmarks.events import made_columns

from sigma68.errors import DataError, OutputError
from sigma68.tasks.higgs.derived import derive
from sigma68.tasks.higgs.embedded.pack import pack
from sigma68.tasks.higgs.history import KEY, read_history
from sigma68.tasks.higgs.writer import EventWriter
from tests.tasks.higgs.pools import made_pool


def test_it_is_small(tmp_path: Path) -> None:
    """Stand-ins in which every other event has jets: less than 36 bytes a row, as 700,000 need."""
    n = 100_000
    primaries, process, weights = made_columns(4 * n, 1)
    jets = primaries[12] > 0
    own = np.concatenate([np.flatnonzero(jets)[: n // 2], np.flatnonzero(~jets)[: n // 2]])
    primaries = np.ascontiguousarray(primaries[:, own])
    with EventWriter(tmp_path / "made.parquet", hard_event=True, decay=True) as writer:
        writer.write(
            np.concatenate([primaries, derive(primaries)]),
            weights=weights[own],
            process=process[own],
            hard_event=np.random.default_rng(1).integers(0, n, n),
            decay=np.arange(n) % 10,
        )
    size = pack(tmp_path / "made.parquet", tmp_path / "compact.parquet")
    assert size == (tmp_path / "compact.parquet").stat().st_size
    assert size / n < 28
    assert size < 0.4 * (tmp_path / "made.parquet").stat().st_size


def test_the_same_events_give_the_same_bytes(tmp_path: Path) -> None:
    pool = made_pool(tmp_path / "pool.parquet", 2000)
    pack(pool, tmp_path / "a")
    pack(pool, tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_the_history_comes_along_or_is_given(tmp_path: Path) -> None:
    pool = made_pool(tmp_path / "pool.parquet", 1000, metadata={KEY: '{"seed": 7}'})
    pack(pool, tmp_path / "a")
    assert read_history(tmp_path / "a") == {"seed": 7}
    pack(pool, tmp_path / "b", history={"other": ["ü"]})
    assert read_history(tmp_path / "b") == {"other": ["ü"]}
    pack(tmp_path / "a", tmp_path / "c")  # a compact file is a file of events
    assert pq.read_table(tmp_path / "a").equals(pq.read_table(tmp_path / "c"))


def test_what_cannot_be_packed_leaves_what_was_there(tmp_path: Path) -> None:
    pool = made_pool(tmp_path / "pool.parquet", 1000)
    old = tmp_path / "old"
    old.write_text("old")
    table = pq.read_table(pool)
    decay = table.schema.get_field_index("decay")
    pq.write_table(table.set_column(decay, "decay", [np.arange(1000) * 100]), pool)
    with pytest.raises(DataError, match="beyond 32767"):
        pack(pool, old)
    assert old.read_text() == "old"
    with pytest.raises(OutputError, match="nowhere"):
        pack(made_pool(tmp_path / "pool.parquet", 1000), tmp_path / "nowhere" / "a")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["old", "pool.parquet"]


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    if not Path("/dev/full").exists() or shutil.disk_usage("/dev").total == 0:
        pytest.skip("no device that is always full")
    (tmp_path / "a.part").symlink_to("/dev/full")
    with pytest.raises(OutputError, match="No space left"):
        pack(made_pool(tmp_path / "pool.parquet", 1000), tmp_path / "a")
