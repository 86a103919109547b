"""Alias tables reproduce the weights exactly, and a layout on disk is the one in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from benchmarks.events import made_columns

from sigma68.tasks.higgs.dataset import EventBatch
from sigma68.tasks.higgs.layout import (
    EventLayout,
    FolderStore,
    LayoutBuilder,
    build_layout,
    fill_alias_table,
    load_layout,
    save_index,
)
from sigma68.tasks.higgs.schema import PRIMARIES

FULL = 2**32 - 1


def probabilities(
    threshold: npt.NDArray[np.uint32], alias: npt.NDArray[np.uint32]
) -> npt.NDArray[np.float64]:
    """The probability of each row that the tables encode, read off slot by slot."""
    keep = threshold / 2.0**32
    given = np.bincount(alias, 1 - keep, minlength=len(alias))
    return (keep + given) / len(alias)


def tables(weights: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.uint32], ...]:
    threshold, alias = np.empty(len(weights), np.uint32), np.empty(len(weights), np.uint32)
    fill_alias_table(weights, threshold, alias)
    return threshold, alias


RNG = np.random.default_rng(7)
WEIGHTS = {
    "one row": np.array([3.0]),
    "two rows": np.array([1.0, 3.0]),
    "equal up to rounding": np.full(1_000, 0.1) * (1 + 1e-15 * np.arange(1_000)),
    "a few values": RNG.choice([0.99, 1.0, 1.01], 10_001),
    "a wide spread": RNG.gamma(0.3, size=100_000),
    "one giant at the end": np.append(np.full(999, 1e-6), 1.0),
    "one giant at the start": np.append(1.0, np.full(999, 1e-6)),
    "rows of no weight": np.where(np.arange(5_000) % 3, RNG.random(5_000), 0.0),
    "falling": np.linspace(2, 0, 4_001),
    "rising": np.linspace(0, 2, 4_001),
}


@pytest.mark.parametrize("case", WEIGHTS)
def test_alias_tables_encode_the_weights(case: str) -> None:
    weights = WEIGHTS[case]
    threshold, alias = tables(weights)
    expected = weights / weights.sum()
    n = len(weights)
    assert alias.max() < n
    # 1e-6 of a mean weight, and of the row's own one where that is not tiny.
    assert np.abs(probabilities(threshold, alias) - expected).max() * n < 1e-6
    large = expected * n > 1e-2
    assert probabilities(threshold, alias)[large] == pytest.approx(expected[large], rel=1e-6)


def test_rows_of_no_weight_are_never_drawn() -> None:
    threshold, alias = tables(WEIGHTS["rows of no weight"])
    empty = np.flatnonzero(WEIGHTS["rows of no weight"] == 0)
    assert (threshold[empty] == 0).all()
    assert not np.isin(alias, empty).any()


def test_all_weights_zero_leave_a_table_that_points_at_itself() -> None:
    threshold, alias = tables(np.zeros(5))
    assert (threshold == FULL).all()
    assert np.array_equal(alias, np.arange(5))


def test_a_layout_sorts_rows_by_process_and_keeps_their_order() -> None:
    primaries, process, weights = made_columns(5_000, seed=2)
    layout = build_layout(primaries, process, weights, np.arange(5_000))
    order = np.argsort(process, kind="stable")
    assert np.array_equal(layout.rows, primaries.T[order])
    assert np.array_equal(layout.weights, weights[order])
    assert np.array_equal(layout.process, process[order])
    assert layout.hard_event is not None
    assert np.array_equal(layout.hard_event, order)
    assert layout.starts.tolist() == [0, *np.cumsum(np.bincount(process)).tolist()]
    assert layout.sumw == pytest.approx(np.bincount(process, weights))
    assert layout.uniform.tolist() == [False, True, False, False]
    assert layout.rows.flags.c_contiguous
    assert layout.rows.ctypes.data % 64 == 0
    for p in np.flatnonzero(~layout.uniform):
        span = slice(layout.starts[p], layout.starts[p + 1])
        own = layout.weights[span]
        encoded = probabilities(layout.threshold[span], layout.alias[span])
        assert encoded * own.sum() == pytest.approx(own, rel=1e-6)


def test_a_process_may_be_absent() -> None:
    primaries, process, weights = made_columns(500, seed=2)
    process = np.where(process == 3, 2, process).astype(np.int8)
    layout = build_layout(primaries, process, weights)
    assert layout.starts[3] == layout.starts[4] == 500
    assert layout.sumw[3] == 0
    assert layout.uniform[3]


def in_folder(folder: Path) -> EventLayout:
    """The layout of 3,000 made events, filled batch by batch, with every third row left out."""
    primaries, process, weights = made_columns(3_000, seed=4)
    chosen = np.arange(3_000) % 3 > 0
    counts = np.bincount(process[chosen], minlength=4)
    sumw = np.bincount(process[chosen], weights[chosen], minlength=4)
    builder = LayoutBuilder(
        counts,
        np.full(4, 2.0),
        2 * sumw,
        np.array([False, True, False, False]),
        FolderStore(folder),
    )
    for first in range(0, 3_000, 700):
        cut = slice(first, first + 700)
        values = np.ascontiguousarray(primaries[:, cut])
        builder.add(EventBatch(first, PRIMARIES, values, weights[cut], process[cut]), chosen[cut])
    layout = builder.finish()
    save_index(layout, folder)
    return layout


def test_a_layout_on_disk_equals_the_one_in_memory(tmp_path: Path) -> None:
    in_folder(tmp_path)
    stored = load_layout(tmp_path)
    primaries, process, weights = made_columns(3_000, seed=4)
    chosen = np.arange(3_000) % 3 > 0
    memory = build_layout(primaries[:, chosen], process[chosen], 2 * weights[chosen])
    for name in ("rows", "starts", "sumw", "weights", "uniform"):
        assert np.array_equal(getattr(stored, name), getattr(memory, name)), name
    used = ~memory.uniform[memory.process]
    assert np.array_equal(stored.threshold[used], memory.threshold[used])
    assert np.array_equal(stored.alias[used], memory.alias[used])
    assert not stored.rows.flags.writeable


def test_a_shortened_file_is_not_read(tmp_path: Path) -> None:
    in_folder(tmp_path)
    rows = tmp_path / "rows.bin"
    rows.write_bytes(rows.read_bytes()[:-64])
    with pytest.raises(ValueError, match="mmap length"):
        load_layout(tmp_path)


def test_events_that_were_not_counted_are_noticed() -> None:
    primaries, process, weights = made_columns(100, seed=4)
    counts = np.bincount(process, minlength=4) + 1
    from sigma68.tasks.higgs.layout import MemoryStore

    builder = LayoutBuilder(counts, np.ones(4), np.ones(4), np.ones(4, np.bool_), MemoryStore())
    builder.add(EventBatch(0, PRIMARIES, primaries, weights, process), np.ones(100, np.bool_))
    with pytest.raises(ValueError, match="not those that were counted"):
        builder.finish()
