"""Simulated events against a table of yields and real events: everything, put together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError, MissingExtraError, SettingsError
from sigma68.protocols import Progress
from sigma68.seeds import stream
from sigma68.tasks.higgs.regions import REGIONS
from sigma68.tasks.higgs.schema import PROCESSES
from sigma68.tasks.higgs.validation.correlations import CorrelationTest, compare_correlations
from sigma68.tasks.higgs.validation.distributions import DistributionTest, compare_distributions
from sigma68.tasks.higgs.validation.histograms import column_histograms
from sigma68.tasks.higgs.validation.ledger import CellSums, of_group
from sigma68.tasks.higgs.validation.reading import SAMPLE_ROWS, Both, Side, read_both
from sigma68.tasks.higgs.validation.response import Response, compare_responses
from sigma68.tasks.higgs.validation.result import PARTS, EventsSummary, Validation
from sigma68.tasks.higgs.validation.roc import ClassifierTest
from sigma68.tasks.higgs.validation.sample import thinned
from sigma68.tasks.higgs.validation.tables import YieldTable, published
from sigma68.tasks.higgs.validation.yields import compare_yields, event_numbers

__all__ = ["LARGE", "LEVEL", "POOLED", "validate"]

LEVEL: Final = 0.01
"""P-values below this, corrected for the number of tests, are called incompatible."""
LARGE: Final = 100
"""A process is tested by itself if there are so many real rows of it; trees need so many effective
events of both kinds."""
POOLED: Final = "pooled"
"""The name of the group of all processes that both files have."""

_CORRELATION_ROWS: Final = 50_000

Floats = npt.NDArray[np.float64]


def validate(
    tested: Path,
    reference: Path,
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
    MissingExtraError
        If the classifier is wanted and xgboost is not installed.
    """
    _check_parts(parts)
    report = progress or (lambda what, fraction: None)
    both = read_both(tested, reference, seed, sample_rows, lambda w, f: report(w, 0.6 * f))
    if not both.common:
        raise DataError(
            f"{tested} and {reference} have no process in common: there is nothing to compare"
        )
    groups = _groups(both)
    chosen = table or published()
    s, r = both.tested, both.reference

    def made(part: str, what: str, fraction: float) -> bool:
        report(what, fraction)
        return part in parts

    return Validation(
        tested=_summary(s),
        reference=_summary(r),
        table=chosen,
        level=LEVEL,
        seed=seed,
        sample_rows=sample_rows,
        parts=tuple(part for part in PARTS if part in parts),
        groups={name: tuple(PROCESSES[p] for p in own) for name, own in groups.items()},
        yields=tuple(compare_yields(chosen, s.sums, r.sums)) if "yields" in parts else (),
        numbers=tuple(event_numbers(*s.sums)),
        reference_numbers=tuple(event_numbers(*r.sums)),
        distributions=_distributions(both, groups)
        if made("distributions", "distributions", 0.6)
        else (),
        histograms=column_histograms(
            s.histograms, r.histograms, both.binnings, both.clustering, both.common
        )
        if "distributions" in parts
        else (),
        responses=_responses(both) if made("response", "responses", 0.65) else (),
        correlations=tuple(_correlations(both, groups, seed))
        if made("correlations", "correlations", 0.7)
        else (),
        classifiers=_classifiers(both, groups, seed)
        if made("classifier", "training trees", 0.85)
        else (),
    )


def _check_parts(parts: Sequence[str]) -> None:
    unknown = [part for part in parts if part not in PARTS]
    if unknown or not parts:
        raise SettingsError(
            f"there is no part {', '.join(map(repr, unknown)) or 'named'} of a validation: "
            f"choose among {', '.join(PARTS)}"
        )
    if "classifier" in parts and find_spec("xgboost") is None:
        rest = ",".join(part for part in PARTS if part != "classifier")
        raise MissingExtraError(
            "the classifier needs xgboost, which is not installed: pip install 'sigma68[trees]', "
            f"or leave it out with --parts {rest}"
        )


def _groups(both: Both) -> dict[str, tuple[int, ...]]:
    """Large processes by themselves, and all together where that is something else."""
    rows = both.reference.process_sums.rows
    groups: dict[str, tuple[int, ...]] = {
        PROCESSES[p]: (p,) for p in both.common if rows[p] >= LARGE
    }
    if len(both.common) > 1 or not groups:
        groups[POOLED] = both.common
    return groups


def _summary(side: Side) -> EventsSummary:
    sums = side.process_sums
    return EventsSummary(
        name=side.ledger.file.path.name,
        rows=side.ledger.n_rows,
        rows_per_process=dict(zip(PROCESSES, sums.rows.tolist(), strict=True)),
        sum_weights=dict(zip(PROCESSES, sums.sumw.tolist(), strict=True)),
        effective=dict(zip(PROCESSES, sums.effective.tolist(), strict=True)),
        has_hard_events=side.ledger.unit is not None,
        form=side.form.form(),
    )


def _distributions(both: Both, groups: Mapping[str, Sequence[int]]) -> tuple[DistributionTest, ...]:
    s, r = both.tested.cumulative, both.reference.cumulative
    return tuple(compare_distributions(s, r, groups, both.clustering, LEVEL))


def _responses(both: Both) -> tuple[Response, ...]:
    groups: dict[str, tuple[int, ...]] = {PROCESSES[p]: (p,) for p in both.common}
    if len(both.common) > 1:
        groups["sum"] = both.common
    s, r = both.tested, both.reference
    effective = {name: _effective_per_region(r.region_sums, own) for name, own in groups.items()}
    found = compare_responses(s.response, r.response, groups, effective)
    return tuple(found)


def _effective_per_region(sums: CellSums, processes: Sequence[int]) -> Floats:
    """Of each region, and of all of them together last, shape (n_regions + 1,)."""
    n = len(PROCESSES)
    cells = [[r * n + p for p in processes] for r in range(len(REGIONS))]
    cells.append([cell for own in cells for cell in own])
    return np.array([float(of_group(sums, own).effective[0]) for own in cells])


def _correlations(
    both: Both, groups: Mapping[str, Sequence[int]], seed: int
) -> Iterator[CorrelationTest]:
    own = stream("higgs", "validation correlations", seed)
    for group, processes in groups.items():
        samples = [
            thinned(side.sample.of(processes), _CORRELATION_ROWS, own.child(f"{group} {name}"))
            for name, side in (("simulated", both.tested), ("real", both.reference))
        ]
        yield compare_correlations(group, samples[0], samples[1], LEVEL)


def _classifiers(
    both: Both, groups: Mapping[str, Sequence[int]], seed: int
) -> tuple[ClassifierTest, ...]:
    from sigma68.tasks.higgs.validation.classifier import judged, tell_apart

    own = stream("higgs", "validation classifier", seed)
    s, r = both.tested.sample, both.reference.sample
    samples = {group: (s.of(p), r.of(p)) for group, p in groups.items()}
    tests = [
        tell_apart(group, *pair, own)
        for group, pair in samples.items()
        if min(sample.effective for sample in pair) >= LARGE
    ]
    return judged(tests, LEVEL)
