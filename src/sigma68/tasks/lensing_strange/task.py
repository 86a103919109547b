"""Strange maps of weak lensing: how little a map looks like what simulations make."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError
from sigma68.protocols import Pool, Pools
from sigma68.seeds import Stream
from sigma68.summaries import Columns
from sigma68.tasks.lensing.design import PARAMETERS
from sigma68.tasks.lensing.pools import FEATURES, checked
from sigma68.tasks.lensing.task import Lensing
from sigma68.tasks.lensing_strange.families import FAMILIES
from sigma68.tasks.lensing_strange.published import (
    ABOUT_SCORE,
    ABOUT_SCORES,
    score_of_answers,
    strangeness_of,
)
from sigma68.tasks.lensing_strange.scores import (
    FAMILY,
    family_of,
    resampled_scores,
    score_strange,
)
from sigma68.types import AnswerKind, Observation, Parameter, Score, Truth

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LensingStrange"]


class LensingStrange(Lensing):
    """A score of strangeness for each map, larger for stranger ones.

    Pools hold ordinary maps only, those of `lensing`. Half of the pseudo-experiments are ordinary too,
    the others belong to families of strange maps that no method is shown: stress tests, not
    physics. The first parameter says which (`sigma68.tasks.lensing_strange.scores.FAMILY`); it is
    what is asked for, and cosmology is something that ordinary maps differ by.
    """

    name = "lensing_strange"
    title = "Weak lensing: strange maps among ordinary ones (stress tests, not physics)"
    answer: AnswerKind = "strangeness"
    parameters: tuple[Parameter, ...] = (FAMILY, *PARAMETERS)
    about_results = ABOUT_SCORES
    about_score = ABOUT_SCORE

    def open(self, source: str | None = None, *, split_seed: int = 0) -> Pools:
        """The pools of the embedded generator.

        Raises
        ------
        DataError
            If the source is something else: nobody has labelled strange maps in public files.
        """
        if source is not None and Path(source).is_dir():
            raise DataError(
                f"{source}: files with maps do not say which of them are strange, so nothing can be "
                "scored; leave the source out"
            )
        return super().open(source, split_seed=split_seed)

    def pseudo_experiment(self, pool: Pool, truth: Truth, stream: Stream) -> Observation:
        """One noisy map, ordinary or of a family.

        Raises
        ------
        NuisanceError
            If a nuisance is unknown or out of its range.
        SettingsError
            If the cosmology is out of reach.
        """
        family = family_of(truth.parameters[FAMILY.name])
        if family is None:
            return super().pseudo_experiment(pool, truth, stream)
        point = {**truth.parameters, **checked(truth.nuisances)}
        seen = FAMILIES[family].draw(point, stream, stream.child("noise"))
        return Observation(FEATURES, seen[None])

    def score(self, toys: pd.DataFrame, *, epsilon: float | None = None) -> Score:
        """The challenge's score of the second phase, overall and for each family."""
        return score_strange(toys)

    def score_resampled(
        self,
        toys: pd.DataFrame,
        counts: npt.NDArray[np.float64],
        *,
        epsilon: float | None = None,
    ) -> npt.NDArray[np.float64]:
        """The challenge's score of resamples, (n_resamples,), from how often they hold each toy."""
        return resampled_scores(toys, counts)

    def read_results(self, path: Path, n_observations: int) -> Columns:
        """The scores in a submission, all of them finite.

        Raises
        ------
        DataError
            If it is no submission, or not one for so many maps.
        """
        return strangeness_of(path, n_observations)

    def score_results(self, answers: Columns, truths: Columns) -> Score:
        """The challenge's score of the second phase."""
        return score_of_answers(answers, truths)
