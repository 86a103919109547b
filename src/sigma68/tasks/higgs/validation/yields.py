"""Yields against a table, and the effective numbers of events behind them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from sigma68.tasks.higgs.regions import REGIONS
from sigma68.tasks.higgs.schema import PROCESSES
from sigma68.tasks.higgs.validation.judgement import SIMULATION, Judgement, Verdict
from sigma68.tasks.higgs.validation.ledger import CellSums
from sigma68.tasks.higgs.validation.tables import YieldTable

__all__ = [
    "INCLUSIVE",
    "EventNumbers",
    "YieldTest",
    "compare_yields",
    "event_numbers",
]

INCLUSIVE: Final = "inclusive"
"""The name of a yield before the high thresholds."""


@dataclass(frozen=True)
class YieldTest:
    """One yield at 10 fb^-1.

    `ratio` is tested over expected, `error` its statistical error (of both where the expectation
    has one, hard events counted once). `beyond` is how many such errors the ratio lies beyond its
    tolerance, negative inside. `reference` is the sum of the reference events' weights with its
    error, for information: None where there are none.
    """

    process: str
    region: str
    expected: float
    expected_error: float
    tested: float
    ratio: float
    error: float
    tolerance: float
    beyond: float | None
    verdict: Verdict
    reference: float | None
    reference_error: float | None


@dataclass(frozen=True)
class EventNumbers:
    """Rows behind one yield.

    `effective` is (sum w)^2 / sum w^2 with hard events counted once, `efficiency` its ratio to
    the rows; `expected` is the sum of weights and `per_expected` the ratio of effective to
    expected events (r). `spread` is the standard deviation of the weights over their mean,
    `largest` the largest weight over their mean.
    """

    process: str
    region: str
    rows: int
    effective: float
    efficiency: float
    expected: float
    per_expected: float
    spread: float
    largest: float


def compare_yields(
    table: YieldTable,
    tested: tuple[CellSums, CellSums],
    reference: tuple[CellSums, CellSums],
    judgement: Judgement = SIMULATION,
) -> list[YieldTest]:
    """Every yield that the table knows; sums are (per process, per region and process)."""
    found = []
    for p in range(len(PROCESSES)):
        for row in range(1 + len(REGIONS)):
            source = table.inclusive if row == 0 else table.regions[row - 1]
            if not math.isnan(source[p]):
                found.append(_compare(table, tested, reference, judgement, p, row))
    return found


def _compare(
    table: YieldTable,
    tested: tuple[CellSums, CellSums],
    reference: tuple[CellSums, CellSums],
    judgement: Judgement,
    p: int,
    row: int,
) -> YieldTest:
    """One yield of process `p`: inclusive in row 0, else of region `row` - 1."""
    which, cell = (0, p) if row == 0 else (1, (row - 1) * len(PROCESSES) + p)
    expected = float(table.regions[row - 1, p] if row else table.inclusive[p])
    expected_error = float(table.regions_error[row - 1, p] if row else table.inclusive_error[p])
    events, events_error = _sum_and_error(tested[which], cell)
    ratio = events / expected
    # Where the tested events are too few, what is expected is not known better for that.
    error = math.hypot(events_error, max(ratio, 1.0) * expected_error) / expected
    tolerance = (judgement.region_tolerance if row else judgement.inclusive_tolerance)[p]
    off = abs(ratio - 1) - tolerance
    verdict: Verdict = "pass" if off <= 0 else "miss"
    if row and expected <= judgement.least_events:
        verdict = "small"
    elif error > judgement.largest_error:
        verdict = "unsure"
    present = bool(tested[0].rows[p] > 0)
    weight, weight_error = _sum_and_error(reference[which], cell)
    known = bool(reference[which].rows[cell] > 0)
    return YieldTest(
        process=PROCESSES[p],
        region=REGIONS[row - 1] if row else INCLUSIVE,
        expected=expected,
        expected_error=expected_error,
        tested=events,
        ratio=ratio,
        error=error,
        tolerance=tolerance,
        beyond=off / error if error > 0 else None,
        verdict=verdict if present else "none",
        reference=weight if known else None,
        reference_error=weight_error if known else None,
    )


def event_numbers(per_process: CellSums, per_region: CellSums) -> list[EventNumbers]:
    """The rows behind every yield, processes without rows left out."""
    found = []
    for p, process in enumerate(PROCESSES):
        if per_process.rows[p] == 0:
            continue
        found.append(_numbers(process, INCLUSIVE, per_process, p))
        found += [
            _numbers(process, region, per_region, r * len(PROCESSES) + p)
            for r, region in enumerate(REGIONS)
        ]
    return found


def _numbers(process: str, region: str, sums: CellSums, cell: int) -> EventNumbers:
    rows, events = int(sums.rows[cell]), float(sums.sumw[cell])
    effective = float(sums.effective[cell])
    mean = events / rows if rows else 0.0
    variance = float(sums.sumw2[cell]) / rows - mean**2 if rows else 0.0
    return EventNumbers(
        process=process,
        region=region,
        rows=rows,
        effective=effective,
        efficiency=effective / rows if rows else 0.0,
        expected=events,
        per_expected=effective / events if events else 0.0,
        spread=math.sqrt(max(variance, 0.0)) / mean if mean else 0.0,
        largest=float(sums.largest[cell]) / mean if mean else 0.0,
    )


def _sum_and_error(sums: CellSums, cell: int) -> tuple[float, float]:
    return float(sums.sumw[cell]), math.sqrt(float(sums.unit2[cell]))
