"""What methods share that bin a learned score and know statistical errors only.

A method adds how its score is learned, saved and loaded: `train_score`, `score`, `write_score`,
`read_score`. The rest, from bins to the interval, is here.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from sigma68.inference.interval_method import IntervalMethod
from sigma68.inference.poisson import fit_mu
from sigma68.learning.binning import BinChoice, Templates, choose_edges, count, fill_templates
from sigma68.protocols import Pool, Progress, Task
from sigma68.types import Labelled, Observation, Prediction

__all__ = ["StatOnlyMethod"]

_OF_BINS = ("max_bins", "min_background", "min_signal")


class StatOnlyMethod(IntervalMethod):
    """A Poisson fit in bins of a learned score; no systematics.

    The score is learned on the training pool; bins, with the expected signal and background in
    each, come from the calibration pool, which it never saw. An observation gives the likelihood
    interval on the parameter mu of prod_j Poisson(n_j | mu S_j + B_j).

    Parameters
    ----------
    task
        A task that asks for an interval on one parameter that scales the signal.
    nuisances
        The nuisance parameters at which events are simulated; those not named are off.
    max_train_rows
        At most so many training events are used; None for all.
    bins
        How bins are chosen.
    """

    def __init__(
        self,
        task: Task,
        *,
        nuisances: Mapping[str, float] | None,
        max_train_rows: int | None,
        bins: BinChoice,
    ) -> None:
        super().__init__(task)
        self.nuisances = dict(nuisances or {})
        self.max_train_rows = max_train_rows
        self.bin_choice = bins
        self.templates: Templates | None = None

    @abstractmethod
    def train_score(self, events: Labelled, progress: Progress | None) -> None:
        """Learn a score from events."""

    @abstractmethod
    def score(self, values: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
        """The score of events, (n_features, n_events) to (n_events,).

        Raises
        ------
        FitError
            If it is not trained, or a feature or score is NaN or infinite.
        """

    @abstractmethod
    def write_score(self, folder: Path) -> None:
        """Write what `read_score` needs."""

    @abstractmethod
    def read_score(self, folder: Path) -> None:
        """Take the score that `write_score` wrote."""

    @abstractmethod
    def score_settings(self) -> dict[str, Any]:
        """Those of the keyword arguments that the learning of the score was given."""

    def fit(self, train: Pool, calibration: Pool, progress: Progress | None = None) -> None:
        """Train on one pool, choose bins and fill templates on the other.

        Raises
        ------
        DataError
            If a pool has no signal or no background.
        """
        self.templates = None  # those of an earlier score are not for this one
        self.train_score(train.labelled(self.nuisances, max_rows=self.max_train_rows), progress)
        if progress is not None:
            progress("choosing bins", 0.0)
        events = calibration.labelled(self.nuisances)
        of_events = (events.weights, events.labels, events.hard_event)
        scores = self.score(events.values)
        edges = choose_edges(scores, *of_events, self.bin_choice)
        self.templates = fill_templates(scores, *of_events, edges)
        if progress is not None:
            progress("choosing bins", 1.0)

    def predict(self, observation: Observation) -> Prediction:
        """The interval from the counts in bins of the score.

        Raises
        ------
        FitError
            If a feature or score is NaN or infinite, or the fit finds no interval.
        DataError
            If the observation has other features than the method was trained on.
        """
        scores = self.scores(observation)
        templates = self._filled()
        observed = count(scores, templates.edges)
        interval = fit_mu(observed, templates.signal, templates.background)
        return Prediction.interval(self.task.parameters[0].name, interval)

    def scores(self, observation: Observation) -> npt.NDArray[np.float32]:
        """The score of each event, larger where signal is likelier; shape (n_events,).

        Raises
        ------
        FitError
            If a feature or score is NaN or infinite, or the method is not trained yet.
        DataError
            If the observation has other features than the method was trained on.
        """
        self._filled()
        return self.score(self.values_of(observation))

    def save(self, folder: Path) -> None:
        """Write the score and `<name>.json` into an existing folder.

        Raises
        ------
        FitError
            If it is not trained yet.
        OutputError
            If they cannot be written.
        """
        templates = self._filled().to_json()
        self.write_score(folder)
        self.write(folder, {"templates": templates})

    @classmethod
    def load(cls, folder: Path, task: Task) -> Self:
        """The method that `save` wrote.

        Raises
        ------
        ModelMismatchError
            If it was trained for another task or other features.
        DataError
            If a file is missing or damaged.
        """
        method, _, document = cls.read(folder, task, ("templates",))
        method.read_score(folder)
        method.templates = Templates.from_json(document["templates"])
        return method

    def settings(self) -> dict[str, Any]:
        """The keyword arguments that this method was made with."""
        bins = asdict(self.bin_choice)
        return {
            "nuisances": self.nuisances,
            "max_train_rows": self.max_train_rows,
            **self.score_settings(),
            **{name: bins[name] for name in _OF_BINS},
        }

    def _filled(self) -> Templates:
        if self.templates is None:
            raise self.untrained()
        return self.templates
