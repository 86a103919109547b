"""Gradient-boosted trees that tell signal from background (extra `trees`: xgboost).

Training weights are the events' own weights, rescaled so that signal and background weigh the
same and the mean weight is 1 (the scale that xgboost's `min_child_weight` counts in). The
number of trees is set by early stopping on hard events kept out of the training. The result is
a function of data, settings and seed; the number of threads changes nothing. xgboost trains;
`sigma68.learning.forest` scores events, to the same bits.

Reference: Chen & Guestrin, "XGBoost: a scalable tree boosting system", KDD 2016.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import xgboost

from sigma68.errors import DataError, FitError
from sigma68.learning.balance import balanced_weights, held_out
from sigma68.learning.forest import Forest
from sigma68.learning.ubjson import read_ubjson
from sigma68.protocols import Progress
from sigma68.types import FloatArray, Labelled

__all__ = ["TreeSettings", "Trees", "train_trees"]


@dataclass(frozen=True)
class TreeSettings:
    """What is trained.

    Boosting stops when the weighted log loss on `validation_share` of the hard events has not
    improved for `patience` trees. `threads` is the number of threads, 0 for all cores.
    """

    n_trees: int = 150
    max_depth: int = 6
    learning_rate: float = 0.15
    min_child_weight: float = 10.0
    subsample: float = 1.0
    validation_share: float = 0.2
    patience: int = 20
    seed: int = 1
    threads: int = 0


@dataclass(frozen=True, eq=False)
class Trees:
    """Trained trees. Scores are log odds for equal amounts of signal and background.

    `content` is what xgboost saved, in its UBJSON format.
    """

    content: bytes = field(repr=False)
    names: tuple[str, ...]
    forest: Forest = field(repr=False)
    threads: int = TreeSettings.threads

    @property
    def n_trees(self) -> int:
        return self.forest.n_trees

    @property
    def booster(self) -> xgboost.Booster:
        """The trees as xgboost has them, loaded anew at each call."""
        booster = xgboost.Booster({"nthread": self.threads})
        booster.load_model(bytearray(self.content))
        return booster

    def score(self, values: FloatArray) -> npt.NDArray[np.float32]:
        """The score of events, (n_features, n_events) to (n_events,).

        Nothing is copied if the values are float32 and a feature's lie side by side.

        Raises
        ------
        FitError
            If a feature or a score is NaN or infinite.
        DataError
            If there are more or fewer features than the trees were trained on.
        """
        with np.errstate(over="ignore"):  # infinity is refused below
            values = np.asarray(values, np.float32)
        scores = self.forest.margins(values, threads=self.threads)
        if scores is None:
            raise _not_finite(values, self.names)
        if not np.isfinite(scores).all():
            raise FitError("the trees gave a score that is NaN or infinite")
        return scores

    def to_bytes(self) -> bytes:
        """The trees in xgboost's UBJSON format."""
        return self.content

    @classmethod
    def from_bytes(
        cls,
        content: bytes | bytearray,
        names: tuple[str, ...],
        *,
        threads: int = TreeSettings.threads,
    ) -> Trees:
        """The trees that `to_bytes` wrote, to be evaluated on so many threads.

        They are read here and not by xgboost, which a damaged file can crash.

        Raises
        ------
        DataError
            If the content is damaged, of another kind of trees, or has another number of features.
        """
        try:
            document = read_ubjson(content)
        except ValueError as error:
            raise DataError(f"the saved trees are damaged ({error}): train again") from error
        forest = Forest.of(document)
        if forest.n_features != len(names):
            raise DataError(
                f"the saved trees take {forest.n_features} features, not {len(names)}: train again"
            )
        return cls(bytes(content), names, forest, threads)


def train_trees(
    events: Labelled, settings: TreeSettings | None = None, progress: Progress | None = None
) -> Trees:
    """Trees that separate signal from background in `events`.

    Raises
    ------
    DataError
        If the events kept for training, or those kept out, hold only one class.
    FitError
        If a feature is NaN or infinite.
    """
    settings = settings or TreeSettings()
    _require_finite(events.values, events.names)
    outside = held_out(events.n_events, events.hard_event, settings.validation_share)
    training = _matrix(events, ~outside, settings)
    validation = _matrix(events, outside, settings, reference=training)
    callbacks: list[xgboost.callback.TrainingCallback] = [
        xgboost.callback.EarlyStopping(rounds=settings.patience, save_best=True)
    ]
    if progress is not None:
        callbacks.append(_Report(progress, settings.n_trees))
    booster = xgboost.train(
        _booster_settings(settings),
        training,
        num_boost_round=settings.n_trees,
        evals=[(validation, "validation")],
        callbacks=callbacks,
        verbose_eval=False,
    )
    if progress is not None:
        progress("training trees", 1.0)
    return Trees.from_bytes(booster.save_raw("ubj"), events.names, threads=settings.threads)


def _booster_settings(settings: TreeSettings) -> dict[str, Any]:
    return {
        "objective": "binary:logistic",
        "eval_metric": "logloss",
        "tree_method": "hist",
        "base_score": 0.5,
        "max_depth": settings.max_depth,
        "eta": settings.learning_rate,
        "min_child_weight": settings.min_child_weight,
        "subsample": settings.subsample,
        "seed": settings.seed,
        "nthread": settings.threads,
    }


def _matrix(
    events: Labelled,
    chosen: npt.NDArray[np.bool_],
    settings: TreeSettings,
    reference: xgboost.QuantileDMatrix | None = None,
) -> xgboost.QuantileDMatrix:
    """The chosen events binned into quantiles, a byte a value, with balanced weights."""
    labels = events.labels[chosen]
    return xgboost.QuantileDMatrix(
        events.values[:, chosen].T,
        labels.astype(np.float32),
        weight=balanced_weights(events.weights[chosen], labels),
        nthread=settings.threads or None,
        ref=reference,
    )


def _require_finite(values: FloatArray, names: tuple[str, ...]) -> None:
    """Raise FitError where a feature is NaN or infinite: trees would take NaN for "missing"."""
    with np.errstate(invalid="ignore", over="ignore"):
        suspects = ~np.isfinite(values @ np.ones(values.shape[1], values.dtype))
    if suspects.any() and not np.isfinite(values[suspects]).all():
        raise _not_finite(values, names)


def _not_finite(values: FloatArray, names: tuple[str, ...]) -> FitError:
    """What to say of the first feature with a value that is NaN or infinite."""
    row = int(np.argmin([np.isfinite(column).all() for column in values]))
    event = int(np.argmin(np.isfinite(values[row])))
    return FitError(f"{names[row]} is {values[row, event]} in event {event}")


class _Report(xgboost.callback.TrainingCallback):  # type: ignore[misc]  # xgboost is untyped
    """Passes the fraction of trees done on to a progress callback."""

    def __init__(self, progress: Progress, n_trees: int) -> None:
        super().__init__()
        self._progress = progress
        self._n_trees = n_trees

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        """Called by xgboost after each tree; False goes on."""
        self._progress("training trees", (epoch + 1) / self._n_trees)
        return False
