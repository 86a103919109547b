"""The files, read: everything that comparisons are made from, in at most three passes over each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError
from sigma68.protocols import Progress
from sigma68.seeds import stream
from sigma68.tasks.higgs.bias import bias_columns
from sigma68.tasks.higgs.dataset import EventBatch, EventFile, open_parquet
from sigma68.tasks.higgs.regions import REGIONS
from sigma68.tasks.higgs.schema import FEATURES, PROCESSES
from sigma68.tasks.higgs.validation.cumulative import Cumulative, choose_grids
from sigma68.tasks.higgs.validation.form import FormCollector
from sigma68.tasks.higgs.validation.histograms import Binning, Histograms, choose_binnings
from sigma68.tasks.higgs.validation.judgement import Judgement
from sigma68.tasks.higgs.validation.ledger import CellSums, Ledger, cell_sums, read_ledger
from sigma68.tasks.higgs.validation.response import ResponseCollector
from sigma68.tasks.higgs.validation.sample import Sample, SampleCollector

__all__ = ["SAMPLE_ROWS", "Files", "Side", "Sources", "Yields", "open_tested", "read_files"]

SAMPLE_ROWS: Final = 100_000
"""Rows of each process in the samples for correlations, trees and neighbours, at most."""

# Of the events of an emulator half are for training trees and half for testing them; an event that
# it repeats is found if it is among the training events that are looked at.
_MORE: Final = {"tested": 2, "training": 3}

Floats = npt.NDArray[np.float64]


class _Collector(Protocol):
    def add(self, batch: EventBatch) -> None: ...


@dataclass(frozen=True)
class Yields:
    """One file: its yields.

    `process_sums` are of each process before, `region_sums` of each region and process (in
    this order) after the high thresholds; `clustering`, shape (4,), is the factor on squared
    weights that counts hard events once.
    """

    ledger: Ledger
    response: ResponseCollector
    process_sums: CellSums
    region_sums: CellSums

    @property
    def sums(self) -> tuple[CellSums, CellSums]:
        return self.process_sums, self.region_sums

    @property
    def clustering(self) -> Floats:
        return self.process_sums.clustering


@dataclass(frozen=True)
class Side(Yields):
    """One of the two files that are compared: its yields, and what else collectors gathered."""

    cumulative: Cumulative
    histograms: Histograms
    form: FormCollector
    sample: Sample


@dataclass(frozen=True)
class Files:
    """Everything that was read.

    `whole` has the yields and responses that are expected: those of the reference, or of a file
    of its own. `training` is a sample of the events that an emulator was trained on. `binnings`
    are those of the histograms.
    """

    tested: Side
    reference: Side
    whole: Yields
    training: Sample | None
    training_ledger: Ledger | None
    binnings: tuple[Binning, ...]

    @property
    def common(self) -> tuple[int, ...]:
        """The processes that both files have."""
        return tuple(
            p
            for p in range(len(PROCESSES))
            if self.tested.process_sums.sumw[p] > 0 and self.reference.process_sums.sumw[p] > 0
        )

    @property
    def clustering(self) -> tuple[Floats, Floats]:
        return self.tested.clustering, self.reference.clustering


@dataclass(frozen=True)
class Sources:
    """The files to be read: `training` and `whole` where there are any."""

    tested: EventFile
    reference: EventFile
    training: EventFile | None = None
    whole: EventFile | None = None


def open_tested(source: Path) -> EventFile:
    """The file of events to be tested: itself, or the only one of a folder.

    Raises
    ------
    DataError
        As `open_parquet`; a folder of several files is to be merged first.
    """
    if source.is_dir() and len(list(source.glob("*.parquet"))) != 1:
        raise DataError(
            f"the folder {source} does not hold exactly one Parquet file: put the shards of a "
            "simulation together with sigma68 data merge, and give the merged file"
        )
    return open_parquet(source)


def read_files(
    sources: Sources, judgement: Judgement, seed: int, sample_rows: int, report: Progress
) -> Files:
    """Read all events.

    Raises
    ------
    DataError
        If a file is not what the task needs, or a hard event of the training is in the reference.
    """
    reader = _Reader(judgement, seed, sample_rows)
    tested, reference = read_ledger(sources.tested), read_ledger(sources.reference)
    training = None if sources.training is None else read_ledger(sources.training)
    if training is not None:
        _check_disjoint(training, reference)
    sample = reader.sample(reference, "grid", _within(report, 0.0, 0.05))
    grids, binnings = choose_grids(sample), choose_binnings(sample)
    r = reader.side(reference, "reference", grids, binnings, _within(report, 0.05, 0.2))
    whole: Yields = r
    if sources.whole is not None:
        own = read_ledger(sources.whole)
        whole = reader.yields(own, "whole", [], _within(report, 0.2, 0.35))
    trained = None
    if training is not None:
        trained = reader.sample(training, "training", _within(report, 0.35, 0.4))
    start = 0.2 if training is None and sources.whole is None else 0.4
    t = reader.side(tested, "tested", grids, binnings, _within(report, start, 1.0))
    return Files(t, r, whole, trained, training, binnings)


@dataclass(frozen=True)
class _Reader:
    """How every file is read."""

    judgement: Judgement
    seed: int
    sample_rows: int

    def side(
        self,
        ledger: Ledger,
        name: str,
        grids: Sequence[Floats],
        binnings: Sequence[Binning],
        report: Progress,
    ) -> Side:
        cumulative, histograms = Cumulative(grids), Histograms(binnings)
        seen: list[_Collector] = [cumulative, histograms]
        if self.judgement.high_thresholds:
            seen = [_AfterThresholds(seen)]
        form, sample = FormCollector(), self._collector(ledger, name)
        found = self.yields(ledger, name, [*seen, form, sample], report)
        return Side(
            **found.__dict__,
            cumulative=cumulative,
            histograms=histograms,
            form=form,
            sample=sample.sample(),
        )

    def yields(
        self, ledger: Ledger, name: str, further: Sequence[_Collector], report: Progress
    ) -> Yields:
        """The yields of a file, which `further` collectors see as well."""
        own = stream("higgs", f"response {name}", self.seed)
        response = ResponseCollector(ledger, own, noise_draws=self.judgement.noise_draws)
        _stream(ledger.file, [response, *further], report)
        n = len(PROCESSES)
        region = response.region.astype(np.int16)
        cell = np.where(region >= 0, region * n + ledger.process, -1)
        return Yields(
            ledger=ledger,
            response=response,
            process_sums=ledger.by_process(),
            region_sums=cell_sums(ledger.weights, cell, ledger.unit, n * len(REGIONS)),
        )

    def sample(self, ledger: Ledger, name: str, report: Progress) -> Sample:
        collector = self._collector(ledger, name)
        _stream(ledger.file, [collector], report)
        return collector.sample()

    def _collector(self, ledger: Ledger, name: str) -> SampleCollector:
        wanted = self.sample_rows * _MORE.get(name, 1)
        if self.judgement.largest_gap is None:
            wanted = self.sample_rows
        own = stream("higgs", f"validation {name}", self.seed)
        high = self.judgement.high_thresholds
        return SampleCollector(ledger, wanted, own, high_thresholds=high)


class _AfterThresholds:
    """Shows collectors the events of a batch that survive the high thresholds, as they are then."""

    def __init__(self, collectors: Sequence[_Collector]) -> None:
        self._collectors = tuple(collectors)

    def add(self, batch: EventBatch) -> None:
        values, rows = bias_columns(batch.values)
        passing = EventBatch(
            batch.first_row, batch.names, values, batch.weights[rows], batch.process[rows]
        )
        for collector in self._collectors:
            collector.add(passing)


def _check_disjoint(training: Ledger, reference: Ledger) -> None:
    """Raise a DataError if a hard event was trained on and is in the reference as well."""
    if training.unit is None or reference.unit is None:
        return
    shared = 0
    for p in range(len(PROCESSES)):
        first = np.unique(training.unit[training.process == p])
        second = np.unique(reference.unit[reference.process == p])
        shared += np.intersect1d(first, second, assume_unique=True).size
    if shared:
        raise DataError(
            f"{training.file.path} and {reference.file.path} share {shared:,} hard events: hold out "
            "whole hard events, which the emulator was not trained on, and compare with them"
        )


def _stream(file: EventFile, collectors: Sequence[_Collector], report: Progress) -> None:
    for batch in file.iter_batches(FEATURES):
        for collector in collectors:
            collector.add(batch)
        report(f"reading {file.path.name}", (batch.first_row + batch.n_events) / file.n_rows)


def _within(report: Progress, low: float, high: float) -> Progress:
    return lambda what, fraction: report(what, low + (high - low) * fraction)
