"""Boosted trees trained to tell tested from reference events (extra `trees`: xgboost).

Five trainings, each judged on the fifth of the hard events that it has not seen. Tested and
reference events weigh the same in training. The area under the ROC curve is 0.5 where they cannot be
told apart. Trainings share events, so that the five areas are not independent: the error of their
mean is enlarged as Nadeau & Bengio, Machine Learning 52 (2003) 239, propose. Where there is nothing
to learn, the mean lies a little below 0.5 rather than above, so only areas above 0.5 count as a
difference.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import special

from sigma68.learning.trees import Trees, TreeSettings, train_trees
from sigma68.seeds import Stream
from sigma68.tasks.higgs.emulate.threads import in_order, threads_here
from sigma68.tasks.higgs.schema import FEATURES
from sigma68.tasks.higgs.split import mixed
from sigma68.tasks.higgs.validation.roc import ClassifierTest, area, judged, roc_curve
from sigma68.tasks.higgs.validation.sample import Sample, thinned
from sigma68.types import Labelled

__all__ = ["judged", "tell_apart"]

Floats = npt.NDArray[np.float64]

FOLDS: Final = 5
_LEAST_TESTED: Final = 20_000
_TESTED_PER_REFERENCE: Final = 10
_ROWS_PER_EFFECTIVE: Final = 2
_REFERENCE_ROWS_IN_A_LEAF: Final = 10.0
_SHALLOW, _DEEPER = 3, 5
_TOP: Final = 5


def tell_apart(
    group: str, tested: Sample, reference: Sample, stream: Stream, *, even: bool = False
) -> ClassifierTest:
    """Train on four fifths and judge on the last, five times.

    With `even`, both samples are first thinned to about two rows for each effective event, whose
    weights are then nearly equal, and the trees may be deeper: for many events on both sides.

    Raises
    ------
    DataError
        If a fifth of the events holds none of one kind.
    """
    wanted = max(_LEAST_TESTED, _TESTED_PER_REFERENCE * reference.n_events)
    if even:
        wanted = _rows(min(tested.effective, 2 * reference.effective))
        own = stream.child(f"{group} thinning of the reference")
        reference = thinned(reference, _rows(reference.effective), own)
    tested = thinned(tested, wanted, stream.child(f"{group} thinning"))
    events, fold = _together(tested, reference, stream.child(f"{group} folds"))
    settings = _settings(events, reference.effective, _DEEPER if even else _SHALLOW)

    def judge(k: int) -> _Fold:
        trees = train_trees(_chosen(events, fold != k), settings)
        left_out = _chosen(events, fold == k)
        scores = trees.score(left_out.values).astype(np.float64)
        return _Fold(*area(scores, left_out), roc_curve(scores, left_out), _gains(trees))

    # A training on one core each: threads that share one wait for each other on a busy machine.
    folds = list(in_order(judge, range(FOLDS), threads=threads_here(), ahead=FOLDS))
    auc = float(np.mean([own.area for own in folds]))
    error = _error_of_mean([own.error for own in folds])
    gains: Floats = np.sum([own.gains for own in folds], axis=0)
    null_error = _null_error(tested, reference)
    # Where they are far apart the error is small: the test asks what chance does.
    p_value = float(special.ndtr((0.5 - auc) / max(error, null_error)))
    top = np.argsort(-gains)[:_TOP]
    return ClassifierTest(
        group=group,
        rows_tested=tested.n_events,
        rows_reference=reference.n_events,
        auc=auc,
        error=error,
        null_error=null_error,
        folds=tuple(own.area for own in folds),
        p_value=p_value,
        corrected=p_value,
        detectable=math.nan,
        columns=tuple((FEATURES[i], float(gains[i] / max(gains.sum(), 1e-300))) for i in top),
        curve=np.mean([own.curve for own in folds], axis=0),
    )


@dataclass(frozen=True)
class _Fold:
    """What one training gave: area and its error, the ROC curve, and the gain of each column."""

    area: float
    error: float
    curve: Floats
    gains: Floats


def _error_of_mean(errors: list[float]) -> float:
    """The error of the mean of the five areas: test events over training events are added."""
    of_one = float(np.mean(np.square(errors)))
    return math.sqrt(of_one * (1 / FOLDS + 1 / (FOLDS - 1)))


def _null_error(tested: Sample, reference: Sample) -> float:
    """The error of the mean area for scores that know nothing."""
    inverse = sum(1 / sample.effective for sample in (tested, reference))
    return _error_of_mean([math.sqrt(inverse * FOLDS / 12)])


def _together(
    tested: Sample, reference: Sample, stream: Stream
) -> tuple[Labelled, npt.NDArray[np.int64]]:
    """Both samples as signal and background, and the fold of each event by its hard event."""
    _, first = np.unique(tested.unit, return_inverse=True)
    _, second = np.unique(reference.unit, return_inverse=True)
    unit = np.concatenate([first, second + len(first)]).astype(np.int64)
    labels = np.repeat(np.array([1, 0], np.int8), [tested.n_events, reference.n_events])
    events = Labelled(
        names=FEATURES,
        values=np.concatenate([tested.values, reference.values], axis=1),
        weights=np.concatenate([tested.weights, reference.weights]),
        labels=labels,
        process=1 - labels,
        process_names=("tested", "reference"),
        hard_event=unit,
    )
    return events, (mixed(unit, stream.key) % np.uint64(FOLDS)).astype(np.int64)


def _chosen(events: Labelled, mask: npt.NDArray[np.bool_]) -> Labelled:
    return replace(
        events,
        values=np.ascontiguousarray(events.values[:, mask]),
        weights=events.weights[mask],
        labels=events.labels[mask],
        process=events.process[mask],
        hard_event=None if events.hard_event is None else events.hard_event[mask],
    )


def _rows(effective: float) -> int:
    return math.ceil(_ROWS_PER_EFFECTIVE * effective)


def _settings(events: Labelled, effective: float, depth: int) -> TreeSettings:
    """Trees whose leaves cannot be made of a few of the `effective` reference events."""
    # In training the reference events weigh half of all, and an undecided event's second derivative
    # is a quarter of its weight.
    per_reference_event = 0.25 * 0.5 * events.n_events / effective
    return TreeSettings(
        n_trees=200,
        max_depth=depth,
        learning_rate=0.08,
        min_child_weight=_REFERENCE_ROWS_IN_A_LEAF * per_reference_event,
        threads=1,
    )


def _gains(trees: Trees) -> Floats:
    """How much each column improved the separation, (28,)."""
    gains = np.zeros(len(FEATURES))
    for name, gain in trees.booster.get_score(importance_type="total_gain").items():
        gains[int(name.removeprefix("f"))] = gain
    return gains
