"""Weak lensing: Omega_m and S8 from one noisy map of the convergence."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError
from sigma68.protocols import Pool, Pools
from sigma68.seeds import Stream
from sigma68.summaries import Columns
from sigma68.tasks.lensing.bandpowers import BINS, ELL_EDGES, bin_centres, log_bandpowers
from sigma68.tasks.lensing.design import NUISANCES, PARAMETERS
from sigma68.tasks.lensing.official import OfficialPool, open_official
from sigma68.tasks.lensing.pools import EMBEDDED, open_embedded, simulated
from sigma68.tasks.lensing.published import (
    ABOUT_ESTIMATES,
    ABOUT_SCORE,
    PUBLISHED_FILE,
    estimates_of,
    score_of_estimates,
    write_maps,
)
from sigma68.tasks.lensing.sky import PIXEL_ARCMIN, survey_mask
from sigma68.types import AnswerKind, Feature, Nuisance, Observation, Parameter, Score, Truth

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Lensing"]


class Lensing:
    """Two parameters of the Universe from how its matter distorts the images of galaxies.

    An observation is one map of the convergence: its pixels inside the mask, row by row, with
    noise. Nuisance parameters: heating by AGN, the fraction of mass in stars, the mean redshift of
    the galaxies. The mask is that of the source opened last, the embedded one before.
    """

    name = "lensing"
    title = "Weak lensing: Omega_m and S8 from noisy convergence maps"
    answer: AnswerKind = "estimates"
    parameters: tuple[Parameter, ...] = PARAMETERS
    nuisances: tuple[Nuisance, ...] = NUISANCES
    features: tuple[Feature, ...] = (Feature("kappa", label=r"$\kappa$"),)
    default_source: str | None = EMBEDDED
    summary_names: tuple[str, ...] = tuple(
        f"log10 C_ell, ell {low:.0f} to {high:.0f}" for low, high in pairwise(ELL_EDGES)
    )

    pixel_size = PIXEL_ARCMIN / 60
    pixel_unit = "degrees"
    image_label = r"Convergence $\kappa$ with noise"
    summary_axis: tuple[float, ...] = tuple(float(ell) for ell in bin_centres())
    summary_axis_label = r"Multipole $\ell$"
    summary_label = r"$\log_{10} C_\ell$ of map and noise"

    observations_file = PUBLISHED_FILE
    about_results = ABOUT_ESTIMATES
    about_score = ABOUT_SCORE

    def __init__(self) -> None:
        self.mask: npt.NDArray[np.bool_] = survey_mask()

    def open(self, source: str | None = None, *, split_seed: int = 0) -> Pools:
        """The pools of the embedded generator, or of a folder with the challenge's public files.

        Raises
        ------
        DataError
            If the source is neither, or the files are not what they should be.
        """
        source = EMBEDDED if source is None else source
        if Path(source).is_dir():
            pools, self.mask = open_official(Path(source), split_seed=split_seed)
            return pools
        self.mask = survey_mask()
        return open_embedded(source, split_seed=split_seed)

    def pseudo_experiment(self, pool: Pool, truth: Truth, stream: Stream) -> Observation:
        """One noisy map of `truth`; sky and noise are drawn by the stream, or the noise alone.

        Of public files it is the map that has this label.

        Raises
        ------
        NuisanceError
            If a nuisance is unknown or out of its range.
        SettingsError
            If public files have no map of this truth, or the cosmology is out of reach.
        DataError
            If the map has pixels that are no numbers.
        """
        if isinstance(pool, OfficialPool):
            return pool.held(truth, stream.child("noise"))
        return simulated(truth, stream, stream.child("noise"))

    @property
    def image_shape(self) -> tuple[int, int]:
        """Rows and columns of a map."""
        rows, columns = self.mask.shape
        return rows, columns

    @property
    def image_mask(self) -> npt.NDArray[np.bool_]:
        """Which pixels of a map are seen."""
        return self.mask

    def image(self, observation: Observation) -> npt.NDArray[np.float32]:
        """The observation as a map, zero outside the mask: (rows, columns).

        Raises
        ------
        DataError
            If it has not as many pixels as the mask shows.
        """
        kappa = observation["kappa"]
        if kappa.size != int(self.mask.sum()):
            raise DataError(
                f"the map has {kappa.size:,} pixels, the mask shows {int(self.mask.sum()):,}: "
                "open the source that the map is from"
            )
        sky = np.zeros(self.mask.shape, dtype=np.float32)
        sky[self.mask] = kappa
        return sky

    def summary(self, observation: Observation) -> npt.NDArray[np.float64]:
        """log10 of the power spectrum in ten bins of ell, (10,); NaN for a map that is none.

        Raises
        ------
        DataError
            If it has not as many pixels as the mask shows.
        """
        sky = self.image(observation)
        if not np.isfinite(sky).all():
            return np.full(BINS, np.nan)
        return log_bandpowers(sky, float(self.mask.mean()))

    def score(self, toys: pd.DataFrame, *, epsilon: float | None = None) -> Score:
        """The challenge's score of the first phase, with coverage and errors per parameter."""
        from sigma68.tasks.lensing.scores import score_estimated

        return score_estimated(toys, self.parameters, epsilon=epsilon)

    def score_resampled(
        self,
        toys: pd.DataFrame,
        counts: npt.NDArray[np.float64],
        *,
        epsilon: float | None = None,
    ) -> npt.NDArray[np.float64]:
        """The challenge's score of resamples, (n_resamples,), from how often they hold each toy."""
        from sigma68.tasks.lensing.scores import toy_scores

        means: npt.NDArray[np.float64] = counts @ toy_scores(toys, self.parameters)
        means /= counts.sum(axis=1)
        return means

    def write_observations(
        self, path: Path, observations: Iterable[Observation], n_observations: int
    ) -> None:
        """Write maps of this task's mask as they are given away; see `published.write_maps`."""
        write_maps(path, observations, n_observations, self.mask)

    def read_results(self, path: Path, n_observations: int) -> Columns:
        """The estimates in a submission, all of which can be scored.

        Raises
        ------
        DataError
            If it is no submission, or not one for so many maps.
        """
        return estimates_of(path, n_observations)

    def score_results(self, answers: Columns, truths: Columns) -> Score:
        """The challenge's score of the first phase."""
        return score_of_estimates(answers, truths)
