"""The observations of a pool boiled down to a few numbers each, on all cores."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError
from sigma68.protocols import Pool, Progress
from sigma68.summaries import HasObservations
from sigma68.types import Observation

__all__ = ["summarised"]

FloatArray = npt.NDArray[np.float64]
_CHUNK = 16


def summarised(
    pool: Pool,
    names: Sequence[str],
    summary: Callable[[Observation], FloatArray],
    *,
    method: str,
    progress: Progress | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Parameters (n, n_names) and summaries (n, n_summaries) of all observations of a pool.

    Raises
    ------
    DataError
        If the pool has no whole observations, which `method` learns from.
    """
    if not isinstance(pool, HasObservations):
        raise DataError(
            f"the {pool.role} pool has events but no whole observations, which {method} learns "
            "from: open another source"
        )
    n, source = pool.n_observations, pool
    points = np.array([[source.truth(i).parameters[name] for name in names] for i in range(n)])
    chunks = [range(i, min(i + _CHUNK, n)) for i in range(0, n, _CHUNK)]

    def summarise(numbers: range) -> list[FloatArray]:
        return [summary(source.observation(i)) for i in numbers]

    rows: list[FloatArray] = []
    # Transforms and random numbers run outside the interpreter's lock.
    with ThreadPoolExecutor(max_workers=min(os.cpu_count() or 1, 8)) as threads:
        for part in threads.map(summarise, chunks):
            rows += part
            if progress is not None:
                progress(f"summarising simulated observations ({pool.role})", len(rows) / n)
    return points, np.array(rows)
