"""Whether trees separate signal from background in one file as they do in the other (extra `trees`).

A method is trained on emulated events and used on others: what it has learned must not be an
artefact of one process's emulator. Trees are trained on half of the tested events and judged
on the other half and on the reference; and, the other way round, trained on simulated events and
judged on both. The area under the ROC curve must be the same. The backgrounds of every file are mixed
in the proportion of the tested events after the high thresholds, so that yields, which have their
own test, play no part. Errors are from a bootstrap over hard events.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from sigma68.learning.trees import Trees, TreeSettings, train_trees
from sigma68.seeds import Stream
from sigma68.tasks.higgs.emulate.threads import in_order, threads_here
from sigma68.tasks.higgs.schema import FEATURES, PROCESSES, SIGNAL
from sigma68.tasks.higgs.split import mixed
from sigma68.tasks.higgs.validation.gap import Gap, Separation, gap, score_histogram
from sigma68.tasks.higgs.validation.judgement import Judgement
from sigma68.tasks.higgs.validation.sample import Sample
from sigma68.types import Labelled

__all__ = ["LEAST_ROWS", "compare_separation"]

Floats = npt.NDArray[np.float64]

LEAST_ROWS: Final = 200
"""Trees are trained where there are so many rows of the signal, and of the backgrounds together."""

_SETTINGS: Final = TreeSettings(
    n_trees=200, max_depth=5, learning_rate=0.1, min_child_weight=20.0, threads=1
)


def compare_separation(
    tested: Sample,
    reference: Sample,
    training: Sample | None,
    judgement: Judgement,
    stream: Stream,
) -> tuple[Separation, ...]:
    """Train on tested events, then on simulated ones; judge each on both. Empty if too few rows.

    Without `training`, half of the reference is trained on in the second case.

    Raises
    ------
    DataError
        If the events kept for training, or those kept out, hold only one class.
    """
    mixture = _sums(tested)
    reference = in_proportion(reference, mixture)
    first, second = halves(tested, stream.child("tested"))
    if training is None:
        simulated, left = halves(reference, stream.child("reference"))
    else:
        simulated, left = in_proportion(training, mixture), reference
    jobs = [
        _Job(judgement.tested, first, (second, reference)),
        _Job(judgement.reference, simulated, (tested, left)),
    ]
    jobs = [job for job in jobs if job.fewest >= LEAST_ROWS]

    def judge(job: _Job) -> Separation:
        trees = train_trees(_labelled(job.trained_on), _SETTINGS)
        return _judged(job, trees, mixture, stream.child(job.name))

    found = list(in_order(judge, jobs, threads=threads_here(), ahead=len(jobs)))
    if found and found[0].trained_on == judgement.tested:
        found[0] = _with_verdict(found[0], judgement)
    return tuple(found)


@dataclass(frozen=True)
class _Job:
    """A training on events of one kind, and the two samples that it is judged on."""

    name: str
    trained_on: Sample
    pair: tuple[Sample, Sample]

    @property
    def fewest(self) -> int:
        return min(_fewest(sample) for sample in (self.trained_on, *self.pair))


def in_proportion(sample: Sample, mixture: Floats) -> Sample:
    """The same events, weighted so that the sums per process are those of `mixture`, (4,)."""
    own = _sums(sample)
    factor = np.divide(mixture, own, out=np.zeros_like(own), where=own > 0)
    return replace(sample, weights=sample.weights * factor[sample.process])


def _sums(sample: Sample) -> Floats:
    sums = np.bincount(sample.process, sample.weights, minlength=len(PROCESSES))
    return sums.astype(np.float64)


def halves(sample: Sample, stream: Stream) -> tuple[Sample, Sample]:
    """Two halves that share no hard event."""
    first = (mixed(sample.unit, stream.key) & np.uint64(1)) == 0
    return sample.chosen(first), sample.chosen(~first)


def _fewest(sample: Sample) -> int:
    signal = int((sample.process == SIGNAL).sum())
    return min(signal, sample.n_events - signal)


def _labelled(sample: Sample) -> Labelled:
    return Labelled(
        names=FEATURES,
        values=np.ascontiguousarray(sample.values),
        weights=sample.weights,
        labels=(sample.process == SIGNAL).astype(np.int8),
        process=sample.process,
        process_names=PROCESSES,
        hard_event=sample.unit,
    )


def _judged(job: _Job, trees: Trees, mixture: Floats, stream: Stream) -> Separation:
    pair = job.pair
    scores = tuple(trees.score(np.ascontiguousarray(sample.values)) for sample in pair)
    groups: dict[str, Floats] = {"backgrounds": np.where(_is_signal(), 0.0, mixture)}
    for p, process in enumerate(PROCESSES):
        if p != SIGNAL and all((sample.process == p).any() for sample in pair):
            groups[process] = np.where(np.arange(len(PROCESSES)) == p, 1.0, 0.0)
    gaps = _gaps(pair, scores, groups, stream)
    return Separation(
        trained_on=job.name,
        rows_training=job.trained_on.n_events,
        rows_tested=pair[0].n_events,
        rows_reference=pair[1].n_events,
        gap=gaps["backgrounds"],
        backgrounds={process: own for process, own in gaps.items() if process != "backgrounds"},
        scores=score_histogram(pair, scores),
    )


def _is_signal() -> npt.NDArray[np.bool_]:
    own: npt.NDArray[np.bool_] = np.arange(len(PROCESSES)) == SIGNAL
    return own


def _gaps(
    pair: tuple[Sample, Sample],
    scores: tuple[npt.NDArray[np.float32], ...],
    groups: Mapping[str, Floats],
    stream: Stream,
) -> dict[str, Gap]:
    return gap(pair, scores, groups, (stream.child("tested").key, stream.child("reference").key))


def _with_verdict(separation: Separation, judgement: Judgement) -> Separation:
    largest = judgement.largest_gap or math.inf
    own = separation.gap
    if own.error > largest:
        return replace(separation, verdict="unsure")
    return replace(separation, verdict="pass" if abs(own.difference) <= largest else "miss")
