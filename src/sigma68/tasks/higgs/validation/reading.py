"""Both files, read: everything that comparisons are made from, in two passes over each."""

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
from sigma68.tasks.higgs.dataset import EventBatch, EventFile, open_parquet
from sigma68.tasks.higgs.regions import REGIONS
from sigma68.tasks.higgs.schema import FEATURES, PROCESSES
from sigma68.tasks.higgs.validation.cumulative import Cumulative, choose_grids
from sigma68.tasks.higgs.validation.form import FormCollector
from sigma68.tasks.higgs.validation.histograms import Binning, Histograms, choose_binnings
from sigma68.tasks.higgs.validation.ledger import CellSums, Ledger, cell_sums, read_ledger
from sigma68.tasks.higgs.validation.response import ResponseCollector
from sigma68.tasks.higgs.validation.sample import Sample, SampleCollector

__all__ = ["SAMPLE_ROWS", "Both", "Side", "open_tested", "read_both"]

SAMPLE_ROWS: Final = 100_000
"""Rows of each process in the samples for the correlations and the classifier, at most."""

Floats = npt.NDArray[np.float64]


class _Collector(Protocol):
    def add(self, batch: EventBatch) -> None: ...


@dataclass(frozen=True)
class Side:
    """One file: what its collectors gathered.

    `process_sums` are of each process before, `region_sums` of each region and process (in
    this order) after the high thresholds; `clustering`, shape (4,), is the factor on squared
    weights that counts hard events once.
    """

    ledger: Ledger
    cumulative: Cumulative
    histograms: Histograms
    response: ResponseCollector
    form: FormCollector
    sample: Sample
    process_sums: CellSums
    region_sums: CellSums

    @property
    def sums(self) -> tuple[CellSums, CellSums]:
        return self.process_sums, self.region_sums

    @property
    def clustering(self) -> Floats:
        return self.process_sums.clustering


@dataclass(frozen=True)
class Both:
    """The simulated and the real events, and the bins of the histograms."""

    tested: Side
    reference: Side
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


def open_tested(source: Path) -> EventFile:
    """The file of simulated events: itself, or the only one of a folder.

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


def read_both(tested: Path, reference: Path, seed: int, sample_rows: int, report: Progress) -> Both:
    """Read the simulated and the real events.

    Raises
    ------
    DataError
        If a file is not what the task needs.
    """
    ledgers = read_ledger(open_tested(tested)), read_ledger(open_parquet(reference))
    first = SampleCollector(ledgers[1], sample_rows, stream("higgs", "validation grid", seed))
    _stream(ledgers[1].file, [first], _within(report, 0.0, 0.05))
    sample = first.sample()
    grids, binnings = choose_grids(sample), choose_binnings(sample)
    spans = {"real": (0.05, 0.2), "simulated": (0.2, 1.0)}

    def side(ledger: Ledger, name: str) -> Side:
        return _side(
            ledger, name, grids, binnings, seed, sample_rows, _within(report, *spans[name])
        )

    r = side(ledgers[1], "real")
    return Both(side(ledgers[0], "simulated"), r, binnings)


def _side(
    ledger: Ledger,
    name: str,
    grids: Sequence[Floats],
    binnings: Sequence[Binning],
    seed: int,
    sample_rows: int,
    report: Progress,
) -> Side:
    sample = SampleCollector(ledger, sample_rows, stream("higgs", f"validation {name}", seed))
    cumulative, histograms, form = Cumulative(grids), Histograms(binnings), FormCollector()
    response = ResponseCollector(ledger, stream("higgs", f"response {name}", seed))
    _stream(ledger.file, [cumulative, histograms, response, form, sample], report)
    n = len(PROCESSES)
    region = response.region.astype(np.int16)
    cell = np.where(region >= 0, region * n + ledger.process, -1)
    return Side(
        ledger=ledger,
        cumulative=cumulative,
        histograms=histograms,
        response=response,
        form=form,
        sample=sample.sample(),
        process_sums=ledger.by_process(),
        region_sums=cell_sums(ledger.weights, cell, ledger.unit, n * len(REGIONS)),
    )


def _stream(file: EventFile, collectors: Sequence[_Collector], report: Progress) -> None:
    for batch in file.iter_batches(FEATURES):
        for collector in collectors:
            collector.add(batch)
        report(f"reading {file.path.name}", (batch.first_row + batch.n_events) / file.n_rows)


def _within(report: Progress, low: float, high: float) -> Progress:
    return lambda what, fraction: report(what, low + (high - low) * fraction)
