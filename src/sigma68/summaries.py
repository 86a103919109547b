"""More contracts: pools of whole observations, tasks that know summaries or an image of one.

For tasks whose observation is more than its single events: an image, a spectrum. Methods ask for
these and learn nothing else of what is observed.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from sigma68.types import Observation, Truth

__all__ = ["HasImages", "HasKnownNoise", "HasObservations", "HasSummaries"]


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
