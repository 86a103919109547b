"""What `get_train_set` gives to an entry."""

from __future__ import annotations

import resource
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sigma68.challenge.entries import TrainSet, export_train
from sigma68.errors import DataError, OutputError
from sigma68.tasks.gaussian.task import Gaussian
from sigma68.types import Labelled


def test_all_events_come_as_they_are(events: Labelled, train: Path) -> None:
    frame = TrainSet(train)()
    assert list(frame.columns) == ["x", "y", "weights", "detailed_labels", "labels"]
    np.testing.assert_array_equal(frame["x"], events.values[0])
    np.testing.assert_array_equal(frame["weights"], events.weights)
    np.testing.assert_array_equal(frame["labels"], events.labels)
    names = np.array(events.process_names)[events.process]
    assert list(frame["detailed_labels"]) == list(names)
    frame.loc[frame["labels"] == 1, "x"] = 0.0  # the entry may do with it what it likes
    np.testing.assert_array_equal(TrainSet(train)()["x"], events.values[0])


@pytest.mark.parametrize(
    ("size", "rows"), [(100, 100), (0.1, 300), (1.0, 3000), (10**9, 3000), (np.int64(7), 7)]
)
def test_a_part_stands_for_the_whole(size: float, rows: int, events: Labelled, train: Path) -> None:
    frame = TrainSet(train)(train_size=size)
    assert len(frame) == rows
    assert list(frame.index) == list(range(rows))
    assert frame["weights"].sum() == pytest.approx(events.weights.sum())
    where = {x: i for i, x in enumerate(events.values[0])}
    order = [where[x] for x in frame["x"]]
    assert order == sorted(set(order))


def test_choices_differ_from_call_to_call_and_repeat_from_process_to_process(train: Path) -> None:
    one, two = TrainSet(train), TrainSet(train)
    first, second = one(train_size=50), one(0.02)
    assert set(first["x"]) != set(second["x"])
    np.random.seed(3)  # noqa: NPY002 (what an entry may do)
    assert set(two(50)["x"]) == set(first["x"])


@pytest.mark.parametrize("kind", [list, tuple, np.array])
def test_rows_can_be_chosen(kind: Any, events: Labelled, train: Path) -> None:
    frame = TrainSet(train)(selected_indices=kind([5, 2, 2]))
    np.testing.assert_array_equal(frame["x"], events.values[0][[2, 2, 5]])
    assert frame["weights"].sum() == pytest.approx(events.weights.sum())


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"train_size": 1.5}, ValueError, "between 0.0 and 1.0, not 1.5"),
        ({"train_size": -1}, ValueError, "leaves no event"),
        ({"train_size": 1e-9}, ValueError, "leaves no event of 3,000"),
        ({"train_size": "all"}, ValueError, "int .rows. or a float"),
        ({"train_size": True}, ValueError, "not True"),
        ({"selected_indices": [3000]}, IndexError, "between 0 and 2999"),
        ({"selected_indices": [-1]}, IndexError, "between 0 and 2999"),
        ({"selected_indices": []}, ValueError, "one or more"),
        ({"selected_indices": [0.5]}, ValueError, "whole row numbers"),
        ({"selected_indices": 3}, ValueError, "a list or an array"),
    ],
)
def test_impossible_wishes(
    arguments: dict[str, Any], error: type[Exception], words: str, train: Path
) -> None:
    with pytest.raises(error, match=words):
        TrainSet(train)(**arguments)


def test_a_pool_is_exported_too_and_only_whole(task: Gaussian, tmp_path: Path) -> None:
    pool = task.open().train
    path = export_train(pool, tmp_path / "pool.arrow")
    assert len(TrainSet(path)()) == pool.labelled().n_events
    assert [p.name for p in tmp_path.iterdir()] == ["pool.arrow"]


def test_what_cannot_be_exported(events: Labelled, tmp_path: Path) -> None:
    none = replace(
        events,
        values=events.values[:, :0],
        weights=events.weights[:0],
        labels=events.labels[:0],
        process=events.process[:0],
    )
    with pytest.raises(DataError, match="no events"):
        export_train(none, tmp_path / "none.arrow")
    with pytest.raises(OutputError, match="cannot be written"):
        export_train(events, tmp_path / "missing" / "train.arrow")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_named_and_nothing_stays(events: Labelled, tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(OutputError, match=r"cannot be written \(File too large\).*TMPDIR"):
            export_train(events, tmp_path / "train.arrow")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []
