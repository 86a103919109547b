"""What is held out of a file and what is trained on, read as files of their own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from benchmarks.events import made_events

from sigma68.errors import DataError
from sigma68.tasks.higgs.dataset import EventFile, open_parquet
from sigma68.tasks.higgs.schema import FEATURES, PRIMARIES, PROCESSES
from sigma68.tasks.higgs.split import role_of
from sigma68.tasks.higgs.validation.part import parts_of, title_of
from sigma68.tasks.higgs.validation.reading import open_tested
from tests.tasks.higgs.validation.made_files import write


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    frame = made_events(6000, seed=4)
    frame["hard_event"] = np.arange(len(frame)) // 3
    return frame


@pytest.fixture(scope="module")
def file(frame: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> EventFile:
    path = tmp_path_factory.mktemp("events") / "pool.parquet"
    return open_parquet(write(frame, path))


def test_the_parts_are_the_roles_of_the_split(file: EventFile, frame: pd.DataFrame) -> None:
    role = role_of(frame["hard_event"].to_numpy(), 7)
    for part, roles in zip(parts_of(file, 7), ((3,), (0, 1, 2)), strict=True):
        batches = list(part.iter_batches(FEATURES, batch_rows=1000))
        rows = np.flatnonzero(np.isin(role, roles))
        assert part.n_rows == len(rows) == sum(batch.n_events for batch in batches)
        own = frame.iloc[rows]
        found = np.concatenate([batch.values for batch in batches], axis=1)
        np.testing.assert_array_equal(found, own[list(FEATURES)].to_numpy(np.float32).T)
        numbers = np.concatenate([b.hard_event for b in batches if b.hard_event is not None])
        np.testing.assert_array_equal(numbers, own["hard_event"])
        # Rows are numbered within the part, whatever the batches.
        assert [batch.first_row for batch in batches] == list(
            np.cumsum([0, *(batch.n_events for batch in batches[:-1])])
        )
        assert next(part.iter_batches()).names == PRIMARIES


def test_each_part_weighs_what_the_whole_does(file: EventFile, frame: pd.DataFrame) -> None:
    whole = frame.groupby("detailed_labels", observed=False)["weights"].sum()[list(PROCESSES)]
    for part in parts_of(file, 7):
        sums = np.zeros(4)
        for batch in part.iter_batches():
            sums += np.bincount(batch.process, batch.weights, minlength=4)
        np.testing.assert_allclose(sums, whole.to_numpy(np.float64), rtol=1e-5)


def test_another_seed_holds_others_out(file: EventFile) -> None:
    rows = [parts_of(file, seed)[0].n_rows for seed in (7, 8)]
    assert rows[0] != rows[1]
    assert title_of(parts_of(file, 7)[0]) == "pool.parquet, final"
    assert title_of(parts_of(file, 7)[1]) == "pool.parquet, train + calibration + scoring"
    assert title_of(open_tested(file.path)) == "pool.parquet"


def test_a_file_too_small_to_hold_events_out_is_refused(
    frame: pd.DataFrame, tmp_path: Path
) -> None:
    one = frame[frame["detailed_labels"] == "diboson"].head(2)
    with pytest.raises(DataError, match="too few events to hold any out"):
        parts_of(open_parquet(write(one, tmp_path / "one.parquet")), 7)
