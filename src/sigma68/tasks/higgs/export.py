"""Whole copies of named events, as plain Parquet."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from sigma68.errors import SettingsError
from sigma68.protocols import Progress
from sigma68.tasks.higgs.dataset import EventFile, open_parquet
from sigma68.tasks.higgs.history import KEY, read_history
from sigma68.tasks.higgs.schema import FEATURES
from sigma68.tasks.higgs.storage import normalisation
from sigma68.tasks.higgs.writer import EventWriter

__all__ = ["export_events", "refuse_itself"]


def export_events(
    source: str | Path, target: str | Path, *, progress: Progress | None = None
) -> int:
    """Write a named source (or any file of events) as plain Parquet; the number of rows.

    The columns are those of the public data set, with `hard_event` and `decay` where the source
    has them; rows keep their order. If the metadata beside the source promises another sum of
    weights, these are rescaled, as pools do it.

    Raises
    ------
    SettingsError
        If `target` is the file that is read.
    DataError
        If `source` is no known name and not a file of events.
    OutputError
        If `target` cannot be written; nothing is left behind.
    """
    file, target = open_parquet(source), Path(target)
    refuse_itself(file, target)
    factor = 1.0
    if file.sum_weights is not None:
        sums = np.array([batch.weights.sum() for batch in file.iter_batches(())])
        factor = normalisation(file, sums)
    history = read_history(file.path)
    metadata = None if history is None else {KEY: json.dumps(history)}
    with EventWriter(
        target, hard_event=file.has_hard_event, decay=file.has_decay, metadata=metadata
    ) as writer:
        for batch in file.iter_batches(FEATURES):
            writer.write(
                batch.values,
                weights=batch.weights * factor,
                process=batch.process,
                hard_event=batch.hard_event,
                decay=batch.decay,
            )
            if progress is not None:
                progress("", (batch.first_row + batch.n_events) / file.n_rows)
    return writer.n_rows


def refuse_itself(file: EventFile, target: Path) -> None:
    """Raise a `SettingsError` if `target` is the file that is read."""
    if target.exists() and target.samefile(file.path):
        raise SettingsError(f"{target} is the input itself: give the output another name")
