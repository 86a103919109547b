"""Simulated events against a table of yields and real events: everything, in two passes a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError, SettingsError
from sigma68.protocols import Progress
from sigma68.seeds import stream
from sigma68.tasks.higgs.dataset import EventBatch, EventFile, open_parquet
from sigma68.tasks.higgs.regions import REGIONS
from sigma68.tasks.higgs.schema import FEATURES, PROCESSES
from sigma68.tasks.higgs.validation.cumulative import Cumulative, choose_grids
from sigma68.tasks.higgs.validation.distributions import DistributionTest, compare_distributions
from sigma68.tasks.higgs.validation.form import FormCollector
from sigma68.tasks.higgs.validation.ledger import CellSums, Ledger, cell_sums, of_group, read_ledger
from sigma68.tasks.higgs.validation.response import Response, ResponseCollector, compare_responses
from sigma68.tasks.higgs.validation.result import PARTS, EventsSummary, Validation
from sigma68.tasks.higgs.validation.sample import Sample, SampleCollector
from sigma68.tasks.higgs.validation.tables import YieldTable, published
from sigma68.tasks.higgs.validation.yields import compare_yields, event_numbers

__all__ = ["LARGE", "LEVEL", "SAMPLE_ROWS", "open_simulated", "validate"]

LEVEL: Final = 0.01
"""P-values below this, corrected for the number of tests, are called incompatible."""
LARGE: Final = 100
"""A process is tested by itself if there are so many real rows of it."""
SAMPLE_ROWS: Final = 100_000
"""Rows of each process in the samples for the correlations and the classifier, at most."""
POOLED: Final = "pooled"

Floats = npt.NDArray[np.float64]


class _Collector(Protocol):
    def add(self, batch: EventBatch) -> None: ...


@dataclass(frozen=True)
class _Read:
    """One file, read: its ledger and what the collectors gathered."""

    ledger: Ledger
    cumulative: Cumulative
    response: ResponseCollector
    form: FormCollector
    sample: Sample

    def sums(self) -> tuple[CellSums, CellSums]:
        """Per process before, per region and process after the high thresholds."""
        n = len(PROCESSES)
        region = self.response.region.astype(np.int16)
        cell = np.where(region >= 0, region * n + self.ledger.process, -1)
        ledger = self.ledger
        return ledger.by_process(), cell_sums(ledger.weights, cell, ledger.unit, n * len(REGIONS))


def open_simulated(source: Path) -> EventFile:
    """The file of simulated events: itself, or the only one of a folder.

    Raises
    ------
    DataError
        As `open_parquet`; a folder of several files is to be merged first.
    """
    if source.is_dir() and len(list(source.glob("*.parquet"))) != 1:
        raise DataError(
            f"the folder {source} does not hold exactly one Parquet file: put shards of a "
            "simulation together with sigma68 data merge first, and give the merged file"
        )
    return open_parquet(source)


def validate(
    simulated: Path,
    real: Path,
    table: YieldTable | None = None,
    *,
    parts: Sequence[str] = PARTS,
    seed: int = 0,
    sample_rows: int = SAMPLE_ROWS,
    progress: Progress | None = None,
) -> Validation:
    """Compare a file of simulated events with `table` (the published ones) and with real events.

    Processes that only one of the files has are left out where the two are compared; a process
    with fewer than 100 real rows is tested pooled with all others. Memory is some 20 bytes a row
    of each file and `sample_rows` rows of each process.

    Raises
    ------
    DataError
        If a file is not what the task needs, or the files have no process in common.
    SettingsError
        If a part is unknown.
    """
    unknown = [part for part in parts if part not in PARTS]
    if unknown or not parts:
        raise SettingsError(f"no part {', '.join(unknown)!r}: choose among {', '.join(PARTS)}")
    report = progress or (lambda what, fraction: None)
    ledgers = read_ledger(open_simulated(simulated)), read_ledger(open_parquet(real))
    by_process = [ledger.by_process() for ledger in ledgers]
    common = [p for p in range(4) if by_process[0].sumw[p] > 0 and by_process[1].sumw[p] > 0]
    if not common:
        raise DataError(
            f"{simulated} and {real} have no process in common: there is nothing to compare"
        )
    grids = choose_grids(_real_sample(ledgers[1], sample_rows, seed))
    r = _read(ledgers[1], grids, "real", seed, sample_rows, _within(report, 0.0, 0.1))
    s = _read(ledgers[0], grids, "simulated", seed, sample_rows, _within(report, 0.1, 0.6))
    groups = _groups(common, by_process[1])
    sums = s.sums(), r.sums()
    chosen = YieldTable(**(table or published()).__dict__)
    return Validation(
        simulated=_summary(s, sums[0]),
        real=_summary(r, sums[1]),
        table=chosen,
        level=LEVEL,
        seed=seed,
        parts=tuple(part for part in PARTS if part in parts),
        groups={name: tuple(PROCESSES[p] for p in own) for name, own in groups.items()},
        yields=tuple(compare_yields(chosen, *sums)) if "yields" in parts else (),
        numbers=tuple(event_numbers(*sums[0])),
        real_numbers=tuple(event_numbers(*sums[1])),
        distributions=_distributions(s, r, groups) if "distributions" in parts else (),
        responses=_responses(s, r, sums, common) if "response" in parts else (),
    )


def _groups(common: Sequence[int], real: CellSums) -> dict[str, tuple[int, ...]]:
    """Large processes by themselves, and all together where that is something else."""
    groups: dict[str, tuple[int, ...]] = {
        PROCESSES[p]: (p,) for p in common if real.rows[p] >= LARGE
    }
    if len(common) > 1 or not groups:
        groups[POOLED] = tuple(common)
    return groups


def _real_sample(ledger: Ledger, rows: int, seed: int) -> Sample:
    collector = SampleCollector(ledger, rows, stream("higgs", "validation grid", seed))
    _stream(ledger.file, [collector], lambda what, fraction: None)
    return collector.sample()


def _read(
    ledger: Ledger,
    grids: Sequence[Floats],
    name: str,
    seed: int,
    sample_rows: int,
    report: Progress,
) -> _Read:
    sample = SampleCollector(ledger, sample_rows, stream("higgs", f"validation {name}", seed))
    cumulative, form = Cumulative(grids), FormCollector()
    response = ResponseCollector(ledger, stream("higgs", f"response {name}", seed))
    _stream(ledger.file, [cumulative, response, form, sample], report)
    return _Read(ledger, cumulative, response, form, sample.sample())


def _stream(file: EventFile, collectors: Sequence[_Collector], report: Progress) -> None:
    for batch in file.iter_batches(FEATURES):
        for collector in collectors:
            collector.add(batch)
        report(f"reading {file.path.name}", (batch.first_row + batch.n_events) / file.n_rows)


def _within(report: Progress, low: float, high: float) -> Progress:
    return lambda what, fraction: report(what, low + (high - low) * fraction)


def _summary(read: _Read, sums: tuple[CellSums, CellSums]) -> EventsSummary:
    return EventsSummary(
        path=read.ledger.file.path.name,
        rows=read.ledger.n_rows,
        rows_per_process=dict(zip(PROCESSES, sums[0].rows.tolist(), strict=True)),
        sum_weights=dict(zip(PROCESSES, sums[0].sumw.tolist(), strict=True)),
        effective=dict(zip(PROCESSES, sums[0].effective.tolist(), strict=True)),
        has_hard_events=read.ledger.unit is not None,
        form=read.form.form(),
    )


def _distributions(
    s: _Read, r: _Read, groups: Mapping[str, Sequence[int]]
) -> tuple[DistributionTest, ...]:
    clustering = s.ledger.by_process().clustering, r.ledger.by_process().clustering
    return tuple(compare_distributions(s.cumulative, r.cumulative, groups, clustering, LEVEL))


def _responses(
    s: _Read,
    r: _Read,
    sums: tuple[tuple[CellSums, CellSums], tuple[CellSums, CellSums]],
    common: Sequence[int],
) -> tuple[Response, ...]:
    groups: dict[str, tuple[int, ...]] = {PROCESSES[p]: (p,) for p in common}
    if len(common) > 1:
        groups["sum"] = tuple(common)
    effective = [
        {name: _effective_per_region(own[1], processes) for name, processes in groups.items()}
        for own in sums
    ]
    return tuple(compare_responses(s.response, r.response, groups, (effective[0], effective[1])))


def _effective_per_region(sums: CellSums, processes: Sequence[int]) -> Floats:
    """Of each region, and of all of them together last, shape (n_regions + 1,)."""
    n = len(PROCESSES)
    cells = [[r * n + p for p in processes] for r in range(len(REGIONS))]
    cells.append([cell for own in cells for cell in own])
    return np.array([float(of_group(sums, own).effective[0]) for own in cells])
