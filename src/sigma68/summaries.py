"""More contracts: pools of whole observations; summaries, images, published files, scores of them.

For tasks whose observation is more than its single events: an image, a spectrum. Methods ask for
these and learn nothing else of what is observed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from sigma68.types import Observation, Score, Truth

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Columns",
    "HasImages",
    "HasKnownNoise",
    "HasObservations",
    "HasPictureLabels",
    "HasSummaries",
    "HeldObservations",
    "ScoresResamples",
    "TakesResults",
]

Columns = Mapping[str, npt.NDArray[np.float64]]
"""Columns by their names, each of shape (n_observations,)."""


@runtime_checkable
class HasObservations(Protocol):
    """A pool of whole observations, each simulated with parameters and nuisances of its own.

    They are numbered from 0 and made or read when asked for.
    """

    @property
    def n_observations(self) -> int:
        """How many there are."""
        ...

    def truth(self, number: int) -> Truth:
        """What an observation was made with."""
        ...

    def observation(self, number: int, *, noise: int = 0) -> Observation:
        """One observation; `noise` numbers independent drawings of the noise of measuring it.

        Raises
        ------
        DataError
            If there is no such number.
        """
        ...


@runtime_checkable
class HasKnownNoise(HasObservations, Protocol):
    """A pool that adds normal noise of one known standard deviation to every value it shows.

    Whoever learns from it draws noise as often as wanted without making the rest again.
    """

    noise_sigma: float

    def noiseless(self, number: int) -> Observation:
        """What `observation` adds its noise to.

        Raises
        ------
        DataError
            If there is no such number.
        """
        ...


@runtime_checkable
class HeldObservations(Protocol):
    """A pool whose pseudo-experiments are observations that were made elsewhere.

    No truth can be asked of it: a run takes the truths that the pool has, all nuisances varying, and
    the task's `pseudo_experiment` finds the observation by its truth.
    """

    def held_truth(self, seed: int, set: int, toy: int) -> Truth:
        """The truth of one toy: a function of its numbers alone, parameters shared by its set.

        Raises
        ------
        SettingsError
            If a set cannot have so many toys.
        """
        ...


@runtime_checkable
class HasImages(Protocol):
    """A task that shows an observation as an image."""

    @property
    def image_shape(self) -> tuple[int, int]:
        """Rows and columns of every image."""
        ...

    @property
    def image_mask(self) -> npt.NDArray[np.bool_]:
        """Which pixels are seen, `image_shape`."""
        ...

    def image(self, observation: Observation) -> npt.NDArray[np.float32]:
        """The image, `image_shape`; 0 where nothing is seen.

        Raises
        ------
        DataError
            If the observation is none of this task.
        """
        ...


@runtime_checkable
class HasSummaries(Protocol):
    """A task that knows a few numbers which say much of what an observation says.

    `summary_names` has one entry per number.
    """

    summary_names: tuple[str, ...]

    def summary(self, observation: Observation) -> npt.NDArray[np.float64]:
        """The numbers, (n_summaries,); NaN where the observation does not give them.

        Raises
        ------
        DataError
            If the observation is none of this task.
        """
        ...


@runtime_checkable
class HasPictureLabels(HasImages, HasSummaries, Protocol):
    """A task that says what stands at the axes of its images and summaries.

    `pixel_size` is the side of a pixel in `pixel_unit`, `image_label` what a pixel's value is.
    `summary_axis` has a place for each summary on an axis that is logarithmic, `summary_axis_label`
    and `summary_label` say what is along it and what the summaries are.
    """

    pixel_size: float
    pixel_unit: str
    image_label: str
    summary_axis: tuple[float, ...]
    summary_axis_label: str
    summary_label: str


@runtime_checkable
class ScoresResamples(Protocol):
    """A task that gives its headline score of many resamples of toys at once.

    A bootstrap of other tasks scores a table for each resample, and makes do with fewer of them.
    """

    def score_resampled(
        self,
        toys: pd.DataFrame,
        counts: npt.NDArray[np.float64],
        *,
        epsilon: float | None = None,
    ) -> npt.NDArray[np.float64]:
        """The headline score of each resample, (n_resamples,); NaN where there is none.

        `counts` (n_resamples, n_toys) says how often each row of the table is in a resample.

        Raises
        ------
        DataError
            If the table cannot be scored.
        """
        ...


@runtime_checkable
class TakesResults(Protocol):
    """A task whose observations may be given away, and answered by a file instead of by code.

    Who takes part sees all observations at once and answers each of them; whoever scores keeps the
    truths. `observations_file` is what to call the file that is given away. `about_results` says
    what it holds and what to send, `about_score` how that is scored (Markdown).
    """

    observations_file: str
    about_results: str
    about_score: str

    def write_observations(
        self, path: Path, observations: Iterable[Observation], n_observations: int
    ) -> None:
        """Write the file that is given away: the observations in their order, nothing else.

        `observations` are made while it is written. The same ones give the same file.

        Raises
        ------
        DataError
            If one of them is none of this task, or there are not `n_observations`.
        OutputError
            If it cannot be written.
        """
        ...

    def read_results(self, path: Path, n_observations: int) -> Columns:
        """The answers in a file that anybody may have sent, which can all be scored.

        Time and memory are bounded by `n_observations`, whatever the file is.

        Raises
        ------
        DataError
            If it is no such file, or not of `n_observations`: a sentence for its author.
        """
        ...

    def score_results(self, answers: Columns, truths: Columns) -> Score:
        """The verdict on answers that `read_results` gave, of some or all observations.

        `truths` has a column for each parameter and nuisance.

        Raises
        ------
        DataError
            If these observations do not give a score.
        """
        ...
