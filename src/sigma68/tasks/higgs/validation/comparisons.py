"""Each comparison of a validation, made from what was read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from sigma68.seeds import stream
from sigma68.tasks.higgs.regions import REGIONS
from sigma68.tasks.higgs.schema import FEATURES, PROCESSES
from sigma68.tasks.higgs.validation import neighbours
from sigma68.tasks.higgs.validation.correlations import CorrelationTest, compare_correlations
from sigma68.tasks.higgs.validation.distributions import DistributionTest, compare_distributions
from sigma68.tasks.higgs.validation.gap import Separation
from sigma68.tasks.higgs.validation.hypotheses import LEVEL
from sigma68.tasks.higgs.validation.judgement import Judgement
from sigma68.tasks.higgs.validation.ledger import CellSums, of_group
from sigma68.tasks.higgs.validation.likeness import clustering_of_columns
from sigma68.tasks.higgs.validation.neighbours import NeighbourTest
from sigma68.tasks.higgs.validation.part import title_of
from sigma68.tasks.higgs.validation.reading import Files, Side
from sigma68.tasks.higgs.validation.response import Response, compare_responses
from sigma68.tasks.higgs.validation.result import EventsSummary, TrainingSummary
from sigma68.tasks.higgs.validation.roc import ClassifierTest, judged
from sigma68.tasks.higgs.validation.sample import Sample, thinned

__all__ = ["LARGE", "POOLED"]

Floats = npt.NDArray[np.float64]
Groups = Mapping[str, Sequence[int]]

LARGE: Final = 100
"""A process is tested by itself if the reference has so many rows of it; trees need so many
effective events of both kinds."""
POOLED: Final = "pooled"
"""The name of the group of all processes that both files have."""

_CORRELATION_ROWS: Final = 50_000


def groups(files: Files, judgement: Judgement) -> dict[str, tuple[int, ...]]:
    """Large processes by themselves, and all together where that is something else."""
    rows = files.reference.process_sums.rows
    groups: dict[str, tuple[int, ...]] = {
        PROCESSES[p]: (p,) for p in files.common if rows[p] >= LARGE
    }
    if (judgement.pooled and len(files.common) > 1) or not groups:
        groups[POOLED] = files.common
    return groups


def summary(side: Side) -> EventsSummary:
    sums = side.process_sums
    return EventsSummary(
        name=title_of(side.ledger.file),
        rows=side.ledger.n_rows,
        rows_per_process=dict(zip(PROCESSES, sums.rows.tolist(), strict=True)),
        sum_weights=dict(zip(PROCESSES, sums.sumw.tolist(), strict=True)),
        effective=dict(zip(PROCESSES, sums.effective.tolist(), strict=True)),
        has_hard_events=side.ledger.unit is not None,
        form=side.form.form(),
    )


def training_summary(files: Files) -> TrainingSummary | None:
    ledger = files.training_ledger
    if ledger is None:
        return None
    rows = np.bincount(ledger.process, minlength=len(PROCESSES)).tolist()
    return TrainingSummary(
        title_of(ledger.file), ledger.n_rows, dict(zip(PROCESSES, rows, strict=True))
    )


def distributions(
    files: Files, groups: Groups, judgement: Judgement
) -> tuple[DistributionTest, ...]:
    t, r = files.tested, files.reference
    samples = None
    factors = [np.repeat(side.clustering[None], len(FEATURES), axis=0) for side in (t, r)]
    if judgement.fine:
        samples = (t.sample, r.sample)
        factors = [clustering_of_columns(side.sample, side.clustering) for side in (t, r)]
    found = compare_distributions(
        t.cumulative, r.cumulative, groups, (factors[0], factors[1]), LEVEL, samples
    )
    return tuple(found)


def responses(files: Files, judgement: Judgement) -> tuple[Response, ...]:
    groups: dict[str, tuple[int, ...]] = {PROCESSES[p]: (p,) for p in files.common}
    if len(files.common) > 1:
        groups["sum"] = files.common
    t, whole = files.tested, files.whole
    effective = {
        name: _effective_per_region(whole.region_sums, own) for name, own in groups.items()
    }
    return tuple(compare_responses(t.response, whole.response, groups, effective, judgement))


def _effective_per_region(sums: CellSums, processes: Sequence[int]) -> Floats:
    """Of each region, and of all of them together last, shape (n_regions + 1,)."""
    n = len(PROCESSES)
    cells = [[r * n + p for p in processes] for r in range(len(REGIONS))]
    cells.append([cell for own in cells for cell in own])
    return np.array([float(of_group(sums, own).effective[0]) for own in cells])


def correlations(files: Files, groups: Groups, seed: int) -> Iterator[CorrelationTest]:
    own = stream("higgs", "validation correlations", seed)
    for group, processes in groups.items():
        samples = [
            thinned(side.sample.of(processes), _CORRELATION_ROWS, own.child(f"{group} {name}"))
            for name, side in (("tested", files.tested), ("reference", files.reference))
        ]
        yield compare_correlations(group, samples[0], samples[1], LEVEL)


def classifiers(
    files: Files, groups: Groups, judgement: Judgement, seed: int
) -> tuple[ClassifierTest, ...]:
    own = (files.tested.sample, files.reference.sample)
    return _told_apart(own, groups, judgement, "classifier", seed)


def controls(
    files: Files, groups: Groups, judgement: Judgement, seed: int
) -> tuple[ClassifierTest, ...]:
    """The same trees on events that differ in nothing but in having been trained on."""
    if files.training is None:
        return ()
    own = (files.training, files.reference.sample)
    return _told_apart(own, groups, judgement, "control", seed)


def _told_apart(
    pair: tuple[Sample, Sample],
    groups: Groups,
    judgement: Judgement,
    name: str,
    seed: int,
) -> tuple[ClassifierTest, ...]:
    from sigma68.tasks.higgs.validation.classifier import tell_apart

    own = stream("higgs", f"validation {name}", seed)
    samples = {group: (pair[0].of(p), pair[1].of(p)) for group, p in groups.items()}
    tests = [
        tell_apart(group, *both, own, even=judgement.fine)
        for group, both in samples.items()
        if min(sample.effective for sample in both) >= LARGE
    ]
    return judged(tests, LEVEL, judgement.largest_area)


def separations(
    files: Files, judgement: Judgement, seed: int, sample_rows: int
) -> tuple[Separation, ...]:
    from sigma68.tasks.higgs.validation.separation import compare_separation

    own = stream("higgs", "validation separation", seed)
    training = files.training
    if training is not None:
        training = _joined(
            thinned(training.of((p,)), sample_rows, own.child(name))
            for p, name in enumerate(PROCESSES)
        )
    samples = files.tested.sample, files.reference.sample
    return compare_separation(*samples, training, judgement, own)


def _joined(parts: Iterator[Sample]) -> Sample:
    found = list(parts)
    return Sample(
        np.concatenate([part.values for part in found], axis=1),
        np.concatenate([part.weights for part in found]),
        np.concatenate([part.process for part in found]),
        np.concatenate([part.unit for part in found]),
    )


def neighbours_of(files: Files, seed: int) -> tuple[NeighbourTest, ...]:
    if files.training is None:
        return ()
    own = stream("higgs", "validation neighbours", seed)
    found = [
        neighbours.compare_neighbours(
            PROCESSES[p],
            files.tested.sample.of((p,)),
            files.reference.sample.of((p,)),
            files.training.of((p,)),
            own.child(PROCESSES[p]),
        )
        for p in files.common
    ]
    return neighbours.judged([test for test in found if test is not None], LEVEL)
