"""Yields of simulated events against a table, and the effective numbers of events behind them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

from sigma68.tasks.higgs.regions import REGIONS
from sigma68.tasks.higgs.schema import PROCESSES
from sigma68.tasks.higgs.validation.ledger import CellSums
from sigma68.tasks.higgs.validation.tables import YieldTable

__all__ = [
    "INCLUSIVE",
    "INCLUSIVE_TOLERANCE",
    "LEAST_EVENTS",
    "REGION_TOLERANCE",
    "EventNumbers",
    "YieldTest",
    "compare_yields",
    "event_numbers",
]

INCLUSIVE: Final = "inclusive"
"""The name of a yield before the high thresholds."""
INCLUSIVE_TOLERANCE: Final = (0.03, 0.05, 0.05, 0.10)
"""How far the inclusive yield of each process may be from the table, relative."""
REGION_TOLERANCE: Final = (0.05, 0.05, 0.05, 0.10)
"""The same for its yield in a region after the high thresholds."""
LEAST_EVENTS: Final = 200.0
"""Regions in which the table has fewer events of a process are shown but not judged."""

Verdict = Literal["pass", "miss", "small", "none"]
"""Within the tolerance, outside of it, too few events to judge, or not simulated."""


@dataclass(frozen=True)
class YieldTest:
    """One yield at 10 fb^-1.

    `ratio` is simulated over expected, `error` its statistical error (of the simulation, hard events
    counted once). `beyond` is how many such errors the ratio lies beyond its tolerance,
    negative inside. `real` is the sum of the real events' weights with its error, for information:
    None where there are none.
    """

    process: str
    region: str
    expected: float
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
) -> list[YieldTest]:
    """Every yield that the table knows; sums are (per process, per region and process)."""
    found = []
    for p, process in enumerate(PROCESSES):
        present = bool(tested[0].rows[p] > 0)
        for row, region in enumerate((INCLUSIVE, *REGIONS)):
            inclusive = row == 0
            expected = float(table.inclusive[p] if inclusive else table.regions[row - 1, p])
            if math.isnan(expected):
                continue
            which, cell = (0, p) if inclusive else (1, (row - 1) * len(PROCESSES) + p)
            events, error = _sum_and_error(tested[which], cell)
            weight, weight_error = _sum_and_error(reference[which], cell)
            known = bool(reference[which].rows[cell] > 0)
            ratio, tolerance = events / expected, _tolerance(inclusive, p)
            off = abs(ratio - 1) - tolerance
            small = not inclusive and expected <= LEAST_EVENTS
            verdict: Verdict = "pass" if off <= 0 else "miss"
            found.append(
                YieldTest(
                    process=process,
                    region=region,
                    expected=expected,
                    tested=events,
                    ratio=ratio,
                    error=error / expected,
                    tolerance=tolerance,
                    beyond=off * expected / error if error > 0 else None,
                    verdict="none" if not present else "small" if small else verdict,
                    reference=weight if known else None,
                    reference_error=weight_error if known else None,
                )
            )
    return found


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


def _tolerance(inclusive: bool, process: int) -> float:
    return (INCLUSIVE_TOLERANCE if inclusive else REGION_TOLERANCE)[process]
