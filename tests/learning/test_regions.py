"""Which events stand in which region, and pools of one region."""

from __future__ import annotations

import numpy as np
import pytest

from sigma68.errors import DataError
from sigma68.learning.regions import KnownRegionPool, MovedEvents, RegionPool, Regions, grouped
from sigma68.protocols import HasRegions, Region
from tests.learning.regions_toy import MadePool, MadeTask

REGIONS = Regions.of(MadeTask())
POOL = MadePool("train", 5000)


def moved(rows: int | None = None) -> MovedEvents:
    return MovedEvents(POOL, REGIONS, (1, 2), max_rows=None, rows=rows)


def test_unbinned_regions_come_first() -> None:
    assert isinstance(MadeTask(), HasRegions)
    assert REGIONS.unbinned == (1,)
    assert REGIONS.split == (2,)
    assert REGIONS.bins == ("middle", "low", "high: dull", "high: bright")
    assert REGIONS.first_bins == {1: 0, 0: 1, 2: 2}


def test_a_task_without_regions_has_one() -> None:
    from sigma68.discover import load_task

    alone = Regions.of(load_task("gaussian"))
    assert alone.unbinned == (0,)
    assert alone.bins == ("everywhere",)
    np.testing.assert_array_equal(alone.region_of(np.zeros((2, 3), np.float32)), 0)


def test_a_task_that_only_counts_is_refused() -> None:
    task = MadeTask()
    task.regions = (Region("all", unbinned=False),)
    with pytest.raises(DataError, match="no region"):
        Regions.of(task)


def test_regions_are_cut_after_events_have_moved() -> None:
    events = moved()
    off, at = events.at({}, 1), events.at({"shift": 0.4}, 1)
    for there in (off, at):
        assert (REGIONS.region_of(there.values) == 1).all()
    assert off.row is not None
    assert at.row is not None
    lost, gained = np.setdiff1d(off.row, at.row), np.setdiff1d(at.row, off.row)
    assert len(lost) > 50
    assert len(gained) > 50
    whole = POOL.labelled({"shift": 0.4})
    np.testing.assert_allclose(
        at.weights.sum(), whole.weights[REGIONS.region_of(whole.values) == 1].sum()
    )


def test_moved_events_are_made_once() -> None:
    events = moved()
    assert events.at({"shift": 0.4}, 1) is events.at({"shift": 0.4}, 1)
    before = events.at({"shift": 0.4}, 1)
    events.forget()
    assert events.at({"shift": 0.4}, 1) is not before


def test_some_events_stand_for_all_and_are_the_same_wherever_they_move() -> None:
    events, whole = moved(rows=800), moved()
    off, at = events.at({}, 1), events.at({"stretch": 1.1}, 1)
    assert off.row is not None
    assert at.row is not None
    counts = np.bincount(off.process)
    assert (np.abs(counts - 800) < 5 * np.sqrt(800)).all()
    full = whole.at({}, 1)
    for p in (0, 1):
        kept = off.weights[off.process == p].sum()
        assert kept == pytest.approx(full.weights[full.process == p].sum(), rel=0.15)
    # What stays in the region was chosen before, what comes into it is a part of all that does.
    before = whole.at({}, 1).row
    assert before is not None
    assert set(np.intersect1d(at.row, before)) <= set(off.row)


def test_processes_are_put_together() -> None:
    events = MadePool("train", 100, 3).labelled()
    both = grouped(events, [[0, 2], [1]])
    assert both.process_names == ("signal and other", "background")
    np.testing.assert_array_equal(both.process, (events.process == 1).astype(np.int8))
    only = grouped(events, [[2]])
    assert only.n_events == (events.process == 2).sum()
    assert only.row is not None
    assert events.row is not None
    np.testing.assert_array_equal(only.row, events.row[events.process == 2])


def test_pools_of_other_regions_or_processes_are_other_pools() -> None:
    events = moved()
    prints = {
        RegionPool(events, region, groups).fingerprint
        for region in (1, 2)
        for groups in (None, [[0]], [[1]])
    }
    assert len(prints) == 6
    assert RegionPool(events, 1, [[0]]).labelled({"shift": 0.2}).process_names == ("signal",)


def test_densities_are_those_of_the_region() -> None:
    from sigma68.discover import load_task

    task = load_task("gaussian")
    pool = task.open().train
    halves = Regions(
        (Region("left", unbinned=True), Region("right", unbinned=True)),
        lambda values: (values[0] > 0.5).astype(np.int8),
    )
    events = MovedEvents(pool, halves, (0, 1), max_rows=None, rows=None)
    right = KnownRegionPool(events, 1)
    known, labelled = right.components(), right.labelled()
    inside = np.bincount(labelled.process, labelled.weights)
    np.testing.assert_allclose(known.component_yields(), inside, rtol=0.02)
    everywhere = pool.components().log_densities(labelled.observation())
    apart = known.log_densities(labelled.observation()) - everywhere
    np.testing.assert_allclose(apart, -np.log(inside / events.seen)[:, None] + np.zeros_like(apart))
    with pytest.raises(DataError, match="densities"):
        KnownRegionPool(moved(), 1).components()
