"""The 1,000 real events, where they are, and stand-in events everywhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from benchmarks.events import made_events

from sigma68.tasks.higgs.schema import PRIMARIES

REAL = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "higgs-sample"


@pytest.fixture(scope="session")
def real_events() -> pd.DataFrame:
    if not REAL.is_dir():
        pytest.skip("the 1,000 real events are not here")
    return pd.read_parquet(next(REAL.glob("*.parquet")))


@pytest.fixture(scope="session")
def stand_in() -> npt.NDArray[np.float32]:
    """Primaries of 20,000 stand-in events, shape (16, n)."""
    frame = made_events(20_000, seed=3)
    return np.ascontiguousarray(frame[list(PRIMARIES)].to_numpy(np.float32).T)
