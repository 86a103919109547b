"""Stand-in pools as a simulation leaves them: unequal weights, several rows a hard event."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from benchmarks.events import made_columns

from sigma68.tasks.higgs.derived import derive
from sigma68.tasks.higgs.writer import EventWriter


def made_pool(
    path: Path,
    n: int = 20_000,
    *,
    seed: int = 5,
    shuffled: bool = False,
    metadata: dict[str, str] | None = None,
) -> Path:
    """Write `n` stand-in events of about 0.4 n hard events, in blocks of one process each."""
    rng = np.random.default_rng(seed)
    primaries, process, weights = made_columns(n, seed)
    weights = weights * np.where(rng.random(n) < 0.3, 1.0, np.exp(rng.normal(0, 1, n)))
    order = np.argsort(process, kind="stable")
    hard_event = np.sort(rng.integers(0, int(0.4 * n), n)) + (1 << 60)
    decay = np.arange(n, dtype=np.int64) % 10
    if shuffled:
        rows = rng.permutation(n)
        order, hard_event, decay = order[rows], hard_event[rows], decay[rows]
    with EventWriter(path, hard_event=True, decay=True, metadata=metadata) as writer:
        for part in np.array_split(np.arange(n), 3):
            own = order[part]
            writer.write(
                np.concatenate(
                    [primaries[:, own], derive(np.ascontiguousarray(primaries[:, own]))]
                ),
                weights=weights[own],
                process=process[own],
                hard_event=hard_event[part],
                decay=decay[part],
            )
    return path
