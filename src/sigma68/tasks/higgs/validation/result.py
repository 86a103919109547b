"""What a validation found: the numbers, as they are written to validation.json."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from sigma68.files import write_json
from sigma68.tasks.higgs.validation.correlations import CorrelationTest
from sigma68.tasks.higgs.validation.distributions import DistributionTest
from sigma68.tasks.higgs.validation.form import Form
from sigma68.tasks.higgs.validation.gap import Separation
from sigma68.tasks.higgs.validation.histograms import ColumnHistogram
from sigma68.tasks.higgs.validation.judgement import PARTS, Judgement
from sigma68.tasks.higgs.validation.neighbours import NeighbourTest
from sigma68.tasks.higgs.validation.response import Response
from sigma68.tasks.higgs.validation.roc import ClassifierTest
from sigma68.tasks.higgs.validation.tables import YieldTable
from sigma68.tasks.higgs.validation.yields import EventNumbers, YieldTest

__all__ = [
    "FILE_NAME",
    "PARTS",
    "VERSION",
    "EventsSummary",
    "TrainingSummary",
    "Validation",
    "write_validation",
]

FILE_NAME: Final = "validation.json"
VERSION: Final = 2
"""The version of validation.json, raised when an entry changes its meaning."""


@dataclass(frozen=True)
class EventsSummary:
    """One of the two files: its name, and rows, weights and effective events per process."""

    name: str
    rows: int
    rows_per_process: Mapping[str, int]
    sum_weights: Mapping[str, float]
    effective: Mapping[str, float]
    has_hard_events: bool
    form: Form


@dataclass(frozen=True)
class TrainingSummary:
    """The events that an emulator was trained on: the file's name and rows per process."""

    name: str
    rows: int
    rows_per_process: Mapping[str, int]


@dataclass(frozen=True)
class Validation:
    """A file of events, judged by a table of yields and by the events of another.

    Attributes
    ----------
    judgement
        What is compared, and what passes.
    tested, reference, training
        The files; the last where an emulator is judged and it was given.
    table, expected
        The table of yields compared with, and the name of the events whose responses are.
    level
        The probability of a false alarm in each part: p-values, corrected for the number of
        tests of their part, are compared with it.
    seed
        Of the samples, the bootstrap and the classifier.
    sample_rows
        Rows of each process that the samples hold at most.
    parts
        What was compared, of `PARTS`.
    groups
        Processes that were tested together, by the name of the group.
    yields, numbers, reference_numbers, distributions, histograms, responses, correlations,     classifiers, controls, separations, neighbours
        What each part found; empty where it was left out. Controls are the trees of the
        classifier set on training events and the reference.
    """

    judgement: Judgement
    tested: EventsSummary
    reference: EventsSummary
    training: TrainingSummary | None
    table: YieldTable
    expected: str
    level: float
    seed: int
    sample_rows: int
    parts: tuple[str, ...]
    groups: Mapping[str, tuple[str, ...]]
    yields: tuple[YieldTest, ...]
    numbers: tuple[EventNumbers, ...]
    reference_numbers: tuple[EventNumbers, ...]
    distributions: tuple[DistributionTest, ...]
    histograms: tuple[ColumnHistogram, ...]
    responses: tuple[Response, ...]
    correlations: tuple[CorrelationTest, ...]
    classifiers: tuple[ClassifierTest, ...]
    controls: tuple[ClassifierTest, ...]
    separations: tuple[Separation, ...]
    neighbours: tuple[NeighbourTest, ...]

    def to_json(self) -> dict[str, Any]:
        """A JSON object: the attributes by name, None for what is not a number."""
        document: dict[str, Any] = _plain({"version": VERSION, **asdict(self)})
        return document


def write_validation(validation: Validation, out: Path) -> Path:
    """Write `out`/validation.json, whole or not at all; its path.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    path = out / FILE_NAME
    write_json(path, validation.to_json())
    return path


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(entry) for name, entry in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return value
