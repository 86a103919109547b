"""Markov chains over a few parameters with flat priors, and whether they have converged.

Ensembles of emcee with differential-evolution moves, which take a third of the steps that stretch
moves take on bent posteriors of two parameters; chains run until they are fifty integrated
autocorrelation times long and the walkers' halves agree.

References: D. Foreman-Mackey et al., PASP 125 (2013) 306; B. Nelson et al., ApJS 210 (2014) 11;
C. J. F. ter Braak and J. A. Vrugt, Stat. Comput. 18 (2008) 435; A. Vehtari et al., Bayesian
Analysis 16 (2021) 667 (split R-hat).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import emcee
import numpy as np
import numpy.typing as npt

from sigma68.errors import FitError
from sigma68.seeds import Stream
from sigma68.types import Parameter

__all__ = ["Posterior", "sample_posterior", "split_r_hat"]

FloatArray = npt.NDArray[np.float64]

LENGTHS = 50
"""A chain is this many autocorrelation times long."""

R_HAT = 1.05


@dataclass(frozen=True)
class Posterior:
    """Draws from a posterior, (n, n_parameters), and how the chain that made them went.

    `autocorrelation` is the longest integrated autocorrelation time in steps, `effective` the number
    of independent draws that the draws are worth, `r_hat` the largest split R-hat.
    """

    draws: FloatArray
    autocorrelation: float
    effective: float
    r_hat: float
    acceptance: float


def sample_posterior(
    nll: Callable[[FloatArray], FloatArray],
    parameters: Sequence[Parameter],
    stream: Stream,
    *,
    walkers: int = 32,
    block: int = 500,
    most: int = 8_000,
) -> Posterior:
    """Draw from exp(-nll / 2) within the parameters' ranges.

    `nll` takes points (n, n_parameters) and gives -2 ln L, (n,).

    Raises
    ------
    FitError
        If it is finite nowhere, or the chain has not converged after `most` steps.
    """
    low, high = (np.array([getattr(p, end) for p in parameters]) for end in ("low", "high"))

    def log_probability(points: FloatArray) -> FloatArray:
        inside = ((points >= low) & (points <= high)).all(axis=1)
        value = np.full(len(points), -np.inf)
        if inside.any():
            value[inside] = -0.5 * nll(points[inside])
        return np.where(np.isnan(value), -np.inf, value)

    draw = stream.generator()
    start = _start(log_probability, low, high, draw, walkers)
    moves = [(emcee.moves.DEMove(), 0.8), (emcee.moves.DESnookerMove(), 0.2)]
    sampler = emcee.EnsembleSampler(walkers, len(low), log_probability, vectorize=True, moves=moves)
    words = draw.integers(0, 2**32, size=8, dtype=np.uint32)
    sampler.random_state = np.random.RandomState(words).get_state()
    state = sampler.run_mcmc(start, block)
    while True:
        # tol=0: a chain that is too short is run on, not warned of.
        length = float(np.max(sampler.get_autocorr_time(tol=0)))
        if not np.isfinite(length):
            raise FitError("the Markov chain does not move: the likelihood is too narrow or flat")
        first = min(int(5 * length) + 1, sampler.iteration // 2)
        chain = sampler.get_chain(discard=first)
        r_hat = split_r_hat(chain)
        if sampler.iteration >= LENGTHS * length and r_hat < R_HAT:
            break
        if sampler.iteration >= most:
            raise FitError(
                f"the Markov chain has not converged after {sampler.iteration} steps "
                f"(autocorrelation time {length:.0f}, R-hat {r_hat:.3f})"
            )
        state = sampler.run_mcmc(state, block)
    return Posterior(
        draws=chain.reshape(-1, len(low)),
        autocorrelation=length,
        effective=chain.shape[0] * walkers / length,
        r_hat=r_hat,
        acceptance=float(np.mean(sampler.acceptance_fraction)),
    )


def split_r_hat(chain: FloatArray) -> float:
    """The largest split R-hat over parameters of a chain (n_steps, n_walkers, n_parameters).

    The steps are cut in two halves; the walkers of an ensemble are not independent of each other, so that
    it finds drifts rather than proves convergence.
    """
    half = chain.shape[0] // 2
    parts = np.concatenate([chain[:half], chain[half : 2 * half]], axis=1)
    within = parts.var(axis=0, ddof=1).mean(axis=0)
    between = parts.mean(axis=0).var(axis=0, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.sqrt((half - 1) / half + between / within)
    return float(np.max(np.where(np.isnan(ratio), np.inf, ratio)))


def _start(
    log_probability: Callable[[FloatArray], FloatArray],
    low: FloatArray,
    high: FloatArray,
    draw: np.random.Generator,
    walkers: int,
) -> FloatArray:
    """Where walkers begin: points of a fine grid, drawn by their probability and jittered."""
    n = round(10_000 ** (1 / len(low)))
    axes = [lo + (hi - lo) * (np.arange(n) + 0.5) / n for lo, hi in zip(low, high, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(low))
    logs = log_probability(grid)
    if not np.isfinite(logs).any():
        raise FitError("the likelihood is not finite at any value of the parameters")
    weight = np.exp(logs - logs.max())
    chosen = draw.choice(len(grid), size=walkers, p=weight / weight.sum())
    cells: FloatArray = grid[chosen] + (high - low) / n * draw.uniform(
        -0.5, 0.5, (walkers, len(low))
    )
    return cells
