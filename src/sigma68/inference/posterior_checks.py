"""Whether posteriors mean what they say: where truths lie among draws from them.

Over many observations, each with a truth drawn from the prior, three fractions are uniform between 0 and
1 if posteriors are right. Ranks: the share of draws below the truth, for each parameter. Joint: the
share of draws that lie within the ellipse through the truth, in the metric of the draws' own mean and covariance,
so that the share of observations below 0.6827 is the coverage of joint 68.27% regions. TARP: the share of draws that
are nearer to a random point than the truth is; this one finds every wrong posterior.

References: S. Talts et al., arXiv:1804.06788 (ranks); P. Lemos et al., ICML 2023, arXiv:2302.03026
(TARP).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError
from sigma68.seeds import Stream
from sigma68.types import LEVEL, Parameter

__all__ = ["PosteriorChecks", "covered", "place_truth"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PosteriorChecks:
    """Fractions of n observations, each uniform if posteriors are right.

    `ranks` (n, n_parameters) in the order of `names`, `joint` (n,), `tarp` (n,).
    """

    names: tuple[str, ...]
    ranks: FloatArray
    joint: FloatArray
    tarp: FloatArray

    @classmethod
    def of(
        cls, parameters: Sequence[Parameter], places: Sequence[tuple[FloatArray, float, float]]
    ) -> PosteriorChecks:
        """From what `place_truth` gave for each observation.

        Raises
        ------
        DataError
            If there is none.
        """
        if not places:
            raise DataError("no posterior to check: give at least one observation")
        ranks, joint, tarp = zip(*places, strict=True)
        names = tuple(p.name for p in parameters)
        return cls(names, np.array(ranks), np.array(joint), np.array(tarp))


def place_truth(
    draws: FloatArray, truth: FloatArray, parameters: Sequence[Parameter], stream: Stream
) -> tuple[FloatArray, float, float]:
    """Where a truth (n_parameters,) lies among draws (n, n_parameters): ranks, joint, TARP.

    `stream` draws the random point, uniformly in the parameters' ranges.

    Raises
    ------
    DataError
        If shapes do not match or draws do not vary.
    """
    n_parameters = len(parameters)
    if draws.ndim != 2 or draws.shape[1] != n_parameters or truth.shape != (n_parameters,):
        raise DataError(
            f"draws {draws.shape} and truth {truth.shape} do not match {n_parameters} parameters"
        )
    low, high = (np.array([getattr(p, end) for p in parameters]) for end in ("low", "high"))
    unit, at = (draws - low) / (high - low), (truth - low) / (high - low)
    ranks = (unit < at).mean(axis=0)
    off, off_truth = unit - unit.mean(axis=0), at - unit.mean(axis=0)
    try:
        half = np.linalg.cholesky(np.atleast_2d(np.cov(unit, rowvar=False)))
    except np.linalg.LinAlgError as error:
        raise DataError("the draws of a posterior do not vary in every direction") from error
    squares = (np.linalg.solve(half, off.T) ** 2).sum(axis=0)
    joint = float((squares < (np.linalg.solve(half, off_truth) ** 2).sum()).mean())
    point = stream.generator().random(n_parameters)
    nearer = np.linalg.norm(unit - point, axis=1) < np.linalg.norm(at - point)
    return ranks, joint, float(nearer.mean())


def covered(fractions: FloatArray, level: float = LEVEL) -> tuple[float, float]:
    """The share of fractions below a level, and its binomial error if they are uniform.

    Raises
    ------
    DataError
        If there is none.
    """
    if not len(fractions):
        raise DataError("no fractions to count: give at least one observation")
    return float(np.mean(fractions < level)), float(np.sqrt(level * (1 - level) / len(fractions)))
