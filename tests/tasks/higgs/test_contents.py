"""Counting a file by region and process, hard events taken as one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sigma68.tasks.higgs.bias import bias_columns
from sigma68.tasks.higgs.contents import AREAS, take_contents
from sigma68.tasks.higgs.dataset import open_parquet
from sigma68.tasks.higgs.regions import REGIONS, region_of
from sigma68.tasks.higgs.schema import PRIMARIES, PROCESSES
from tests.tasks.higgs.pools import made_pool


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_pool(tmp_path_factory.mktemp("pool") / "pool.parquet", 8000, shuffled=True)


def stated(frame: pd.DataFrame, number: str) -> list[pd.DataFrame]:
    """Rows, sums of weights and effective events by area and process, in plain pandas."""
    primaries = np.ascontiguousarray(frame[list(PRIMARIES)].to_numpy(np.float32).T)
    features, passed = bias_columns(primaries)
    area = np.full(len(frame), "below thresholds", object)
    area[passed] = np.array(REGIONS)[region_of(features)]
    own = frame.assign(area=area, weights=frame.weights.astype(float))
    cells = own.groupby(["area", "detailed_labels"]).weights
    together = own.groupby(["area", "detailed_labels", number]).weights.sum().pow(2)
    squares = together.groupby(["area", "detailed_labels"]).sum()
    return [
        column.unstack(fill_value=0).reindex(AREAS, fill_value=0)[list(PROCESSES)]
        for column in (cells.size(), cells.sum(), cells.sum() ** 2 / squares)
    ]


@pytest.mark.parametrize("rows_at_once", [1000, 10**9])
def test_it_is_what_pandas_counts(pool: Path, rows_at_once: int) -> None:
    contents = take_contents(open_parquet(pool), rows_at_once=rows_at_once)
    rows, sumw, effective = stated(pd.read_parquet(pool), "hard_event")
    assert np.array_equal(contents.rows, rows)
    np.testing.assert_allclose(contents.sumw, sumw)
    np.testing.assert_allclose(contents.effective, effective)
    assert contents.rows.sum() == 8000


def test_rows_without_hard_events_count_by_themselves(pool: Path, tmp_path: Path) -> None:
    frame = pd.read_parquet(pool).drop(columns=["hard_event", "decay"])
    frame.to_parquet(tmp_path / "rows.parquet")
    contents = take_contents(open_parquet(tmp_path / "rows.parquet"))
    effective = stated(frame.assign(row=np.arange(8000)), "row")[2]
    np.testing.assert_allclose(contents.effective, effective)
    assert contents.effective.sum() > 1.2 * take_contents(open_parquet(pool)).effective.sum()
